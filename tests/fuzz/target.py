"""The server under fire: its process, log and memory, and a client that means well."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from dreamgrid.protocol.worker import WORKER_PATH
from dreamgrid.server.accounts import Accounts
from dreamgrid.server.bus.memory import MemoryBus
from dreamgrid.server.clock import system_clock
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.store.sqlite import SqliteStore
from tests.fuzz.raw import PATIENCE_S, Gone, Peer

SETTLES_WITHIN_S = 60.0

SURPRISES = ("Traceback", "made a mistake", "Exception", "never retrieved", "was destroyed")
"""What a log must not hold."""

FAIR_CODES = {1002, 1003, 1007, 1008, 1009, 1013}
"""Codes for an app that breaks the rules: all of them let it connect again (README 3.6)."""

OUTDATED_WORKER = 4400


@dataclass
class Target:
    """A running server.

    Attributes:
        key: Of the account that attacks.
        calm: Of another account.
    """

    process: "subprocess.Popen[str]"
    log: Path
    address: tuple[str, int]
    key: str
    calm: str
    _friend: Peer | None = None

    def app(self, *, early: bytes = b"", app_id: str = "") -> Peer:
        return Peer(self.address, f"/?appId={app_id}", self.key, early=early)

    def worker(self) -> Peer:
        return Peer(self.address, WORKER_PATH, self.key)

    def stands(self) -> None:
        """Passes when the server is well: it answers a friend, and its log is clean."""
        assert self.process.poll() is None, self.log.read_text()
        if self._friend is None:
            self._friend = Peer(self.address, "/?appId=friend", self.calm)
            self._friend.until("authenticated")
        self._friend.fence()
        said = self.log.read_text("utf-8", "replace")
        assert not [word for word in SURPRISES if word in said], said[-4000:]

    def welcomes(self) -> None:
        """Passes when a new client gets in."""
        self.part()
        self.stands()

    def part(self) -> None:
        """Says goodbye to the friend."""
        if self._friend is not None:
            self._friend.close()
        self._friend = None

    def tasks(self) -> dict[str, int]:
        """How many tasks the server has, by the first word of their names."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("tasks\n")
        self.process.stdin.flush()
        told: dict[str, int] = json.loads(self.process.stdout.readline())["tasks"]
        return told

    def settles(self, before: dict[str, int]) -> None:
        """Passes when the server has no more tasks than before."""
        end_s = time.monotonic() + SETTLES_WITHIN_S
        while any(count > before.get(name, 0) for name, count in self.tasks().items()):
            assert time.monotonic() < end_s, (before, self.tasks())
            self.stands()

    def memory_bytes(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)


def ending(peer: Peer, *frames: bytes) -> int | None:
    """How an offender's connection stands after some frames: None: it is served; else the code."""
    try:
        for one in frames:
            peer.send(one)
        peer.fence()
    except Gone as gone:
        return gone.code or 1006
    return None


async def _key_of_another_account(folder: Path) -> str:
    store = SqliteStore(folder / "dreamgrid.sqlite")
    await store.open()
    accounts = Accounts(ServerConfig(data_dir=folder), store, MemoryBus(), system_clock)
    account = await accounts.create("calm")
    assert account is not None
    info = await accounts.create_key(account, "calm")
    await store.close()
    assert info.key is not None
    return info.key


@contextmanager
def running_target(folder: Path, *, limited: bool = False) -> Iterator[Target]:
    """A server for some tests; `limited`: with the limits for callers that it has by default."""
    log = folder / "log"
    options = ["--limited"] if limited else []
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.serve", str(folder / "data"), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd=Path(__file__).parents[2],
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, log.read_text()
        ready: dict[str, Any] = json.loads(line)
        url = urlsplit(ready["url"])
        assert url.hostname is not None
        assert url.port is not None
        calm = asyncio.run(_key_of_another_account(folder / "data"))
        target = Target(process, log, (url.hostname, url.port), ready["key"], calm)
        yield target
        target.part()
    finally:
        process.kill()
        process.wait(PATIENCE_S)
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()
