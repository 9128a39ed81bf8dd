"""What counts as a failure of a job, and what only interrupted it; judged by what happened.

Neither the server's memory nor its reasons are asked. Of most attempts that did not deliver it is
certain that they failed, or that they did not; the failures that are stored lie in between. What is
told here is what everybody but the server did: workers say that they failed, die and lose their
lines, an administrator takes jobs back, the server itself goes away.
"""

from collections import Counter

from dreamgrid.protocol import failures
from dreamgrid.protocol.worker import Failed, Finished, WorkerMessage
from dreamgrid.server.interruptions import MAX_INTERRUPTIONS
from dreamgrid.server.store.base import EventKind
from tests.simulation.disk import Disk

Attempt = tuple[str, int]
"""A job, and the number of the attempt."""


class Interruptions:
    """Knows of each attempt what is beyond doubt.

    Args:
        disk: What is stored.
        max_attempts: So many failures are the end of a job.
    """

    def __init__(self, disk: Disk, max_attempts: int) -> None:
        self._disk = disk
        self._max_attempts = max_attempts
        self._may_have_failed: set[Attempt] = set()
        self._said_to_have_failed: set[Attempt] = set()
        self._noted: set[Attempt] = set()
        self._killed: dict[Attempt, str] = {}  # and the worker that died over it
        self._meddled: set[str] = set()  # projects

    # ── what happens ─────────────────────────────────────────────────────────────────────────────

    def given(self, job_id: str, attempt: int, *, in_vain: bool) -> None:
        """A worker is given a job; `in_vain`: on a connection that has ended."""
        if in_vain:
            self._may_have_failed.add((job_id, attempt))

    def reported(self, job_id: str, attempt: int, outcome: WorkerMessage) -> None:
        """A worker has an outcome; a result may turn out not to be there."""
        if isinstance(outcome, Failed | Finished):
            self._may_have_failed.add((job_id, attempt))
        if isinstance(outcome, Failed):
            self._said_to_have_failed.add((job_id, attempt))

    def settled(self, job_id: str, attempt: int) -> None:
        """The server has accepted an outcome."""
        if (job_id, attempt) in self._said_to_have_failed:
            self._noted.add((job_id, attempt))

    def left(self, worker_id: str, *, abruptly: bool) -> None:
        """A running server learns that a connection of a worker is over."""
        held = (
            "SELECT id, attempt FROM job WHERE worker_id = ? AND state IN ('assigned', 'running')"
        )
        self._may_have_failed |= set(self._disk.rows(held, worker_id))
        if not abruptly:
            self._excuse({attempt for attempt, name in self._killed.items() if name == worker_id})

    def killed(self, worker_id: str, job_id: str, attempt: int) -> None:
        """A worker died while it rendered this, and the server will notice just that."""
        self._killed[job_id, attempt] = worker_id

    def meddled(self, project_id: str) -> None:
        """Somebody cancels this, or takes a job of it back: who dies now was told to stop."""
        self._meddled.add(project_id)

    def server_goes(self) -> None:
        """The server stops or crashes: whatever it has not stored by now is nobody's fault."""
        ended = {(job_id, attempt) for job_id, attempt, *_ in self._ends()}
        self._excuse(self._killed.keys() - ended)

    def _excuse(self, attempts: set[Attempt]) -> None:
        for attempt in attempts:
            self._killed.pop(attempt, None)

    # ── what is stored ───────────────────────────────────────────────────────────────────────────

    def _ends(self) -> list[tuple[str, int, str, str, str]]:
        """Of each attempt that did not deliver: job, number, kind and reason of its end, project.

        What waited in vain ended without an attempt.
        """
        return self._disk.rows(
            "SELECT job_id, details ->> 'attempt', kind, details ->> 'reason', project.id"
            " FROM event JOIN project ON project = project.number"
            " WHERE kind IN (?, ?) AND details ->> 'reason' <> ?",
            EventKind.RETRIED,
            EventKind.JOB_FAILED,
            failures.QUEUE_TIMED_OUT,
        )

    def look(self) -> None:
        """Holds what is stored against what happened; true at any moment."""
        lost, late = failures.WORKER_DISCONNECTED, failures.JOB_TIMED_OUT
        least: Counter[str] = Counter()
        most: Counter[str] = Counter()
        for job_id, number, kind, reason, project_id in self._ends():
            attempt = (job_id, number)
            # Of what is given up for good the server accepts a report that it has not got.
            given_up = kind == EventKind.JOB_FAILED and reason == lost
            noted = attempt in self._noted and not given_up
            killed = attempt in self._killed and reason == lost and project_id not in self._meddled
            least[job_id] += noted or killed or reason == late
            most[job_id] += attempt in self._may_have_failed or reason == late
        for job_id, state, reason, attempt, failed in self._disk.rows(
            "SELECT id, state, reason, attempt, failures FROM job WHERE attempt > 0"
        ):
            assert least[job_id] <= failed <= most[job_id], (
                f"job {job_id} has {failed} failures: at least {least[job_id]} of its attempts "
                f"failed, and at most {most[job_id]}"
            )
            given_up = state == "failed" and reason in (lost, late)
            enough = failed >= self._max_attempts or attempt - failed >= MAX_INTERRUPTIONS
            assert enough or not given_up, f"job {job_id} was given up after {failed} failures"
            assert failed < self._max_attempts or state in ("failed", "completed", "canceled"), (
                f"job {job_id} is {state} after {failed} failures"
            )
