"""A WebSocket peer that may break every rule: frames as bytes, on a blocking socket."""

import base64
import json
import os
import socket
import struct
from typing import Any

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
PATIENCE_S = 60.0
"""How long an answer may take, on a machine that has other things to do."""


AT_ONCE = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing throws away what was not sent, as a crash does."""


class Gone(Exception):
    """The server closed the connection. `code` is that of its close frame; None: there was none."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


def frame(
    payload: bytes,
    opcode: int = TEXT,
    *,
    last: bool = True,
    reserved: int = 0,
    masked: bool = True,
    length: int | None = None,
) -> bytes:
    """A frame as a client sends it; `length` may lie."""
    size = len(payload) if length is None else length
    first = (0x80 if last else 0) | reserved << 4 | opcode
    flag = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, flag | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, flag | 126, size)
    else:
        head = struct.pack("!BBQ", first, flag | 127, size)
    return head + (b"\0\0\0\0" if masked else b"") + payload


def handshake(address: tuple[str, int], path: str, key: str) -> bytes:
    """The request for an upgrade."""
    host = f"{address[0]}:{address[1]}"
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Extensions: permessage-deflate",
        f"api-key: {key}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Peer:
    """One connection."""

    def __init__(
        self, address: tuple[str, int], path: str, key: str, *, early: bytes = b""
    ) -> None:
        self._socket = socket.create_connection(address, timeout=PATIENCE_S)
        self._buffer = b""
        self._socket.sendall(handshake(address, path, key) + early)
        while b"\r\n\r\n" not in self._buffer:
            self._buffer += self._received()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection without a word."""
        self._socket.close()

    def vanish(self) -> None:
        """Ends the connection as a crash does."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Writes bytes.

        Raises:
            Gone: The server has closed the connection.
        """
        try:
            self._socket.sendall(data)
        except OSError:
            self.drain()

    def send_nowait(self, data: bytes) -> int:
        """Writes what goes in without waiting; how many bytes. All, when nobody listens."""
        self._socket.setblocking(False)
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except ConnectionError:
            return len(data)
        finally:
            self._socket.settimeout(PATIENCE_S)

    def say(self, kind: str, payload: Any) -> None:
        """Sends a message as apps do."""
        self.send(frame(envelope(kind, json.dumps(payload).encode())))

    def receive(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload.

        Raises:
            Gone: It closes the connection.
        """
        first, size = self._exactly(2)
        assert not size & 0x80, "a server masks nothing"
        if size == 126:
            (size,) = struct.unpack("!H", self._exactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._exactly(8))
        payload = self._exactly(size)
        if first & 0x0F == CLOSE:
            raise Gone(struct.unpack("!H", payload[:2])[0] if payload else None)
        return first & 0x0F, payload

    def message(self) -> tuple[str, Any]:
        """The next message to an app: its type and payload."""
        while True:
            opcode, payload = self.receive()
            if opcode == BINARY:
                opened = json.loads(payload)
                return opened["type"], json.loads(base64.b64decode(opened["data"]))

    def until(self, kind: str) -> Any:
        """The payload of the next message of this type; skips all before it."""
        while True:
            told, payload = self.message()
            if told == kind:
                return payload

    def fence(self) -> None:
        """Returns when the server has dealt with everything that was sent."""
        self.say("setSocketEventSubscriptions", {"event": f"fence{os.urandom(4).hex()}"})
        self.until("socketEventSubscriptionsUpdated")
        self.say("setSocketEventSubscriptions", {"reset": True})
        self.until("socketEventSubscriptionsUpdated")

    def drain(self) -> None:
        """Reads to the end.

        Raises:
            Gone: Always, with the code.
        """
        while True:
            self.receive()

    def skip(self) -> bool:
        """Throws away what has come; whether the connection is still open."""
        self._buffer = b""
        self._socket.setblocking(False)
        try:
            while self._socket.recv(1 << 20):
                pass
        except BlockingIOError:
            return True
        except ConnectionError:
            pass
        finally:
            self._socket.settimeout(PATIENCE_S)
        return False

    def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._buffer += self._received()
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _received(self) -> bytes:
        try:
            data = self._socket.recv(1 << 16)
        except ConnectionError:
            raise Gone(None) from None
        if not data:
            raise Gone(None)
        return data


def envelope(kind: str, payload: bytes) -> bytes:
    """A message as apps write it."""
    return json.dumps({"type": kind, "data": base64.b64encode(payload).decode()}).encode()
