"""Which models of diffusers fit into which machine."""

import pytest

from dreamgrid.engines.base import Prospect
from dreamgrid.engines.diffusers import ENGINE
from dreamgrid.engines.diffusers.family import families
from dreamgrid.engines.diffusers.fitting import fit
from dreamgrid.engines.gpus import Gpu
from dreamgrid.engines.machine import GIB, Machine


def machine(*gpu_gib: float | None, memory_gib: float = 64, disk_gb: float = 900) -> Machine:
    gpus = tuple(
        Gpu(
            index=index,
            uuid=f"GPU-{index}",
            name="GPU",
            memory_bytes=None if size is None else int(size * GIB),
        )
        for index, size in enumerate(gpu_gib)
    )
    return Machine(
        memory_bytes=int(memory_gib * GIB), disk_free_bytes=int(disk_gb * 1e9), gpus=gpus
    )


def plan(model: str, seen: Machine) -> str | None:
    family = next(family for family in families() if model in family.weights)
    found = fit(family.sizes.get(model, family.size), seen, eight_bits=model in family.eight_bits)
    return f"{found.plan}, 8 bits" if found.eight_bits else found.plan


@pytest.mark.parametrize(
    ("model", "seen", "expected"),
    [
        ("sd-v1-5", machine(4), "whole"),
        ("sd_xl_base_1.0", machine(8), "parts"),
        ("sd_xl_base_1.0", machine(12), "whole"),
        ("flux1-dev-fp8", machine(12), None),
        ("flux1-dev-fp8", machine(16), "parts, 8 bits"),
        ("flux1-dev-fp8", machine(24), "parts, 8 bits"),
        ("flux1-dev-fp8", machine(32), "whole, 8 bits"),
        ("flux1-dev-fp8", machine(8, 48), "whole"),  # the largest GPU counts
        ("wan_v2.2-14b-fp8_t2v", machine(24, memory_gib=96), "parts, 8 bits"),
        ("wan_v2.2-14b-fp8_t2v", machine(48, memory_gib=96), "parts"),
        ("wan_v2.2-14b-fp8_t2v", machine(80, memory_gib=96), "whole, 8 bits"),
        ("z_image_turbo_bf16", machine(12), None),  # promises 16 bits
        ("flux1-dev-fp8", machine(32, memory_gib=16), None),
        ("flux1-dev-fp8", machine(None), "whole"),  # what is not told counts as enough
        ("sd3.5_medium", machine(24), "whole"),
        ("sd3.5_large_turbo", machine(24), "parts"),
        ("sd-v1-5", machine(), "cpu"),
        ("flux1-dev-fp8", machine(), None),
    ],
)
def test_models_run_by_the_best_plan_that_fits(
    model: str, seen: Machine, expected: str | None
) -> None:
    assert plan(model, seen) == expected


def test_no_part_is_larger_than_the_whole() -> None:
    for family in families():
        assert set(family.sizes) <= set(family.weights)
        for size in (family.size, *family.sizes.values()):
            assert 0 < size.networks * size.largest <= size.whole


@pytest.fixture
def no_weights(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("weights")
    monkeypatch.setenv("DREAMGRID_DIFFUSERS_MODELS", str(folder / "own"))
    monkeypatch.setenv("HF_HUB_CACHE", str(folder / "hub"))


def prospect(model: str, seen: Machine) -> Prospect:
    (found,) = [found for found in ENGINE.prospects(seen) if found.model == model]
    return found


@pytest.mark.usefixtures("no_weights")
def test_weights_that_would_fit_are_proposed_with_their_size() -> None:
    found = prospect("z_image_turbo_bf16", machine(24))
    assert found.state == "absent"
    assert "at least 21 GB" in found.text
    assert found.advice


@pytest.mark.usefixtures("no_weights")
def test_what_cannot_work_says_why_and_is_not_proposed() -> None:
    large = prospect("qwen_image_2512_fp8", machine(12))
    assert (large.state, large.advice) == ("too_large", "")
    assert "needs a GPU with" in large.text
    full = prospect("z_image_turbo_bf16", machine(24, disk_gb=3))
    assert full.state == "blocked"
    assert "only 3 GB of the disk are free" in full.text
    slow = prospect("sd-v1-5", machine())
    assert slow.state == "blocked"
    assert "without a GPU" in slow.text


def test_every_model_has_a_prospect() -> None:
    told = [found.model for found in ENGINE.prospects(machine(24))]
    assert sorted(told) == sorted(model for family in families() for model in family.weights)
