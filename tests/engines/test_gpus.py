"""GPUs of every maker, as the programs of their drivers tell them."""

import json
from pathlib import Path

import pytest

from dreamgrid.engines.diffusers.family import Size
from dreamgrid.engines.diffusers.fitting import fit
from dreamgrid.engines.gpus import VISIBLE_VARIABLES, Gpu, see
from dreamgrid.engines.machine import GIB, look
from dreamgrid.worker.gpu_use import limit_power, others_percent

CARDS = {
    "card0": {
        "Unique ID": "0x1f3a",
        "Temperature (Sensor edge) (C)": "41.0",
        "Temperature (Sensor junction) (C)": "45.0",
        "Current Socket Graphics Package Power (W)": "33.5",
        "GPU use (%)": "7",
        "VRAM Total Memory (B)": str(24 * GIB),
        "VRAM Total Used Memory (B)": str(1 * GIB),
        "Card Series": "Radeon RX 7900 XTX",
    },
    "card1": {"Unique ID": "N/A", "Card series": "Older card", "GPU use (%)": "N/A"},
    "system": {"Driver version": "6.10.5"},
}


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for programs of drivers; no others are found."""
    folder = tmp_path / "driver"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    for names in VISIBLE_VARIABLES.values():
        for name in names:
            monkeypatch.delenv(name, raising=False)
    return folder


def says(folder: Path, name: str, words: str, code: int = 0) -> None:
    (folder / "words").write_text(words)
    program = folder / name
    program.write_text(f"#!/bin/sh\ncat {folder / 'words'}\nexit {code}\n")
    program.chmod(0o755)


def test_amd_cards_are_told_with_everything_that_their_driver_says(programs: Path) -> None:
    says(programs, "rocm-smi", "WARNING: one is in low-power state\n" + json.dumps(CARDS))
    big, older = see().gpus
    assert big == Gpu(
        index=0,
        uuid="GPU-1f3a",
        name="Radeon RX 7900 XTX",
        maker="amd",
        driver="6.10.5",
        memory_bytes=24 * GIB,
        free_bytes=23 * GIB,
        celsius=41,
        busy_percent=7,
        watts=33.5,
    )
    assert (older.index, older.uuid, older.name) == (1, "card1", "Older card")
    assert (older.memory_bytes, older.busy_percent, older.watts) == (None, None, None)
    assert older.environment == {"HIP_VISIBLE_DEVICES": "1"}


@pytest.mark.parametrize(
    ("variable", "shown", "indexes"),
    [
        ("HIP_VISIBLE_DEVICES", "1", [1]),
        ("ROCR_VISIBLE_DEVICES", "GPU-1f3a", [0]),
        ("CUDA_VISIBLE_DEVICES", "", []),
    ],
)
def test_hidden_amd_cards_are_left_to_others(
    programs: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    shown: str,
    indexes: list[int],
) -> None:
    says(programs, "rocm-smi", json.dumps(CARDS))
    monkeypatch.setenv(variable, shown)
    assert [gpu.index for gpu in see().gpus] == indexes


@pytest.mark.parametrize(("words", "code"), [("no device", 1), ("{broken", 0), ('{"card0": 1}', 0)])
def test_a_driver_that_fails_or_babbles_is_a_problem_and_no_crash(
    programs: Path, words: str, code: int
) -> None:
    says(programs, "rocm-smi", words, code)
    seen = see()
    assert (seen.gpus, seen.has_driver) == ((), True)
    assert seen.problem


def test_only_nvidias_driver_limits_power_and_tells_of_others(programs: Path) -> None:
    says(programs, "rocm-smi", json.dumps(CARDS))
    card = see().gpus[0]
    assert "only NVIDIA's" in limit_power(card, 250)
    assert others_percent(card) is None


def test_the_chip_of_a_mac_may_use_a_part_of_main_memory(programs: Path, tmp_path: Path) -> None:
    screens = {"SPDisplaysDataType": [{"sppci_model": "Apple M2 Max", "spdisplays_ndrvs": []}]}
    says(programs, "system_profiler", json.dumps(screens))
    seen = look(tmp_path)
    (chip,) = seen.gpus
    assert (chip.name, chip.maker, chip.environment) == ("Apple M2 Max", "apple", {})
    assert chip.memory_bytes is not None
    assert seen.memory_bytes is not None
    assert chip.memory_bytes == pytest.approx(seen.memory_bytes * 2 / 3, abs=1)
    small = chip.memory_bytes / 3e9
    assert fit(Size(whole=small, largest=small), seen).plan == "whole"
    # Moving parts between main memory and itself would win nothing.
    assert fit(Size(whole=small * 3, largest=small), seen).plan is None


def test_a_mac_with_another_makers_gpu_has_none_for_us(programs: Path) -> None:
    screens = {"SPDisplaysDataType": [{"sppci_model": "AMD Radeon Pro 5500M"}]}
    says(programs, "system_profiler", json.dumps(screens))
    assert see().gpus == ()
