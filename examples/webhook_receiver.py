"""Be told by the grid when a picture is ready, instead of asking: a webhook and its receiver."""

import base64
import hashlib
import hmac
import json
import os
import queue
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import dreamgrid

TOO_OLD_S = 5 * 60
ready: queue.Queue[dict[str, str]] = queue.Queue()
seen: set[str] = set()
secret = ""


def is_genuine(headers: dict[str, str], body: bytes) -> bool:
    """Whether our grid sent this, and not long ago."""
    message, sent = headers["webhook-id"], headers["webhook-timestamp"]
    if abs(time.time() - int(sent)) > TOO_OLD_S:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    right = hmac.digest(key, f"{message}.{sent}.".encode() + body, hashlib.sha256)
    signatures = headers["webhook-signature"].split()
    expected = "v1," + base64.b64encode(right).decode()
    return any(hmac.compare_digest(one, expected) for one in signatures)


class Receiver(BaseHTTPRequestHandler):
    """Answers at once and leaves the work to somebody else."""

    def do_POST(self) -> None:
        """Takes one message."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers["content-length"]))
        genuine = is_genuine(headers, body)
        self.send_response(204 if genuine else 400)
        self.end_headers()
        if genuine and headers["webhook-id"] not in seen:  # a message may come twice
            seen.add(headers["webhook-id"])
            ready.put(json.loads(body)["data"])

    def log_message(self, *args: object) -> None:
        """Says nothing."""


def make_webhook(url: str) -> str:
    """Asks the grid to tell us; returns the secret."""
    request = urllib.request.Request(
        os.environ["DREAMGRID_URL"] + "/v1/webhooks",
        data=json.dumps({"url": url, "events": ["job_completed"]}).encode(),
        headers={"api-key": os.environ["DREAMGRID_API_KEY"], "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return str(json.load(answer)["data"]["secret"])


with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
    Thread(target=server.serve_forever, daemon=True).start()
    secret = make_webhook(f"http://127.0.0.1:{server.server_port}/dreamgrid")
    with dreamgrid.Client() as client:
        client.projects.create(model="dreamlet-v1", prompt="a red apple")
        event = ready.get(timeout=60)
    with urllib.request.urlopen(event["resultUrl"]) as answer, open("told.png", "wb") as file:
        file.write(answer.read())
    print("told.png")
    server.shutdown()
