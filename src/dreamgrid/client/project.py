"""A project as the caller holds it: what is known of it, and what can be done with it."""

import asyncio
import math
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Generic, Literal, NamedTuple, Protocol, cast

import msgspec

from dreamgrid import errors
from dreamgrid.client import progress as progress_bars
from dreamgrid.client.events import AnyEvent
from dreamgrid.client.history import History
from dreamgrid.client.job import Job
from dreamgrid.client.listeners import Emitter
from dreamgrid.client.results import R_co
from dreamgrid.protocol import amounts
from dreamgrid.protocol.params import AnyParams, AudioParams, ImageParams, Media
from dreamgrid.states import JobState, ProjectState

__all__ = ["Charge", "Job", "OnTimeout", "Owner", "Project"]

WAIT_S = 600.0
"""How long `wait()` waits when it is not told."""

OnTimeout = Literal["leave", "cancel"]
"""What a timeout does: stop waiting and leave the project running, or cancel it."""


class Charge(NamedTuple):
    """What a project cost in the end.

    Attributes:
        token: Amount in `token_type`.
        token_type: `spark` or `sogni`.
    """

    token: Decimal
    token_type: str

    def __str__(self) -> str:
        return amounts.price(self.token, self.token_type)


class Owner(Protocol):
    """What a project needs of the client that made it."""

    async def cancel(self, history: History) -> None:
        """Cancels it and waits for the server's word."""

    async def charge(self, history: History) -> Charge:
        """Asks what it cost."""


class Project(Emitter, Generic[R_co]):
    """Some results that were asked for. Made by `client.projects.create()`."""

    def __init__(self, history: History, owner: Owner, *, attached: bool = False) -> None:
        super().__init__()
        self._history = history
        self._owner = owner
        self._attached = attached

    def __repr__(self) -> str:
        prompt = self.params.prompt
        shown = prompt if len(prompt) <= 32 else prompt[:31] + "…"
        return f"<Project {self.id} {self.params.model} {shown!r}: {self.state}, {self.progress} %>"

    def _repr_html_(self) -> str:
        return progress_bars.as_html(self)

    @property
    def id(self) -> str:
        """Upper-case UUID, chosen by the client that created it."""
        return self._history.id

    @property
    def type(self) -> Media:
        """What it makes: `image`, `video` or `audio`."""
        if isinstance(self.params, ImageParams):
            return "image"
        return "audio" if isinstance(self.params, AudioParams) else "video"

    @property
    def params(self) -> AnyParams:
        """What was asked for."""
        return self._history.params

    @property
    def state(self) -> ProjectState:
        """Where it stands, as far as was heard."""
        return self._history.state

    @property
    def finished(self) -> bool:
        """Whether it is completed, failed or canceled."""
        return self._history.finished

    @property
    def attached(self) -> bool:
        """Whether it was found at the server by `attach()` or `sync()`, not created here."""
        return self._attached

    @property
    def created_at(self) -> datetime:
        """When it was asked for, in UTC."""
        return self._history.created_at

    @property
    def progress(self) -> int:
        """How much of it is done, in percent."""
        if self.state is ProjectState.COMPLETED:
            return 100
        return math.floor(100 * sum(job.fraction for job in self.jobs) / self.params.count)

    @property
    def queue_position(self) -> int | None:
        """Place in the queue, 1 is next. None: it is not waiting, or the place is unknown."""
        return self._history.queued.position if self._history.queued else None

    @property
    def queue_status(self) -> Literal["waiting", "no-workers"] | None:
        """Whether anybody who is connected can render it. None: it is not waiting."""
        queued = self._history.queued
        if queued is None:
            return None
        return "no-workers" if queued.no_workers else "waiting"

    @property
    def waiting_reason(self) -> str:
        """Why it waits, in the server's words. Empty: it does not, or nobody says why."""
        return self._history.queued.reason if self._history.queued else ""

    @property
    def estimated_start_at(self) -> datetime | None:
        """When it should start, in UTC, as seen from now. None: not waiting, or no estimate."""
        queued = self._history.queued
        if queued is None or queued.estimated_start_s is None:
            return None
        return datetime.now(UTC) + timedelta(seconds=queued.estimated_start_s)

    @property
    def eta(self) -> datetime | None:
        """When the last job that tells should be finished, in UTC. None: none tells."""
        return max((job.eta for job in self.jobs if job.eta and not job.finished), default=None)

    @property
    def jobs(self) -> tuple[Job[R_co], ...]:
        """Its renders in order, as far as workers have taken them."""
        jobs = sorted(self._history.jobs.values(), key=lambda job: job.index)
        return cast("tuple[Job[R_co], ...]", tuple(jobs))

    def job(self, job_id: str) -> Job[R_co] | None:
        """The render of that id. None: no worker has taken one of that id yet."""
        return cast("Job[R_co] | None", self._history.jobs.get(job_id.upper()))

    @property
    def results(self) -> tuple[R_co, ...]:
        """What was delivered so far, in order."""
        return cast("tuple[R_co, ...]", self._history.results)

    @property
    def result_urls(self) -> tuple[str, ...]:
        """Addresses of what was delivered so far, as far as the server told them."""
        return tuple(one.url for one in self._history.results if one.url is not None)

    @property
    def error(self) -> errors.DreamgridError | None:
        """Why it ended without (all of) its results. None while it did not."""
        return self._history.error

    def to_dict(self) -> dict[str, Any]:
        """What is known of it now, jobs included, as plain data; for JSON."""
        return {
            "id": self.id,
            "type": self.type,
            "state": str(self.state),
            "finished": self.finished,
            "progress": self.progress,
            "created_at": self.created_at.isoformat(),
            "queue_position": self.queue_position,
            "queue_status": self.queue_status,
            "error": None if self.error is None else str(self.error),
            "params": msgspec.to_builtins(self.params),
            "jobs": [job.to_dict() for job in self.jobs],
        }

    async def events(self) -> AsyncGenerator[AnyEvent[R_co], None]:
        """What happened so far and what happens next, until the project has ended.

        Several readers at once are fine; each gets everything. The last event is `Completed`,
        `Failed` or `Canceled`.

        Raises:
            ConnectionFailed: The client was closed. The project goes on at the server.
            AuthenticationFailed: The key was revoked meanwhile.
        """
        async for event in self._history.log.read():
            yield cast("AnyEvent[R_co]", event)

    async def wait(
        self,
        *,
        timeout_s: float | None = WAIT_S,
        on_timeout: OnTimeout = "leave",
        progress: bool = False,
    ) -> list[R_co]:
        """Waits until the project has ended.

        Args:
            timeout_s: Seconds after which to stop waiting. None: wait as long as it takes.
            on_timeout: What the timeout does to the project: `leave` it running, or `cancel` it,
                so that nothing more is charged.
            progress: Show a bar, in the terminal or the notebook.

        Returns:
            What was made, in order. What failed or what the content filter withheld is left out;
            see `jobs`.

        Raises:
            ProjectFailed: Nothing could be made.
            ProjectCanceled: Somebody canceled it.
            WaitTimeout: It is still waiting or running; or it was canceled for it.
            ConnectionFailed: The client was closed. The project goes on at the server.
        """
        history = self._history
        try:
            async with asyncio.timeout(timeout_s):
                # What draws is loaded now, which must not hold up the loop.
                found = await asyncio.to_thread(progress_bars.bar) if progress else None
                news = history.log.changed if found else history.log.ended
                with found or progress_bars.NoBar() as bar:
                    bar.update(self)
                    while not history.finished and history.error is None:
                        await news.wait()
                        bar.update(self)
        except TimeoutError:
            await self._on_timeout(timeout_s or 0, on_timeout)
        if history.error is not None:
            raise _fresh(history.error)
        return list(self.results)

    async def _on_timeout(self, timeout_s: float, on_timeout: OnTimeout) -> None:
        """Raises what there is to say, unless the project was quicker than its cancel."""
        where = self._where()
        outcome = "it goes on: wait() again, or cancel() it"
        if on_timeout == "cancel":
            await self.cancel()
            if self.state is not ProjectState.CANCELED:
                return
            outcome = "so it was canceled"
        raise errors.WaitTimeout(
            f"the project is still {where} after {timeout_s:g} s; {outcome}", project_id=self.id
        ) from None

    async def cancel(self) -> None:
        """Cancels what is not finished, and returns when the server has confirmed it.

        Nothing is charged for what was not delivered. A project that has ended stays as it is.

        Raises:
            ProjectError: The server will not cancel it.
            WaitTimeout: The server did not answer within 120 s; it may be canceled later.
            ConnectionFailed: The client was closed.
        """
        await self._owner.cancel(self._history)

    async def charge(self) -> Charge:
        """What it cost so far, as the server booked it.

        Raises:
            NotFound: The server does not keep its record any more.
            ConnectionFailed: The server did not answer.
        """
        return await self._owner.charge(self._history)

    def _where(self) -> str:
        if self.state is ProjectState.PROCESSING:
            return f"being rendered ({self.progress} %)"
        queued = self._history.queued
        if queued is not None and queued.no_workers:
            return "queued, because no worker takes it now,"
        if queued is not None and queued.position is not None:
            return f"queued at position {queued.position}"
        running = sum(job.state is JobState.RUNNING for job in self.jobs)
        return f"being rendered ({running} jobs)" if running else "queued"


def _fresh(error: errors.DreamgridError) -> errors.DreamgridError:
    """A copy to raise: one instance raised to several waiters would collect all their traces."""
    copy: errors.DreamgridError
    if isinstance(error, errors.ProjectError):
        copy = type(error)(str(error), project_id=error.project_id, code=error.code)
    else:
        copy = type(error)(str(error))
    copy.__dict__.update(error.__dict__)  # such as how long to wait before the next try
    copy.__cause__ = error.__cause__
    return copy
