"""JavaScript that tests need: installed exactly as a lock file says."""

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

_WITHIN_S = 300


def install(folder: Path, base: Path) -> str:
    """Installs what `package-lock.json` of a folder names, once; returns the path of npm.

    Tests run in several processes and only one of them installs; `base` is a folder of them all.
    """
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        pytest.skip("node and npm are not installed")
    with (base / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install(npm, folder)
    return npm


def _install(npm: str, folder: Path) -> None:
    installed = folder / "node_modules" / ".package-lock.json"
    wanted = folder / "package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= wanted.stat().st_mtime:
        return
    done = subprocess.run(
        [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, f"npm ci failed:\n{done.stdout}\n{done.stderr}"
