"""How long renders will still take: told as workers measure it, and again where steps are long.

Clients count a render as alive as long as they hear of it, and grant it time by what they were told
(`socket.md` 4.5 and 6 of the wire contract).
"""

from dreamgrid.server import frames
from dreamgrid.server.clock import Clock
from dreamgrid.server.live import LiveJob
from dreamgrid.server.open_projects import OpenProjects
from dreamgrid.states import JobState

TELL_EVERY_S = 1.0
"""At most this often, however often a worker reports."""

TELL_AGAIN_S = 20.0
"""At least this often, also in the middle of a long step."""


class Etas:
    """Tells apps when their renders will end."""

    def __init__(self, open_projects: OpenProjects, clock: Clock) -> None:
        self._open = open_projects
        self._clock = clock

    def note(self, job: LiveJob, eta_s: float) -> None:
        """A worker says how long its job will still take."""
        job.ends_at_s = self._clock() + eta_s
        if self._clock() - job.eta_told_s >= TELL_EVERY_S:
            self._tell(job, eta_s)

    def repeat(self) -> None:
        """Tells those again that have not been told for a while; a turn of upkeep."""
        now_s = self._clock()
        for job in self._open.jobs_on_workers():
            still = job.state is JobState.RUNNING and not job.settling
            if not still or job.ends_at_s is None or job.project.canceling:
                continue
            if now_s - job.eta_told_s >= TELL_AGAIN_S:
                self._tell(job, max(1.0, job.ends_at_s - now_s))

    def _tell(self, job: LiveJob, eta_s: float) -> None:
        job.eta_told_s = self._clock()
        self._open.tell(job.project, frames.eta(job, eta_s), key=f"eta {job.id}")
