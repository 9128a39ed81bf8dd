"""The engine's process: `python -m dreamgrid.worker.child`, started and ended by `process`.

The main thread renders; a second one reads the pipe, so that `Stop` arrives in the middle of a
render, and a third one finishes the files of engines that let it, beside the next render. The end
of the pipe means that the worker is gone, and the process ends by itself. Engines may print what
they like: file descriptor 1 leads to stderr here, and frames use a private copy of the first one.
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
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from dreamgrid.engines import choice, remembered, safety
from dreamgrid.engines.base import (
    Artifact,
    Batcher,
    Engine,
    Job,
    Keeper,
    Learner,
    Step,
    Unfinished,
    Yielding,
)
from dreamgrid.engines.music import sound_font
from dreamgrid.engines.registry import load_spec
from dreamgrid.errors import ModelNotAvailable, OutOfMemory, RenderCanceled
from dreamgrid.worker import frames
from dreamgrid.worker.frames import (
    Begun,
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
from dreamgrid.worker.todo import Todo

EXIT_GRACE_S = 2.0
"""Once the worker is gone, how long an engine may take to reach its next step and clean up."""

MAX_MESSAGE_CHARS = 500

UNEXPECTED = "the engine failed; whoever runs this worker can see why"


class Channel:
    """Frames over two file descriptors. One thread receives; any may send."""

    def __init__(self, fd_in: int, fd_out: int) -> None:
        self._in = fd_in
        self._out = fd_out
        self._sending = threading.Lock()

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
        with self._sending:
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
    """Renders what it is told, one after the other, or several of a kind in one pass."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._setup: queue.SimpleQueue[Setup | None] = queue.SimpleQueue()
        self._todo = Todo()
        self._engines: dict[str, Engine] = {}
        self._threads = 1
        self._finishing: threading.Thread | None = None

    def run(self) -> None:
        """Renders until the pipe ends."""
        threading.Thread(target=self._listen, name="listen", daemon=True).start()
        setup = self._setup.get()
        if setup is None:
            return
        self._threads = setup.threads
        safety.settings.picture_threshold = setup.filter_threshold
        if setup.sound_font:
            sound_font.settings.sound_font = sound_font.read(Path(setup.sound_font))
        remembered.settings.folder = Path(setup.folder) if setup.folder else None
        self._channel.send(Ready())
        for model in setup.early:
            self._load_early(setup, model)
        while (job := self._todo.next()) is not None:
            self._turn(setup, job)
            if setup.quiet_s > 0 and self._todo.quiet(setup.quiet_s):
                self._learn()
        self._finished()

    def _learn(self) -> None:
        for engine in tuple(self._engines.values()):
            if isinstance(engine, Learner) and self._todo.empty:
                try:
                    engine.learn(lambda: not self._todo.empty)
                except Exception:  # then it renders as before
                    traceback.print_exc()

    def _load_early(self, setup: Setup, model: str) -> None:
        if not self._todo.empty:
            return  # a job, which may need another model, or the end
        try:
            self._engine(setup.engines[model][0]).load(model)
        except Exception:  # the job that needs the model will say so to its app
            traceback.print_exc()

    def _listen(self) -> None:
        try:
            while (message := self._channel.receive()) is not None:
                match message:
                    case Setup():
                        self._setup.put(message)
                    case Render():
                        self._todo.put(message)
                    case Stop() if self._todo.stop(message.number):
                        error = RenderCanceled("the job was told to stop")
                        self._channel.send(_failure(message.number, error))
        finally:
            self._setup.put(None)
            self._todo.stop_all()
            time.sleep(EXIT_GRACE_S)
            os._exit(1)

    def _turn(self, setup: Setup, job: Render) -> None:
        """Renders a job, and those that wait and may share its pass."""
        self._channel.send(Begun(number=job.number))
        try:
            engine = self._loaded(setup, job)
        except Exception as error:  # an engine's bug ends the job, not the process
            self._answer(job, error)
            return
        if not isinstance(engine, Batcher):
            self._show(engine, job)
            return
        jobs = [job, *self._mates(setup, engine, job)]
        for mate in jobs[1:]:
            self._channel.send(Begun(number=mate.number))
        kept = self._kept()
        for one in jobs:
            self._channel.send(Loaded(number=one.number, together=len(jobs), kept=kept))
        self._pass(engine, jobs)

    def _loaded(self, setup: Setup, job: Render) -> Engine:
        """The first engine that can do a job and load its model; those after it are not asked."""
        objections: list[str] = []
        failed: list[ModelNotAvailable | OutOfMemory] = []
        for engine in self._able(setup, job, objections):
            try:
                self._load(engine, job)
            except (ModelNotAvailable, OutOfMemory) as error:
                failed.append(error)
                objections.append(str(error))
            else:
                return engine
        if len(failed) == 1:
            raise failed[0]
        raise ModelNotAvailable("\n".join(objections))

    def _able(self, setup: Setup, job: Render, objections: list[str]) -> Iterator[Engine]:
        references = job.engines or setup.engines.get(job.render.model)
        if not references:
            raise ModelNotAvailable(f"this worker does not serve {job.render.model}")
        return choice.able(references, self._engine, job.render, job.inputs, objections)

    def _load(self, engine: Engine, job: Render) -> None:
        if isinstance(engine, Keeper):
            engine.expect(tuple(dict.fromkeys((*job.upcoming, *self._todo.models))))
        self._stop_if_told(job)
        if isinstance(engine, Yielding):
            for other in self._engines.values():
                if other is not engine and isinstance(other, Yielding):
                    other.make_way()
        engine.load(job.render.model)
        self._stop_if_told(job)

    def _show(self, engine: Engine, job: Render) -> None:
        """Renders a job to its end."""
        self._channel.send(Loaded(number=job.number, kept=self._kept()))
        began_s = time.perf_counter()
        try:
            artifact = engine.generate(
                job.render, job.inputs, lambda step: self._on_step(job, step)
            )
        except Exception as error:
            self._answer(job, error)
        else:
            self._answer(job, _rendered(job, artifact, began_s))

    def _kept(self) -> tuple[str, ...]:
        keepers = (engine for engine in self._engines.values() if isinstance(engine, Keeper))
        return tuple(model for engine in keepers for model in engine.kept())

    def _mates(self, setup: Setup, engine: Batcher, job: Render) -> list[Render]:
        kind, most = engine.together(job.render, job.inputs)
        if most < 2 or job.alone:
            return []

        def alike(other: Render) -> bool:
            if other.alone or other.render.model != job.render.model:
                return False
            if engine.together(other.render, other.inputs)[0] != kind:
                return False
            first: object = next(self._able(setup, other, []), None)
            return first is engine

        return self._todo.take(alike, most - 1, setup.mates_within_s)

    def _pass(self, engine: Batcher, jobs: Sequence[Render]) -> None:
        """Renders jobs in one pass; their files are finished beside what comes next."""
        began_s = time.perf_counter()

        def asked(job: Render) -> Job:
            return Job(
                render=job.render,
                inputs=job.inputs,
                on_step=lambda step: self._on_step(job, step),
            )

        try:
            unfinished = engine.render_together([asked(job) for job in jobs])
        except Exception as error:
            if len(jobs) == 1:
                self._answer(jobs[0], error)
                return
            if not isinstance(error, RenderCanceled):
                traceback.print_exc()
            for job in jobs:  # whichever it was, the others shall not end with it
                if self._todo.stopped(job.number):
                    self._answer(job, RenderCanceled("the job was told to stop"))
                else:
                    self._pass(engine, [job])
            return
        self._finished()
        self._finishing = threading.Thread(
            target=self._finish, args=(jobs, unfinished, began_s), name="finish"
        )
        self._finishing.start()
        if jobs[0].alone:
            self._finished()  # should it end the process once more, it was this one

    def _finish(
        self, jobs: Sequence[Render], unfinished: Sequence[Unfinished], began_s: float
    ) -> None:
        for job, finish in zip(jobs, unfinished, strict=True):
            try:
                rendered = _rendered(job, finish(), began_s)
                # Its part of the time: what comes next waits no longer for it.
                part_s = rendered.render_s / len(jobs)
                answer: Rendered | Exception = msgspec.structs.replace(rendered, render_s=part_s)
            except Exception as error:
                answer = error
            self._answer(job, answer)

    def _finished(self) -> None:
        """Waits for the files of the pass before: never are those of two in memory."""
        if self._finishing is not None:
            self._finishing.join()

    def _engine(self, reference: str) -> Engine:
        if reference not in self._engines:
            self._engines[reference] = load_spec(reference).create(self._threads)
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
        if self._todo.stopped(job.number):
            raise RenderCanceled("the job was told to stop")

    def _answer(self, job: Render, answer: Rendered | Exception) -> None:
        """The last word about a render."""
        self._todo.over(job.number)
        frame = answer if isinstance(answer, Rendered) else _failure(job.number, answer)
        self._channel.send(frame)


def _rendered(job: Render, artifact: Artifact, began_s: float) -> Rendered:
    return Rendered(
        number=job.number,
        data=artifact.data,
        content_type=artifact.content_type,
        steps=artifact.steps,
        sensitive=artifact.sensitive,
        last_frame=artifact.last_frame,
        render_s=time.perf_counter() - began_s,
    )


def _failure(number: int, error: Exception) -> Failure:
    """What a render ended with. Only words that somebody wrote for the app's user reach them."""
    kind, message = "EngineError", str(error)
    known = next((kind for kind in frames.ERRORS if isinstance(error, kind)), None)
    if known is not None:
        kind = known.__name__
    elif isinstance(error, MemoryError):
        kind, message = OutOfMemory.__name__, "this machine has too little memory for it"
    else:
        traceback.print_exception(error)  # the worker keeps the last lines of stderr
        message = f"{UNEXPECTED}\n{type(error).__name__}: {error}"
    return Failure(number=number, error=kind, message=message[:MAX_MESSAGE_CHARS])


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
