"""One render of a project, and what is known about it."""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Generic

from dreamgrid.client.events import R
from dreamgrid.states import FINAL_JOB_STATES, JobEvent, JobState, may, next_job_state

# How to get to a state by arrows of the table, however many frames were missed on the way.
_MAX_ETA_S = 10 * 365 * 24 * 3600
"""Whatever a server foretells beyond this is no time."""

_WAY = {
    JobState.QUEUED: (JobEvent.LOSE,),
    JobState.ASSIGNED: (JobEvent.ASSIGN,),
    JobState.RUNNING: (JobEvent.ASSIGN, JobEvent.START),
    JobState.COMPLETED: (JobEvent.ASSIGN, JobEvent.COMPLETE),
    JobState.FAILED: (JobEvent.FAIL,),
    JobState.CANCELED: (JobEvent.CANCEL,),
}


@dataclass(kw_only=True, slots=True, eq=False)
class Job(Generic[R]):
    """One render of a project. The client keeps it up to date; read it, do not write it.

    Attributes:
        id: Upper-case UUID, given by the server.
        index: Its place in the project, from 0.
        state: Where it stands.
        worker: Who renders it; empty while nobody does.
        step: Steps done in this attempt.
        step_count: Steps in all; 0 until the first is done.
        eta_s: Seconds until it is finished, as last reported. None: unknown.
        seed: The seed that made it. None: not finished, or not told.
        withheld: The content filter keeps the finished result back.
        sensitive: What the content filter objects to: `image`, `prompt`. Empty: nothing.
        prompt: The words of this render, where a dynamic prompt made several of one.
        error: Why it failed; empty while it did not.
        attempt: How often it was given to a worker, as far as is known; 0: not told.
        preview_url: Where its newest preview lies. None: none yet.
        result: The result. None: none yet, or none ever.
    """

    id: str
    index: int
    state: JobState = JobState.QUEUED
    worker: str = ""
    step: int = 0
    step_count: int = 0
    eta_s: float | None = None
    seed: int | None = None
    withheld: bool = False
    sensitive: tuple[str, ...] = ()
    prompt: str | None = None
    negative_prompt: str | None = None
    error: str = ""
    preview_url: str | None = field(default=None, repr=False)
    result: R | None = field(default=None, repr=False)
    attempt: int = field(default=0, repr=False)
    attempts_lost: int = field(default=0, repr=False)

    @property
    def on_worker(self) -> bool:
        """Whether a worker has it, as far as is known."""
        return self.state in (JobState.ASSIGNED, JobState.RUNNING)

    @property
    def finished(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.state in FINAL_JOB_STATES

    @property
    def fraction(self) -> float:
        """How much of it is done, 0..1."""
        if self.state is JobState.COMPLETED:
            return 1.0
        return min(self.step / self.step_count, 1.0) if self.step_count > 0 else 0.0

    @property
    def progress(self) -> int:
        """How much of it is done, in percent."""
        return math.floor(100 * self.fraction)

    @property
    def eta(self) -> datetime | None:
        """When it should be finished, in UTC, as seen from now. None: unknown."""
        if self.eta_s is None or not self.eta_s < _MAX_ETA_S:
            return None
        return datetime.now(UTC) + timedelta(seconds=self.eta_s)

    def to_dict(self) -> dict[str, object]:
        """What is known of it now, as plain data."""
        return {
            "id": self.id,
            "index": self.index,
            "state": str(self.state),
            "worker": self.worker,
            "step": self.step,
            "step_count": self.step_count,
            "progress": self.progress,
            "eta_s": self.eta_s,
            "seed": self.seed,
            "withheld": self.withheld,
            "sensitive": list(self.sensitive),
            "error": self.error,
            "result_url": getattr(self.result, "url", None),
        }

    def lose(self) -> None:
        """Its worker has it no longer: the next one begins anew."""
        self.move(JobState.QUEUED)
        self.step, self.step_count, self.eta_s, self.worker = 0, 0, None, ""

    def move(self, target: JobState) -> bool:
        """Follows the arrows to `target`. False: it is there already, or no arrow leads there."""
        before = self.state
        if before is target:
            return False
        for arrow in _WAY[target]:
            if may(self.state, arrow):
                self.state = next_job_state(self.state, arrow)
        return self.state is not before
