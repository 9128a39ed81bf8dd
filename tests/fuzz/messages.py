"""Messages that are almost right: what the published SDKs send, with something odd in one place."""

import base64
import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import strategies as st

from dreamgrid.protocol import codec
from dreamgrid.protocol.worker import (
    Draining,
    Failed,
    Finished,
    Heartbeat,
    Progress,
    Released,
    Started,
)
from tests.fuzz.raw import BINARY, TEXT, envelope, frame
from tests.support.wire import finished, hello_of, job_request

GOLDEN = Path(__file__).parents[1] / "protocol" / "golden"
PROJECT = "44BABD98-2112-412D-91DA-B5429A1DF233"

ODD = (
    *("null", "true", "-1", "0", "1", "0.5", "-0", "1e400", "-1e400", "1e308", "1e-400", "NaN"),
    *("Infinity", "9" * 5_000, str(2**63), str(2**64), "-" + "9" * 400, "1" + "0" * 4_000 + ".5"),
    *('""', '"x"', '"\\u0000"', '"\\ud800"', '"\\udfff\\ud800"', '"' + "x" * 100_000 + '"'),
    *('"../../etc/passwd"', '"%2e%2e%2f"', '"a\\nb"', '"' + "ü" * 3_000 + '"', f'"{PROJECT}"'),
    *(f'"{PROJECT.lower()}"', '"pattern-v1"', '"fast"', '"{a|b}"', '"' + "{a|" * 2_000 + '"'),
    *("[]", "{}", "[null]", "[[]]", "[" * 20_000, '{"a":' * 20_000, "[" * 900 + "]" * 900),
    *('{"jobID":1}', "[" + "0," * 20_000 + "0]", '{"a":1,"a":2}', "tru", "'x'", "", "\\"),
)
"""JSON texts, most of them valid, that are unlikely to be what a field is meant for."""

_MARK = "\u2603here"


@cache
def golden() -> tuple[tuple[str, Any], ...]:
    """Type and payload of messages as the published SDKs send them."""
    requests = (GOLDEN / "job-requests.jsonl").read_text().splitlines()
    others = [json.loads(line) for line in (GOLDEN / "sockets.jsonl").read_text().splitlines()]
    found = [("jobRequest", json.loads(line)["payload"]) for line in requests]
    found += [(line["type"], line["payload"]) for line in others if "type" in line]
    found += [
        ("jobRequest", job_request(PROJECT)),
        ("jobRequest", job_request(PROJECT, hasStartingImage=True, strength=0.5)),
        ("setSocketEventSubscriptions", {"subscribe": ["jobState"], "subscriptions": {"a": True}}),
        ("setSocketEventSubscriptions", {"event": "jobProgress", "enabled": False, "reset": True}),
    ]
    return tuple(found)


@cache
def worker_messages() -> tuple[Any, ...]:
    """Every message of a worker."""
    messages = (
        hello_of(models=("nothing",)),
        Started(job_id=PROJECT, attempt=1),
        Progress(job_id=PROJECT, attempt=1, step=1, step_count=4, preview_ready=True, eta_s=1.0),
        finished(PROJECT, 1, b"x"),
        Failed(job_id=PROJECT, attempt=1, error="out_of_memory", message="no"),
        Released(job_id=PROJECT, attempt=1),
        Heartbeat(),
        Draining(),
    )
    assert {type(one) for one in messages} >= {Finished}
    return tuple(msgspec.to_builtins(one) for one in messages)


_DEPTH = 8


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict | list) and len(path) < _DEPTH:
        items = value.items() if isinstance(value, dict) else enumerate(value[:20])
        for key, inner in items:
            found += _places(inner, (*path, key))
    return found


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replaced(value[path[0]], path[1:], new)
    return copy


@st.composite
def spoiled(draw: st.DrawFn, value: Any) -> bytes:
    """The JSON of a value with up to three odd places: replaced, missing, or said twice."""
    text = json.dumps(value)
    for _ in range(draw(st.integers(0, 3))):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            break  # it is odd enough
        path = draw(st.sampled_from(_places(value)))
        odd = draw(st.sampled_from(ODD))
        marked = json.dumps(_replaced(value, path, _MARK))
        how = draw(st.sampled_from(["replace", "replace", "twice", "leave out"]))
        mark = json.dumps(_MARK)
        if how == "replace" or not path or not isinstance(path[-1], str):
            text = marked.replace(mark, odd)
        elif how == "twice":
            text = text.replace("{", "{" + f"{json.dumps(path[-1])}:{odd},", 1)
        else:
            text = marked.replace(f"{json.dumps(path[-1])}: {mark}", f'"left out": {odd}')
    return text.encode("utf-8", "surrogatepass")


@st.composite
def app_messages(draw: st.DrawFn) -> bytes:
    """One message of an app, whole, as text."""
    kind, payload = draw(st.sampled_from(golden()))
    kinds = st.sampled_from(["jobRequest", "jobError", "changeNetwork", "llmJobRequest", "", "\0"])
    kind = draw(st.just(kind) | st.just(kind) | kinds)
    inner = draw(spoiled(payload) | st.binary(max_size=40))
    outer = envelope(kind, inner)
    data = base64.b64encode(inner).decode()
    bad = st.sampled_from(
        [
            outer,
            json.dumps({"type": kind, "data": data.rstrip("=")}).encode(),
            json.dumps({"type": kind, "data": data.replace("+", "-").replace("A", "_")}).encode(),
            json.dumps({"type": kind, "data": f" {data}\n"}).encode(),
            json.dumps({"type": kind, "data": data + "="}).encode(),
            json.dumps({"type": kind, "data": json.loads(json.dumps(kind))}).encode(),
            b'{"type":"jobRequest","type":"jobError","data":"' + data.encode() + b'"}',
            outer[: len(outer) // 2],
            outer + outer,
            inner,
        ]
    )
    return draw(st.just(outer) | bad | spoiled({"type": kind, "data": data}))


whole_frames = st.builds(
    lambda payload, opcode: frame(payload[: codec.MAX_CLIENT_MESSAGE_BYTES], opcode),
    app_messages() | st.binary(max_size=200),
    st.sampled_from([TEXT, TEXT, BINARY]),
)
"""Whole frames, whatever is in them. Text frames may hold what is no text."""

worker_frames = st.builds(
    frame,
    st.sampled_from(worker_messages()).flatmap(spoiled) | st.binary(max_size=100),
    st.sampled_from([TEXT, BINARY]),
)

wire_frames = st.builds(
    frame,
    st.binary(max_size=300) | st.sampled_from([b"", envelope("changeNetwork", b'"fast"')]),
    st.integers(0, 15),
    last=st.booleans(),
    reserved=st.integers(0, 7),
    masked=st.booleans(),
    length=st.none() | st.sampled_from([0, 1, 125, 126, 1 << 16, 1 << 20, 1 << 31, (1 << 63) - 1]),
)
"""Frames that break the rules of the protocol below, and some that do not."""
