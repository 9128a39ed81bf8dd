"""Real `dreamgrid` processes, as a person would start them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

COMMAND = [sys.executable, "-W", "error", "-m", "dreamgrid"]
READY_S = 60
ENDS_WITHIN_S = 60


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def last_json(self) -> Any:
        """The last line of a command that was asked for JSON."""
        return json.loads(self.stdout.splitlines()[-1])


@dataclass
class Grid:
    """A running `up`, `serve` or `work`."""

    process: subprocess.Popen[str]
    data: Path
    ready: dict[str, Any]
    errors: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in order to use this grid."""
        return {"DREAMGRID_URL": self.ready["url"], "DREAMGRID_API_KEY": self.ready["api_key"]}

    def stop(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Asks it to end, and waits for that: exit code, and the rest of its stdout."""
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=ENDS_WITHIN_S)
        return self.process.returncode, rest


@contextmanager
def running(
    *arguments: str, data: Path, environment: dict[str, str] | None = None
) -> Iterator[Grid]:
    """`dreamgrid ARGUMENTS` in the background, from its first line of JSON on."""
    data.mkdir(parents=True, exist_ok=True)
    errors = data.parent / f"{arguments[0]}-stderr.txt"
    with errors.open("a") as stderr:
        process = start(*arguments, "--data", str(data), environment=environment, stderr=stderr)
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first, f"it ended with {process.wait()}: {errors.read_text()}"
            yield Grid(process=process, data=data, ready=json.loads(first), errors=errors)
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=60)


def start(
    *arguments: str,
    environment: dict[str, str] | None = None,
    stderr: IO[str] | int = subprocess.PIPE,
    cwd: Path | None = None,
) -> subprocess.Popen[str]:
    """`dreamgrid ARGUMENTS`, with nothing of the caller's own grids in its environment."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env=clean(environment),
        cwd=cwd,
    )


def run(*arguments: str, environment: dict[str, str], cwd: Path) -> Ran:
    """`dreamgrid ARGUMENTS` from start to end, in a process of its own."""
    process = start(*arguments, environment=environment, cwd=cwd)
    stdout, stderr = process.communicate(timeout=60)
    return Ran(process.returncode, stdout, stderr)


def clean(environment: dict[str, str] | None) -> dict[str, str]:
    """This process's environment without its grids, and with `environment`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DREAMGRID_")}
    nobody = {
        "DREAMGRID_CONFIG": "/nonexistent/config.toml",  # a login of our own is no matter
        "DREAMGRID_WORKER_CONFIG": os.devnull,
        "DREAMGRID_COMFYUI_URL": "off",  # nor are the models of our own ComfyUI
    }
    return kept | {"COLUMNS": "200"} | nobody | (environment or {})
