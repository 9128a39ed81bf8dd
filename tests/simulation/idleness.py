"""No worker stands idle beside a job that it may take: judged by what waits on the disk."""

from collections import Counter
from collections.abc import Callable

from dreamgrid.server.scheduler import SPARED_MS
from dreamgrid.server.services import Services
from tests.simulation.disk import Disk

LOOK_EVERY_S = 5.0

HANDING_OVER_S = 30.0
"""How long a job may wait beside a worker that is free all this time, and that never had it."""


class Idleness:
    """Knows since when free workers and waiting jobs stand beside each other."""

    def __init__(self, disk: Disk, clock: Callable[[], float]) -> None:
        self._disk = disk
        self._clock = clock
        self._had: set[tuple[str, str]] = set()  # worker and job
        self._since_s: dict[tuple[str, str], float] = {}

    def given(self, worker_id: str, job_id: str) -> None:
        """A worker is given a job: it is not idle."""
        self._had.add((worker_id, job_id))
        for pair in [pair for pair in self._since_s if pair[0] == worker_id]:
            del self._since_s[pair]

    def look(self, services: Services | None) -> None:
        """Looks who is free beside what; None: no server runs, or its disk is in trouble."""
        now_s = self._clock()
        beside = self._beside(services) if services is not None else set()
        self._since_s = {pair: self._since_s.get(pair, now_s) for pair in beside}
        for pair, since_s in self._since_s.items():
            longest_s = HANDING_OVER_S + (SPARED_MS / 1000 if pair in self._had else 0.0)
            assert now_s - since_s <= longest_s, (
                f"worker {pair[0]} is free beside job {pair[1]} for {now_s - since_s} s"
            )

    def _beside(self, services: Services) -> set[tuple[str, str]]:
        free = [worker for worker in services.workers.all() if worker.free_slots > 0]
        rows = self._disk.rows(
            "SELECT project.id, job.id, account_id, job.state FROM job"
            " JOIN project ON project = number WHERE project.ended_ms IS NULL"
            " AND job.state IN ('queued', 'assigned', 'running')"
        )
        held = Counter(account_id for _, _, account_id, state in rows if state != "queued")
        pairs = set()
        for project_id, job_id, account_id, state in rows:
            project = services.open_projects.project(project_id)
            full = held[account_id] >= services.config.max_running_jobs
            if state != "queued" or project is None or project.canceling or full:
                continue
            for worker in free:
                if worker.can_take(project.network, project.model, project.targeting):
                    pairs.add((worker.id, job_id))
        return pairs
