"""Who fails at job after job gets no jobs for a while; judged by what the server settles."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from dreamgrid.protocol.failures import OUT_OF_MEMORY
from dreamgrid.protocol.worker import Failed, Finished, WorkerMessage
from dreamgrid.server.reliability import FIRST_PAUSE_S, PAUSED_AFTER


@dataclass
class _Worker:
    """What one worker did, as far as it is certain that the server has taken note of it.

    Attributes:
        delivering: Results that it reported and that are not settled: nobody knows when they count.
        failed_at: Different jobs in a row.
        given_s: When it was last chosen for a job that it got. No pause had begun by then.
        rests_since_s: When the rest began; what was chosen for it before may still come.
        rests_until_s: Before that it may get nothing.
    """

    delivering: set[str] = field(default_factory=set)
    failed_at: set[str] = field(default_factory=set)
    given_s: float = 0.0
    rests_since_s: float = 0.0
    rests_until_s: float = 0.0


class Reputations:
    """Knows of failures only what is beyond doubt, and so demands a pause too rarely, if at all."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._workers: defaultdict[str, _Worker] = defaultdict(_Worker)
        self._blamed: set[tuple[str, int]] = set()

    def forget(self) -> None:
        """The server has: it keeps this in memory."""
        self._workers.clear()

    def reported(self, name: str, outcome: WorkerMessage) -> None:
        """A worker has an outcome."""
        worker = self._workers[name]
        if isinstance(outcome, Finished):
            worker.delivering.add(outcome.job_id)
            worker.failed_at.clear()
            worker.rests_until_s = 0.0  # a delivery ends a pause
        elif isinstance(outcome, Failed) and outcome.retryable and outcome.error != OUT_OF_MEMORY:
            self._blamed.add((outcome.job_id, outcome.attempt))

    def settled(self, name: str, job_id: str, attempt: int, *, waits_again: bool) -> None:
        """An outcome of a worker is accepted; `waits_again`: it was a failure, noted just now."""
        worker = self._workers[name]
        if job_id in worker.delivering:
            worker.delivering.remove(job_id)
            worker.failed_at.clear()
            worker.rests_until_s = 0.0
        elif waits_again and not worker.delivering and (job_id, attempt) in self._blamed:
            worker.failed_at.add(job_id)
            if len(worker.failed_at) >= PAUSED_AFTER:
                # It rests from now on, or since a breakdown that only the server counts.
                worker.rests_since_s = self._clock()
                worker.rests_until_s = worker.given_s + FIRST_PAUSE_S
                worker.failed_at.clear()

    def given(self, name: str, chosen_s: float) -> None:
        """A worker gets a job, for which it was chosen then; a slow disk may lie in between."""
        worker = self._workers[name]
        worker.given_s = chosen_s
        left_s = worker.rests_until_s - self._clock()
        if chosen_s <= worker.rests_since_s:
            return
        assert left_s <= 0, f"{name} failed at job after job and gets another {left_s} s too early"
