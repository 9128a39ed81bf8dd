"""An engine that does what its prompt says, among it everything that real engines do wrong.

It runs in the worker's child process. `gate PATH` stops after the first step until somebody writes
into the named pipe at PATH, so that tests wait for signals instead of sleeping.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping

from dreamgrid.engines.base import Artifact, Engine, EngineSpec, OnStep, Step
from dreamgrid.errors import (
    DreamgridError,
    EngineError,
    InvalidRequest,
    ModelNotAvailable,
    OutOfMemory,
    RenderCanceled,
    RenderRefused,
    UnreadableMedia,
)
from dreamgrid.protocol.renders import AnyRender

LOADED_VARIABLE = "PUPPET_LOADED"
"""Names a pipe that shall hear which model is loaded."""

MODELS = ("puppet-v1", "puppet-v2", "unloadable-v1")
ERRORS: tuple[type[DreamgridError], ...] = (
    ModelNotAvailable,
    OutOfMemory,
    RenderCanceled,
    RenderRefused,
    UnreadableMedia,
    EngineError,
    InvalidRequest,
)


class PuppetEngine:
    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._expected: Collection[str] = ()
        self._loaded: list[str] = []

    def expect(self, models: Collection[str]) -> None:
        self._expected = models

    def kept(self) -> Collection[str]:
        return self._loaded

    def load(self, model: str) -> None:
        if model not in self._loaded:
            self._loaded.append(model)
        if LOADED_VARIABLE in os.environ:
            with open(os.environ[LOADED_VARIABLE], "w") as listener:
                listener.write(model)
        if model == "unloadable-v1":
            raise ModelNotAvailable("the weights are missing")

    def generate(self, render: AnyRender, inputs: Mapping[str, bytes], on_step: OnStep) -> Artifact:
        command, _, argument = render.prompt.partition(" ")
        self._step(render, 1, on_step)
        if command in COMMANDS:
            COMMANDS[command](argument)
        last = sys.maxsize if command == "endless" else render.steps
        for step in range(2, last + 1):
            if command == "endless":
                time.sleep(0.001)
            self._step(render, step, on_step)
        data = b"|".join([f"{os.getpid()}|{render.seed}".encode(), *inputs.values()])
        if command == "threads":
            data = str(self._threads).encode()
        if command == "expected":
            data = " ".join(self._expected).encode()
        if command == "big":
            data = bytes(int(argument))
        last_frame = b"the last frame" if command == "film" else None
        return Artifact(
            data=data, content_type="image/png", steps=render.steps, last_frame=last_frame
        )

    def _step(self, render: AnyRender, step: int, on_step: OnStep) -> None:
        def preview() -> bytes:
            if render.prompt == "blind":
                raise ValueError("no preview today")
            return f"preview {step}".encode()

        on_step(Step(step=step, step_count=render.steps, preview=preview))


def fail(name: str) -> None:
    """Raises the error of that name; an unknown name becomes a kind of OutOfMemory."""
    # Made here and not at the top, so that it exists in the child alone.
    kinds = {kind.__name__: kind for kind in ERRORS}
    kind = kinds.get(name) or type(name, (OutOfMemory,), {})
    raise kind(f"{name} on purpose")


def bug(_: str) -> None:
    raise ZeroDivisionError("a bug of the engine")


def memory(_: str) -> None:
    raise MemoryError


def leave(code: str) -> None:
    sys.stderr.write("the last words\n")
    sys.stderr.flush()
    os._exit(int(code))


def kill(_: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def noise(_: str) -> None:
    sys.stdout.write("a banner on stdout " * 1000)
    os.write(1, b"\x00\x00\x00\x02{}")
    subprocess.run([sys.executable, "-c", "print('a child of the engine')"], check=True)
    assert sys.stdin.read() == ""


def deaf(_: str) -> None:
    time.sleep(3600)


def gate(path: str) -> None:
    with open(path) as pipe:
        pipe.read()


def spawn(path: str) -> None:
    """Starts a process that outlives the engine and holds the named pipe at PATH open."""
    with open(path, "w") as pipe:
        process = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(3600)"], stdout=pipe
        )
    process.returncode = 0  # so that nobody is warned about it


def environment(path: str) -> None:
    with open(path, "w") as file:
        file.write("\n".join(f"{name}={value}" for name, value in os.environ.items()))


COMMANDS: dict[str, Callable[[str], None]] = {
    "fail": fail,
    "bug": bug,
    "memory": memory,
    "exit": leave,
    "kill": kill,
    "noise": noise,
    "deaf": deaf,
    "gate": gate,
    "spawn": spawn,
    "environment": environment,
}


def create(threads: int) -> Engine:
    return PuppetEngine(threads)


ENGINE = EngineSpec(name="puppet", models=lambda: MODELS, create=create)
REFERENCE = f"{__name__}:ENGINE"
