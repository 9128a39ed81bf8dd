"""The engine's process: `python -m dreamgrid.worker.child`, started and ended by `process`.

The main thread renders; a second one reads the pipe, so that `Stop` arrives in the middle of a
render. The end of the pipe means that the worker is gone, and the process ends by itself. Engines
may print what they like: file descriptor 1 leads to stderr here, and frames use a private copy of
the original one.
"""

import contextlib
import faulthandler
import gc
import os
import queue
import sys
import threading
import time
import traceback
from pathlib import Path

from dreamgrid.engines import safety
from dreamgrid.engines.base import Artifact, Engine, Keeper, Step
from dreamgrid.engines.music import sound_font
from dreamgrid.engines.registry import load_spec
from dreamgrid.errors import DreamgridError, ModelNotAvailable, OutOfMemory, RenderCanceled
from dreamgrid.worker import frames
from dreamgrid.worker.frames import (
    Failure,
    FromChild,
    Loaded,
    Ready,
    Render,
    Rendered,
    Setup,
    Stepped,
    Stop,
)

EXIT_GRACE_S = 2.0
"""Once the worker is gone, how long an engine may take to reach its next step and clean up."""

MAX_MESSAGE_CHARS = 500

UNEXPECTED = "the engine failed; whoever runs this worker can see why"


class Channel:
    """Frames over two file descriptors. One thread receives, another one sends."""

    def __init__(self, fd_in: int, fd_out: int) -> None:
        self._in = fd_in
        self._out = fd_out

    def receive(self) -> frames.AnyToChild | None:
        """The next frame; None at the end of the pipe."""
        header = self._read(frames.HEADER.size)
        if header is None:
            return None
        body = self._read(frames.HEADER.unpack(header)[0])
        return None if body is None else frames.decode_to_child(body)

    def send(self, message: FromChild) -> None:
        """Writes a whole frame; raises OSError when the worker is gone."""
        rest = memoryview(frames.encode(message))
        while rest:
            rest = rest[os.write(self._out, rest) :]

    def _read(self, size: int) -> bytes | None:
        data = bytearray()
        while len(data) < size:
            piece = os.read(self._in, min(size - len(data), 1024 * 1024))
            if not piece:
                return None
            data += piece
        return bytes(data)


class Child:
    """Renders what it is told, one job at a time."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._todo: queue.SimpleQueue[Setup | Render | None] = queue.SimpleQueue()
        self._stopped = 0  # every render up to this number was told to stop
        self._engines: dict[str, Engine] = {}

    def run(self) -> None:
        """Renders until the pipe ends."""
        threading.Thread(target=self._listen, name="listen", daemon=True).start()
        setup = self._todo.get()
        if not isinstance(setup, Setup):
            return
        safety.settings.picture_threshold = setup.filter_threshold
        if setup.sound_font:
            sound_font.settings.sound_font = sound_font.read(Path(setup.sound_font))
        self._channel.send(Ready())
        for model in setup.early:
            self._load_early(setup, model)
        while isinstance(job := self._todo.get(), Render):
            self._channel.send(self._answer(setup, job))

    def _load_early(self, setup: Setup, model: str) -> None:
        if not self._todo.empty():
            return  # a job, which may need another model, or the end
        try:
            self._engine(setup, model).load(model)
        except Exception:  # the job that needs the model will say so to its app
            traceback.print_exc()

    def _listen(self) -> None:
        try:
            while (message := self._channel.receive()) is not None:
                if isinstance(message, Stop):
                    self._stopped = message.number
                else:
                    self._todo.put(message)
        finally:
            self._stopped = sys.maxsize
            self._todo.put(None)
            time.sleep(EXIT_GRACE_S)
            os._exit(1)

    def _answer(self, setup: Setup, job: Render) -> FromChild:
        try:
            return self._render(setup, job)
        except DreamgridError as error:
            kind = next((kind for kind in frames.ERRORS if isinstance(error, kind)), None)
            if kind is not None:
                return _failure(job, kind.__name__, str(error))
            return _unexpected(job, error)
        except MemoryError:
            return _failure(job, OutOfMemory.__name__, "this machine has too little memory for it")
        except Exception as error:  # an engine's bug ends the job, not the process
            return _unexpected(job, error)

    def _render(self, setup: Setup, job: Render) -> Rendered:
        self._stop_if_told(job)
        engine = self._engine(setup, job.render.model)
        if isinstance(engine, Keeper):
            engine.expect(job.upcoming)
        engine.load(job.render.model)
        self._stop_if_told(job)
        self._channel.send(Loaded(number=job.number))
        began = time.perf_counter()
        artifact: Artifact = engine.generate(
            job.render, job.inputs, lambda step: self._on_step(job, step)
        )
        return Rendered(
            number=job.number,
            data=artifact.data,
            content_type=artifact.content_type,
            steps=artifact.steps,
            sensitive=artifact.sensitive,
            last_frame=artifact.last_frame,
            render_s=time.perf_counter() - began,
        )

    def _engine(self, setup: Setup, model: str) -> Engine:
        reference = setup.engines.get(model)
        if reference is None:
            raise ModelNotAvailable(f"this worker does not serve {model}")
        if reference not in self._engines:
            self._engines[reference] = load_spec(reference).create(setup.threads)
        return self._engines[reference]

    def _on_step(self, job: Render, step: Step) -> None:
        self._stop_if_told(job)
        preview = None
        if step.preview and frames.preview_due(step.step, step.step_count, job.previews):
            try:
                preview = step.preview()
            except Exception:  # a picture without preview is worth more than none
                traceback.print_exc()
        self._channel.send(
            Stepped(number=job.number, step=step.step, step_count=step.step_count, preview=preview)
        )

    def _stop_if_told(self, job: Render) -> None:
        if job.number <= self._stopped:
            raise RenderCanceled("the job was told to stop")


def _failure(job: Render, error: str, message: str) -> Failure:
    return Failure(number=job.number, error=error, message=message[:MAX_MESSAGE_CHARS])


def _unexpected(job: Render, error: Exception) -> Failure:
    """Nobody wrote this error's words for the app's user, so only the worker's owner sees them."""
    traceback.print_exception(error)  # the worker keeps the last lines of stderr
    return _failure(job, "EngineError", f"{UNEXPECTED}\n{type(error).__name__}: {error}")


def _take_over_stdio() -> Channel:
    """Keeps the two pipes for frames and points stdin and stdout where they do no harm."""
    channel = Channel(os.dup(0), os.dup(1))  # copies are not inherited by an engine's own processes
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return channel


def _be_killed_first() -> None:
    """Asks Linux to end this process, not the worker, when memory runs out."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("500")


def main() -> None:
    """Runs the child until its worker closes the pipe."""
    channel = _take_over_stdio()
    faulthandler.enable()
    _be_killed_first()
    Child(channel).run()
    gc.freeze()  # or Python looks for cycles in all of it, while the worker waits for the end


if __name__ == "__main__":
    main()
