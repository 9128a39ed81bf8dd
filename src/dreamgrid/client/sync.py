"""`Client`: the same client without `await`. One implementation, two doors.

Every method below runs the asynchronous one of the same name in a background thread's event loop;
signatures and documentation are taken from there. All of it may be used from several threads, and
from a thread that has an event loop of its own, such as a notebook's.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime
from types import TracebackType
from typing import Any, Concatenate, Generic, Literal, ParamSpec, Self, cast

from typing_extensions import TypeVar

from dreamgrid.client import account, aio, project, projects, results, stats, webhooks
from dreamgrid.client.catalog import AvailableModel
from dreamgrid.client.credential import Tokens
from dreamgrid.client.current_account import CurrentAccount
from dreamgrid.client.door import Door, EmitterDoor, same
from dreamgrid.client.events import AnyEvent, Completed, JobCompleted
from dreamgrid.client.job import Job
from dreamgrid.client.portal import Portal
from dreamgrid.client.results import Result as AsyncResult
from dreamgrid.errors import DreamgridError
from dreamgrid.protocol.params import AnyParams, Media, Network
from dreamgrid.states import ProjectState

A = TypeVar("A")
P = ParamSpec("P")
K = TypeVar("K", bound="Result")
R_co = TypeVar("R_co", bound="Result", covariant=True, default="Result")


class Result(Door):
    """One delivered file; see `dreamgrid.Result`."""

    project_id: str
    job_id: str
    index: int
    seed: int | None
    params: AnyParams
    prompt: str
    model: str
    content_type: str | None
    sha256: str | None
    url: str | None
    size_bytes: int | None

    get_url = same(AsyncResult.get_url)
    read = same(AsyncResult.read)
    save = same(AsyncResult.save)

    def _repr_html_(self) -> str | None:
        shown: str | None = self._inner._repr_html_()
        return shown


class Image(Result):
    """One delivered picture; see `dreamgrid.Image`."""

    to_pillow = same(results.Image.to_pillow)

    @property
    def enhanced(self) -> "Image | None":
        """What the last `enhance()` made of it. None: nothing yet."""
        inner = self._inner.enhanced
        return None if inner is None else Image(self._portal, inner)

    def enhance(
        self, strength: str = "medium", *, prompt: str | None = None, model: str | None = None
    ) -> "Image":
        """Makes the picture finer and waits for the result; as `dreamgrid.Image.enhance`."""
        inner = self._portal.call(self._inner.enhance, strength, prompt=prompt, model=model)
        return Image(self._portal, inner)

    def _repr_png_(self) -> bytes | None:
        return self._shown("image/png")

    def _repr_jpeg_(self) -> bytes | None:
        return self._shown("image/jpeg")

    def _repr_html_(self) -> str | None:
        return None if self._repr_png_() or self._repr_jpeg_() else super()._repr_html_()

    def _shown(self, content_type: str) -> bytes | None:
        """The file, if it is of that type and still there."""
        if self.content_type != content_type:
            return None
        with contextlib.suppress(DreamgridError):
            return self.read()
        return None


class Video(Result):
    """One delivered video; see `dreamgrid.Video`."""


class Audio(Result):
    """One delivered piece of music or speech; see `dreamgrid.Audio`."""


def _result(portal: Portal, inner: AsyncResult) -> Result:
    """The twin of a result."""
    kinds = {results.Image: Image, results.Video: Video, results.Audio: Audio}
    return kinds[cast("Any", type(inner))](portal, inner)


class Project(EmitterDoor, Generic[R_co]):
    """Some results that were asked for; see `dreamgrid.Project`."""

    id: str
    type: Media
    params: AnyParams
    state: ProjectState
    finished: bool
    attached: bool
    created_at: datetime
    progress: int
    queue_position: int | None
    queue_status: Literal["waiting", "no-workers"] | None
    waiting_reason: str
    estimated_start_at: datetime | None
    eta: datetime | None
    result_urls: tuple[str, ...]
    error: DreamgridError | None

    cancel = same(project.Project.cancel)
    charge = same(project.Project.charge)

    @property
    def jobs(self) -> tuple[Job[R_co], ...]:
        """Its renders in order, as far as workers have taken them: a copy of what is known now."""
        return tuple(self._job(job) for job in self._inner.jobs)

    def job(self, job_id: str) -> Job[R_co] | None:
        """The render of that id: a copy. None: no worker has taken one of that id yet."""
        job = self._inner.job(job_id)
        return None if job is None else self._job(job)

    @property
    def results(self) -> tuple[R_co, ...]:
        """What was delivered so far, in order."""
        return tuple(self._of(one) for one in self._inner.results)

    def to_dict(self) -> dict[str, Any]:
        """What is known of it now, jobs included, as plain data; for JSON."""
        found: dict[str, Any] = self._inner.to_dict()
        return found

    def events(self) -> Iterator[AnyEvent[R_co]]:
        """What happened so far and what happens next, until the project has ended.

        As `dreamgrid.Project.events`, for a plain `for` loop.
        """
        source = self._inner.events()
        try:
            while True:
                try:
                    event = self._portal.call(anext, source)
                except StopAsyncIteration:
                    return
                yield self._through(event)
        finally:
            self._portal.forget(source.aclose)

    def wait(
        self,
        *,
        timeout_s: float | None = project.WAIT_S,
        on_timeout: project.OnTimeout = "leave",
        progress: bool = False,
    ) -> list[R_co]:
        """Waits until the project has ended; as `dreamgrid.Project.wait`."""
        found = self._portal.call(
            self._inner.wait, timeout_s=timeout_s, on_timeout=on_timeout, progress=progress
        )
        return [self._of(one) for one in found]

    def _repr_html_(self) -> str:
        shown: str = self._inner._repr_html_()
        return shown

    def _of(self, inner: AsyncResult) -> R_co:
        return cast("R_co", _result(self._portal, inner))

    def _job(self, job: Any) -> Job[R_co]:
        found = job.result and self._of(job.result)
        return dataclasses.replace(cast("Job[Any]", job), result=found)

    def _through(self, event: Any) -> Any:
        return _through(self._portal, event)


def _through(portal: Portal, event: Any) -> Any:
    """An event with the results of this door."""
    if isinstance(event, JobCompleted):
        return dataclasses.replace(event, result=_result(portal, event.result))
    if isinstance(event, Completed):
        found = tuple(_result(portal, one) for one in event.results)
        return dataclasses.replace(event, results=found)
    return event


def _project_of(
    kind: type[K], method: Callable[Concatenate[A, P], Coroutine[Any, Any, project.Project[Any]]]
) -> Callable[Concatenate[Any, P], Project[K]]:
    """The twin of a method that gives a project."""
    del kind  # for type checkers

    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> Project[K]:
        return Project(self._portal, self._portal.call(method, self._inner, *args, **kwargs))

    functools.update_wrapper(call, method)
    return call


def _list_of(
    method: Callable[Concatenate[A, P], Coroutine[Any, Any, list[AsyncResult]]],
) -> Callable[Concatenate[Any, P], list[Result]]:
    """The twin of a method that gives a list of results."""

    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> list[Result]:
        found = self._portal.call(method, self._inner, *args, **kwargs)
        return [_result(self._portal, one) for one in found]

    functools.update_wrapper(call, method)
    return call


def _tuple_of(
    method: Callable[Concatenate[A, P], Coroutine[Any, Any, tuple[Any, ...]]],
    kind: Callable[[Portal, Any], R_co],
) -> Callable[Concatenate[Any, P], tuple[R_co, ...]]:
    """The twin of a method that gives several of something."""

    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> tuple[R_co, ...]:
        found = self._portal.call(method, self._inner, *args, **kwargs)
        return tuple(kind(self._portal, one) for one in found)

    functools.update_wrapper(call, method)
    return call


class Projects(EmitterDoor):
    """`client.projects`."""

    available_models: tuple[AvailableModel, ...]

    create = _project_of(Result, projects.Projects.create)
    create_image = _project_of(Image, projects.Projects.create_image)
    create_video = _project_of(Video, projects.Projects.create_video)
    create_audio = _project_of(Audio, projects.Projects.create_audio)
    generate = _list_of(projects.Projects.generate)
    attach = _project_of(Result, projects.Projects.attach)
    list_projects_elsewhere = same(projects.Projects.list_projects_elsewhere)
    cancel = same(projects.Projects.cancel)
    get = same(projects.Projects.get)
    get_status = same(projects.Projects.get_status)
    explain = same(projects.Projects.explain)
    get_result = _tuple_of(projects.Projects.get_result, _result)
    list_projects = same(projects.Projects.list_projects)
    list_recent = _tuple_of(projects.Projects.list_recent, _result)
    delete = same(projects.Projects.delete)
    wait_for_models = same(projects.Projects.wait_for_models)
    get_available_models = same(projects.Projects.get_available_models)
    get_supported_models = same(projects.Projects.get_supported_models)
    get_model_options = same(projects.Projects.get_model_options)
    get_size_presets = same(projects.Projects.get_size_presets)
    get_video_asset_config = same(projects.Projects.get_video_asset_config)
    get_loras = same(projects.Projects.get_loras)
    get_lora = same(projects.Projects.get_lora)
    supports_loras = same(projects.Projects.supports_loras)
    get_lora_constraints = same(projects.Projects.get_lora_constraints)
    estimate_cost = same(projects.Projects.estimate_cost)
    estimate_video_cost = same(projects.Projects.estimate_video_cost)
    estimate_audio_cost = same(projects.Projects.estimate_audio_cost)
    estimate_enhancement_cost = same(projects.Projects.estimate_enhancement_cost)
    get_enhancing_model = same(projects.Projects.get_enhancing_model)
    upload_url = same(projects.Projects.upload_url)
    download_url = same(projects.Projects.download_url)
    media_upload_url = same(projects.Projects.media_upload_url)
    media_download_url = same(projects.Projects.media_download_url)

    def sync(self) -> tuple[Project[Result], ...]:
        """Takes up every unfinished project of this `app_id`; as the asynchronous one."""
        found = self._portal.call(self._inner.sync)
        return tuple(Project(self._portal, one) for one in found)

    @property
    def tracked_projects(self) -> tuple[Project[Result], ...]:
        """Projects that this client follows. One that has ended leaves after 30 s."""
        return tuple(Project(self._portal, one) for one in self._inner.tracked_projects)

    def is_video_model_id(self, model: str) -> bool:
        """Whether a model makes videos: by the catalogue, if it was read, or else by its id."""
        return bool(self._inner.is_video_model_id(model))

    def is_audio_model_id(self, model: str) -> bool:
        """Whether a model makes music or speech: by the catalogue, or else by its id."""
        return bool(self._inner.is_audio_model_id(model))

    def _through(self, event: Any) -> Any:
        return _through(self._portal, event)


class Keys(Door):
    """`client.account.keys`."""

    list = same(account.Keys.list)
    create = same(account.Keys.create)
    revoke = same(account.Keys.revoke)


class Account(Door):
    """`client.account`."""

    current_account: CurrentAccount

    login = same(account.Account.login)
    create = same(account.Account.create)
    set_tokens = same(account.Account.set_tokens)
    logout = same(account.Account.logout)
    get_wallet = same(account.Account.get_wallet)
    get_nonce = same(account.Account.get_nonce)
    sign_in_link = same(account.Account.sign_in_link)
    validate_username = same(account.Account.validate_username)
    me = same(account.Account.me)
    balance = same(account.Account.balance)
    transactions = same(account.Account.transactions)
    wallet_balance = same(account.Account.wallet_balance)
    rewards = same(account.Account.rewards)
    claim_rewards = same(account.Account.claim_rewards)
    switch_network = same(account.Account.switch_network)
    grant = same(account.Account.grant)

    @property
    def keys(self) -> Keys:
        """API keys."""
        return Keys(self._portal, self._inner.keys)


class Stats(Door):
    """`client.stats`."""

    leaderboard = same(stats.Stats.leaderboard)


class Webhooks(Door):
    """`client.webhooks`."""

    create = same(webhooks.Webhooks.create)
    list = same(webhooks.Webhooks.list)
    get = same(webhooks.Webhooks.get)
    delete = same(webhooks.Webhooks.delete)
    enable = same(webhooks.Webhooks.enable)
    deliveries = same(webhooks.Webhooks.deliveries)
    redeliver = same(webhooks.Webhooks.redeliver)


class Client(EmitterDoor):
    """A client of one grid, for code without asyncio.

        with dreamgrid.Client() as client:
            project = client.projects.create(model="dreamlet-v1", prompt="a red apple")
            images = project.wait()

    The same as `AsyncClient`, without `await`; safe to use from several threads. Arguments as
    there.
    """

    app_id: str
    current_account: CurrentAccount
    tokens: Tokens | None

    connect = same(aio.AsyncClient.connect)
    check_auth = same(aio.AsyncClient.check_auth)
    set_tokens = same(aio.AsyncClient.set_tokens)
    set_socket_event_subscriptions = same(aio.AsyncClient.set_socket_event_subscriptions)

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        socket_url: str | None = None,
        network: Network = "fast",
        app_id: str | None = None,
        testnet: bool = False,
    ) -> None:
        inner = aio.AsyncClient(
            url, api_key, socket_url=socket_url, network=network, app_id=app_id, testnet=testnet
        )
        super().__init__(Portal(inner.aclose), inner)
        self.account = Account(self._portal, inner.account)
        self.projects = Projects(self._portal, inner.projects)
        self.stats = Stats(self._portal, inner.stats)
        self.webhooks = Webhooks(self._portal, inner.webhooks)

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
