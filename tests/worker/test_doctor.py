"""What `dreamgrid work doctor` finds on a machine."""

from pathlib import Path

import pytest

from dreamgrid.engines.base import EngineSpec, Finding
from dreamgrid.engines.registry import BrokenEngine, FoundEngine, Registry
from dreamgrid.worker import doctor
from tests.support.nvidia import BIG, SHY, SMALL, NvidiaSmi, nvidia_smi

__all__ = ["nvidia_smi"]

NOTHING = Registry()


def refuse(threads: int) -> None:
    raise NotImplementedError


def engine(name: str, *models: str, **spec: object) -> FoundEngine:
    described = EngineSpec(name=name, models=lambda: models, create=refuse, **spec)  # type: ignore[arg-type]
    return FoundEngine(name=name, reference=f"{name}:ENGINE", spec=described, models=models)


def about(subject: str, registry: Registry, folder: Path) -> list[Finding]:
    return [found for found in doctor.examine(registry, folder) if found.subject == subject]


def test_gpus_are_told_with_their_memory(nvidia_smi: NvidiaSmi, tmp_path: Path) -> None:
    nvidia_smi.shows(BIG, SMALL)
    big, small = about("GPU", NOTHING, tmp_path)
    assert big.level == "good"
    assert big.text == "Big GPU, 78.1 of 80.0 GiB free, driver 570.1, 41 °C"
    assert small.level == "note"
    assert "fans" in small.advice


def test_a_gpu_that_does_not_tell_everything_is_told_all_the_same(
    nvidia_smi: NvidiaSmi, tmp_path: Path
) -> None:
    nvidia_smi.shows(SHY)
    (found,) = about("GPU", NOTHING, tmp_path)
    assert (found.level, found.text) == ("good", "Shared GPU, ? of ? GiB free, driver 570.1")


def test_a_broken_driver_is_a_problem_in_its_own_words(
    nvidia_smi: NvidiaSmi, tmp_path: Path
) -> None:
    nvidia_smi.fails("Failed to initialize NVML: version mismatch", 18)
    (found,) = about("GPU", NOTHING, tmp_path)
    assert found.level == "problem"
    assert "version mismatch" in found.text
    assert "restart the machine" in found.advice


def test_a_driver_whose_gpus_are_hidden_says_so(
    nvidia_smi: NvidiaSmi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi.shows(BIG)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (found,) = about("GPU", NOTHING, tmp_path)
    assert found.level == "note"
    assert "CUDA_VISIBLE_DEVICES" in found.advice


def test_a_machine_without_a_gpu_is_no_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = about("GPU", NOTHING, tmp_path)
    assert found.level == "note"


def test_a_folder_that_is_not_there_yet_is_looked_for_above(tmp_path: Path) -> None:
    (found,) = about("disk", NOTHING, tmp_path / "not" / "yet")
    assert "GiB free" in found.text


def test_little_space_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "SCARCE_DISK_BYTES", 2**80)
    monkeypatch.setattr(doctor, "SCARCE_MEMORY_BYTES", 2**80)
    (disk,) = about("disk", NOTHING, tmp_path)
    (memory,) = about("memory", NOTHING, tmp_path)
    assert (disk.level, memory.level) == ("note", "note")


def test_every_engine_says_what_it_serves_or_lacks(tmp_path: Path) -> None:
    closer = Finding(level="problem", subject="mine", text="the key is wrong")
    registry = Registry(
        engines=(
            engine("mine", "a-v1", "b-v1", examine=lambda: (closer,)),
            engine("other", "b-v1"),
            engine("empty", missing="pip install empty"),
        ),
        broken=(BrokenEngine(name="bad", reference="bad:ENGINE", reason="ImportError: torch"),),
    )
    found = doctor.examine(registry, tmp_path)
    assert Finding(level="good", subject="mine", text="serves a-v1, b-v1") in found
    assert closer in found
    assert Finding(level="note", subject="empty", text="pip install empty") in found
    assert [f.level for f in found if f.subject == "bad"] == ["problem"]
    assert Finding(level="good", subject="other", text="serves b-v1") in found


def test_a_machine_that_can_serve_nothing_has_a_problem(tmp_path: Path) -> None:
    (found,) = about("engines", NOTHING, tmp_path)
    assert found.level == "problem"
    assert found.advice == "pip install -e '.[embedded]' in the clone"
