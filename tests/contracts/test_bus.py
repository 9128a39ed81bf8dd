"""What every bus promises. A new backend joins by adding itself to `BUSES`."""

from collections.abc import Callable

import pytest

from dreamgrid.server.bus.base import (
    Bus,
    account_subject,
    app_subject,
    network_subject,
)
from dreamgrid.server.bus.memory import MemoryBus

BUSES: dict[str, Callable[[], Bus]] = {"memory": MemoryBus}


@pytest.fixture(params=BUSES)
def bus(request: pytest.FixtureRequest) -> Bus:
    return BUSES[request.param]()


class Ear:
    """A listener that remembers what it heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, str | None]] = []

    def __call__(self, frame: bytes, key: str | None) -> None:
        self.heard.append((frame, key))


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
