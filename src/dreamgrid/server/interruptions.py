"""What a lost worker says about the job that it held. Pure.

Most jobs are lost through no fault of their own: a worker is shut down, a network goes away, the
server restarts. Such an **interruption** uses up no attempt. But a job may also be what killed its
worker, and then the next worker must not be the next victim: a worker that vanishes without a word
while it is at work on a job makes that job a **suspect**, and if the worker does not come back with
it, that counts as a failure. One that comes back later and still holds what was taken from it was
only cut off, so the failure is taken back.

Of jobs that shared a pass nobody knows which it was, so none of them is blamed: their next worker
renders each alone, and then it shows.

Nobody knows what happened while the server itself was away, so that counts as an interruption. A
job that brings server and worker down together is stopped by `MAX_INTERRUPTIONS`.
"""

from dreamgrid.server.live import LiveJob
from dreamgrid.server.workers import WorkerSession
from dreamgrid.states import JobState

MAX_INTERRUPTIONS = 20
"""How often a job may be interrupted before it fails all the same."""

FIRST_REST_S = 1.0
LONGEST_REST_S = 60.0
"""How long a worker that handed a job back is not asked again: at first not at all, as it may be a
whim; then so long, and twice as long each time."""


def worker_left(worker: WorkerSession, *, abruptly: bool) -> None:
    """Notes on the jobs of a worker whose connection has ended whether they may have killed it.

    Args:
        worker: It still has its jobs.
        abruptly: It said nothing: neither that it stops nor that it closes the connection.
    """
    jobs = worker.jobs.values()
    rendering = any(job.state is JobState.RUNNING for job in jobs)
    for job in jobs:
        # Beside a render, what is only assigned waits or fetches its inputs; alone, it loads.
        at_work = job.state is JobState.RUNNING or not rendering
        alone = at_work and not job.shares
        job.suspect = abruptly and alone and not (worker.draining or worker.drained)


def blamed(job: LiveJob) -> bool:
    """Whether it counts as a failure that a worker has not come back with its job."""
    if job.suspect:
        job.suspected_at = {**job.suspected_at, job.worker_id: job.attempt}
    return job.suspect


def came_back(job: LiveJob, worker: WorkerSession, attempt: int) -> bool:
    """A worker still holds what was taken from it; whether it was blamed for that, wrongly."""
    if job.suspected_at.get(worker.id) != attempt or job.ended:
        return False
    job.suspected_at = {one: at for one, at in job.suspected_at.items() if one != worker.id}
    job.failures -= 1
    return True


def handed_back(job: LiveJob, worker: WorkerSession, now_ms: int) -> None:
    """A worker does not want a job: after the first time it is asked later, and later still."""
    times = job.attempt - job.failures
    if times < 2:
        return
    rest_s = min(FIRST_REST_S * 2.0 ** (times - 2), LONGEST_REST_S)
    job.back_at_ms = {**job.back_at_ms, worker.id: now_ms + int(rest_s * 1000)}


def too_many(job: LiveJob) -> bool:
    """Whether a job was interrupted so often that something must be wrong with it."""
    return job.attempt - job.failures >= MAX_INTERRUPTIONS
