"""Which workers deliver: one that fails at every job gets a pause, so that others take its place.

A worker whose engine crashes at every job is always idle, and so it would be given every job. Only
failures in a row count, of different jobs, so that one job that nobody can render pauses nobody.
After a pause a worker may try again; the next failure brings a longer pause, the next delivery ends
the story. Kept in memory, by worker id, so that a new connection does not end a pause.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

PAUSED_AFTER = 5
"""How many different jobs in a row a worker fails at before it is paused."""

FIRST_PAUSE_S = 60.0
LONGEST_PAUSE_S = 15 * 60.0

MAX_WORKERS = 10_000
"""Most workers with failures that are remembered; the ones not heard of for longest go."""


@dataclass(slots=True)
class _Story:
    """Failures in a row: of which jobs, how often it was paused for them, and until when."""

    jobs: set[str] = field(default_factory=set)
    pauses: int = 0
    until_s: float = 0.0


class Reliability:
    """Counts what workers fail at. Pure but for what it remembers; times come from the caller."""

    def __init__(self) -> None:
        self._stories: OrderedDict[str, _Story] = OrderedDict()

    def delivered(self, worker_id: str) -> None:
        """A worker has finished a job."""
        self._stories.pop(worker_id, None)

    def failed(self, worker_id: str, job_id: str, now_s: float) -> float:
        """A worker has failed at a job; how many seconds of pause that brings, mostly none."""
        story = self._stories.setdefault(worker_id, _Story())
        self._stories.move_to_end(worker_id)
        if len(self._stories) > MAX_WORKERS:
            self._stories.popitem(last=False)
        story.jobs.add(job_id)
        if now_s < story.until_s or (len(story.jobs) < PAUSED_AFTER and not story.pauses):
            return 0.0
        pause_s = min(FIRST_PAUSE_S * 2.0 ** min(story.pauses, 10), LONGEST_PAUSE_S)
        story.pauses += 1
        story.until_s = now_s + pause_s
        story.jobs.clear()
        return float(pause_s)

    def paused(self, worker_id: str, now_s: float) -> bool:
        """Whether a worker has to wait before it gets another job."""
        story = self._stories.get(worker_id)
        return story is not None and now_s < story.until_s
