"""A driver's program `nvidia-smi` for machines without one: it says what a test writes."""

from pathlib import Path

import pytest


class NvidiaSmi:
    """The program.

    Attributes:
        folder: Where it lies; belongs to the front of `PATH`.
        calls: A file with the arguments of every call, one line each.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.calls = folder / "calls"
        self._rows = folder / "rows"
        program = folder / "nvidia-smi"
        program.write_text(f'#!/bin/sh\necho "$@" >> {self.calls}\ncat {self._rows}\n')
        program.chmod(0o755)
        self.shows()

    def shows(self, *rows: str) -> None:
        """From now on, these GPUs: index, uuid, name, driver, MiB, MiB free, °C, % busy, W."""
        partial = self._rows.with_suffix(".part")
        partial.write_text("".join(f"{row}\n" for row in rows))
        partial.replace(self._rows)

    def fails(self, words: str, code: int) -> None:
        """From now on, it ends with an error."""
        program = self.folder / "nvidia-smi"
        program.write_text(f"#!/bin/sh\necho '{words}'; exit {code}\n")


BIG = "0, GPU-big, Big GPU, 570.1, 81920, 80000, 41, 0, 60.5"
SMALL = "1, GPU-small, Small GPU, 570.1, 8192, 7000, 91, 97, 150.0"
SHY = "0, GPU-shy, Shared GPU, 570.1, [N/A], [N/A], [N/A], [N/A], [N/A]"


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NvidiaSmi:
    """A driver without GPUs, at the front of `PATH`."""
    program = NvidiaSmi(tmp_path / "driver")
    monkeypatch.setenv("PATH", f"{program.folder}:/bin:/usr/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return program
