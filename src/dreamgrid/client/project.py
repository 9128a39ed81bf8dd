"""A project as the caller holds it: what is known of it, and what can be done with it."""

import asyncio
from collections.abc import AsyncGenerator
from decimal import Decimal
from typing import NamedTuple, Protocol, cast

from dreamgrid import errors
from dreamgrid.client.events import AnyEvent
from dreamgrid.client.history import History
from dreamgrid.client.images import Image
from dreamgrid.client.job import Job
from dreamgrid.protocol.params import ImageParams
from dreamgrid.states import JobState, ProjectState

__all__ = ["Charge", "Job", "Owner", "Project"]

WAIT_S = 600.0
"""How long `wait()` waits when it is not told."""


class Charge(NamedTuple):
    """What a project cost in the end.

    Attributes:
        token: Amount in `token_type`.
        token_type: `spark` or `sogni`.
    """

    token: Decimal
    token_type: str

    def __str__(self) -> str:
        return f"{self.token.normalize():f} {self.token_type}"


class Owner(Protocol):
    """What a project needs of the client that made it."""

    async def cancel(self, history: History) -> None:
        """Cancels it and waits for the server's word."""

    async def charge(self, history: History) -> Charge:
        """Asks what it cost."""


class Project:
    """Some pictures that were asked for. Made by `client.projects.create()`."""

    def __init__(self, history: History, owner: Owner) -> None:
        self._history = history
        self._owner = owner

    def __repr__(self) -> str:
        prompt = self.params.prompt
        shown = prompt if len(prompt) <= 32 else prompt[:31] + "…"
        return f"<Project {self.id} {self.params.model} {shown!r}: {self.state}, {self.progress} %>"

    @property
    def id(self) -> str:
        """Upper-case UUID, chosen by this client."""
        return self._history.id

    @property
    def params(self) -> ImageParams:
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
    def progress(self) -> int:
        """How much of it is done, in percent."""
        if self.state is ProjectState.COMPLETED:
            return 100
        return round(100 * sum(job.fraction for job in self.jobs) / self.params.count)

    @property
    def queue_position(self) -> int | None:
        """Place in the queue, 1 is next. None: it is not waiting, or the place is unknown."""
        return self._history.queued.position if self._history.queued else None

    @property
    def jobs(self) -> tuple[Job[Image], ...]:
        """Its pictures in order, as far as workers have taken them."""
        return tuple(sorted(self._history.jobs.values(), key=lambda job: job.index))

    @property
    def images(self) -> tuple[Image, ...]:
        """The pictures delivered so far, in order."""
        return self._history.images

    @property
    def error(self) -> errors.DreamgridError | None:
        """Why it ended without (all of) its pictures. None while it did not."""
        return self._history.error

    async def events(self) -> AsyncGenerator[AnyEvent[Image], None]:
        """What happened so far and what happens next, until the project has ended.

        Several readers at once are fine; each gets everything. The last event is `Completed`,
        `Failed` or `Canceled`.

        Raises:
            ConnectionFailed: The client was closed. The project goes on at the server.
            AuthenticationFailed: The key was revoked meanwhile.
        """
        async for event in self._history.log.read():
            yield cast("AnyEvent[Image]", event)

    async def wait(self, *, timeout_s: float | None = WAIT_S) -> list[Image]:
        """Waits until the project has ended.

        Args:
            timeout_s: Seconds after which to stop waiting; the project is not canceled. None:
                wait as long as it takes.

        Returns:
            The pictures that were made, in order. Those that failed or that the content filter
            withheld are left out; see `jobs`.

        Raises:
            ProjectFailed: No picture could be made.
            ProjectCanceled: Somebody canceled it.
            WaitTimeout: It is still waiting or running.
            ConnectionFailed: The client was closed. The project goes on at the server.
        """
        history = self._history
        try:
            async with asyncio.timeout(timeout_s):
                while not history.finished and history.error is None:
                    await history.log.changed.wait()
        except TimeoutError:
            raise errors.WaitTimeout(
                f"the project is still {self._where()} after {timeout_s:g} s; "
                "it goes on: wait() again, or cancel() it",
                project_id=self.id,
            ) from None
        if history.error is not None:
            raise _fresh(history.error)
        return list(history.images)

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
            return "queued, because no connected worker can render it,"
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
    copy.__cause__ = error.__cause__
    return copy
