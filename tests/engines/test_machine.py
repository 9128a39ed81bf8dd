"""What a machine tells of itself."""

from pathlib import Path

import pytest

from dreamgrid.engines import machine
from dreamgrid.engines.machine import GIB, look
from tests.support.nvidia import BIG, SHY, SMALL, NvidiaSmi, nvidia_smi

__all__ = ["nvidia_smi"]


def test_gpus_are_told_with_everything_that_the_driver_says(
    nvidia_smi: NvidiaSmi, tmp_path: Path
) -> None:
    nvidia_smi.shows(BIG, SMALL)
    big, small = look(tmp_path).gpus
    assert (big.index, big.uuid, big.name, big.driver) == (0, "GPU-big", "Big GPU", "570.1")
    assert big.memory_bytes == 80 * GIB
    assert (big.celsius, big.busy_percent, big.watts) == (41, 0, 60.5)
    assert (small.index, small.free_bytes, small.celsius) == (1, 7000 * 1024**2, 91)


def test_a_gpu_that_tells_little_is_told_all_the_same(
    nvidia_smi: NvidiaSmi, tmp_path: Path
) -> None:
    nvidia_smi.shows(SHY)
    (gpu,) = look(tmp_path).gpus
    assert (gpu.name, gpu.memory_bytes, gpu.celsius, gpu.watts) == ("Shared GPU", None, None, None)


@pytest.mark.parametrize(
    ("shown", "names"),
    [("1", ["Small GPU"]), ("GPU-big", ["Big GPU"]), ("1,0", ["Big GPU", "Small GPU"]), ("", [])],
)
def test_hidden_gpus_are_left_to_others(
    nvidia_smi: NvidiaSmi,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shown: str,
    names: list[str],
) -> None:
    nvidia_smi.shows(BIG, SMALL)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert [gpu.name for gpu in look(tmp_path).gpus] == names


def test_a_driver_that_fails_is_told_in_its_own_words(
    nvidia_smi: NvidiaSmi, tmp_path: Path
) -> None:
    nvidia_smi.fails("Failed to initialize NVML: version mismatch", 18)
    seen = look(tmp_path)
    assert (seen.has_driver, seen.gpus) == (True, ())
    assert "version mismatch" in seen.gpu_problem


def test_a_machine_without_a_driver_has_no_gpu_and_no_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    seen = look(tmp_path / "not" / "yet")
    assert (seen.has_driver, seen.gpus, seen.gpu_problem) == (False, (), "")
    assert seen.cores >= 1
    assert seen.disk_free_bytes > 0


def test_a_container_has_no_more_memory_than_it_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(machine, "_CGROUP_LIMITS", (str(limit), str(tmp_path / "absent")))
    whole = machine.main_memory_bytes()
    limit.write_text("max\n")
    assert machine.main_memory_bytes() == whole
    limit.write_text("1073741824\n")
    assert machine.main_memory_bytes() == GIB
