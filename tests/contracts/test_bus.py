"""What every bus promises. A new backend joins by adding itself to `BUSES`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest

from dreamgrid.server.bus.base import (
    Bus,
    account_subject,
    app_subject,
    network_subject,
)
from dreamgrid.server.bus.memory import MemoryBus
from dreamgrid.server.bus.nats import NatsBus
from tests.support import nats_server


@dataclass
class Ends:
    """A bus as two of its users hold it; between processes these are two connections.

    Attributes:
        settled: Waits until what both have asked for so far has taken effect for the other.
    """

    one: Bus
    other: Bus
    settled: Callable[[], Awaitable[None]]


@asynccontextmanager
async def memory() -> AsyncIterator[Ends]:
    async def settled() -> None:
        pass

    bus = MemoryBus()
    yield Ends(bus, bus, settled)


@asynccontextmanager
async def nats() -> AsyncIterator[Ends]:
    grid = nats_server.new_grid()
    one, other = (NatsBus(nats_server.server(), grid) for _ in range(2))

    async def settled() -> None:
        for bus in (one, other, one, other):  # asked there, and what that has brought back
            await bus.settled()

    async with AsyncExitStack() as stack:
        for bus in (one, other):
            await bus.open()
            stack.push_async_callback(bus.close)
        await settled()
        yield Ends(one, other, settled)


BUSES = {"memory": memory, "nats": nats}


@pytest.fixture(params=BUSES)
async def ends(request: pytest.FixtureRequest) -> AsyncIterator[Ends]:
    async with BUSES[request.param]() as opened:
        yield opened


@pytest.fixture
def bus(ends: Ends) -> Bus:
    return ends.one


class Ear:
    """A listener that remembers what it heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, str | None]] = []

    def __call__(self, frame: bytes, key: str | None) -> None:
        self.heard.append((frame, key))


# ── from one user to the other ───────────────────────────────────────────────────────────────────


async def test_what_one_publishes_the_other_hears_in_order(ends: Ends) -> None:
    ear, elsewhere = Ear(), Ear()
    ends.other.subscribe("s/é .*>", ear)
    ends.other.subscribe("s", elsewhere)
    await ends.settled()
    frames = [(b"%d" % number, f"k{number}" if number % 2 else None) for number in range(500)]
    for frame, key in frames:
        ends.one.publish("s/é .*>", frame, key)
    await ends.settled()
    assert ear.heard == frames
    assert elsewhere.heard == []


async def test_a_frame_is_heard_once_by_each_listener_wherever_it_is(ends: Ends) -> None:
    ears = [Ear() for _ in range(4)]
    for bus, ear in zip((ends.one, ends.one, ends.other, ends.other), ears, strict=True):
        bus.subscribe("s", ear)
    await ends.settled()
    ends.one.publish("s", b"1")
    await ends.settled()
    ends.other.publish("s", b"2")
    await ends.settled()
    assert [ear.heard for ear in ears] == [[(b"1", None), (b"2", None)]] * 4


async def test_who_has_left_hears_nothing_of_the_other_either(ends: Ends) -> None:
    ear = Ear()
    leave = ends.other.subscribe("s", ear)
    leave()
    ends.other.subscribe("s", ear)()
    await ends.settled()
    ends.one.publish("s", b"x")
    await ends.settled()
    assert ear.heard == []
    ends.other.subscribe("s", ear)
    await ends.settled()
    ends.one.publish("s", b"y")
    await ends.settled()
    assert ear.heard == [(b"y", None)]


async def test_a_listener_that_raises_harms_nobody_else(ends: Ends) -> None:
    ear = Ear()

    def raises(frame: bytes, key: str | None) -> None:
        raise ValueError(f"cannot read {frame!r} {key}")

    ends.other.subscribe("s/bad", raises)
    ends.other.subscribe("s/good", ear)
    await ends.settled()
    if ends.one is not ends.other:  # else whoever publishes hears of it
        ends.one.publish("s/bad", b"x")
    ends.one.publish("s/good", b"y")
    await ends.settled()
    assert ear.heard == [(b"y", None)]


# ── within one process: at once ──────────────────────────────────────────────────────────────────


def test_every_listener_of_a_subject_hears_every_frame_in_order(bus: Bus) -> None:
    one, two = Ear(), Ear()
    bus.subscribe("s", one)
    bus.subscribe("s", two)
    bus.publish("s", b"1")
    bus.publish("s", b"2", key="k")
    assert one.heard == two.heard == [(b"1", None), (b"2", "k")]


def test_other_subjects_are_not_heard(bus: Bus) -> None:
    ear = Ear()
    bus.subscribe("s/a", ear)
    for subject in ("s", "s/", "s/b", "s/a/b", "S/A"):
        bus.publish(subject, b"x")
    assert ear.heard == []


def test_a_frame_without_a_listener_is_gone(bus: Bus) -> None:
    ear = Ear()
    bus.publish("s", b"early")
    bus.subscribe("s", ear)
    assert ear.heard == []


def test_who_has_left_hears_nothing_and_the_others_go_on(bus: Bus) -> None:
    leaver, stayer = Ear(), Ear()
    leave = bus.subscribe("s", leaver)
    bus.subscribe("s", stayer)
    leave()
    bus.publish("s", b"x")
    assert leaver.heard == []
    assert stayer.heard == [(b"x", None)]


def test_leaving_twice_is_harmless(bus: Bus) -> None:
    ear = Ear()
    leave = bus.subscribe("s", ear)
    leave()
    leave()
    bus.subscribe("s", ear)
    bus.publish("s", b"x")
    assert len(ear.heard) == 1


def test_somebody_listens_until_the_last_has_left(bus: Bus) -> None:
    assert not bus.listening("s")
    leave_one = bus.subscribe("s", Ear())
    leave_two = bus.subscribe("s", Ear())
    leave_one()
    assert bus.listening("s")
    leave_two()
    assert not bus.listening("s")


def test_a_listener_may_leave_while_it_is_told(bus: Bus) -> None:
    heard: list[bytes] = []
    leaves: list[Callable[[], None]] = []

    def once(frame: bytes, key: str | None) -> None:
        del key
        heard.append(frame)
        leaves[0]()

    leaves.append(bus.subscribe("s", once))
    other = Ear()
    bus.subscribe("s", other)
    bus.publish("s", b"1")
    bus.publish("s", b"2")
    assert heard == [b"1"]
    assert other.heard == [(b"1", None), (b"2", None)]


def test_a_listener_may_join_while_others_are_told(bus: Bus) -> None:
    late = Ear()

    def invite(frame: bytes, key: str | None) -> None:
        del frame, key
        bus.subscribe("s", late)

    bus.subscribe("s", invite)
    bus.publish("s", b"1")
    assert late.heard == []
    bus.publish("s", b"2")
    assert late.heard[0] == (b"2", None)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (app_subject("A", "1"), app_subject("A", "2")),
        (app_subject("A", "1"), app_subject("B", "1")),
        (account_subject("A"), account_subject("B")),
        (account_subject("A"), app_subject("A", "")),
        (network_subject("fast"), network_subject("relaxed")),
        (network_subject("A"), account_subject("A")),
        # an app chooses its own id: it must not become somebody else's subject
        (app_subject("A", "1"), app_subject("A/1", "")),
        (account_subject("B"), app_subject("A", "../../account/B")),
        (app_subject("B", "x"), app_subject("A", "../B/x")),
    ],
)
def test_subjects_of_different_listeners_differ(one: str, other: str) -> None:
    assert one != other
