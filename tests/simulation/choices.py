"""Every choice that the scheduler makes in a history, judged by the rules that it promises.

A job goes to a worker that has room; to the idlest that may have it, so that a project's jobs
spread; and of these to one that has its model loaded, then to the one that delivers first. And as
long as a worker has room, no job is left over that it may have.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from unittest import mock

from dreamgrid.server import scheduler
from dreamgrid.server.live import LiveJob
from dreamgrid.server.scheduler import Match
from dreamgrid.server.waiting import WaitingJobs, _waits
from dreamgrid.server.workers import QUICKEST, WorkerSession


@contextmanager
def judged() -> Iterator[None]:
    """Meanwhile every choice is judged."""
    choose = scheduler.choose

    def judging(
        waiting: WaitingJobs, workers: Sequence[WorkerSession], *, now_ms: int, max_running: int
    ) -> list[Match]:
        taken = {worker.id: len(worker.jobs) for worker in workers}
        matches = choose(waiting, workers, now_ms=now_ms, max_running=max_running)
        _judge(matches, workers, dict(taken))
        _judge_what_is_left(matches, waiting, workers, taken, max_running)
        return matches

    with mock.patch.object(scheduler, "choose", judging):
        yield


def _judge(
    matches: Sequence[Match], workers: Sequence[WorkerSession], taken: dict[str, int]
) -> None:
    if any(match.job.failed_on or match.job.project.targeting.preferred for match in matches):
        return  # who has to leave such a job to others may come too late for the one behind it
    for job, taker in matches:
        assert taken[taker.id] < taker.slots, f"{taker.name} gets more jobs than it has slots"
        assert _may_have(taker, job), f"{taker.name} gets job {job.id}, which is not for it"
        for other in workers:
            if other is taker or taken[other.id] >= other.slots or not _may_have(other, job):
                continue
            busy, others = (Fraction(taken[one.id], one.slots) for one in (taker, other))
            assert busy <= others, f"{taker.name} gets job {job.id} though {other.name} is idler"
            model = job.render.model
            here, there = (
                (one.loaded_model != model, _pace(one, model) / one.delivery_rate)
                for one in (taker, other)
            )
            assert busy < others or here <= there, (
                f"{taker.name} gets job {job.id} though {other.name} should deliver it first: "
                f"{here} and {there}"
            )
        taken[taker.id] += 1


def _judge_what_is_left(
    matches: Sequence[Match],
    waiting: WaitingJobs,
    workers: Sequence[WorkerSession],
    taken: dict[str, int],
    max_running: int,
) -> None:
    """Looks at jobs that every worker may have which serves them, as nobody has failed at them."""
    now_held: Counter[str] = Counter()  # by account, of what was chosen just now
    for job, taker in matches:
        taken[taker.id] += 1
        now_held[job.project.account_id] += 1
    free = [worker for worker in workers if taken[worker.id] < worker.slots]
    for job in _in_line(waiting) if free else ():
        project = job.project
        full = project.load.running + now_held[project.account_id] >= project.load.most(max_running)
        if full or job.failed_on or job.back_at_ms or project.targeting.preferred:
            continue
        for worker in free:
            assert not _may_have(worker, job), f"{worker.name} has room and is not given {job.id}"


def _in_line(waiting: WaitingJobs) -> Iterator[LiveJob]:
    """All jobs that wait, wherever: read without the tidying that goes with asking for them."""
    for rooms in waiting._rooms.values():
        for room in rooms.values():
            for line in room.lines.values():
                yield from filter(_waits, line.in_order())


def _pace(worker: WorkerSession, model: str) -> float:
    return max(QUICKEST, worker.paces.get(model, 1.0))


def _may_have(worker: WorkerSession, job: LiveJob) -> bool:
    project = job.project
    return worker.can_take(project.network, job.render.model, project.targeting)
