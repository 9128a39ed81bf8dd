"""One signed-in conversation with a server: the socket, and what it says of account and models.

Frames about projects are passed on; everything else is taken in here.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

import msgspec

from dreamgrid.client.catalog import Catalog
from dreamgrid.client.connection import Backoff, Connection
from dreamgrid.client.current_account import Balance, CurrentAccount, balance_of
from dreamgrid.client.events import BalanceChanged, Connected, Disconnected, ModelsChanged
from dreamgrid.client.http import Http
from dreamgrid.client.signal import Signal
from dreamgrid.errors import ConnectionFailed, DreamgridError
from dreamgrid.protocol import heard, socket
from dreamgrid.protocol.codec import Envelope, decode_payload, encode_raw
from dreamgrid.protocol.params import Network

T = TypeVar("T")
NetworkStatus = Literal["connected", "connecting", "disconnected"]

_ANSWER_S = 30.0


class Session:
    """The socket of one client, and what is known from it.

    Args:
        http: Dials.
        catalog: Told which models have workers.
        query: Parameters of the socket's upgrade.
        tell: Called with what happens to the client.
        on_open: Called after each handshake.
        on_project: Called with each frame about a project.
        on_closed: Called when the connection has ended for good, with the reason.
        backoff: Waits between connections; tests pass a short one.

    Attributes:
        connection: The socket.
        network: The worker pool of projects that name none.
    """

    def __init__(
        self,
        http: Http,
        catalog: Catalog,
        *,
        query: dict[str, str],
        network: Network,
        tell: Callable[[object], None],
        on_open: Callable[[], None],
        on_project: Callable[[Envelope], None],
        on_closed: Callable[[DreamgridError], None],
        backoff: Backoff | None = None,
    ) -> None:
        self._http = http
        self._catalog = catalog
        self._query = query
        self._tell = tell
        self._opened = on_open
        self._on_project = on_project
        self._ended = on_closed
        self._answered = Signal()
        self._who: heard.Authenticated | None = None
        self._balance: Balance | None = None
        self._switched: Network | None = None
        self._subscriptions: dict[str, bool] | None = None
        self.network: Network = network
        self._name_network()
        self.connection = Connection(
            http,
            query=query,
            on_open=self._on_open,
            on_message=self._on_message,
            on_lost=self._on_lost,
            on_closed=self._on_closed,
            backoff=backoff,
        )

    @property
    def current_account(self) -> CurrentAccount:
        """Who we are and what we have, as last heard."""
        who = self._who
        status: NetworkStatus = "connected" if self.connection.is_open else "disconnected"
        if not self.connection.is_open and self.connection.is_trying:
            status = "connecting"
        return CurrentAccount(
            is_authenticated=self._http.credential.given,
            network_status=status,
            network=self.network,
            username=who.username if who else "",
            wallet_address=who.address if who else "",
            balance=self._balance,
        )

    def learn(self, balance: Balance) -> None:
        """Takes a balance that was asked for by other means."""
        if balance != self._balance:
            self._balance = balance
            self._tell(BalanceChanged(balance=balance))

    async def restart(self) -> None:
        """Ends the socket, because somebody else signs in; the next need opens a new one.

        Whoever waits for a project is told: it belongs to the account that was here before.
        """
        await self.connection.restart()
        self._ended(ConnectionFailed("this client signed in or out meanwhile; the project goes on"))
        self._who = self._balance = None
        self._catalog.announce({})

    async def switch_network(self, network: Network) -> Network:
        """Changes the worker pool of projects that name none, now and after reconnects."""
        await self.connection.ready()
        self._switched = None
        await self.connection.send(encode_raw(socket.CHANGE_NETWORK, network))
        self.network = await self._answer(lambda: self._switched, "the change of network")
        self._name_network()
        return self.network

    async def subscribe(
        self, *, subscribe: Iterable[str], unsubscribe: Iterable[str], reset: bool
    ) -> dict[str, bool]:
        """Switches kinds of frames on and off, now and after reconnects."""
        await self.connection.ready()
        change = socket.SubscriptionChange(
            reset=reset, subscribe=list(subscribe), unsubscribe=list(unsubscribe)
        )
        self._subscriptions = None
        await self.connection.send(
            encode_raw(socket.SET_SUBSCRIPTIONS, msgspec.to_builtins(change))
        )
        found = await self._answer(lambda: self._subscriptions, "the change of subscriptions")
        self._query["socketEventSubscriptions"] = json.dumps(found)
        return found

    async def _answer(self, look: Callable[[], T | None], what: str) -> T:
        try:
            async with asyncio.timeout(_ANSWER_S):
                while (found := look()) is None:
                    await self._answered.wait()
        except TimeoutError:
            raise ConnectionFailed(
                f"the server did not confirm {what} within {_ANSWER_S:.0f} s"
            ) from None
        return found

    def _name_network(self) -> None:
        self._query["forceWorkerId"] = "fast" if self.network == "fast" else ""  # empty: relaxed

    # ── frames ───────────────────────────────────────────────────────────────────────────────────

    def _on_open(self, first: Envelope) -> None:
        who = decode_payload(first, heard.Authenticated)
        self._who = who
        self._opened()
        self._tell(Connected(username=who.username, address=who.address))

    def _on_lost(self, error: DreamgridError) -> None:
        self._tell(Disconnected(reason=str(error), final=False))

    def _on_closed(self, error: DreamgridError) -> None:
        self._catalog.announce({})
        self._ended(error)
        self._tell(Disconnected(reason=str(error), final=True))

    def _on_message(self, envelope: Envelope) -> None:
        match envelope.type:
            case socket.SWARM_MODELS:
                self._announce(decode_payload(envelope, dict[str, int]))
            case socket.BalanceUpdate.message_type:
                self.learn(balance_of(decode_payload(envelope, socket.BalanceUpdate)))
            case socket.CHANGE_NETWORK:
                self._switched = decode_payload(envelope, socket.ChangeNetwork).network
                self._announce({})
                self._answered.fire()
            case socket.SubscriptionsUpdated.message_type:
                told = decode_payload(envelope, socket.SubscriptionsUpdated)
                self._subscriptions = told.subscriptions
                self._answered.fire()
            case _:
                self._on_project(envelope)

    def _announce(self, workers: dict[str, int]) -> None:
        self._catalog.announce(workers)
        self._tell(ModelsChanged(models=self._catalog.available))
