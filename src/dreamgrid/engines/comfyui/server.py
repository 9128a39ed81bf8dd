"""A running ComfyUI: its HTTP API, and its WebSocket as a stream of events of one prompt.

Written against ComfyUI 0.3.64. Events go to the socket whose client id submitted the prompt; those
of other prompts are dropped here, because a socket also hears the end of the prompt before.
"""

import asyncio
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from dreamgrid.engines.comfyui.workflow import Graph
from dreamgrid.errors import EngineError, ModelNotAvailable, OutOfMemory

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
SUBFOLDER = "dreamgrid"
"""Where uploaded inputs lie below ComfyUI's input folder."""

_TIMEOUT = aiohttp.ClientTimeout(total=300, sock_connect=10, sock_read=120)
_PING_S = 20.0
_FREE_LOOK_S = 0.1
_FREE_LOOKS = 30  # how often to look whether the GPU's memory was left
_PREVIEW = 1
_PREVIEW_WITH_METADATA = 4
_OUT_OF_MEMORY = ("OutOfMemoryError", "MemoryError")
_NO_MEMORY = ("allocation on device", "can't allocate memory", "not enough memory")
_ABSENT = ("FileNotFoundError",)
_NOT_OFFERED = "this worker's ComfyUI no longer offers what this model needs"
_HELLO = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}


class Gone(Exception):
    """ComfyUI does not answer, or closed the connection: it was stopped, or starts anew."""


@dataclass(frozen=True, kw_only=True)
class Began:
    """ComfyUI works at the prompt; until then it waits behind others."""


@dataclass(frozen=True, kw_only=True)
class NodeProgress:
    """A node has done `value` of `count` steps."""

    node: str
    value: int
    count: int


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The picture as it stands: an encoded JPEG or PNG."""

    data: bytes


@dataclass(frozen=True, kw_only=True)
class Ended:
    """No node runs any more, and the history tells what became of the prompt."""


Event = Began | NodeProgress | Preview | Ended


class ComfyServer:
    """One ComfyUI; use it in an `async with` block."""

    def __init__(self, url: str) -> None:
        """Takes its address, such as `http://127.0.0.1:8188`."""
        self._url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def upload(self, name: str, data: bytes) -> str:
        """Stores an input file; returns what a loader node takes for it.

        Raises:
            Gone: ComfyUI does not answer.
            EngineError: It does not take the file.
        """
        form = aiohttp.FormData()
        form.add_field("image", data, filename=name, content_type="application/octet-stream")
        form.add_field("subfolder", SUBFOLDER)
        form.add_field("overwrite", "true")
        answer = await self._call("POST", "/upload/image", data=form)
        return "/".join(part for part in (answer.get("subfolder"), answer["name"]) if part)

    async def submit(self, graph: Graph, prompt_id: str, client_id: str) -> None:
        """Puts a prompt into the queue.

        Raises:
            Gone: ComfyUI does not answer.
            ModelNotAvailable: A file or node that the workflow uses is no longer there.
            EngineError: ComfyUI refuses the workflow.
        """
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id}
        await self._call("POST", "/prompt", json=body)

    async def knows(self, prompt_id: str) -> bool:
        """Whether a prompt waits, runs or has ended; a ComfyUI that was restarted knows none.

        Raises:
            Gone: ComfyUI does not answer.
        """
        queue = await self._call("GET", "/queue")  # first: a prompt moves from here to the history
        if _is_in(queue, prompt_id, "queue_running", "queue_pending"):
            return True
        return bool(await self.history(prompt_id))

    async def history(self, prompt_id: str) -> dict[str, Any]:
        """What became of a prompt that ended; empty before.

        Raises:
            Gone: ComfyUI does not answer.
        """
        entry = (await self._call("GET", f"/history/{prompt_id}")).get(prompt_id)
        return entry if isinstance(entry, dict) else {}

    async def cancel(self, prompt_id: str) -> None:
        """Takes a prompt out of the queue, or interrupts it. Does nothing when it has ended.

        ComfyUIs of before 0.3.57 interrupt whatever runs, so it is looked at first.
        """
        with suppress(Gone, EngineError):
            await self._call("POST", "/queue", json={"delete": [prompt_id]})
            if _is_in(await self._call("GET", "/queue"), prompt_id, "queue_running"):
                await self._call("POST", "/interrupt", json={"prompt_id": prompt_id})

    async def free(self) -> None:
        """Moves models from the GPU to main memory.

        Raises:
            Gone: ComfyUI does not answer.
        """
        await self._call("POST", "/free", json={"unload_models": True})

    async def gpu_bytes(self) -> int:
        """What its models take of its GPU's memory, what it keeps for itself included.

        Raises:
            Gone: ComfyUI does not answer.
        """
        stats = await self._call("GET", "/system_stats")
        return sum(int(one.get("torch_vram_total") or 0) for one in stats.get("devices") or ())

    async def view(self, file: Mapping[str, str]) -> bytes:
        """The bytes of a file that a node wrote.

        Raises:
            Gone: ComfyUI does not answer.
            EngineError: It does not have the file any more.
        """
        query = {name: file.get(name, "") for name in ("filename", "subfolder", "type")}
        try:
            async with self._opened().get(f"{self._url}/view", params=query) as answer:
                if answer.status != 200:
                    raise EngineError(
                        "the result is missing\n"
                        f"ComfyUI answers {answer.status} for {query['filename']}"
                    )
                return await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Gone(str(error)) from error

    async def events(self, client_id: str) -> "Events":
        """Opens the socket; close it afterwards.

        Raises:
            Gone: ComfyUI does not answer.
        """
        try:
            socket = await self._opened().ws_connect(
                f"{self._url}/ws",
                params={"clientId": client_id},
                heartbeat=_PING_S,
                max_msg_size=MAX_MESSAGE_BYTES,
            )
            await socket.send_json(_HELLO)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Gone(str(error)) from error
        return Events(socket)

    def _opened(self) -> aiohttp.ClientSession:
        assert self._session is not None, "used outside its async with block"
        return self._session

    async def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            async with self._opened().request(method, self._url + path, **options) as answer:
                body = await answer.read()
                if answer.status >= 400:
                    raise _refused(answer.status, body)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Gone(str(error)) from error
        if not body:
            return {}
        try:
            return msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise EngineError(
                f"the engine gave no sensible answer\nComfyUI {path}: {error}"
            ) from error


async def leave_gpu(url: str) -> None:
    """Has a ComfyUI move its models to main memory, and waits a moment until it did."""
    async with ComfyServer(url) as server:
        with suppress(Gone, EngineError):  # one that does not answer holds nothing
            before = await server.gpu_bytes()
            await server.free()
            for _ in range(_FREE_LOOKS if before else 0):
                if await server.gpu_bytes() < before:
                    break
                await asyncio.sleep(_FREE_LOOK_S)


class Events:
    """What a socket says."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._running = ""  # the prompt that previews without an id belong to

    async def next(self, prompt_id: str, *, within_s: float) -> Event | None:
        """The next event of a prompt; None when there was none in that time.

        Raises:
            Gone: The socket was closed.
            OutOfMemory: The prompt failed for want of memory.
            ModelNotAvailable: It failed for want of a file.
            EngineError: It failed otherwise, or somebody stopped it in ComfyUI.
        """
        try:
            async with asyncio.timeout(within_s):
                while True:
                    message = await self._socket.receive()
                    if message.type is aiohttp.WSMsgType.TEXT:
                        event = self._told(message.data, prompt_id)
                    elif message.type is aiohttp.WSMsgType.BINARY:
                        event = self._shown(message.data, prompt_id)
                    else:
                        raise Gone("the socket was closed")
                    if event is not None:
                        return event
        except TimeoutError:
            return None

    async def close(self) -> None:
        """Closes the socket."""
        await self._socket.close()

    def _told(self, text: str, prompt_id: str) -> Event | None:
        message = msgspec.json.decode(text, type=dict[str, Any])
        kind, data = message.get("type"), message.get("data")
        if not isinstance(data, dict):
            return None
        if "prompt_id" in data:
            self._running = data["prompt_id"] or ""
        if data.get("prompt_id") != prompt_id:
            return None
        match kind:
            case "execution_start" | "execution_cached":
                return Began()
            case "progress":
                value, count = int(data["value"]), int(data["max"])
                return NodeProgress(node=str(data.get("node")), value=value, count=count)
            case "executing" if data.get("node") is None:
                return Ended()  # "execution_success" comes before the history knows of it
            case "execution_error" | "execution_interrupted":
                raise error_of(data)
        return None

    def _shown(self, frame: bytes, prompt_id: str) -> Event | None:
        """Source: `server.py` of ComfyUI: a big-endian event number, then what depends on it."""
        if len(frame) < 8:
            return None
        (event,) = struct.unpack_from(">I", frame)
        if event == _PREVIEW:
            return Preview(data=frame[8:]) if self._running == prompt_id else None
        if event == _PREVIEW_WITH_METADATA:
            (length,) = struct.unpack_from(">I", frame, 4)
            about = msgspec.json.decode(frame[8 : 8 + length], type=dict[str, Any])
            if about.get("prompt_id") == prompt_id:
                return Preview(data=frame[8 + length :])
        return None


def check_history(entry: Mapping[str, Any]) -> bool:
    """Whether a prompt has ended well, by its entry in the history; False: it has not ended.

    Raises:
        OutOfMemory: It failed for want of memory.
        ModelNotAvailable: It failed for want of a file.
        EngineError: It failed otherwise, or somebody stopped it in ComfyUI.
    """
    status = entry.get("status")
    if not isinstance(status, Mapping):
        return False
    for kind, data in status.get("messages") or ():
        if kind in ("execution_error", "execution_interrupted"):
            raise error_of(data)
    return status.get("completed") is True


def error_of(data: Mapping[str, Any]) -> EngineError:
    """What ended a prompt early, from the data of `execution_error` or `execution_interrupted`."""
    if "exception_type" not in data:
        return EngineError("the worker's owner stopped this job")
    kind = str(data["exception_type"]).rpartition(".")[2]
    message = str(data.get("exception_message", "")).strip()
    node = f"ComfyUI: {data.get('node_type')} (node {data.get('node_id')}): {kind}: {message}"
    if kind in _OUT_OF_MEMORY or any(words in message.lower() for words in _NO_MEMORY):
        return OutOfMemory(f"this job does not fit into the memory of this worker's GPU\n{node}")
    if kind in _ABSENT:
        return ModelNotAvailable(f"{_NOT_OFFERED}\n{node}")
    return EngineError(f"the render failed\n{node}")


def _is_in(queue: Mapping[str, Any], prompt_id: str, *places: str) -> bool:
    return any(entry[1] == prompt_id for place in places for entry in queue.get(place, ()))


def _refused(status: int, body: bytes) -> EngineError:
    """A refusal of `/prompt`, told to the worker's owner in ComfyUI's own words."""
    try:
        answer = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        return EngineError(f"the engine refused the job\nComfyUI answers {status}")
    error = answer.get("error")
    told = error if isinstance(error, dict) else {"message": error}
    said = [f"ComfyUI answers {status}: {told.get('message')} {told.get('details') or ''}".rstrip()]
    missing = told.get("type") == "invalid_prompt"  # a node class that is no longer there
    for node, described in (answer.get("node_errors") or {}).items():
        for found in described.get("errors", ()):
            missing |= found.get("type") == "value_not_in_list"
            said.append(f"node {node}: {found.get('message')}: {found.get('details')}")
    owner = "\n".join(said)
    if missing:
        return ModelNotAvailable(f"{_NOT_OFFERED}\n{owner}")
    return EngineError(f"the engine refused the job\n{owner}")
