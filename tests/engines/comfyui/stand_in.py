"""A stand-in for ComfyUI: its HTTP API, its socket, its queue, and a few of its nodes.

It follows what was observed of ComfyUI 0.3.64: the forms of answers and errors, the order of events
and to whom they go, cached nodes, interrupts, and a history that a restart forgets. With
`DREAMGRID_TEST_COMFYUI_URL` set, `test_comfyui_protocol.py` holds a real one
against the same expectations.
"""

import asyncio
import hashlib
import io
import json
import struct
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import WSMsgType, web
from PIL import Image, ImageOps

CHECKPOINTS = ["v1-5-pruned.safetensors", "flux/flux1-schnell-fp8.safetensors"]
LORAS = ["style/ink.safetensors"]
PREVIEW_SIDE_PX = 512
OBJECT_INFO: dict[str, Any] = {
    "CheckpointLoaderSimple": {"input": {"required": {"ckpt_name": [CHECKPOINTS, {}]}}},
    "LoraLoader": {"input": {"required": {"lora_name": ["COMBO", {"options": LORAS}]}}},
    "EmptyImage": {
        "input": {
            "required": {
                "width": ["INT", {"default": 512, "min": 1, "max": 16384, "step": 1}],
                "height": ["INT", {"default": 512, "min": 1, "max": 16384, "step": 1}],
            }
        }
    },
    "SaveImage": {"input": {"required": {}}, "output_node": True},
    **{
        kind: {"input": {"required": {}}}
        for kind in (
            "CLIPTextEncode",
            "EmptyLatentImage",
            "FluxGuidance",
            "EmptySD3LatentImage",
            "ImageScale",
            "KSampler",
            "LoadImage",
            "VAEDecode",
            "VAEEncode",
        )
    },
}


@dataclass
class Job:
    """A prompt in the queue.

    Attributes:
        messages: What its history will tell.
        finished: Nodes that have run for it.
    """

    prompt_id: str
    client_id: str
    graph: dict[str, Any]
    number: int = 0
    interrupted: bool = False
    messages: list[Any] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)


class NodeFailed(Exception):
    """A node raised: its type of exception and its message."""


@dataclass
class StandIn:
    """A ComfyUI in a thread of its own; use it in a `with` block.

    Attributes:
        url: Where it listens.
        graphs: Every graph that was submitted.
        interrupts: Every prompt that it was asked to interrupt.
        step_gate: Called before each step of a sampler, in the server's loop; may wait or raise.
        end_gate: Called between a prompt's last event and its entry in the history.
        failure: Exception type and message with which the next sampler fails.
        gpu_bytes: What its models take of a GPU.
        with_metadata: Sends previews in the newer form, to sockets that announced it.
        version: What it says it is.
        deaf: Tells its sockets nothing of prompts.
        asked: Set when it is asked for a history.
    """

    url: str = ""
    graphs: list[dict[str, Any]] = field(default_factory=list)
    interrupts: list[str] = field(default_factory=list)
    step_gate: Callable[[int], Any] | None = None
    end_gate: Callable[[], Any] | None = None
    failure: tuple[str, str] | None = None
    gpu_bytes: int = 0
    with_metadata: bool = True
    version: str = "0.3.64"
    deaf: bool = False
    asked: asyncio.Event | None = None
    _port: int = 0
    _inputs: dict[str, bytes] = field(default_factory=dict)
    _outputs: dict[str, bytes] = field(default_factory=dict)
    _history: dict[str, Any] = field(default_factory=dict)
    _cache: dict[str, Any] = field(default_factory=dict)
    _waiting: list[Job] = field(default_factory=list)
    _running: Job | None = None
    _sockets: dict[str, web.WebSocketResponse] = field(default_factory=dict)
    _with_flags: set[str] = field(default_factory=set)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._on_loop(self._start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def stop(self) -> None:
        """Ends it, as Ctrl-C would: sockets break, the queue and the history are forgotten."""
        self._on_loop(self._stop())

    def start_again(self) -> None:
        """Starts it anew at the same address."""
        self._on_loop(self._start())

    def hang_up(self) -> None:
        """Breaks the sockets, as a network does; its work goes on."""
        self._on_loop(self._hang_up())

    def interrupt_all(self) -> None:
        """Stops what runs, as the button in ComfyUI's window does."""

        async def stop() -> None:
            if self._running:
                self._running.interrupted = True

        self._on_loop(stop())

    def event(self) -> asyncio.Event:
        """An event of its loop."""
        return asyncio.Event()

    def release(self, event: asyncio.Event) -> None:
        """Sets an event of its loop."""
        self._loop.call_soon_threadsafe(event.set)

    def queue_up(self, job: Job) -> None:
        """Puts somebody else's work in front."""

        async def put() -> None:
            self._waiting.append(job)
            self._wake.set()

        self._on_loop(put())

    def _on_loop(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _start(self) -> None:
        app = web.Application(client_max_size=2**27)
        app.add_routes(
            [
                web.get("/ws", self._socket),
                web.get("/object_info", self._nodes),
                web.get("/system_stats", self._system),
                web.get("/queue", self._queue),
                web.post("/queue", self._delete),
                web.post("/prompt", self._prompt),
                web.post("/interrupt", self._interrupt),
                web.get("/history/{id}", self._past),
                web.post("/upload/image", self._upload),
                web.get("/view", self._view),
                web.post("/free", self._free),
            ]
        )
        self._wake = asyncio.Event()
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._worker = asyncio.create_task(self._work())

    async def _stop(self) -> None:
        if self._worker.cancelled():
            return
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)
        await self._hang_up()
        self._waiting.clear()
        self._history.clear()
        self._cache.clear()
        self._running = None
        await self._runner.cleanup()

    async def _hang_up(self) -> None:
        for socket in list(self._sockets.values()):
            await socket.close()
        self._sockets.clear()

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client = request.query["clientId"] or uuid.uuid4().hex
        self._sockets[client] = socket
        await socket.send_json({"type": "status", "data": self._status() | {"sid": client}})
        async for message in socket:
            if message.type is WSMsgType.TEXT and "supports_preview_metadata" in message.data:
                self._with_flags.add(client)
                flags = {"supports_preview_metadata": True, "max_upload_size": 104857600}
                await socket.send_json({"type": "feature_flags", "data": flags})
        if self._sockets.get(client) is socket:
            del self._sockets[client]
        return socket

    def _status(self) -> dict[str, Any]:
        remaining = len(self._waiting) + (self._running is not None)
        return {"status": {"exec_info": {"queue_remaining": remaining}}}

    async def _tell_all(self) -> None:
        """The length of the queue, which every socket hears."""
        for socket in list(self._sockets.values()):
            await _send(socket, {"type": "status", "data": self._status()})

    async def _nodes(self, _: web.Request) -> web.Response:
        return web.json_response(OBJECT_INFO)

    async def _system(self, _: web.Request) -> web.Response:
        system = {"os": "posix", "comfyui_version": self.version, "pytorch_version": "2.13.0+cpu"}
        device = {"name": "cuda:0", "type": "cuda", "torch_vram_total": self.gpu_bytes}
        return web.json_response({"system": system, "devices": [device]})

    async def _queue(self, _: web.Request) -> web.Response:
        def entry(job: Job) -> list[Any]:
            about = {"client_id": job.client_id}
            return [job.number, job.prompt_id, job.graph, about, _outputs_of(job.graph)]

        running = [entry(self._running)] if self._running else []
        pending = [entry(job) for job in self._waiting]
        return web.json_response({"queue_running": running, "queue_pending": pending})

    async def _delete(self, request: web.Request) -> web.Response:
        gone = (await request.json())["delete"]
        self._waiting = [job for job in self._waiting if job.prompt_id not in gone]
        await self._tell_all()
        return web.Response()

    async def _interrupt(self, request: web.Request) -> web.Response:
        asked = (await request.json()).get("prompt_id")
        self.interrupts.append(asked)
        if self._running and asked in (None, self._running.prompt_id):
            self._running.interrupted = True
        return web.Response()

    async def _prompt(self, request: web.Request) -> web.Response:
        asked = await request.json()
        graph = asked["prompt"]
        refused = _refusal(graph)
        if refused is not None:
            return web.json_response(refused, status=400)
        self.graphs.append(graph)
        job = Job(asked["prompt_id"], asked["client_id"], graph, number=len(self.graphs))
        self._waiting.append(job)
        await self._tell_all()
        self._wake.set()
        made = {"prompt_id": job.prompt_id, "number": job.number, "node_errors": {}}
        return web.json_response(made)

    async def _past(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["id"]
        if self.asked is not None:
            self.asked.set()
        known = prompt_id in self._history
        return web.json_response({prompt_id: self._history[prompt_id]} if known else {})

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        image = form.get("image")
        if not isinstance(image, web.FileField):
            return web.Response(status=400)
        name, subfolder = image.filename, str(form.get("subfolder", ""))
        self._inputs[f"{subfolder}/{name}"] = image.file.read()
        return web.json_response({"name": name, "subfolder": subfolder, "type": "input"})

    async def _view(self, request: web.Request) -> web.Response:
        data = self._outputs.get(request.query["filename"])
        return web.Response(body=data) if data else web.Response(status=404)

    async def _free(self, request: web.Request) -> web.Response:
        if (await request.json()).get("unload_models"):
            self.gpu_bytes = 0
        return web.Response(status=200)

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            job = self._running = self._waiting.pop(0)
            await self._tell_all()
            entry = await self._execute(job)
            if self.end_gate is not None:
                await self.end_gate()
            self._history[job.prompt_id] = entry
            self._running = None
            await self._tell_all()
            await self._tell(job, "executing", node=None)

    async def _tell(self, job: Job, kind: str, **data: Any) -> None:
        told = {"prompt_id": job.prompt_id} | data
        if kind.startswith("execution_"):
            job.messages.append([kind, told])
        socket = self._sockets.get(job.client_id)
        if socket is not None and not self.deaf:
            await _send(socket, {"type": kind, "data": told})

    async def _execute(self, job: Job) -> dict[str, Any]:
        """Runs a prompt; returns what its history will be."""
        entry: dict[str, Any] = {
            "prompt": [job.number, job.prompt_id, job.graph, {}, _outputs_of(job.graph)],
            "outputs": {},
            "status": {"status_str": "error", "completed": False, "messages": job.messages},
            "meta": {},
        }
        await self._tell(job, "execution_start")
        keys = {name: _key(job.graph, name) for name in job.graph}
        cached = [name for name in job.graph if keys[name] in self._cache]
        await self._tell(job, "execution_cached", nodes=cached)
        made: dict[str, Any] = {name: self._cache[keys[name]] for name in cached}
        try:
            for name in _in_order(job.graph):
                if name not in cached:
                    await self._run_node(job, name, made)
                    self._cache[keys[name]] = made[name]
                if job.graph[name]["class_type"] == "SaveImage":
                    entry["outputs"][name] = made[name]
                    node = {"node_id": name, "display_node": name, "real_node_id": name}
                    entry["meta"][name] = node | {"parent_node": None}
                    await self._tell(
                        job, "executed", node=name, display_node=name, output=made[name]
                    )
            entry["status"] |= {"status_str": "success", "completed": True}
            await self._tell(job, "execution_success")
        except InterruptedError as error:
            await self._tell(job, "execution_interrupted", **_where(job, str(error)))
        except NodeFailed as error:
            node, kind, message = error.args
            about = {"exception_type": kind, "exception_message": f"{message}\n"}
            about |= {"traceback": [], "current_inputs": {}, "current_outputs": []}
            await self._tell(job, "execution_error", **_where(job, node), **about)
        return entry

    async def _run_node(self, job: Job, name: str, made: dict[str, Any]) -> None:
        await self._tell(job, "progress_state", nodes=_state(name, 0, 1, "running"))
        await self._tell(job, "executing", node=name, display_node=name)
        kind, inputs = job.graph[name]["class_type"], job.graph[name]["inputs"]
        given = {key: made[value[0]] for key, value in inputs.items() if isinstance(value, list)}
        if kind == "KSampler":
            await self._sample(job, name, inputs["steps"])
            made[name] = given.get("latent_image")
        elif kind in {"EmptyImage", "EmptyLatentImage", "EmptySD3LatentImage"}:
            made[name] = Image.new("RGB", (inputs["width"], inputs["height"]), "blue")
        elif kind == "LoadImage":
            made[name] = Image.open(io.BytesIO(self._inputs[inputs["image"]])).convert("RGB")
        elif kind == "ImageScale":
            made[name] = given["image"].resize((inputs["width"], inputs["height"]))
        elif kind == "SaveImage":
            made[name] = {"images": [self._saved(given["images"])]}
        else:
            made[name] = next((one for one in given.values() if one is not None), None)
        job.finished.append(name)
        await self._tell(job, "progress_state", nodes=_state(name, 1, 1, "finished"))

    def _saved(self, picture: Image.Image) -> dict[str, str]:
        out = io.BytesIO()
        picture.save(out, "PNG")
        name = f"picture_{len(self._outputs) + 1:05}_.png"
        self._outputs[name] = out.getvalue()
        return {"filename": name, "subfolder": "dreamgrid", "type": "output"}

    async def _sample(self, job: Job, node: str, steps: int) -> None:
        for step in range(1, steps + 1):
            await asyncio.sleep(0)  # a sampler runs beside the server, which hears of interrupts
            if self.step_gate is not None:
                await self.step_gate(step)
            if job.interrupted:
                raise InterruptedError(node)
            if self.failure is not None:
                failure, self.failure = self.failure, None
                raise NodeFailed(node, *failure)
            await self._tell(job, "progress_state", nodes=_state(node, step, steps, "running"))
            await self._preview(job, node)
            await self._tell(job, "progress", value=step, max=steps, node=node)

    async def _preview(self, job: Job, node: str) -> None:
        socket = self._sockets.get(job.client_id)
        if socket is None or socket.closed:
            return
        out = io.BytesIO()
        side = (PREVIEW_SIDE_PX, PREVIEW_SIDE_PX)
        ImageOps.contain(Image.new("RGB", (128, 64), "green"), side).save(out, "JPEG", quality=95)
        if self.with_metadata and job.client_id in self._with_flags:
            ids: dict[str, Any] = {
                "node_id": node,
                "prompt_id": job.prompt_id,
                "display_node_id": node,
            }
            ids |= {"parent_node_id": None, "real_node_id": node, "image_type": "image/jpeg"}
            about = json.dumps(ids).encode()
            head = struct.pack(">II", 4, len(about)) + about
        else:
            head = struct.pack(">II", 1, 1)
        await socket.send_bytes(head + out.getvalue())


async def _send(socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
    if not socket.closed:
        await socket.send_json(message)


def _where(job: Job, node: str) -> dict[str, Any]:
    kind = job.graph[node]["class_type"]
    return {"node_id": node, "node_type": kind, "executed": job.finished}


def _state(node: str, value: int, count: int, state: str) -> dict[str, Any]:
    return {node: {"value": value, "max": count, "state": state, "node_id": node}}


def _outputs_of(graph: dict[str, Any]) -> list[str]:
    return [name for name, node in graph.items() if node["class_type"] == "SaveImage"]


def _sources(graph: dict[str, Any], name: str) -> Iterator[str]:
    for value in graph[name]["inputs"].values():
        if isinstance(value, list):
            yield value[0]


def _in_order(graph: dict[str, Any]) -> list[str]:
    """What the outputs need, each node after those that it reads."""
    order: list[str] = []

    def visit(name: str) -> None:
        for source in _sources(graph, name):
            visit(source)
        if name not in order:
            order.append(name)

    for name in _outputs_of(graph):
        visit(name)
    return order


def _key(graph: dict[str, Any], name: str) -> str:
    """The same for nodes with the same inputs, all the way up."""
    above = [_key(graph, source) for source in _sources(graph, name)]
    own = {
        key: value for key, value in graph[name]["inputs"].items() if not isinstance(value, list)
    }
    text = json.dumps([graph[name]["class_type"], own, above], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _refusal(graph: dict[str, Any]) -> dict[str, Any] | None:
    """What is answered to a graph that cannot run; None: it can."""
    for name, node in graph.items():
        if node["class_type"] not in OBJECT_INFO:
            said = f"Cannot execute because node {node['class_type']} does not exist."
            return _answer("invalid_prompt", said, {}, f"Node ID '#{name}'")
    if not _outputs_of(graph):
        return _answer("prompt_no_outputs", "Prompt has no outputs", {})
    errors = {}
    for name in _in_order(graph):
        found = list(_faults(graph[name]))
        if found:
            errors[name] = {
                "errors": found,
                "dependent_outputs": _outputs_of(graph),
                "class_type": graph[name]["class_type"],
            }
    if errors:
        said = "Prompt outputs failed validation"
        return _answer("prompt_outputs_failed_validation", said, errors)
    return None


def _faults(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    described = OBJECT_INFO[node["class_type"]]["input"]["required"]
    for name, (kind, *rest) in described.items():
        value, extra = node["inputs"].get(name), rest[0] if rest else {}
        about = {"input_name": name, "input_config": [kind, extra], "received_value": value}
        values = kind if isinstance(kind, list) else extra.get("options")
        if values is not None and value not in values:
            details = f"{name}: '{value}' not in {values}"
            yield _fault("value_not_in_list", "Value not in list", details, about)
        elif "max" in extra and value > extra["max"]:
            said = f"Value {value} bigger than max of {extra['max']}"
            yield _fault("value_bigger_than_max", said, name, about)


def _fault(kind: str, said: str, details: str, about: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "message": said, "details": details, "extra_info": about}


def _answer(kind: str, message: str, node_errors: object, details: str = "") -> dict[str, Any]:
    error = {"type": kind, "message": message, "details": details, "extra_info": {}}
    return {"error": error, "node_errors": node_errors}
