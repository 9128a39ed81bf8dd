"""Models that stay in memory, and who leaves when it gets scarce."""

from pathlib import Path

import pytest

from dreamgrid.engines.diffusers.family import families
from dreamgrid.engines.diffusers.warm import SPARE_BYTES, WarmModels
from dreamgrid.engines.diffusers.weights import Weights
from dreamgrid.errors import OutOfMemory

MEMORY, GPU = 100, 50


class Machine:
    """Memory that is counted: every model takes 20 of the one or the other."""

    def __init__(self, folder: Path, *, memory: int = MEMORY, gpu: int | None = GPU) -> None:
        self.folder = folder
        self.memory, self.gpu = memory, gpu
        self.models: dict[str, Counted] = {}
        self.reads: list[str] = []
        self.warm = WarmModels(self._read, main_free=self._main_free, gpu_free=self._gpu_free)

    def take(self, *names: str) -> None:
        for name in names:
            assert self.warm.take(self._weights(name)) is self.models[name]
            assert self.models[name].on_gpu

    def on_gpu(self) -> list[str]:
        return [name for name, one in self.models.items() if one.on_gpu and not one.closed]

    def _read(self, weights: Weights) -> "Counted":
        self.reads.append(weights.model)
        if weights.model == "broken":
            raise OutOfMemory("this model does not fit")
        self.models[weights.model] = Counted(self, stuck=weights.model == "stuck")
        return self.models[weights.model]

    def _main_free(self) -> float:
        resting = [one for one in self.models.values() if not one.closed and not one.on_gpu]
        return self.memory - 20 * len(resting) + SPARE_BYTES

    def _gpu_free(self) -> float | None:
        held = [one for one in self.models.values() if not one.closed and one.on_gpu]
        return None if self.gpu is None else self.gpu - 20 * len(held)

    def _weights(self, name: str) -> Weights:
        file = self.folder / name
        file.write_bytes(bytes(20))
        family = families()[0]
        return Weights(
            model=name, family=family, folder=file, file=file, loras=file, control_nets={}
        )


def test_all_of_them_leave_the_gpu_for_another_engine_and_come_back(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.take("one", "two")
    machine.warm.leave_gpu()
    assert machine.on_gpu() == []
    machine.take("one")
    assert machine.reads == ["one", "two"], "they had stayed in main memory"


class Counted:
    size_bytes = 20

    def __init__(self, machine: Machine, *, stuck: bool) -> None:
        self.stuck = stuck
        self.on_gpu = machine.gpu is not None
        self.closed = False

    def rest(self) -> None:
        if self.stuck:
            raise OutOfMemory("this model cannot be moved")
        self.on_gpu = False

    def wake(self) -> None:
        self.on_gpu = True

    def close(self) -> None:
        self.closed = True


def test_models_stay_on_the_gpu_then_in_main_memory_and_come_back_unread(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.take("one", "two", "one")  # 1.3 times the second one is free beside the first
    assert machine.on_gpu() == ["one", "two"]
    machine.take("three")
    assert machine.on_gpu() == ["one", "three"]  # "two" was not used for longer
    machine.take("two")
    assert machine.reads == ["one", "two", "three"]
    assert not any(model.closed for model in machine.models.values())


def test_of_scarce_memory_those_are_closed_that_no_waiting_job_needs(tmp_path: Path) -> None:
    machine = Machine(tmp_path, memory=40, gpu=30)
    machine.take("one", "two", "three")
    machine.warm.expect(["one"])
    machine.take("four")
    assert machine.models["two"].closed
    assert machine.warm.names == ("one", "three", "four")
    machine.take("one")
    assert machine.reads == ["one", "two", "three", "four"]


def test_where_memory_is_unknown_one_model_is_kept(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.warm._main_free = lambda: None
    machine.take("one", "two")
    assert machine.warm.names == ("two",)
    assert machine.models["one"].closed


def test_a_model_that_cannot_be_read_leaves_the_others_usable(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.take("one")
    with pytest.raises(OutOfMemory):
        machine.take("broken")
    machine.take("one")
    assert machine.reads == ["one", "broken"]


def test_a_job_that_needs_more_gets_the_whole_gpu(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.take("one", "two")
    assert machine.warm.make_way("two")
    assert machine.on_gpu() == ["two"]
    assert not machine.warm.make_way("two")


@pytest.mark.parametrize("expected", [[], ["one"], ["one", "two"]])
def test_the_model_that_renders_stays_when_the_others_find_no_main_memory(
    tmp_path: Path, expected: list[str]
) -> None:
    machine = Machine(tmp_path, gpu=200)
    machine.take("one", "two", "now")
    machine.warm.expect(expected)
    machine.memory = 10
    assert machine.warm.make_way("now")
    assert machine.warm.names == ("now",)
    assert machine.on_gpu() == ["now"]
    machine.take("now")
    assert machine.reads == ["one", "two", "now"]


def test_the_model_that_renders_stays_when_another_cannot_be_moved(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.take("stuck", "now")
    with pytest.raises(OutOfMemory):
        machine.warm.make_way("now")
    machine.take("now")
    assert machine.reads == ["stuck", "now"]
