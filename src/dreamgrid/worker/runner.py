"""One assignment from start to end: inputs down, render, result up, then the outcome.

The engine is a serial resource: a job waits for its turn there, and its transfers go on beside
other renders.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from dreamgrid.errors import (
    ConnectionFailed,
    DreamgridError,
    EngineCrashed,
    ModelNotAvailable,
    NotAllowed,
    OutOfMemory,
    RenderRefused,
    UnreadableMedia,
)
from dreamgrid.protocol.worker import (
    MAX_SECONDS,
    Assign,
    Failed,
    Finished,
    Progress,
    Started,
    WorkerMessage,
)
from dreamgrid.tracing import Tracer, of_job, tracer
from dreamgrid.worker.frames import Rendered, Stepped
from dreamgrid.worker.host import EnginePool
from dreamgrid.worker.previews import PreviewUploads
from dreamgrid.worker.tasks import task_group
from dreamgrid.worker.transfers import Files

MAX_INPUTS = 32

_log = logging.getLogger(__name__)

# Most specific first. Whether another worker may succeed: it may have more memory, but it will get
# the same broken file, and the same impossible wish.
_FAILURES: tuple[tuple[type[DreamgridError], str, bool], ...] = (
    (UnreadableMedia, "input_unreadable", False),
    (RenderRefused, "generation_failed", False),
    (OutOfMemory, "out_of_memory", True),
    (ModelNotAvailable, "model_not_available", True),
    (EngineCrashed, "engine_crashed", True),
    (DreamgridError, "generation_failed", True),
)


class JobFailed(Exception):
    """The job ends here without result.

    Args:
        error: Short name of the failure, as in `Failed`.
        message: One sentence for the app's user.
        retryable: Another attempt, perhaps elsewhere, can succeed.
        detail: What the worker's owner should know beyond the message.
    """

    def __init__(self, error: str, message: str, *, retryable: bool, detail: str = "") -> None:
        super().__init__(message)
        self.error = error
        self.message = message
        self.retryable = retryable
        self.detail = detail or message

    def to_wire(self, assign: Assign) -> Failed:
        """What to tell the server."""
        return Failed(
            job_id=assign.job_id,
            attempt=assign.attempt,
            error=self.error,
            message=self.message,
            retryable=self.retryable,
        )


class JobRun:
    """One attempt at one job.

    Attributes:
        assign: What to do.
        engaged: Its turn at the engine has come.
        inferring: The model is loaded and inference has begun.
    """

    def __init__(
        self,
        assign: Assign,
        *,
        engines: EnginePool,
        files: Files,
        max_input_bytes: int,
        asked: Sequence[str] = (),
        report: Callable[[WorkerMessage], None],
        on_started: Callable[[], None] = lambda: None,
    ) -> None:
        """Takes an assignment.

        Args:
            assign: What to do.
            engines: Where it is rendered.
            files: Where inputs come from, and the result goes to.
            max_input_bytes: Most bytes that the inputs may have together.
            asked: References of the engines to ask, in order. Empty: in the owner's.
            report: Tells the server.
            on_started: Called when inference begins.
        """
        self.assign = assign
        self.engaged = False
        self.inferring = False
        self._engines = engines
        self._asked = asked
        self._files = files
        self._max_input_bytes = max_input_bytes
        self._report = report
        self._on_started = on_started
        self._began_s = 0.0
        self._step = 0
        self._step_count = 1
        self._together = 1
        self._trace = _Trace.of(assign)

    async def run(self) -> Finished:
        """Does it all. Canceling it stops the engine before its next step.

        Returns:
            What to tell the server; the result lies at the output URL by then, unless it is one
            that the content filter objects to and nobody wants.

        Raises:
            JobFailed: It cannot be finished here.
        """
        try:
            return await self._run()
        finally:
            if self._trace is not None:
                self._trace.tell()

    async def _run(self) -> Finished:
        inputs = await self._fetch()
        self._over("inputs")
        rendered = await self._render(inputs)
        self._over("encode")
        if self.assign.deliver_sensitive or not rendered.sensitive:
            await self._upload_last_frame(rendered)
            await self._upload(rendered)
            self._over("upload")
        return Finished(
            job_id=self.assign.job_id,
            attempt=self.assign.attempt,
            seed=self.assign.render.seed,
            steps=rendered.steps,
            sha256=await asyncio.to_thread(_sha256, rendered.data),
            size_bytes=len(rendered.data),
            render_s=rendered.render_s,
            sensitive=rendered.sensitive,
        )

    def _over(self, part: str) -> None:
        """A part of the work is over, and the next one begins."""
        if self._trace is not None:
            self._trace.over(part)

    def report_started(self) -> None:
        """Tells the server that inference began; may be told again on a new connection."""
        self._report(
            Started(job_id=self.assign.job_id, attempt=self.assign.attempt, together=self._together)
        )

    async def _fetch(self) -> dict[str, bytes]:
        """Downloads the inputs one by one: the size limit is for all of them together."""
        inputs: dict[str, bytes] = {}
        rest = self._max_input_bytes
        if len(self.assign.inputs) > MAX_INPUTS:
            message = f"the job has more than {MAX_INPUTS} inputs"
            raise JobFailed("input_unreadable", message, retryable=False)
        for download in self.assign.inputs:
            try:
                inputs[download.role] = await self._files.get(download.url, max_bytes=rest)
            except (UnreadableMedia, NotAllowed, ConnectionFailed) as error:
                raise JobFailed(
                    "input_unreadable",
                    f"the input {download.role} could not be downloaded: {error}",
                    retryable=not isinstance(error, UnreadableMedia),
                ) from error
            rest -= len(inputs[download.role])
        return inputs

    async def _render(self, inputs: dict[str, bytes]) -> Rendered:
        render = self.assign.render
        preview = self.assign.preview
        try:
            async with self._engines.turn(render.model) as host, task_group() as tasks:
                uploads = None
                if preview is not None and render.previews > 0:
                    uploads = PreviewUploads(self._files, preview, self._preview_uploaded)
                    sending = tasks.create_task(uploads.run(), name=f"previews-{render.seed}")
                try:
                    return await host.render(
                        render,
                        inputs,
                        previews=0 if uploads is None else render.previews,
                        upcoming=self._engines.waiting,
                        engines=self._asked,
                        alone=self.assign.attempt > 1,  # the one before may have killed others
                        on_begun=self._begun,
                        on_loaded=self._loaded,
                        on_step=lambda step: self._stepped(step, uploads),
                    )
                finally:
                    if uploads is not None:
                        sending.cancel()  # a preview after the render would be of no use
        except DreamgridError as error:
            raise _failure(error) from error

    def _begun(self) -> None:
        self.engaged = True
        self._over("wait for the engine")

    def _loaded(self, together: int) -> None:
        self.inferring = True
        self._together = together
        self._over("load")
        self._began_s = time.monotonic()
        self.report_started()
        self._on_started()

    def _stepped(self, step: Stepped, uploads: PreviewUploads | None) -> None:
        if step.step > self._step:  # else it is only a sign of life
            self._step, self._step_count = step.step, step.step_count
            self._over(f"step {step.step} of {step.step_count}")
            self._report_progress()
        if uploads is not None and step.preview is not None:
            uploads.offer(step.preview)

    def _preview_uploaded(self) -> None:
        self._report_progress(preview_ready=True)

    def _report_progress(self, *, preview_ready: bool = False) -> None:
        elapsed_s = time.monotonic() - self._began_s
        per_step_s = elapsed_s / max(1, self._step)
        left_s = per_step_s * max(0, self._step_count - self._step)
        self._report(
            Progress(
                job_id=self.assign.job_id,
                attempt=self.assign.attempt,
                step=self._step,
                step_count=self._step_count,
                preview_ready=preview_ready,
                eta_s=min(round(left_s, 3), MAX_SECONDS),
            )
        )

    async def _upload(self, rendered: Rendered) -> None:
        output = self.assign.output
        if rendered.content_type != output.content_type:
            message = f"the engine made {rendered.content_type} instead of {output.content_type}"
            raise JobFailed("generation_failed", message, retryable=True)
        try:
            await self._files.put(output, rendered.data)
        except (ConnectionFailed, NotAllowed) as error:
            message = f"the result could not be uploaded: {error}"
            fits = len(rendered.data) <= output.max_bytes
            raise JobFailed("upload_failed", message, retryable=fits) from error

    async def _upload_last_frame(self, rendered: Rendered) -> None:
        """The video is what the job is about: it is delivered without this picture if need be."""
        upload = self.assign.last_frame
        if upload is None or rendered.last_frame is None:
            return
        try:
            await self._files.put(upload, rendered.last_frame)
        except (ConnectionFailed, NotAllowed) as error:
            _log.warning("the last frame of job %s is left out: %s", self.assign.job_id, error)


class _Trace:
    """What one attempt spent its time with."""

    def __init__(self, assign: Assign, tracer: Tracer) -> None:
        self._assign = assign
        self._tracer = tracer
        self._began_s = time.time()
        self._parts: list[tuple[str, float]] = []

    @classmethod
    def of(cls, assign: Assign) -> "_Trace | None":
        """None: nobody asked for traces."""
        found = tracer("dreamgrid-worker")
        return None if found is None else cls(assign, found)

    def over(self, part: str) -> None:
        self._parts.append((part, time.time()))

    def tell(self) -> None:
        """Tells all of it, when the attempt is over."""
        assign = self._assign
        about = f"{of_job(assign.job_id)} attempt {assign.attempt}"
        span = partial(self._tracer.span, traceparent=assign.traceparent)
        span(
            f"attempt {assign.attempt}",
            assign.project_id,
            self._began_s,
            time.time(),
            about=about,
            within=of_job(assign.job_id),
            attributes={
                "dreamgrid.job_id": assign.job_id,
                "dreamgrid.model": assign.render.model,
                "dreamgrid.attempt": assign.attempt,
            },
        )
        began_s = self._began_s
        for part, ended_s in self._parts:
            whole = f"{about} {part}"
            span(part, assign.project_id, began_s, ended_s, about=whole, within=about)
            began_s = ended_s


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _failure(error: DreamgridError) -> JobFailed:
    """What an engine's error means for the job.

    Only the first line goes to the app's user: after a crash the others quote the engine's stderr,
    which is for the worker's owner.
    """
    name, retryable = next(
        (name, retryable) for kind, name, retryable in _FAILURES if isinstance(error, kind)
    )
    detail = str(error)
    message = detail.partition("\n")[0] or type(error).__name__
    return JobFailed(name, message, retryable=retryable, detail=detail)
