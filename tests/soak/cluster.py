"""Three nodes, PostgreSQL, NATS and S3 in processes of their own, each struck while work is done.

A strike kills, pauses or stops a node, kills a backend, a worker or the app, and lets it come back.
After all of them, what the app was promised is held against the database, and the books are
audited.
"""

import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg

from tests.cli import processes
from tests.soak.soak import Soak, Victim
from tests.support import nats_server, postgres, real_servers

NODES = 3
PAUSE_S = 5.0
"""Longer than a coordinator may say nothing."""

CALM_S = (0.3, 2.0)
"""Least and most time between two strikes."""


class ClusterSoak(Soak):
    """One run.

    Args:
        folder: For all that the processes keep.
        seed: Decides when something is struck, and what, unless it is given.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self._running = ExitStack()
        self._address = postgres.new_database()
        self._nats_port, self._s3_port = real_servers.free_port(), real_servers.free_port()
        self._ports = [real_servers.free_port() for _ in range(NODES)]
        self._private = [f"127.0.0.1:{real_servers.free_port()}" for _ in range(NODES)]
        self._s3 = ExitStack()
        self._shared: dict[str, str] = {}
        self.strikes: dict[str, Callable[[], None]] = {
            "kill the coordinator": lambda: self._kill(self._coordinator()),
            "pause the coordinator": self._pause,
            "stop the coordinator": lambda: self._stop_node(self._coordinator()),
            "kill another node": lambda: self._kill(self._another()),
            "kill a worker": lambda: self._kill(self._victims[NODES + self._chance.randrange(2)]),
            "kill the app": lambda: self._kill(self._victims[-1]),
            "kill NATS": lambda: self._kill(self._nats),
            "kill S3": self._kill_s3,
            "kill PostgreSQL": postgres.crash,
        }

    def run_strikes(self, names: Sequence[str]) -> None:
        """Strikes in this order, then holds what was promised against what is there.

        Raises:
            AssertionError: Something was lost, stuck, charged twice or left behind.
        """
        self._planned = list(names)
        with self._running:
            self.run(len(names))

    def any_strikes(self, count: int) -> list[str]:
        """So many, in the order that the seed gives."""
        return random.Random(f"{self.report.seed} strikes").choices(list(self.strikes), k=count)

    # ── the processes ────────────────────────────────────────────────────────────────────────────

    def _begin(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._nats = Victim("NATS", self._start_nats)
        self._running.callback(self._nats.kill)
        self._running.callback(self._s3.close)
        server = self._start_s3()
        self._shared = {
            "DREAMGRID_STORE": self._address,
            "DREAMGRID_BLOBS": server.address(),
            "DREAMGRID_BUS": f"nats://127.0.0.1:{self._nats_port}",
            **server.environment,
        }
        for number in range(NODES):
            self._victims.append(Victim("node", self._start_node(number)))
        self._wait_for_key()
        for number in range(2):
            self._victims.append(Victim("worker", self._anywhere(self._start_worker(number))))
        self._victims.append(Victim("app", self._anywhere(self._start_app)))

    def _start_node(self, number: int) -> Callable[[], "subprocess.Popen[str]"]:
        data = self._folder / f"node-{number}"
        where = ("--port", str(self._ports[number]), "--node", self._private[number])

        def start() -> "subprocess.Popen[str]":
            return processes.start(
                *("serve", "--json", "--data", str(data), *where),
                environment=self._shared,
                stderr=self._errors,
            )

        return start

    def _wait_for_key(self) -> None:
        """The first node that serves makes the key that all of them share."""
        key = self._folder / "node-0" / "local-key"
        deadline = time.monotonic() + processes.READY_S
        while not (key.exists() and key.read_text().strip()):
            assert time.monotonic() < deadline, f"no node serves: {self._said()}"
            time.sleep(0.05)
        self._environment = {"DREAMGRID_API_KEY": key.read_text().strip()}

    def _anywhere(
        self, start: Callable[[], "subprocess.Popen[str]"]
    ) -> Callable[[], "subprocess.Popen[str]"]:
        """Each start of it goes to any of the nodes."""

        def start_there() -> "subprocess.Popen[str]":
            url = f"http://127.0.0.1:{self._chance.choice(self._ports)}"
            self._environment = {**self._environment, "DREAMGRID_URL": url}
            return start()

        return start_there

    def _start_nats(self) -> Any:
        return nats_server.start(self._nats_port, self._folder / "nats.log")

    def _start_s3(self) -> real_servers.S3Server:
        return self._s3.enter_context(real_servers.rclone(self._folder / "s3", port=self._s3_port))

    # ── the strikes ──────────────────────────────────────────────────────────────────────────────

    def _strike(self) -> None:
        """The next one, once all nodes serve: one that starts needs the backends, and says so."""
        for port, victim in zip(self._ports, self._victims, strict=False):
            url, log = f"http://127.0.0.1:{port}/healthz", self._folder / "errors.txt"
            real_servers.wait_for_http(url, victim.process, log)
        name = self._planned.pop(0)
        for victim in self._victims:
            gone = victim.process.poll()
            assert gone is None, f"{victim.name} ended by itself with {gone}: {self._said()}"
        self._errors.write(f"─── {name}\n")
        self._errors.flush()
        self.report.kills[name] += 1
        self.strikes[name]()

    def _kill(self, victim: Victim) -> None:
        victim.kill()
        time.sleep(self._chance.choice([0.0, 0.5]))
        victim.restart()

    def _stop_node(self, victim: Victim) -> None:
        victim.process.send_signal(signal.SIGTERM)
        victim.process.wait(processes.READY_S)
        victim.kill()
        victim.restart()

    def _pause(self) -> None:
        victim = self._coordinator()
        victim.process.send_signal(signal.SIGSTOP)
        time.sleep(PAUSE_S)
        victim.process.send_signal(signal.SIGCONT)

    def _kill_s3(self) -> None:
        self._s3.close()
        time.sleep(self._chance.choice([0.0, 0.5]))
        self._start_s3()

    def _coordinator(self) -> Victim:
        """The node that serves as such, or did last."""
        sql = "SELECT node FROM dreamgrid_coordinator WHERE node <> '' ORDER BY reign DESC"
        found = self._rows(sql)
        return self._victims[self._private.index(found[0][0]) if found else 0]

    def _another(self) -> Victim:
        coordinator = self._coordinator()
        return self._chance.choice([one for one in self._victims[:NODES] if one is not coordinator])

    # ── what is there in the end ─────────────────────────────────────────────────────────────────

    def _rows(self, sql: str) -> list[Any]:
        with psycopg.connect(self._address) as connection:
            return connection.execute(sql.encode()).fetchall()

    def _audit(self) -> processes.Ran:
        return processes.run("audit", "--json", environment=self._shared, cwd=self._folder)
