"""What an operator wants to know of a running server, counted where it happens. Pure.

Counting costs a few additions for each job; nothing is walked when somebody asks. How it is told
to Prometheus is in `exposition`.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Literal

from dreamgrid.protocol.failures import JOB_TIMED_OUT, OUT_OF_MEMORY, WORKER_DISCONNECTED

Stage = Literal["submit", "wait", "assign", "render", "upload", "settle"]

SECONDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0),
)
"""Upper ends of the buckets in which durations are counted."""

FAILURES = frozenset(
    {
        *(WORKER_DISCONNECTED, JOB_TIMED_OUT, OUT_OF_MEMORY, "generation_failed", "upload_failed"),
        *("model_not_available", "input_unreadable", "engine_crashed"),
    }
)
"""Words for a failed attempt that are told as they are; workers may say anything."""

OTHER = "other"


class Histogram:
    """Durations in seconds, counted by size."""

    def __init__(self) -> None:
        self._counts = [0] * (len(SECONDS) + 1)
        self.sum_s = 0.0

    def observe(self, seconds: float) -> None:
        """Counts one; a clock that went backwards makes it nothing."""
        seconds = max(0.0, seconds)
        self._counts[bisect_left(SECONDS, seconds)] += 1
        self.sum_s += seconds

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self._counts)

    def buckets(self) -> list[tuple[str, int]]:
        """How many were no longer than each end, as Prometheus wants it."""
        so_far, told = 0, []
        for end, count in zip((*map(str, SECONDS), "+Inf"), self._counts, strict=True):
            so_far += count
            told.append((end, so_far))
        return told


@dataclass(slots=True)
class QueueSeen:
    """The queue as upkeep saw it last.

    Attributes:
        jobs: How many wait, by network and model.
        projects: How many wait, by their standing and what they wait for, as `word_of` writes it.
        oldest_ms: Since when the oldest waits. None: nothing waits.
    """

    jobs: Counter[tuple[str, str]] = field(default_factory=Counter)
    projects: Counter[str] = field(default_factory=Counter)
    oldest_ms: int | None = None

    def add(self, other: "QueueSeen") -> None:
        """Adds what another part of the queue holds."""
        self.jobs.update(other.jobs)
        self.projects.update(other.projects)
        times_ms = [one for one in (self.oldest_ms, other.oldest_ms) if one is not None]
        self.oldest_ms = min(times_ms, default=None)


class Measures:
    """Everything that is counted.

    Attributes:
        stages: How long each part of a job's life took.
        rendered_s: Seconds of rendering that were delivered, by network and model.
        jobs: Jobs that ended, by model and state.
        attempts_failed: By the word for why.
        model_loads: Jobs that went to a worker which had another model, or none, by model.
        delivered_bytes: Of results.
        loop_lag: By how much later than asked the event loop came to something.
        queue: As upkeep saw it last.
    """

    def __init__(self) -> None:
        stages: tuple[Stage, ...] = ("submit", "wait", "assign", "render", "upload", "settle")
        self.stages: dict[Stage, Histogram] = {stage: Histogram() for stage in stages}
        self.rendered_s: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.jobs: Counter[tuple[str, str]] = Counter()
        self.attempts_failed: Counter[str] = Counter()
        self.model_loads: Counter[str] = Counter()
        self.delivered_bytes = 0
        self.loop_lag = Histogram()
        self.queue = QueueSeen()

    def took(self, stage: Stage, seconds: float) -> None:
        """A part of a job's life is over."""
        self.stages[stage].observe(seconds)

    def attempt_failed(self, error: str) -> None:
        """An attempt failed."""
        self.attempts_failed[error if error in FAILURES else OTHER] += 1

    def delivered(self, network: str, model: str, render_s: float, size_bytes: int) -> None:
        """A result arrived, and how long it was rendered."""
        self.rendered_s[network, model] += render_s
        self.delivered_bytes += size_bytes
