"""How a machine is divided into workers."""

from dataclasses import replace
from pathlib import Path

import pytest

from dreamgrid.engines.base import EngineSpec, Prospect
from dreamgrid.engines.gpus import Gpu
from dreamgrid.engines.machine import GIB, Machine
from dreamgrid.engines.registry import FoundEngine, Registry
from dreamgrid.errors import ConfigError
from dreamgrid.worker.lanes import chosen_gpus, lanes_of
from dreamgrid.worker.plan import plan_work
from tests.worker.server_room import config_of


def refuse(threads: int) -> None:
    raise NotImplementedError


def engine(name: str, sizes_gib: dict[str, int], *, uses_gpu: bool) -> FoundEngine:
    """An engine whose models need so much memory on a GPU."""

    def prospects(machine: Machine) -> tuple[Prospect, ...]:
        most = max((gpu.memory_bytes or 0 for gpu in machine.gpus), default=0)
        return tuple(
            Prospect(
                model=model,
                state="ready" if size * GIB <= most else "too_large",
                text=f"{size} GiB",
            )
            for model, size in sizes_gib.items()
        )

    models = tuple(sizes_gib)
    spec = EngineSpec(
        name=name,
        models=lambda: models,
        create=refuse,  # type: ignore[arg-type]
        prospects=prospects if uses_gpu else lambda _: (),
        uses_gpu=uses_gpu,
    )
    return FoundEngine(name=name, reference=f"{name}:ENGINE", spec=spec, models=models)


PAINTER = engine("painter", {"small-v1": 4, "large-v1": 20}, uses_gpu=True)
COMPOSER = engine("composer", {"music-v1": 0}, uses_gpu=False)
BOTH = Registry(engines=(PAINTER, COMPOSER))
GPUS = (
    Gpu(index=0, uuid="GPU-aa", name="Big", memory_bytes=24 * GIB),
    Gpu(index=1, uuid="GPU-bb", name="Small", memory_bytes=8 * GIB),
)
TWO = Machine(cores=16, memory_bytes=64 * GIB, gpus=GPUS)


def test_each_gpu_has_a_worker_with_what_fits_it_and_the_rest_has_one(tmp_path: Path) -> None:
    rest, big, small = lanes_of(config_of("http://h", tmp_path, name="pc"), BOTH, TWO)
    assert (rest.models, rest.gpu, rest.name) == (("music-v1",), None, "pc")
    assert (big.models, big.gpu, big.name) == (("small-v1", "large-v1"), GPUS[0], "pc GPU 0")
    assert (small.models, small.gpu, small.name) == (("small-v1",), GPUS[1], "pc GPU 1")
    assert len({lane.data_dir for lane in (rest, big, small)}) == 3  # each has an id of its own
    for lane in (rest, big, small):
        lane.validate()


def test_what_fits_one_gpu_is_served(tmp_path: Path) -> None:
    assert plan_work(BOTH, TWO).models == ("small-v1", "large-v1", "music-v1")


def test_a_machine_without_a_gpu_is_one_worker(tmp_path: Path) -> None:
    (lane,) = lanes_of(config_of("http://h", tmp_path), BOTH, Machine())
    assert (lane.models, lane.gpu) == (("music-v1",), None)


def test_only_the_models_that_its_owner_names_are_served(tmp_path: Path) -> None:
    (lane,) = lanes_of(
        config_of("http://h", tmp_path, models=("small-v1",)), BOTH, chosen_gpus(TWO, ("GPU-b",))
    )
    assert (lane.models, lane.gpu, lane.name) == (("small-v1",), GPUS[1], "Ada's worker")


def test_a_machine_that_nothing_fits_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no model fits"):
        lanes_of(config_of("http://h", tmp_path), Registry(engines=(PAINTER,)), Machine())


def other(name: str, *models: str, shares_gpu: bool) -> FoundEngine:
    """An engine that drives another program, such as a ComfyUI."""
    found = engine(name, dict.fromkeys(models, 0), uses_gpu=False)
    return replace(found, spec=replace(found.spec, shares_gpu=lambda: shares_gpu))


@pytest.mark.parametrize("shares_gpu", [True, False])
def test_the_worker_of_the_first_gpu_asks_all_engines_of_its_models(
    tmp_path: Path, *, shares_gpu: bool
) -> None:
    driver = other("driver", "small-v1", "own-v1", shares_gpu=shares_gpu)
    registry = Registry(engines=(driver, PAINTER, COMPOSER))
    rest, big, small = lanes_of(config_of("http://h", tmp_path), registry, TWO)
    assert big.served_by["small-v1"] == ("driver:ENGINE", "painter:ENGINE")
    assert big.served_by["large-v1"] == small.served_by["small-v1"] == ("painter:ENGINE",)
    # What renders on this machine's GPU takes turns with what else is on it.
    assert ("own-v1" in big.models) is shares_gpu
    assert ("own-v1" in rest.models) is not shares_gpu
    assert (big.shares_gpu, small.shares_gpu, rest.shares_gpu) == (shares_gpu, False, False)
    assert "own-v1" not in small.models
    assert "music-v1" in rest.models


def test_another_program_alone_needs_no_worker_of_a_gpu(tmp_path: Path) -> None:
    registry = Registry(engines=(other("driver", "own-v1", shares_gpu=True),))
    (lane,) = lanes_of(config_of("http://h", tmp_path), registry, TWO)
    assert (lane.models, lane.gpu) == (("own-v1",), None)


def test_a_model_that_only_another_program_has_room_for_is_left_to_it(tmp_path: Path) -> None:
    driver = other("driver", "large-v1", shares_gpu=True)
    registry = Registry(engines=(PAINTER, driver))
    (lane,) = lanes_of(config_of("http://h", tmp_path), registry, chosen_gpus(TWO, ("GPU-bb",)))
    assert lane.served_by == {
        "small-v1": ("painter:ENGINE",),
        "large-v1": ("driver:ENGINE",),
    }


def test_a_long_name_keeps_its_number(tmp_path: Path) -> None:
    lanes = lanes_of(config_of("http://h", tmp_path, name="x" * 64), BOTH, TWO)
    assert lanes[1].name == "x" * 58 + " GPU 0"


@pytest.mark.parametrize(
    ("wanted", "indexes"), [((), [0, 1]), (("1",), [1]), (("0",), [0]), (("GPU-aa",), [0])]
)
def test_gpus_are_chosen_by_number_or_uuid(wanted: tuple[str, ...], indexes: list[int]) -> None:
    assert [gpu.index for gpu in chosen_gpus(TWO, wanted).gpus] == indexes


@pytest.mark.parametrize("wanted", ["7", "", "GPU-cc"])
def test_a_gpu_that_is_not_there_is_refused_with_those_that_are(wanted: str) -> None:
    with pytest.raises(ConfigError, match=r"there are: 0 \(Big\), 1 \(Small\)"):
        chosen_gpus(TWO, (wanted,))


def test_main_memory_is_shared_between_gpus() -> None:
    assert [share.memory_bytes for share in TWO.shares()] == [32 * GIB, 32 * GIB]
    assert Machine().shares() == (Machine(),)
