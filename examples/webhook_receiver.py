"""Be told by the grid when a picture is ready, instead of asking: a webhook and its receiver."""

import queue
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import dreamgrid

ready: queue.Queue[dreamgrid.WebhookMessage] = queue.Queue()
seen: set[str] = set()
secret = ""


class Receiver(BaseHTTPRequestHandler):
    """Answers at once and leaves the work to somebody else."""

    def do_POST(self) -> None:
        """Takes one message."""
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            message = dreamgrid.read_webhook(secret, dict(self.headers), body)
        except dreamgrid.AuthenticationFailed:  # our grid did not send this, or long ago
            self.send_response(400)
            self.end_headers()
            return
        self.send_response(204)
        self.end_headers()
        if self.headers["webhook-id"] not in seen:  # a message may come twice
            seen.add(self.headers["webhook-id"])
            ready.put(message)

    def log_message(self, *args: object) -> None:
        """Says nothing."""


with (
    ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server,
    dreamgrid.Client() as client,
):
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/dreamgrid"
    webhook = client.webhooks.create(url, events=["job_completed"])
    secret = webhook.secret or ""  # shown this once: a real receiver keeps it
    client.projects.create(model="dreamlet-v1", prompt="a red apple")
    event = ready.get(timeout=60).data
    with urllib.request.urlopen(event.result_url or "") as answer, open("told.png", "wb") as file:
        file.write(answer.read())
    print("told.png")
    client.webhooks.delete(webhook.id)
    server.shutdown()
