"""A hub of weights on a real port, with the two addresses that downloads need, and bad manners.

Like the real one it sends large files through another address, which takes no password, and
compresses its own answers for whoever takes that.
"""

import gzip
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

REPOSITORY = "stabilityai/sdxl-turbo"
COMMIT = "0123456789abcdef0123456789abcdef01234567"

PARTS = {
    "_class_name": "StableDiffusionXLPipeline",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "safety_checker": ["stable_diffusion", "Checker"],
    "image_encoder": [None, None],
    "force_zeros_for_empty_prompt": True,
}
LARGE = bytes(range(256)) * 1200
FILES = {
    "model_index.json": json.dumps(PARTS).encode(),
    "README.md": b"not needed",
    "unet/config.json": b"{}",
    "unet/diffusion_pytorch_model.safetensors": LARGE * 2,
    "unet/diffusion_pytorch_model.fp16.safetensors": LARGE,
    "text_encoder/model.safetensors": b"text" * 1000,
    "text_encoder/pytorch_model.bin": b"a pickle",
    "text_encoder/config.json": b"{}",
    "scheduler/scheduler_config.json": b"",
    "safety_checker/model.safetensors": b"not needed",
    "sd_xl_turbo_1.0.safetensors": b"not needed",
}


class Hub:
    """The hub.

    Attributes:
        url: Its address.
        files: What the repository holds; tests may change it.
        breaks_after: Bytes after which an answer about weights breaks off; one entry an answer.
        damages: How many answers about weights have a wrong byte.
        status: Answer everything with this; 0: do not.
        ignores_ranges: Send files from their beginning, whatever was asked for.
        asked: `path` and `Range` of every request for a file's bytes.
        passwords: The `Authorization` of every request, by the address that got it.
        stopped_at: Set when an answer has broken off.
    """

    def __init__(self) -> None:
        self.url = ""
        self.files = dict(FILES)
        self.breaks_after: list[int] = []
        self.damages = 0
        self.status = 0
        self.ignores_ranges = False
        self.asked: list[tuple[str, str]] = []
        self.passwords: Counter[tuple[str, str]] = Counter()
        self.stopped = threading.Event()
        self.holds = threading.Event()
        self.holds.set()

    @contextmanager
    def running(self) -> Iterator["Hub"]:
        with _served(_Front, self) as front, _served(_Store, self) as store:
            self.url, self.store = front, store
            try:
                yield self
            finally:
                self.holds.set()

    def about(self) -> bytes:
        """What the hub says of the repository."""
        siblings = []
        for name, data in self.files.items():
            entry: dict[str, object] = {"rfilename": name, "size": len(data)}
            blob = b"blob %d\0" % len(data)
            entry["blobId"] = hashlib.sha1(blob + data).hexdigest()
            if name.endswith((".safetensors", ".bin")):
                entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            siblings.append(entry)
        card = {"license": "openrail++"}
        return json.dumps({"sha": COMMIT, "siblings": siblings, "cardData": card}).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        if body and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body)
            headers["Content_Encoding"] = "gzip"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Front(_Handler):
    def do_GET(self) -> None:
        hub = self.hub
        hub.passwords["front", self.headers.get("Authorization", "")] += 1
        if hub.status:
            self.answer(hub.status)
        elif self.path == f"/api/models/{REPOSITORY}?blobs=true":
            self.answer(200, hub.about())
        elif self.path.startswith(f"/{REPOSITORY}/resolve/{COMMIT}/"):
            name = unquote(self.path.partition(f"{COMMIT}/")[2])
            if name.endswith(".safetensors"):
                self.answer(302, Location=f"{hub.store}/{name}")
            else:
                self.answer(200, hub.files[name])
        else:
            self.answer(404)


class _Store(_Handler):
    def do_GET(self) -> None:
        hub = self.hub
        name = unquote(self.path[1:])
        asked = self.headers.get("Range", "")
        hub.asked.append((name, asked))
        hub.passwords["store", self.headers.get("Authorization", "")] += 1
        whole = hub.files[name]
        data = bytearray(whole)
        if hub.damages:
            hub.damages -= 1
            data[-1] ^= 1
        begin = int(asked.removeprefix("bytes=").removesuffix("-") or 0)
        if hub.ignores_ranges:
            begin = 0
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(whole) - 1}/{len(whole)}")
        self.send_header("Content-Length", str(len(whole) - begin))
        self.end_headers()
        rest = bytes(data[begin:])
        if hub.breaks_after:
            self.wfile.write(rest[: hub.breaks_after.pop(0)])
            self.wfile.flush()
            hub.stopped.set()
            hub.holds.wait(60)
            self.close_connection = True
            return
        self.wfile.write(rest)


@contextmanager
def _served(kind: type[_Handler], hub: Hub) -> Iterator[str]:
    handler = type(kind.__name__, (kind,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
