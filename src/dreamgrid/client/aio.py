"""`AsyncClient`: the SDK's front door for asyncio. Puts the parts together and owns their lives."""

import asyncio
import uuid
from collections.abc import Iterable
from importlib.metadata import version
from types import TracebackType
from typing import Self

from dreamgrid.client.account import Account
from dreamgrid.client.catalog import Catalog
from dreamgrid.client.credential import Tokens
from dreamgrid.client.current_account import CurrentAccount
from dreamgrid.client.endpoint import Endpoint
from dreamgrid.client.http import Http
from dreamgrid.client.listeners import Emitter
from dreamgrid.client.projects import Projects
from dreamgrid.client.stats import Stats
from dreamgrid.client.tracker import Tracker
from dreamgrid.client.webhooks import Webhooks
from dreamgrid.errors import AuthenticationFailed
from dreamgrid.protocol.params import Network


class AsyncClient(Emitter):
    """A client of one grid.

        async with dreamgrid.AsyncClient() as client:
            project = await client.projects.create(model="dreamlet-v1", prompt="a red apple")
            images = await project.wait()

    Nothing is sent before it is needed: the first project, or `wait_for_models()`, opens the
    socket. After that a lost connection comes back by itself; projects do not notice. Use one
    client for many projects, in one event loop.

    Args:
        url: Address of the server. Default: the environment's DREAMGRID_URL.
        api_key: Key of the account. Default: the environment's DREAMGRID_API_KEY.
        socket_url: Address of the socket, for grids that have it on another host. Default: the
            environment's DREAMGRID_SOCKET_URL, or the same as `url`.
        network: Worker pool of projects that name none, `fast` or `relaxed`.
        app_id: Names this instance of your app. A second connection with the same name takes over
            from the first; after a restart, the same name finds its projects again (`sync()`).
            Default: a fresh one for each client.
        testnet: Signing in is for the test network of the original grid.

    Attributes:
        account: Account, balance, keys and signing in.
        projects: Projects, models, sizes and prices.
        stats: Numbers about the grid as a whole.
        webhooks: Where the grid tells a server of yours what happens.
        app_id: Name of this instance.

    Raises:
        ConfigError: There is no address, or it is none.
    """

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
        super().__init__()
        name = f"dreamgrid/{version('dreamgrid')}"
        self.app_id = app_id or str(uuid.uuid4())
        self._endpoint = Endpoint.resolve(url, api_key, socket_url)
        self._http = Http(self._endpoint, user_agent=name)
        catalog = Catalog(self._http)
        query = {"appId": self.app_id, "clientName": name, "clientType": "artist"}
        self._tracker = Tracker(
            self._http, catalog, query=query, network=network, tell=self._on_client_event
        )
        session = self._tracker.session
        self.account = Account(self._http, session, app_id=self.app_id, testnet=testnet)
        self.projects = Projects(self._http, catalog, self._tracker, app_id=self.app_id)
        self.stats = Stats(self._http)
        self.webhooks = Webhooks(self._http)

    def __repr__(self) -> str:
        return f"<AsyncClient of {self._endpoint.url}, {len(self._tracker.histories)} projects>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    def current_account(self) -> CurrentAccount:
        """Who we are and what we have, as last heard; asks nobody."""
        return self.account.current_account

    @property
    def tokens(self) -> Tokens | None:
        """The session as it is now, for `set_tokens()` in another process. None: no session."""
        return self._http.credential.tokens

    async def connect(self) -> None:
        """Opens the socket now, and so finds out whether server and key are right.

        Raises:
            AuthenticationFailed: The key is missing or wrong.
            ConnectionFailed: No server there.
        """
        await self._tracker.connection.ready()

    async def check_auth(self) -> bool:
        """Whether the server takes our key or session.

        Raises:
            ConnectionFailed: No server there.
        """
        try:
            await self.account.me()
        except AuthenticationFailed:
            return False
        return True

    async def set_tokens(self, tokens: Tokens | tuple[str, str]) -> None:
        """Goes on with a session that `account.login()` began, in this process or another.

        Raises:
            AuthenticationFailed: The session has ended.
        """
        await self.account.set_tokens(tokens)

    async def set_socket_event_subscriptions(
        self,
        *,
        subscribe: Iterable[str] = (),
        unsubscribe: Iterable[str] = (),
        reset: bool = False,
    ) -> dict[str, bool]:
        """Switches kinds of messages on and off, to save traffic; kept over reconnects.

        Args:
            subscribe: Names of messages on the wire, such as `projectQueue`.
            unsubscribe: The same, such as `swarmModels`.
            reset: Forget all earlier switches first.

        Returns:
            Every switch that is set now.
        """
        return await self._tracker.session.subscribe(
            subscribe=subscribe, unsubscribe=unsubscribe, reset=reset
        )

    async def aclose(self) -> None:
        """Closes the connections. Projects that are not finished go on at the server."""
        await self._tracker.aclose()
        await self._http.aclose()
        working = self._listeners.cancel() | self.projects._end_listeners()
        if working:
            await asyncio.wait(working)

    def _on_client_event(self, event: object) -> None:
        self._listeners.tell(event)
        self.projects._listeners.tell(event)
