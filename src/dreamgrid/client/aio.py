"""`AsyncClient`: the SDK's front door for asyncio. Puts the parts together and owns their lives."""

import uuid
from importlib.metadata import version
from types import TracebackType
from typing import Self

from dreamgrid.client.account import Account
from dreamgrid.client.catalog import Catalog
from dreamgrid.client.endpoint import Endpoint
from dreamgrid.client.http import Http
from dreamgrid.client.projects import Projects
from dreamgrid.client.tracker import Tracker
from dreamgrid.protocol.params import Network


class AsyncClient:
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
        network: Worker pool of projects that name none, `fast` or `relaxed`.
        app_id: Names this instance of your app. A second connection with the same name takes over
            from the first. Default: a fresh one for each client.

    Attributes:
        account: Account, balance and keys.
        projects: Projects, models, sizes and prices.
        app_id: Name of this instance.

    Raises:
        ConfigError: There is no address, or it is none.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        network: Network = "fast",
        app_id: str | None = None,
    ) -> None:
        name = f"dreamgrid/{version('dreamgrid')}"
        self.app_id = app_id or str(uuid.uuid4())
        self._endpoint = Endpoint.resolve(url, api_key)
        self._http = Http(self._endpoint, user_agent=name)
        catalog = Catalog(self._http)
        query = {
            "appId": self.app_id,
            "clientName": name,
            "clientType": "artist",
            # Empty means relaxed.
            "forceWorkerId": "fast" if network == "fast" else "",
        }
        self._tracker = Tracker(self._http, catalog, query=query)
        self.account = Account(self._http)
        self.projects = Projects(self._http, catalog, self._tracker)

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

    async def connect(self) -> None:
        """Opens the socket now, and so finds out whether server and key are right.

        Raises:
            AuthenticationFailed: The key is missing or wrong.
            ConnectionFailed: No server there.
        """
        await self._tracker.connection.ready()

    async def aclose(self) -> None:
        """Closes the connections. Projects that are not finished go on at the server."""
        await self._tracker.aclose()
        await self._http.aclose()
