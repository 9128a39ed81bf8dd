"""A stand-in for ComfyUI: its HTTP API, its socket, its queue, and a few of its nodes.

It follows what was observed of ComfyUI 0.3.64: the forms of answers and errors, the order of events
and to whom they go, cached prompts, interrupts, and a history that a restart forgets. With
`DREAMGRID_TEST_COMFYUI_URL` set, the tests that need no failures run against a real one as well.
"""

import asyncio
import io
import json
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import WSMsgType, web
from PIL import Image

CHECKPOINTS = ["v1-5-pruned.safetensors", "flux/flux1-schnell-fp8.safetensors"]
LORAS = ["style/ink.safetensors"]
OBJECT_INFO: dict[str, Any] = {
    "CheckpointLoaderSimple": {"input": {"required": {"ckpt_name": [CHECKPOINTS]}}},
    "LoraLoader": {"input": {"required": {"lora_name": ["COMBO", {"options": LORAS}]}}},
    "EmptyImage": {"input": {"required": {"width": ["INT", {}], "height": ["INT", {}]}}},
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
            "SaveImage",
            "VAEDecode",
            "VAEEncode",
        )
    },
}


@dataclass
class Job:
    """A prompt in the queue."""

    prompt_id: str
    client_id: str
    graph: dict[str, Any]
    interrupted: bool = False


@dataclass
class StandIn:
    """A ComfyUI in a thread of its own; use it in a `with` block.

    Attributes:
        url: Where it listens.
        graphs: Every graph that was submitted.
        step_gate: Called before each step of a sampler, in the server's loop; may wait or raise.
        failure: Exception type and message with which the next sampler fails.
        gpu_bytes: What its models take of a GPU.
        with_metadata: Sends previews in the newer form, to sockets that announced it.
    """

    url: str = ""
    graphs: list[dict[str, Any]] = field(default_factory=list)
    step_gate: Callable[[int], Any] | None = None
    failure: tuple[str, str] | None = None
    gpu_bytes: int = 0
    with_metadata: bool = True
    _port: int = 0
    _inputs: dict[str, bytes] = field(default_factory=dict)
    _outputs: dict[str, bytes] = field(default_factory=dict)
    _history: dict[str, Any] = field(default_factory=dict)
    _waiting: list[Job] = field(default_factory=list)
    _running: Job | None = None
    _sockets: dict[str, web.WebSocketResponse] = field(default_factory=dict)

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
                web.get("/queue", self._queue),
                web.post("/queue", self._delete),
                web.post("/prompt", self._prompt),
                web.post("/interrupt", self._interrupt),
                web.get("/history/{id}", self._past),
                web.post("/upload/image", self._upload),
                web.get("/view", self._view),
                web.get("/system_stats", self._stats),
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
        for socket in list(self._sockets.values()):
            await socket.close()
        self._sockets.clear()
        self._waiting.clear()
        self._history.clear()
        self._running = None
        await self._runner.cleanup()

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client = request.query["clientId"]
        self._sockets[client] = socket
        await socket.send_json(
            {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}}}
        )
        async for message in socket:
            if message.type is WSMsgType.TEXT and "supports_preview_metadata" in message.data:
                await socket.send_json({"type": "feature_flags", "data": {}})
        if self._sockets.get(client) is socket:
            del self._sockets[client]
        return socket

    async def _nodes(self, _: web.Request) -> web.Response:
        return web.json_response(OBJECT_INFO)

    async def _queue(self, _: web.Request) -> web.Response:
        def entry(job: Job) -> list[Any]:
            return [0, job.prompt_id, job.graph, {}, []]

        running = [entry(self._running)] if self._running else []
        pending = [entry(job) for job in self._waiting]
        return web.json_response({"queue_running": running, "queue_pending": pending})

    async def _delete(self, request: web.Request) -> web.Response:
        gone = (await request.json())["delete"]
        self._waiting = [job for job in self._waiting if job.prompt_id not in gone]
        return web.Response()

    async def _interrupt(self, request: web.Request) -> web.Response:
        asked = (await request.json()).get("prompt_id")
        if self._running and self._running.prompt_id == asked:
            self._running.interrupted = True
        return web.Response()

    async def _prompt(self, request: web.Request) -> web.Response:
        asked = await request.json()
        graph = asked["prompt"]
        for name, node in graph.items():
            if node["class_type"] not in OBJECT_INFO:
                return _refusal("invalid_prompt", f"no node {node['class_type']}", {})
            checkpoint = node["inputs"].get("ckpt_name")
            if checkpoint is not None and checkpoint not in CHECKPOINTS:
                found = {"type": "value_not_in_list", "message": "Value not in list"}
                errors = {name: {"errors": [found | {"details": f"ckpt_name: '{checkpoint}'"}]}}
                return _refusal("prompt_outputs_failed_validation", "failed", errors)
        self.graphs.append(graph)
        self._waiting.append(Job(asked["prompt_id"], asked["client_id"], graph))
        self._wake.set()
        return web.json_response({"prompt_id": asked["prompt_id"], "number": 1, "node_errors": {}})

    async def _past(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["id"]
        known = prompt_id in self._history
        return web.json_response({prompt_id: self._history[prompt_id]} if known else {})

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        image = form["image"]
        assert isinstance(image, web.FileField)
        name, subfolder = image.filename, str(form["subfolder"])
        self._inputs[f"{subfolder}/{name}"] = image.file.read()
        return web.json_response({"name": name, "subfolder": subfolder, "type": "input"})

    async def _view(self, request: web.Request) -> web.Response:
        data = self._outputs.get(request.query["filename"])
        return web.Response(body=data) if data else web.Response(status=404)

    async def _stats(self, _: web.Request) -> web.Response:
        device = {"name": "cuda:0", "type": "cuda", "torch_vram_total": self.gpu_bytes}
        return web.json_response({"devices": [device]})

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
            await self._execute(job)
            self._running = None

    async def _tell(self, job: Job, kind: str, **data: Any) -> None:
        socket = self._sockets.get(job.client_id)
        if socket is not None and not socket.closed:
            await socket.send_json({"type": kind, "data": {"prompt_id": job.prompt_id} | data})

    async def _execute(self, job: Job) -> None:
        await self._tell(job, "execution_start")
        await self._tell(job, "execution_cached", nodes=[])
        entry: dict[str, Any] = {"outputs": {}, "status": {"status_str": "error"}}
        try:
            picture = Image.new("RGB", (8, 8))
            for name, node in job.graph.items():
                await self._tell(job, "executing", node=name)
                kind, inputs = node["class_type"], node["inputs"]
                if kind == "KSampler":
                    await self._sample(job, name, inputs["steps"])
                elif kind in {"EmptyImage", "EmptyLatentImage", "EmptySD3LatentImage"}:
                    picture = Image.new("RGB", (inputs["width"], inputs["height"]), "blue")
                elif kind == "LoadImage":
                    picture = Image.open(io.BytesIO(self._inputs[inputs["image"]])).convert("RGB")
                elif kind == "ImageScale":
                    picture = picture.resize((inputs["width"], inputs["height"]))
                elif kind == "SaveImage":
                    entry["outputs"][name] = {"images": [self._saved(job, picture)]}
            entry["status"] = {"status_str": "success", "completed": True}
            self._history[job.prompt_id] = entry
            await self._tell(job, "execution_success")
            await self._tell(job, "executing", node=None)
        except InterruptedError:
            self._history[job.prompt_id] = entry
            await self._tell(job, "execution_interrupted", node_type="KSampler", executed=[])
        except RuntimeError as error:
            self._history[job.prompt_id] = entry
            kind, message = error.args
            await self._tell(
                job,
                "execution_error",
                node_id="sampler",
                node_type="KSampler",
                exception_type=kind,
                exception_message=message,
            )

    def _saved(self, job: Job, picture: Image.Image) -> dict[str, str]:
        out = io.BytesIO()
        picture.save(out, "PNG")
        name = f"{job.prompt_id}.png"
        self._outputs[name] = out.getvalue()
        return {"filename": name, "subfolder": "", "type": "output"}

    async def _sample(self, job: Job, node: str, steps: int) -> None:
        for step in range(1, steps + 1):
            await asyncio.sleep(0)  # a sampler runs beside the server, which hears of interrupts
            if self.step_gate is not None:
                await self.step_gate(step)
            if job.interrupted:
                raise InterruptedError
            if self.failure is not None:
                failure, self.failure = self.failure, None
                raise RuntimeError(*failure)
            await self._preview(job, node)
            await self._tell(job, "progress", value=step, max=steps, node=node)

    async def _preview(self, job: Job, node: str) -> None:
        socket = self._sockets.get(job.client_id)
        if socket is None or socket.closed:
            return
        out = io.BytesIO()
        Image.new("RGB", (1024, 512), "green").save(out, "PNG")
        if self.with_metadata:
            about = json.dumps({"node_id": node, "prompt_id": job.prompt_id}).encode()
            head = struct.pack(">II", 4, len(about)) + about
        else:
            head = struct.pack(">II", 1, 2)
        await socket.send_bytes(head + out.getvalue())


def _refusal(kind: str, message: str, node_errors: object) -> web.Response:
    error = {"type": kind, "message": message, "details": "", "extra_info": {}}
    return web.json_response({"error": error, "node_errors": node_errors}, status=400)
