"""Three nodes, PostgreSQL, NATS and S3 in processes of their own, each struck while work is done.

A strike kills, pauses or stops something, or cuts a node off from others, for a moment or for long,
and lets it come back; some come two at a time. One node's clock is wrong all the while. After all
of them, what the app was promised is held against the database, and the books are audited.
"""

import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from tests.cli import processes
from tests.soak.soak import Soak, Victim
from tests.support import nats_server, networks, postgres, real_servers

NODES = 3
WORKERS = 2
AHEAD_S = 240.0
"""How wrong the clock of the last node is."""

LASTS_S = (0.0, 0.5, 2.0, 5.0)
"""How long a strike lasts; a coordinator may say nothing for 3 seconds."""

LASTS_LONG_S = 35.0
"""Longer than anything waits before it gives up."""

LONG_CHANCE = 0.06
BOTH_CHANCE = 0.25
BOTH = " and "
FEW = (
    ("kill the coordinator", 0.5),
    ("let nothing through from the coordinator to PostgreSQL", 4.0),
    ("kill S3", 0.5),
    ("pause the coordinator", 4.0),
    ("kill PostgreSQL", 0.5),
    ("stop the coordinator and kill a worker", 0.0),
    ("cut a node off from other nodes", 1.0),
    ("kill a node and kill NATS", 0.5),
)
"""A few of each kind, and how long they last in seconds; some take a network of their own."""

Strike = Callable[[], AbstractContextManager[None]]


class ClusterSoak(Soak):
    """One run. In a network of its own nodes are cut off, too.

    Args:
        folder: For all that the processes keep.
        seed: Decides when something is struck, and what, unless it is given.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self._running = ExitStack()
        self._machines = networks.Machines(NODES) if networks.inside() else None
        self._hub = "127.0.0.1" if self._machines is None else networks.HUB
        if self._machines is not None:
            postgres.server(networks.NETWORK, networks.HUB)
        self._address = postgres.new_database()
        self._nats_port, self._s3_port = real_servers.free_port(), real_servers.free_port()
        self._s3_server = real_servers.S3Server(f"http://{self._hub}:{self._s3_port}")
        hosts = [self._host(number) for number in range(NODES)]
        self._public = [f"{host}:{real_servers.free_port()}" for host in hosts]
        self._private = [f"{host}:{real_servers.free_port()}" for host in hosts]
        self._shared = {
            "DREAMGRID_STORE": self._address,
            "DREAMGRID_BLOBS": self._s3_server.address(),
            "DREAMGRID_BUS": f"nats://{self._hub}:{self._nats_port}",
            **self._s3_server.environment,
        }
        self.strikes = self._of_nodes() | self._of_others()

    def run_strikes(self, planned: Sequence[tuple[str, float]]) -> None:
        """Strikes in this order, then holds what was promised against what is there.

        Args:
            planned: Strikes and how many seconds each lasts; two with `BOTH` between them come at
                once. Those that cannot be done here are left out.

        Raises:
            AssertionError: Something was lost, stuck, charged twice or left behind.
        """
        self._began_s = time.monotonic()
        known = self.strikes.keys()
        self._planned = [one for one in planned if set(one[0].split(BOTH)) <= known]
        with self._running:
            self.run(len(self._planned))

    def any_strikes(self, count: int) -> list[tuple[str, float]]:
        """So many, as the seed gives them; some two at once, some for long."""
        chance = random.Random(f"{self.report.seed} strikes")
        of_nodes, of_others = list(self._of_nodes()), list(self._of_others())
        planned = []
        for _ in range(count):
            name = chance.choice(of_nodes + of_others)
            if chance.random() < BOTH_CHANCE:
                name = chance.choice(of_nodes) + BOTH + chance.choice(of_others)
            long = chance.random() < LONG_CHANCE
            planned.append((name, LASTS_LONG_S if long else chance.choice(LASTS_S)))
        return planned

    # ── the processes ────────────────────────────────────────────────────────────────────────────

    def _begin(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._nats = Victim("NATS", self._start_nats)
        self._running.callback(self._nats.kill)
        self._s3 = Victim("S3", self._start_s3)
        self._running.callback(self._s3.kill)
        for number in range(NODES):
            self._victims.append(Victim("node", self._start_node(number)))
        self._wait_for_key()
        for number in range(WORKERS):
            self._victims.append(Victim("worker", self._anywhere(self._start_worker(number))))
        self._victims.append(Victim("app", self._anywhere(self._start_app)))

    def _host(self, number: int) -> str:
        return self._hub if self._machines is None else self._machines.address(number)

    def _start_node(self, number: int) -> Callable[[], "subprocess.Popen[str]"]:
        data = self._folder / f"node-{number}"
        host, port = self._public[number].split(":")
        command = [] if self._machines is None else [*self._machines.at(number)]
        command += processes.COMMAND
        if number == NODES - 1:
            command[-2:] = ["-m", "tests.soak.skewed", str(AHEAD_S)]
        command += ["serve", "--json", "--data", str(data), "--host", host, "--port", port]
        command += ["--node", self._private[number]]

        def start() -> "subprocess.Popen[str]":
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                env=processes.clean(self._shared),
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
            url = f"http://{self._chance.choice(self._public)}"
            self._environment = {**self._environment, "DREAMGRID_URL": url}
            return start()

        return start_there

    def _start_nats(self) -> Any:
        host = "127.0.0.1" if self._machines is None else "0.0.0.0"
        return nats_server.start(self._nats_port, self._folder / "nats.log", host)

    def _start_s3(self) -> Any:
        return real_servers.start_nanio(self._s3_server, self._folder / "s3")

    # ── the strikes ──────────────────────────────────────────────────────────────────────────────

    def _of_nodes(self) -> dict[str, Strike]:
        found: dict[str, Strike] = {"restart all nodes one by one": self._rolling_restart}
        for name, choose in (("the coordinator", self._coordinator), ("a node", self._another)):
            found[f"kill {name}"] = self._at(choose, self._killed)
            found[f"pause {name}"] = self._at(choose, self._paused)
            found[f"stop {name}"] = self._at(choose, self._stopped)
            if self._machines is not None:
                for place, port in (*self._backends(), ("other nodes", None), ("all", None)):
                    cut = partial(self._cut_off, choose, place, port)
                    found[f"cut {name} off from {place}"] = partial(cut, silently=False)
                    found[f"let nothing through from {name} to {place}"] = partial(
                        cut, silently=True
                    )
        return found

    def _at(
        self,
        choose: Callable[[], Victim],
        strike: Callable[[Victim], AbstractContextManager[None]],
    ) -> Strike:
        """A strike at whom it hits when it comes."""
        return lambda: strike(choose())

    def _of_others(self) -> dict[str, Strike]:
        return {
            "kill a worker": self._at(self._worker, self._killed),
            "pause a worker": self._at(self._worker, self._paused),
            "kill the app": lambda: self._killed(self._victims[-1]),
            "pause the app": lambda: self._paused(self._victims[-1]),
            "kill NATS": lambda: self._killed(self._nats),
            "pause NATS": lambda: self._paused(self._nats),
            "kill S3": lambda: self._killed(self._s3),
            "pause S3": lambda: self._paused(self._s3),
            "kill PostgreSQL": postgres.away,
            "pause PostgreSQL": postgres.paused,
        }

    def _backends(self) -> list[tuple[str, int | None]]:
        return [
            ("PostgreSQL", urlsplit(self._address).port),
            ("NATS", self._nats_port),
            ("S3", self._s3_port),
        ]

    def _strike(self) -> None:
        """The next one, once all nodes serve: one that starts needs the backends, and says so."""
        self._wait_for_nodes()
        names, lasts_s = self._planned.pop(0)
        for victim in self._victims:
            gone = victim.process.poll()
            assert gone is None, f"{victim.name} ended by itself with {gone}: {self._said()}"
        at_s = time.monotonic() - self._began_s
        self._errors.write(f"─── after {at_s:.1f} s: {names}, for {lasts_s} s\n")
        self._errors.flush()
        self.report.kills[names] += 1
        with ExitStack() as struck:  # of two, a node first: it comes back when all else is there
            for name in names.split(BOTH):
                struck.enter_context(self.strikes[name]())
            time.sleep(lasts_s)

    def _wait_for_nodes(self) -> None:
        for place, victim in zip(self._public, self._victims, strict=False):
            url = f"http://{place}/healthz"
            real_servers.wait_for_http(url, victim.process, self._folder / "errors.txt")

    @contextmanager
    def _killed(self, victim: Victim) -> Iterator[None]:
        victim.kill()
        try:
            yield
        finally:
            victim.restart()

    @contextmanager
    def _stopped(self, victim: Victim) -> Iterator[None]:
        victim.process.send_signal(signal.SIGTERM)
        victim.process.wait(processes.READY_S)
        with self._killed(victim):
            yield

    @contextmanager
    def _paused(self, victim: Victim) -> Iterator[None]:
        victim.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            victim.process.send_signal(signal.SIGCONT)

    @contextmanager
    def _rolling_restart(self) -> Iterator[None]:
        for victim in self._victims[:NODES]:
            with self._stopped(victim):
                pass
            self._wait_for_nodes()
        yield

    @contextmanager
    def _cut_off(
        self, choose: Callable[[], Victim], place: str, port: int | None, *, silently: bool
    ) -> Iterator[None]:
        assert self._machines is not None
        number = self._victims.index(choose())
        places = [networks.HUB]
        if place in ("other nodes", "all"):
            places = self._machines.others(number) if place == "other nodes" else ["0.0.0.0/0"]
        self._machines.cut_off(number, places, port=port, silently=silently)
        try:
            yield
        finally:
            self._machines.mend(number)

    def _coordinator(self) -> Victim:
        """The node that serves as such, or did last."""
        sql = "SELECT node FROM dreamgrid_coordinator WHERE node <> '' ORDER BY reign DESC"
        found = self._rows(sql)
        return self._victims[self._private.index(found[0][0]) if found else 0]

    def _another(self) -> Victim:
        coordinator = self._coordinator()
        return self._chance.choice([one for one in self._victims[:NODES] if one is not coordinator])

    def _worker(self) -> Victim:
        return self._chance.choice(self._victims[NODES : NODES + WORKERS])

    # ── what is there in the end ─────────────────────────────────────────────────────────────────

    def _rows(self, sql: str) -> list[Any]:
        with psycopg.connect(self._address) as connection:
            return connection.execute(sql.encode()).fetchall()

    def _audit(self) -> processes.Ran:
        return processes.run("audit", "--json", environment=self._shared, cwd=self._folder)
