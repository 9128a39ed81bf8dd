"""A bus between processes: NATS carries what each of them publishes to all the others.

Listeners of this process are called directly, as `MemoryBus` does; so without NATS a process still
hears itself, and nobody waits. What is published while NATS is away is gone for the others.
"""

import asyncio
import base64
import contextlib
import logging
from collections.abc import Awaitable, Callable

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from dreamgrid.errors import ConfigError
from dreamgrid.server.bus.base import Receiver
from dreamgrid.server.bus.memory import MemoryBus

MAX_WAITING = 10_000
"""Frames that may wait for NATS before new ones are dropped."""

CONNECT_S = 5
_RECONNECT_S = 1
_KEY_BYTES = 2

_log = logging.getLogger("dreamgrid.bus")


class NatsBus:
    """A `Bus` over one connection to a NATS server or cluster.

    Args:
        address: nats://HOST:PORT, several with commas between them; with NAME:PASSWORD@ or TOKEN@
            where it wants that, and tls:// for TLS.
        grid: Processes hear each other only if they name the same one.
    """

    def __init__(self, address: str, grid: str) -> None:
        self._servers = [one.strip() for one in address.split(",") if one.strip()]
        self._prefix = f"dreamgrid.{_word(grid)}."
        self._here = MemoryBus()
        self._client = Client()
        self._listening: dict[str, Subscription] = {}
        self._orders: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue(MAX_WAITING)
        self._worker: asyncio.Task[None] | None = None
        self._closing = False

    async def open(self) -> None:
        """Begins to connect, and goes on for as long as it takes: nobody has to wait for NATS.

        Raises:
            ConfigError: The address is none.
        """
        if not self._servers or not all("://" in one for one in self._servers):
            raise ConfigError("the bus's address must look like nats://nats.example.org:4222")
        self._worker = asyncio.create_task(self._run(), name="bus")

    async def close(self) -> None:
        """Sends what was published, if NATS is there, and hangs up."""
        self._closing = True
        if self._worker is None:
            return
        if self._client.is_connected:
            with contextlib.suppress(TimeoutError, NatsError):
                await asyncio.wait_for(self.settled(), 1.0)
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)
        await self._client.close()

    @property
    def connected(self) -> bool:
        """Whether other processes can be heard now."""
        return self._client.is_connected

    def publish(self, subject: str, frame: bytes, key: str | None = None) -> None:
        self._here.publish(subject, frame, key)
        if not self._client.is_connected:
            return
        name = (key or "").encode()
        packed = len(name).to_bytes(_KEY_BYTES, "big") + name + frame

        async def send() -> None:
            await self._client.publish(self._prefix + _word(subject), packed)

        self._order(send)

    def subscribe(self, subject: str, receiver: Receiver) -> Callable[[], None]:
        new = not self._here.listening(subject)
        leave = self._here.subscribe(subject, receiver)
        if new:
            self._order(lambda: self._follow(subject))

        def unsubscribe() -> None:
            leave()
            if not self._here.listening(subject):
                self._order(lambda: self._follow(subject))

        return unsubscribe

    def listening(self, subject: str) -> bool:
        return self._here.listening(subject)

    async def settled(self) -> None:
        """Waits until NATS has all that was asked of it: what was published, and who listens.

        Raises:
            NatsError: It does not answer.
        """
        done = asyncio.Event()

        async def flush() -> None:
            try:
                await self._client.flush()
            finally:
                done.set()

        self._order(flush)
        await done.wait()

    def _order(self, order: Callable[[], Awaitable[None]]) -> None:
        try:
            self._orders.put_nowait(order)
        except asyncio.QueueFull:
            _log.warning("NATS is too slow: other nodes miss what is published now")

    async def _run(self) -> None:
        """Connects, then does what was asked for, in order."""
        await self._connect()
        while True:
            order = await self._orders.get()
            try:
                await order()
            except (NatsError, OSError, TimeoutError, ValueError) as error:
                _log.warning("NATS refuses: %s", error)

    async def _connect(self) -> None:
        said = False
        while True:
            try:
                await self._client.connect(
                    servers=self._servers,
                    no_echo=True,
                    connect_timeout=CONNECT_S,
                    allow_reconnect=True,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=_RECONNECT_S,
                    ping_interval=5,
                    max_outstanding_pings=2,
                    error_cb=_tell,
                    disconnected_cb=self._tell_lost,
                    reconnected_cb=_tell_back,
                )
            except (NatsError, OSError, TimeoutError) as error:
                if not said:
                    _log.warning("NATS does not answer, and is tried again: %s", error)
                said = True
                await asyncio.sleep(_RECONNECT_S)
            else:
                return

    async def _tell_lost(self) -> None:
        if not self._closing:
            _log.warning("NATS is away: nodes find each other's news at the next tick")

    async def _follow(self, subject: str) -> None:
        """Lets NATS know whether anybody here listens to a subject."""
        known = self._listening.get(subject)
        if self._here.listening(subject) and known is None:

            async def receive(message: Msg) -> None:
                size = int.from_bytes(message.data[:_KEY_BYTES], "big") + _KEY_BYTES
                key = message.data[_KEY_BYTES:size].decode() or None
                self._here.publish(subject, message.data[size:], key)

            name = self._prefix + _word(subject)
            self._listening[subject] = await self._client.subscribe(name, cb=receive)
        elif known is not None and not self._here.listening(subject):
            del self._listening[subject]
            await known.unsubscribe()


def _word(text: str) -> str:
    """Any text as one word of a NATS subject, which is made of few letters and dots."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=") or "-"


async def _tell(error: Exception) -> None:
    _log.info("NATS: %s", error or type(error).__name__)


async def _tell_back() -> None:
    _log.info("NATS is back")
