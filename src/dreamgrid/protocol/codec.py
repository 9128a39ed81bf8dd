"""Bytes to structs and back, with the size limits of each direction.

Client side of the wire: an envelope `{"type", "data"}` whose data is base64 of JSON
(`README.md` 3.2 of the wire contract). msgspec reads and writes a `bytes` field as base64, so one
typed pass both checks the envelope and removes it. Worker side: plain tagged JSON.
"""

from typing import Any, ClassVar, TypeVar, cast

import msgspec

from dreamgrid.errors import ProtocolError
from dreamgrid.protocol import worker

MAX_CLIENT_MESSAGE_BYTES = 1024 * 1024
"""Largest message of an app; a longer one closes its connection."""

MAX_REQUEST_BYTES = 64 * 1024
"""Largest payload of a job request. One is about 3 KB; this leaves room for three long prompts."""

MAX_SERVER_MESSAGE_BYTES = 16 * 1024 * 1024
"""Largest message to an app; the first one of a connection lists the projects still running."""

MAX_WORKER_MESSAGE_BYTES = 256 * 1024


class Envelope(msgspec.Struct, frozen=True):
    """One WebSocket message between an artist client and the server."""

    type: str
    data: bytes


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything that travels inside an envelope; `message_type` is the envelope's type."""

    message_type: ClassVar[str] = ""


T = TypeVar("T")

UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What msgspec raises for bytes that it cannot read; RecursionError when they nest too deep."""

_json = msgspec.json.Encoder()
_envelope = msgspec.json.Decoder(Envelope)
_from_worker = msgspec.json.Decoder(worker.AnyWorkerMessage)
_from_server = msgspec.json.Decoder(worker.AnyServerMessage)


def encode(message: Message) -> bytes:
    """An envelope, ready to be sent as one WebSocket frame."""
    return _json.encode(Envelope(message.message_type, _json.encode(message)))


def encode_raw(message_type: str, payload: Any) -> bytes:
    """An envelope around any JSON value; for the few messages that are no object."""
    return _json.encode(Envelope(message_type, _json.encode(payload)))


def open_envelope(frame: bytes | str) -> Envelope:
    """Checks and opens an envelope; the payload stays undecoded bytes.

    Raises:
        ProtocolError: Not JSON, not an envelope, or not base64.
    """
    try:
        return _envelope.decode(frame)
    except UNREADABLE as error:
        raise ProtocolError(f"not a message envelope: {error}") from None


def decode_payload(envelope: Envelope, kind: type[T]) -> T:
    """The payload as `kind`.

    Raises:
        ProtocolError: The payload does not have that shape; the message names the field.
    """
    try:
        return msgspec.json.decode(envelope.data, type=kind)
    except UNREADABLE as error:
        raise ProtocolError(f"{envelope.type}: {error}") from None


def encode_worker(message: worker.WorkerMessage | worker.ServerMessage) -> bytes:
    """One message between worker and server, either direction."""
    return _json.encode(message)


def decode_from_worker(frame: bytes | str) -> worker.AnyWorkerMessage:
    """A message that a worker sent.

    Raises:
        ProtocolError: Not a known message, or a field is missing or wrong.
    """
    try:
        return cast(worker.AnyWorkerMessage, _from_worker.decode(frame))
    except UNREADABLE as error:
        raise ProtocolError(f"bad worker message: {error}") from None


def decode_from_server(frame: bytes | str) -> worker.AnyServerMessage:
    """A message that the server sent to a worker.

    Raises:
        ProtocolError: Not a known message, or a field is missing or wrong.
    """
    try:
        return cast(worker.AnyServerMessage, _from_server.decode(frame))
    except UNREADABLE as error:
        raise ProtocolError(f"bad server message: {error}") from None
