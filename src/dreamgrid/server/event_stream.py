"""Server-sent events (WHATWG HTML, 9.2): what their stream is called, and what travels in it."""

import msgspec

EVENT_STREAM = "text/event-stream"

STILL_HERE = b": nothing new\n\n"
"""Says nothing to the client; a proxy between sees that the stream is alive."""

_json = msgspec.json.Encoder()


def framed(name: str, data: msgspec.Struct, *, number: int | None = None) -> bytes:
    """One event.

    Args:
        name: What kind it is.
        data: What it tells.
        number: What a client that comes back calls it by. None: nobody comes back for it.
    """
    identity = b"" if number is None else f"id: {number}\n".encode()
    return identity + f"event: {name}\ndata: ".encode() + _json.encode(data) + b"\n\n"
