"""What goes into the codec comes out of it, and nothing from outside breaks it."""

import base64
import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dreamgrid.errors import ProtocolError
from dreamgrid.protocol import (
    codec,
    job_request,
    rest,
    rest_catalog,
    rest_estimates,
    rest_projects,
    socket,
    worker,
)
from dreamgrid.protocol.codec import Envelope, Message
from tests.support.strategies import json_values, structs


def messages_of(module: Any) -> list[type[Message]]:
    """Every message that a module defines."""
    return [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, Message)
        and kind is not Message
        and kind.__module__ == module.__name__
    ]


MESSAGES = [*messages_of(socket), *messages_of(job_request)]
FROM_WORKERS = worker.WorkerMessage.__subclasses__()
FROM_THE_SERVER = worker.ServerMessage.__subclasses__()
BODIES = [
    rest.Me,
    rest.Balances,
    rest.KeyList,
    rest.NewKey,
    rest.Grant,
    rest_catalog.LoraList,
    rest_catalog.PersonalLoras,
    rest_projects.JobList,
    rest_estimates.Estimate,
    rest.ProjectAnswer,
    rest.ProjectSync,
    rest.SizePreset,
    rest.ModelEntry,
    socket.SubscriptionChange,
]

PAYLOADS: list[type[Any]] = [*MESSAGES, socket.SubscriptionChange, str]

DEEP = b"[" * 100_000
"""Nested deeper than any reader follows."""


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_a_message_of_the_app_socket_comes_out_as_it_went_in(
    kind: type[Message], data: st.DataObject
) -> None:
    message = data.draw(structs(kind))
    envelope = codec.open_envelope(codec.encode(message))
    assert envelope.type == kind.message_type
    assert codec.decode_payload(envelope, kind) == message


@pytest.mark.parametrize("kind", FROM_WORKERS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_a_message_of_a_worker_comes_out_as_it_went_in(
    kind: type[worker.WorkerMessage], data: st.DataObject
) -> None:
    message = data.draw(structs(kind))
    assert codec.decode_from_worker(codec.encode_worker(message)) == message


@pytest.mark.parametrize("kind", FROM_THE_SERVER, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_a_message_to_a_worker_comes_out_as_it_went_in(
    kind: type[worker.ServerMessage], data: st.DataObject
) -> None:
    message = data.draw(structs(kind))
    assert codec.decode_from_server(codec.encode_worker(message)) == message


@pytest.mark.parametrize("kind", BODIES, ids=lambda kind: kind.__name__)
@settings(max_examples=10)  # some are large
@given(data=st.data())
def test_a_body_comes_out_as_it_went_in(kind: type[Any], data: st.DataObject) -> None:
    body = data.draw(structs(kind))
    assert msgspec.json.decode(msgspec.json.encode(body), type=kind) == body


def test_every_message_of_the_worker_protocol_can_be_decoded() -> None:
    assert set(FROM_WORKERS) == set(worker.AnyWorkerMessage.__args__)
    assert set(FROM_THE_SERVER) == set(worker.AnyServerMessage.__args__)


@given(structs(socket.Toast))
def test_an_envelope_is_a_type_and_the_standard_base64_of_json(message: socket.Toast) -> None:
    envelope = json.loads(codec.encode(message))
    assert list(envelope) == ["type", "data"]
    payload = json.loads(base64.b64decode(envelope["data"], validate=True))
    assert payload["message"] == message.message


@given(json_values)
def test_an_envelope_carries_any_json_value(value: Any) -> None:
    envelope = codec.open_envelope(codec.encode_raw("swarmModels", value))
    assert json.loads(envelope.data) == value


def test_both_kinds_of_frame_are_opened() -> None:
    frame = codec.encode_raw("changeNetwork", "fast")
    assert codec.open_envelope(frame) == codec.open_envelope(frame.decode())


# ── bad input ────────────────────────────────────────────────────────────────────────────────────


def read_everywhere(frame: bytes | str) -> None:
    """Hands a frame to every decoder; each either reads it or says ProtocolError."""
    for decode in (codec.decode_from_worker, codec.decode_from_server):
        with contextlib.suppress(ProtocolError):
            decode(frame)
    with contextlib.suppress(ProtocolError):
        read_payload(codec.open_envelope(frame).data)


def read_payload(data: bytes) -> None:
    """Hands a payload to every message type; each either reads it or says ProtocolError."""
    envelope = Envelope("jobRequest", data)
    for kind in PAYLOADS:
        with contextlib.suppress(ProtocolError):
            codec.decode_payload(envelope, kind)
    with contextlib.suppress(ProtocolError):
        assert job_request.project_id_of(envelope)


@given(st.binary() | st.text() | st.text(st.characters(categories=["Cs"]), min_size=1))
@example(b"")
@example(b"\xff\xfe")
@example(b"null")
@example(DEEP)
@example(b'{"type":"x","data":"","deep":' + DEEP)
@example(b'{"type":"heartbeat","deep":' + DEEP)
@example(b'{"type":"x","data":null}')
@example(b'{"type":"x","data":"===="}')
@example(b'{"type":"x","data":"e30"}')
@example(b'{"type":"x","data":"_-8="}')
@example(b'{"type":"\\ud800","data":""}')
@example(b'{"type":1,"data":""}')
def test_garbage_raises_nothing_but_a_protocol_error(frame: bytes | str) -> None:
    read_everywhere(frame)


@given(json_values)
def test_json_of_any_shape_raises_nothing_but_a_protocol_error(value: Any) -> None:
    read_everywhere(msgspec.json.encode(value))
    read_everywhere(codec.encode_raw("jobRequest", value))


@given(st.binary())
@example(DEEP)
@example(b'{"jobID":' + DEEP)
@example(b'{"jobID":"A","keyFrames":' + DEEP)
@example(b'{"jobID":"A","keyFrames":[{"modelID":"m","currentControlNetsJob":' + DEEP)
@example(b'{"jobID":"A","keyFrames":[{"modelID":"m","steps":1e999}]}')
@example(b'{"jobID":"A","keyFrames":[{"modelID":"m","steps":' + b"9" * 5000 + b"}]}")
@example(b'{"jobID":"A","keyFrames":[{"modelID":"m","guidanceScale":NaN}]}')
def test_a_garbled_payload_raises_nothing_but_a_protocol_error(data: bytes) -> None:
    read_payload(data)


STRUCTS: list[type[msgspec.Struct]] = [
    job_request.JobRequest,
    job_request.KeyFrame,
    *FROM_WORKERS,
]
FIELDS = [field.encode_name for kind in STRUCTS for field in msgspec.structs.fields(kind)]
TAGS = [kind.__struct_config__.tag for kind in (*FROM_WORKERS, *FROM_THE_SERVER)]


@given(
    st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=6),
    st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=6),
    st.sampled_from(TAGS),
)
def test_known_fields_with_wrong_values_raise_nothing_but_a_protocol_error(
    outer: dict[str, Any], frame: dict[str, Any], tag: str
) -> None:
    read_everywhere(msgspec.json.encode(outer | {"type": tag}))
    request = {"jobID": "A"} | outer | {"keyFrames": [{"modelID": "m"} | frame]}
    read_payload(msgspec.json.encode(request))


def test_the_message_of_an_error_names_the_field() -> None:
    envelope = Envelope("jobRequest", b'{"jobID":"A","keyFrames":[{"modelID":"m","width":"w"}]}')
    with pytest.raises(ProtocolError, match=r"keyFrames\[0\]\.width|keyFrames\[\.\.\.\]\.width"):
        codec.decode_payload(envelope, job_request.JobRequest)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", 2**32),
        ("seed", -1),
        ("seed", 10**40),
        ("steps", -1),
        ("steps", 2**64),
        ("size_bytes", -1),
        ("sha256", "no hash"),
        ("sha256", "A" * 10_000),
        ("render_s", -0.5),
        ("render_s", 1.7e308),
    ],
)
def test_a_worker_cannot_report_what_no_database_can_hold(field: str, value: Any) -> None:
    report = {
        "type": "finished",
        "job_id": "J",
        "attempt": 1,
        "seed": 7,
        "steps": 8,
        "sha256": "0" * 64,
        "size_bytes": 10,
        "render_s": 0.5,
    }
    codec.decode_from_worker(msgspec.json.encode(report))
    with pytest.raises(ProtocolError, match=field):
        codec.decode_from_worker(json.dumps(report | {field: value}))


def test_a_worker_cannot_say_that_a_render_takes_for_ever() -> None:
    report = {"type": "progress", "job_id": "J", "attempt": 1, "step": 1, "step_count": 2}
    codec.decode_from_worker(msgspec.json.encode(report | {"eta_s": 86_400.0}))
    with pytest.raises(ProtocolError, match="eta_s"):
        codec.decode_from_worker(msgspec.json.encode(report | {"eta_s": 1.7e308}))


@pytest.mark.parametrize("field", ["step", "step_count", "eta_s"])
def test_a_worker_cannot_report_negative_progress(field: str) -> None:
    report = {"type": "progress", "job_id": "J", "attempt": 1, "step": 1, "step_count": 2}
    with pytest.raises(ProtocolError, match=field):
        codec.decode_from_worker(msgspec.json.encode(report | {field: -1}))


@pytest.mark.parametrize(
    ("kind", "field", "most", "beyond"),
    [
        ("heartbeat", "kept", ["x" * 200] * 100, ["x" * 201]),
        ("heartbeat", "kept", ["m"] * 100, ["m"] * 101),
        ("draining", "reason", "x" * 500, "x" * 501),
    ],
)
def test_what_a_worker_says_of_itself_has_a_length(
    kind: str, field: str, most: Any, beyond: Any
) -> None:
    codec.decode_from_worker(json.dumps({"type": kind, field: most}))
    with pytest.raises(ProtocolError, match=field):
        codec.decode_from_worker(json.dumps({"type": kind, field: beyond}))
