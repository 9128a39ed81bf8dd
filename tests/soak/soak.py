"""A server, workers and an app in processes of their own, killed at random moments under load.

Nothing here is gentle: each kill is SIGKILL. After all of them, what the app was promised is held
against the database, and the books are audited.
"""

import json
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.cli import processes

ROOT = Path(__file__).parents[2]
ENDS_WITHIN_S = 120.0
"""How long everything may take to end after the last kill, on a busy machine."""

ORPHANS_END_WITHIN_S = 20.0


@dataclass
class Recovery:
    """One start of a server after a kill: seconds until it served, and what it cost of a core."""

    wall_s: float
    cpu_s: float


class Victim:
    """A process that is started again whenever it was killed."""

    def __init__(self, name: str, start: Callable[[], "subprocess.Popen[str]"]) -> None:
        self.name = name
        self._start = start
        self.process = start()
        self.orphans: list[psutil.Process] = []

    def kill(self) -> None:
        """SIGKILL, whatever it is doing."""
        if self.process.poll() is None:
            self.orphans += psutil.Process(self.process.pid).children(recursive=True)
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def restart(self) -> None:
        self.process = self._start()


@dataclass
class Report:
    """What a soak saw."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    recoveries: list[Recovery] = field(default_factory=list)
    asked: int = 0
    accepted: int = 0
    completed: int = 0
    failed: int = 0
    jobs: int = 0
    attempts: int = 0
    lasted_s: float = 0.0
    ended_after_s: float = 0.0

    def lines(self) -> list[str]:
        """For people to read."""
        kills = ", ".join(f"{count} {name}" for name, count in sorted(self.kills.items()))
        told = [
            f"seed {self.seed}: {self.kills.total()} kills ({kills}) in {self.lasted_s:.0f} s",
            f"{self.asked} projects asked for, {self.accepted} accepted, {self.completed} "
            f"completed, {self.failed} failed; {self.jobs} jobs with {self.attempts} attempts",
            f"all had ended {self.ended_after_s:.1f} s after the last kill; the books add up",
        ]
        for name in ("wall_s", "cpu_s"):
            took = sorted(getattr(one, name) for one in self.recoveries)
            if took:
                middle = took[len(took) // 2]
                what = "until it served" if name == "wall_s" else "of one core until then"
                told.append(f"server after a kill: {middle:.2f} s {what}, at most {took[-1]:.2f} s")
        return told


class Soak:
    """One run.

    Args:
        folder: For all that the processes keep.
        seed: Decides what is killed and when.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.report = Report(seed)
        self._chance = random.Random(seed)
        self._folder = folder
        self._data = folder / "data"
        self._journal = folder / "journal.txt"
        self._stop = folder / "stop"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = str(free.getsockname()[1])
        self._errors = (folder / "errors.txt").open("a")
        self._environment: dict[str, str] = {}
        self._victims: list[Victim] = []
        self._readers: list[threading.Thread] = []

    def run(self, kills: int) -> Report:
        """Kills so often, then holds what was promised against what is there.

        Raises:
            AssertionError: Something was lost, stuck, charged twice or left behind.
        """
        began = time.monotonic()
        try:
            self._begin()
            self._wait_for_load()
            for _ in range(kills):
                time.sleep(self._chance.uniform(0.2, 1.8))
                self._strike()
            self._stop.touch()
            calm = time.monotonic()
            self._wait_for_the_app()
            self.report.ended_after_s = time.monotonic() - calm
            self._check_orphans()
        finally:
            for victim in self._victims:
                victim.kill()
            self._errors.close()
        self.report.lasted_s = time.monotonic() - began
        self._check_what_is_stored()
        return self.report

    # ── the processes ────────────────────────────────────────────────────────────────────────────

    def _begin(self) -> None:
        self._data.mkdir(parents=True)
        server = Victim("server", self._start_server)
        self._victims.append(server)
        for reader in self._readers:
            reader.join(processes.READY_S)
        assert self._environment, f"the server did not start: {self._said()}"
        for number in range(2):
            self._victims.append(Victim("worker", self._start_worker(number)))
        self._victims.append(Victim("app", self._start_app))

    def _start_server(self) -> "subprocess.Popen[str]":
        began = time.monotonic()
        process = processes.start(
            *("serve", "--json", "--port", self._port, "--data", str(self._data)),
            stderr=self._errors,
        )
        reader = threading.Thread(target=self._wait_until_ready, args=(process, began), daemon=True)
        reader.start()
        self._readers.append(reader)
        return process

    def _wait_until_ready(self, process: "subprocess.Popen[str]", began: float) -> None:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            spent = psutil.Process(process.pid).cpu_times()
        except (ValueError, psutil.Error):
            return  # it was killed before it was ready
        if not line:
            return
        ready = json.loads(line)
        wall_s = time.monotonic() - began
        if self._environment:
            self.report.recoveries.append(Recovery(wall_s, spent.user + spent.system))
        self._environment = {
            "DREAMGRID_URL": ready["url"],
            "DREAMGRID_API_KEY": ready["api_key"],
        }

    def _start_worker(self, number: int) -> Callable[[], "subprocess.Popen[str]"]:
        data = self._folder / f"worker-{number}"

        def start() -> "subprocess.Popen[str]":
            arguments = ("work", "--json", "--model", "pattern-v1", "--data", str(data))
            return self._popen(*processes.COMMAND, *arguments)

        return start

    def _start_app(self) -> "subprocess.Popen[str]":
        arguments = ("-m", "tests.soak.client", str(self._journal), str(self._stop))
        return self._popen(sys.executable, *arguments)

    def _popen(self, *command: str) -> "subprocess.Popen[str]":
        """Starts what nobody reads from: into a pipe it could write until it is full, and hang."""
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=processes.clean(self._environment),
            stdin=subprocess.DEVNULL,
            stdout=self._errors,
            stderr=self._errors,
            text=True,
        )

    def _wait_for_load(self) -> None:
        """On a busy machine all could else be killed before anything was asked for."""
        deadline = time.monotonic() + processes.READY_S
        while not (self._journal.exists() and "ended" in self._journal.read_text()):
            assert time.monotonic() < deadline, f"no project has ended: {self._said()}"
            time.sleep(0.05)

    def _strike(self) -> None:
        victim = self._chance.choice(self._victims)
        gone = victim.process.poll()
        assert gone is None, f"{victim.name} ended by itself with {gone}: {self._said()}"
        victim.kill()
        self.report.kills[victim.name] += 1
        time.sleep(self._chance.choice([0.0, 0.0, 0.5]))
        victim.restart()

    def _wait_for_the_app(self) -> None:
        app = self._victims[-1].process
        try:
            code = app.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            code = None
        assert code == 0, f"{self._still_open()} are stuck, app: {code}; {self._said()}"

    def _said(self) -> str:
        self._errors.flush()
        return (self._folder / "errors.txt").read_text()[-3000:]

    def _check_orphans(self) -> None:
        """What a killed process had started must not go on without it."""
        orphans = [orphan for victim in self._victims for orphan in victim.orphans]
        _, alive = psutil.wait_procs(orphans, timeout=ORPHANS_END_WITHIN_S)
        left = [orphan.pid for orphan in alive]
        for orphan in alive:
            orphan.kill()
        assert not left, f"left behind by killed processes: {left}"

    # ── what is there in the end ─────────────────────────────────────────────────────────────────

    def _rows(self, sql: str) -> list[Any]:
        with closing(sqlite3.connect(self._data / "dreamgrid.sqlite")) as connection:
            return connection.execute(sql).fetchall()

    def _audit(self) -> processes.Ran:
        arguments = ("audit", "--json", "--data", str(self._data))
        return processes.run(*arguments, environment={}, cwd=self._folder)

    def _still_open(self) -> list[Any]:
        return self._rows("SELECT id, state FROM project WHERE ended_ms IS NULL")

    def _check_what_is_stored(self) -> None:
        lines = [line.split() for line in self._journal.read_text().splitlines()]
        told = {line[1]: line[2] for line in lines if line[0] == "ended"}
        asked = {line[1] for line in lines if line[0] == "asked"}
        accepted = {line[1] for line in lines if line[0] == "accepted"}
        states = dict(self._rows("SELECT id, state FROM project"))
        assert accepted <= states.keys(), f"lost: {accepted - states.keys()}"
        assert asked == told.keys(), f"nobody heard how these ended: {asked - told.keys()}"
        wrong = {one: (told[one], states.get(one)) for one in told if told[one] != states.get(one)}
        assert not wrong, f"told and stored differ: {wrong}"
        assert self._still_open() == []
        assert self._rows("SELECT * FROM balance WHERE held_micros <> 0") == []
        twice = (
            "SELECT job_id FROM transfer WHERE kind = 'post' GROUP BY job_id HAVING count(*) > 1"
        )
        assert self._rows(twice) == []
        ran = self._audit()
        assert ran.returncode == 0, ran.stdout + ran.stderr
        report = self.report
        report.asked, report.accepted = len(asked), len(accepted)
        report.completed = sum(state == "completed" for state in states.values())
        report.failed = len(states) - report.completed
        ((report.jobs, report.attempts),) = self._rows("SELECT count(*), sum(attempt) FROM job")
