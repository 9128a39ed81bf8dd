"""`Client`: the same client without `await`. One implementation, two doors.

Every method below runs the asynchronous one of the same name in a background thread's event loop;
signatures and documentation are taken from there. All of it may be used from several threads.
"""

import dataclasses
import functools
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast

from dreamgrid.client import account, aio, project, projects
from dreamgrid.client.catalog import AvailableModel
from dreamgrid.client.events import AnyEvent, Completed, JobCompleted
from dreamgrid.client.images import Image as AsyncImage
from dreamgrid.client.job import Job
from dreamgrid.client.portal import Portal
from dreamgrid.errors import DreamgridError
from dreamgrid.protocol.params import ImageParams, Network
from dreamgrid.states import ProjectState

A = TypeVar("A")
P = ParamSpec("P")
R = TypeVar("R")


class _Door:
    """Base of the synchronous twins: the asynchronous object, and the way to its loop.

    What is written below as a bare annotation is an attribute of the asynchronous object.
    """

    def __init__(self, portal: Portal, inner: Any) -> None:
        self._portal = portal
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in type(self).__annotations__:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return getattr(self._inner, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *type(self).__annotations__})

    def __repr__(self) -> str:
        return repr(self._inner)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Door) and other._inner is self._inner

    def __hash__(self) -> int:
        return hash(self._inner)


def _same(
    method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Any, P], R]:
    """The twin of a method whose result is the same through both doors."""

    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        portal: Portal = self._portal
        return portal.call(method(self._inner, *args, **kwargs))

    functools.update_wrapper(call, method)
    return call


class Image(_Door):
    """One delivered picture; see `dreamgrid.Image`."""

    project_id: str
    job_id: str
    index: int
    seed: int | None
    content_type: str
    sha256: str | None
    url: str | None
    size_bytes: int | None

    get_url = _same(AsyncImage.get_url)
    read = _same(AsyncImage.read)
    save = _same(AsyncImage.save)


class Project(_Door):
    """Some pictures that were asked for; see `dreamgrid.Project`."""

    id: str
    params: ImageParams
    state: ProjectState
    finished: bool
    progress: int
    queue_position: int | None
    error: DreamgridError | None

    cancel = _same(project.Project.cancel)
    charge = _same(project.Project.charge)

    @property
    def jobs(self) -> tuple[Job[Image], ...]:
        """Its pictures in order, as far as workers have taken them: a copy of what is known now."""
        return tuple(
            dataclasses.replace(
                cast("Job[Any]", job), image=job.image and Image(self._portal, job.image)
            )
            for job in self._inner.jobs
        )

    @property
    def images(self) -> tuple[Image, ...]:
        """The pictures delivered so far, in order."""
        return tuple(Image(self._portal, image) for image in self._inner.images)

    def events(self) -> Iterator[AnyEvent[Image]]:
        """What happened so far and what happens next, until the project has ended.

        As `dreamgrid.Project.events`, for a plain `for` loop.
        """
        source = self._inner.events()
        try:
            while True:
                try:
                    event: AnyEvent[AsyncImage] = self._portal.call(anext(source))
                except StopAsyncIteration:
                    return
                yield self._through(event)
        finally:
            self._portal.call(source.aclose())

    def wait(self, *, timeout_s: float | None = project.WAIT_S) -> list[Image]:
        """Waits until the project has ended; as `dreamgrid.Project.wait`."""
        found = self._portal.call(self._inner.wait(timeout_s=timeout_s))
        return [Image(self._portal, image) for image in found]

    def _through(self, event: AnyEvent[AsyncImage]) -> AnyEvent[Image]:
        """The event with pictures of this door."""
        if isinstance(event, JobCompleted):
            return JobCompleted(
                project_id=event.project_id,
                job_id=event.job_id,
                job_index=event.job_index,
                image=Image(self._portal, event.image),
            )
        if isinstance(event, Completed):
            pictures = tuple(Image(self._portal, image) for image in event.images)
            return Completed(project_id=event.project_id, images=pictures)
        return event


def _project_of(
    method: Callable[Concatenate[A, P], Coroutine[Any, Any, project.Project]],
) -> Callable[Concatenate[Any, P], Project]:
    """The twin of a method that gives a project."""

    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> Project:
        return Project(self._portal, self._portal.call(method(self._inner, *args, **kwargs)))

    functools.update_wrapper(call, method)
    return call


class Projects(_Door):
    """`client.projects`."""

    available_models: tuple[AvailableModel, ...]

    create = _project_of(projects.Projects.create)
    wait_for_models = _same(projects.Projects.wait_for_models)
    get_available_models = _same(projects.Projects.get_available_models)
    get_supported_models = _same(projects.Projects.get_supported_models)
    get_model_options = _same(projects.Projects.get_model_options)
    get_size_presets = _same(projects.Projects.get_size_presets)
    estimate_cost = _same(projects.Projects.estimate_cost)
    upload_url = _same(projects.Projects.upload_url)
    download_url = _same(projects.Projects.download_url)
    cancel = _same(projects.Projects.cancel)

    @property
    def tracked_projects(self) -> tuple[Project, ...]:
        """Projects that this client follows. One that has ended leaves after 30 s."""
        return tuple(Project(self._portal, one) for one in self._inner.tracked_projects)


class Keys(_Door):
    """`client.account.keys`."""

    list = _same(account.Keys.list)
    create = _same(account.Keys.create)
    revoke = _same(account.Keys.revoke)


class Account(_Door):
    """`client.account`."""

    me = _same(account.Account.me)
    balance = _same(account.Account.balance)
    grant = _same(account.Account.grant)

    @property
    def keys(self) -> Keys:
        """API keys."""
        return Keys(self._portal, self._inner.keys)


class Client(_Door):
    """A client of one grid, for code without asyncio.

        with dreamgrid.Client() as client:
            project = client.projects.create(model="dreamlet-v1", prompt="a red apple")
            images = project.wait()

    The same as `AsyncClient`, without `await`; safe to use from several threads. Arguments as
    there.
    """

    app_id: str

    connect = _same(aio.AsyncClient.connect)

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        network: Network = "fast",
        app_id: str | None = None,
    ) -> None:
        inner = aio.AsyncClient(url, api_key, network=network, app_id=app_id)
        super().__init__(Portal(inner.aclose), inner)
        self.account = Account(self._portal, inner.account)
        self.projects = Projects(self._portal, inner.projects)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections. Projects that are not finished go on at the server."""
        self._portal.close()
