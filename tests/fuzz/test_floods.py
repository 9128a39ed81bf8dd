"""Floods: too much of everything, from an account that means ill, within the limits by default.

A friend is answered all along, the server's memory stays within a bound, and afterwards it
has no more tasks than before. DREAMGRID_FUZZ_SECONDS sets how long each flood lasts.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from dreamgrid.protocol import codec
from dreamgrid.protocol.worker import WORKER_PATH, Failed, Heartbeat, Progress, Released, Started
from tests.fuzz.raw import AT_ONCE, PING, Gone, Peer, envelope, frame, handshake
from tests.fuzz.target import Target, running_target
from tests.support.wire import CANCELED, finished, hello_of, job_request, new_id

SECONDS = float(os.environ.get("DREAMGRID_FUZZ_SECONDS", "0.3"))
MIB = 1024 * 1024

MAX_GROWTH_BYTES = 96 * MIB
"""Most by which floods may make the server grow, however long they last."""

if SECONDS > 10:
    pytestmark = pytest.mark.timeout(0)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with running_target(tmp_path_factory.mktemp("flood"), limited=True) as running:
        running.stands()
        tasks, memory = running.tasks(), running.memory_bytes()
        yield running
        running.settles(tasks)
        growth = running.memory_bytes() - memory
        print(f"the server grew by {growth / MIB:.0f} MiB")  # noqa: T201 (for -s)
        assert growth < MAX_GROWTH_BYTES


def message(kind: str, payload: object) -> bytes:
    return frame(envelope(kind, json.dumps(payload).encode()))


Make = Callable[[], bytes]

FLOODS: dict[str, Make] = {
    "requests": lambda: message("jobRequest", job_request(new_id())),
    "the same request": lambda: message("jobRequest", job_request("A" * 8 + new_id()[8:])),
    "requests that are refused": lambda: message("jobRequest", job_request(new_id(), steps=-1)),
    "long ids": lambda: message("jobRequest", {"jobID": "x" * 500_000}),
    "cancels": lambda: message("jobError", {"jobID": new_id(), **CANCELED}),
    "long cancels": lambda: message("jobError", {"jobID": "x" * 500_000}),
    "networks": lambda: message("changeNetwork", "relaxed"),
    "switches": lambda: message(
        "setSocketEventSubscriptions", {"subscribe": [f"e{n}" for n in range(100)]}
    ),
    "unknown": lambda: message("llmJobRequest", {"x": 1}),
    "rubbish": lambda: frame(b"rubbish"),
    "pings": lambda: frame(b"x" * 125, PING),
    "empty frames": lambda: frame(b""),
    "pieces without an end": lambda: frame(b"x" * 1000, 0, last=False),
}


@pytest.mark.parametrize("what", FLOODS)
@pytest.mark.parametrize("reads", [True, False], ids=["reading", "deaf"])
def test_a_flood_keeps_nobody_else_waiting(target: Target, what: str, reads: bool) -> None:
    with target.app(app_id=what.replace(" ", "-")) as peer:
        peer.until("authenticated")
        if what.startswith("pieces"):
            peer.send(frame(b"", 1, last=False))
        flood(target, peer, FLOODS[what], reads=reads)
    target.stands()


def flood(target: Target, peer: Peer, make: Make, *, reads: bool) -> None:
    """Sends as fast as the server reads, with a look at the friend now and then."""
    end_s = time.monotonic() + SECONDS
    left = b""
    while time.monotonic() < end_s:
        for _ in range(50):
            left = left or make()
            left = left[peer.send_nowait(left) :]
        if reads and not peer.skip():
            return
        target.stands()


@pytest.mark.parametrize("reads", [True, False], ids=["reading", "deaf"])
def test_a_flood_of_a_worker_keeps_nobody_waiting(target: Target, reads: bool) -> None:
    job = new_id()
    reports = [
        Started(job_id=job, attempt=1),
        Progress(job_id=job, attempt=1, step=1, step_count=4, preview_ready=True),
        Heartbeat(),
        finished(job, 1, b"x"),
        Failed(job_id=job, attempt=1, error="e" * 10_000, message="m" * 10_000),
        Released(job_id=job, attempt=1),
    ]
    data = b"".join(frame(codec.encode_worker(one)) for one in reports)
    with target.worker() as peer:
        peer.send(frame(codec.encode_worker(hello_of(models=("nothing",)))))
        flood(target, peer, lambda: data, reads=reads)
    target.stands()


def test_connections_that_come_and_go_at_once_leave_nothing_behind(target: Target) -> None:
    end_s = time.monotonic() + SECONDS
    while time.monotonic() < end_s:
        for path in ("/?appId=storm", "/", WORKER_PATH):
            for _ in range(10):
                data = handshake(target.address, path, target.key)
                data += message("jobRequest", job_request(new_id())) + frame(b"there?", PING) * 9
                with socket.create_connection(target.address) as line:
                    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
                    line.sendall(data)
        target.stands()


def test_an_app_that_vanishes_in_the_middle_of_its_messages_leaves_nothing_behind(
    target: Target,
) -> None:
    for _ in range(20):
        with target.app(app_id="vanishes") as peer:
            peer.until("authenticated")
            asked = message("changeNetwork", "fast") + message("jobRequest", job_request(new_id()))
            peer.send_nowait((asked + frame(b"there?", PING)) * 20)
            peer.vanish()
    target.stands()


@pytest.mark.parametrize("what", ["rubbish", "empty frames"])
def test_whoever_sends_only_rubbish_is_let_go_and_may_come_again(target: Target, what: str) -> None:
    for _ in range(2):
        with target.app(app_id="rubbish") as peer:
            peer.until("authenticated")
            peer.send(FLOODS[what]() * 150)
            with pytest.raises(Gone) as caught:
                peer.drain()
            assert caught.value.code == 1008
    target.stands()


def test_connections_that_say_nothing_keep_nobody_waiting(target: Target) -> None:
    halves = [b"", b"GET / HT", handshake(target.address, "/", target.key)[:-2]]
    lines = []
    try:
        for number in range(150):
            lines.append(socket.create_connection(target.address))
            lines[-1].sendall(halves[number % 3])
        target.welcomes()
    finally:
        for line in lines:
            line.close()
    target.stands()


def test_an_account_with_too_many_connections_is_asked_to_come_again(target: Target) -> None:
    peers: list[Peer] = []
    codes: list[int | None] = []
    try:
        for number in range(230):
            peers.append(target.app(app_id=f"many-{number}"))
            try:
                peers[-1].until("authenticated")
            except Gone as gone:
                codes.append(gone.code)
        target.welcomes()
    finally:
        for peer in peers:
            peer.close()
    assert set(codes) == {1013}
    assert len(codes) >= 30, "and more, while earlier ones are not quite gone"
