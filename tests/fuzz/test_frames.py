"""Anything may come in a frame: the server stays well, and the offender hears something fair.

DREAMGRID_FUZZ_EXAMPLES sets how many examples each test tries, and `--hypothesis-profile=fresh`
takes others in every run.
"""

import os
from collections.abc import Iterator
from itertools import pairwise

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dreamgrid.protocol import codec
from tests.fuzz.messages import app_messages, whole_frames, wire_frames, worker_frames
from tests.fuzz.raw import BINARY, CONTINUATION, PING, TEXT, Gone, envelope, frame
from tests.fuzz.target import FAIR_CODES, OUTDATED_WORKER, Target, ending, running_target
from tests.support.wire import hello_of

EXAMPLES = int(os.environ.get("DREAMGRID_FUZZ_EXAMPLES", "0"))

fuzz = settings(
    max_examples=EXAMPLES or 150,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.shrink] if EXAMPLES else [Phase.generate],
    database=None,
)

HELLO = frame(codec.encode_worker(hello_of(models=("nothing",))))

if EXAMPLES:
    pytestmark = pytest.mark.timeout(0)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with running_target(tmp_path_factory.mktemp("fuzz")) as running:
        running.stands()
        before = running.tasks()
        yield running
        running.settles(before)


@given(st.lists(whole_frames, min_size=1, max_size=8))
@fuzz
def test_any_message_of_an_app_is_answered_or_closes_only_its_own_connection(
    target: Target, frames: list[bytes]
) -> None:
    with target.app() as peer:
        assert ending(peer, *frames) in {None, *FAIR_CODES}
    target.stands()


@given(st.lists(wire_frames, min_size=1, max_size=6))
@fuzz
def test_any_frame_at_all_closes_only_its_own_connection(
    target: Target, frames: list[bytes]
) -> None:
    with target.app() as peer:
        peer.until("authenticated")
        peer.send_nowait(b"".join(frames))
    target.stands()


@pytest.mark.parametrize("greeting", [b"", HELLO], ids=["stranger", "welcome"])
@given(frames=st.lists(worker_frames, min_size=1, max_size=5))
@fuzz
def test_any_message_of_a_worker_closes_only_its_own_connection(
    target: Target, greeting: bytes, frames: list[bytes]
) -> None:
    with target.worker() as peer:
        peer.send_nowait(greeting + b"".join(frames))
        peer.send_nowait(frame(b"the end"))
        with pytest.raises(Gone) as caught:
            peer.drain()
        assert caught.value.code in {OUTDATED_WORKER, *FAIR_CODES}
    target.stands()


@given(app_messages(), st.lists(st.integers(0, 3_000), max_size=5))
@fuzz
def test_a_message_in_pieces_is_read_like_a_whole_one(
    target: Target, message: bytes, cuts: list[int]
) -> None:
    places = sorted({0, *(cut % (len(message) + 1) for cut in cuts), len(message)})
    pieces = [message[start:stop] for start, stop in pairwise(places)]
    pieces = pieces or [b""]
    with target.app() as peer:
        frames = []
        for number, piece in enumerate(pieces):
            opcode = BINARY if number == 0 else CONTINUATION
            frames.append(frame(piece, opcode, last=number == len(pieces) - 1))
            frames.append(frame(b"still here", PING))
        assert ending(peer, *frames) in {None, *FAIR_CODES}
    target.stands()


@given(st.lists(whole_frames, min_size=1, max_size=5))
@fuzz
def test_frames_that_come_with_the_handshake_are_read_like_later_ones(
    target: Target, frames: list[bytes]
) -> None:
    with target.app(early=b"".join(frames)) as peer:
        assert ending(peer) in {None, *FAIR_CODES}
    target.stands()


BROKEN: dict[str, tuple[bytes, set[int | None]]] = {
    "text that is no text": (frame(b"\xff\xfe", TEXT), {None}),
    "a binary frame that is no text": (frame(b"\xff\xfe", BINARY), {None}),
    "a frame that says it is compressed": (frame(b"abc", reserved=4), {1002, 1007}),
    "an unknown opcode": (frame(b"", 3), {1002}),
    "a continuation of nothing": (frame(b"x", CONTINUATION), {1002}),
    "a frame that is too long": (frame(b"x" * (1 << 20) + b"x"), {1009}),
    "a length of 2**63 - 1": (frame(b"x", length=(1 << 63) - 1), {1009}),
    "a ping in pieces": (frame(b"x", PING, last=False), {1002}),
    "a long ping": (frame(b"x" * 200, PING), {1002}),
    "an envelope of another kind": (frame(envelope("jobResult", b"{}")), {None}),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_rule_is_told_by_the_right_code(target: Target, what: str) -> None:
    data, codes = BROKEN[what]
    with target.app() as peer:
        peer.until("authenticated")
        assert ending(peer, data) in codes
    target.stands()


@pytest.mark.parametrize(
    "hello",
    [
        {"slots": 10**9},
        {"slots": -5},
        {"name": "\0" * 1000},
        {"worker_id": "../../../etc/passwd"},
        {"worker_id": ""},
        {"models": tuple(f"m{number}" for number in range(5_000))},
    ],
    ids=["many slots", "negative slots", "name", "path", "no id", "models"],
)
def test_a_worker_with_absurd_claims_is_no_trouble(
    target: Target, hello: dict[str, object]
) -> None:
    claims = msgspec.structs.replace(hello_of(models=("nothing",)), **hello)
    with target.worker() as peer:
        peer.send(frame(codec.encode_worker(claims)))
        _, welcome = peer.receive()
        assert b'"welcome"' in welcome
        target.stands()
