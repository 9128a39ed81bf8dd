"""Which workers deliver: how often each does, and who fails so much that it has to pause.

A worker whose engine crashes at every job is always idle, and so it would be given every job. Only
failures in a row count for a pause, of different jobs, so that one job that nobody can render
pauses nobody; a breakdown counts once, however many jobs it took along. After a pause a worker may
try again; the next failure brings a longer pause, the next delivery ends the story. A worker that
was only cut off, and comes back with what it held, is not paused for that.

The delivery rate is the share of its last jobs that a worker delivered, newer ones counting more.
Kept in memory, by worker id, so that a new connection changes nothing.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from dreamgrid.protocol import failures

PAUSED_AFTER = 5
"""How many different jobs in a row a worker fails at before it is paused."""

FIRST_PAUSE_S = 60.0
LONGEST_PAUSE_S = 15 * 60.0

NEWEST_SHARE = 0.1
"""How much the newest job moves a delivery rate."""

LOWEST_RATE = 0.01
"""No worker counts as worse, so that it is asked again when nobody else is there."""

MAX_FAILURES = 2 * PAUSED_AFTER
"""Most failures of a worker that are remembered."""

MAX_WORKERS = 10_000
"""Most workers with failures that are remembered; the ones not heard of for longest go."""


@dataclass(slots=True)
class _Story:
    """What a worker did.

    Attributes:
        rate: Its delivery rate.
        failures: What it failed at in a row, jobs and breakdowns, and the error of each.
        pauses: How often it was paused since its last delivery.
        until_s: When its last pause ends.
        reason: Why it is paused, for people.
    """

    rate: float = 1.0
    failures: dict[str, str] = field(default_factory=dict)
    pauses: int = 0
    until_s: float = 0.0
    reason: str = ""


class Reliability:
    """Counts what workers deliver and fail at. Times come from the caller."""

    def __init__(self) -> None:
        self._stories: OrderedDict[str, _Story] = OrderedDict()

    def rate(self, worker_id: str) -> float:
        """The share of its last jobs that a worker delivered; 1 for one without any failure."""
        story = self._stories.get(worker_id)
        return story.rate if story is not None else 1.0

    def delivered(self, worker_id: str) -> None:
        """A worker has finished a job."""
        story = self._stories.get(worker_id)
        if story is not None:
            rate = story.rate + NEWEST_SHARE * (1.0 - story.rate)
            self._stories[worker_id] = _Story(rate=rate)

    def failed(self, worker_id: str, incident: str, now_s: float, error: str = "") -> float:
        """A worker did not deliver; how many seconds of pause that brings, mostly none.

        Args:
            worker_id: Which one.
            incident: The job that it failed at, or a name for a breakdown with several jobs.
            now_s: The time.
            error: What it was, for whoever asks why it is paused.
        """
        story = self._stories.setdefault(worker_id, _Story())
        self._stories.move_to_end(worker_id)
        if len(self._stories) > MAX_WORKERS:
            self._stories.popitem(last=False)
        story.rate = max(LOWEST_RATE, story.rate * (1.0 - NEWEST_SHARE))
        if len(story.failures) < MAX_FAILURES:
            story.failures[incident] = error
        if now_s < story.until_s or (len(story.failures) < PAUSED_AFTER and not story.pauses):
            return 0.0
        pause_s = min(FIRST_PAUSE_S * 2.0 ** min(story.pauses, 10), LONGEST_PAUSE_S)
        story.pauses += 1
        story.until_s = now_s + pause_s
        story.reason = (
            f"no jobs for {pause_s:.0f} s: it failed at job after job"
            f"{', at last with ' if error else ''}{error[:80]}"
        )
        return float(pause_s)

    def came_back(self, worker_id: str) -> None:
        """A worker was alive all the time that it was away: no pause is for its network.

        Its delivery rate stays as it is: others had to render what it held.
        """
        story = self._stories.get(worker_id)
        if story is None:
            return
        lost = failures.WORKER_DISCONNECTED
        story.failures = {one: error for one, error in story.failures.items() if error != lost}
        if len(story.failures) < PAUSED_AFTER:
            story.pauses, story.until_s = 0, 0.0

    def paused(self, worker_id: str, now_s: float) -> bool:
        """Whether a worker has to wait before it gets another job."""
        story = self._stories.get(worker_id)
        return story is not None and now_s < story.until_s

    def reason(self, worker_id: str) -> str:
        """Why a worker is paused, or was last."""
        story = self._stories.get(worker_id)
        return story.reason if story is not None else ""
