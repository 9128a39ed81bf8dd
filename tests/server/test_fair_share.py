"""Fair shares over time: `choose` in a small simulated grid, with a clock that jumps."""

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from dreamgrid.server.live import LiveJob, LiveProject
from dreamgrid.server.scheduler import LOADED_AHEAD_MS, choose
from dreamgrid.server.waiting import HANDICAP_MS, WaitingJobs
from dreamgrid.server.workers import WorkerSession
from dreamgrid.states import JobEvent
from tests.support.live import live_project, worker

MODELS = ("m1", "m2", "m3")
START_MS = 10_000_000
LONGEST_MS = 20 * 60 * 1000


@dataclass
class Simulation:
    """Workers that take as long for every job as they are told; nothing else happens."""

    workers: list[WorkerSession]
    job_ms: int
    others_ms: dict[str, int] = field(default_factory=dict)  # how long other accounts' jobs take
    now_ms: int = START_MS
    waiting: WaitingJobs = field(default_factory=WaitingJobs)
    given: dict[LiveJob, int] = field(default_factory=dict)
    _ends: list[tuple[int, int, LiveJob, WorkerSession]] = field(default_factory=list)

    def submit(self, account: str, model: str, jobs: int = 1) -> LiveProject:
        project = live_project(account, model, jobs=jobs, created_ms=self.now_ms)
        for job in project.jobs:
            self.waiting.add(job)
        self.dispatch()
        return project

    def dispatch(self) -> None:
        for job, session in choose(
            self.waiting, self.workers, now_ms=self.now_ms, max_running=10_000
        ):
            job.move(JobEvent.ASSIGN)
            assert len(session.jobs) < session.slots
            session.jobs[job.id] = job
            session.loaded_model = job.render.model
            self.given[job] = self.now_ms
            takes_ms = self.others_ms.get(job.project.account_id, self.job_ms)
            heapq.heappush(self._ends, (self.now_ms + takes_ms, len(self.given), job, session))

    def until(self, at_ms: int) -> Iterator[LiveJob]:
        """Lets time pass; gives each job as it ends, before its slot is filled again."""
        while self._ends and self._ends[0][0] <= at_ms:
            self.now_ms, _, job, session = heapq.heappop(self._ends)
            job.move(JobEvent.COMPLETE)
            del session.jobs[job.id]
            yield job
            self.dispatch()
        self.now_ms = max(self.now_ms, at_ms)

    def next_free_ms(self, model: str) -> int:
        """When the first worker that serves a model has a free slot."""
        ends = [at_ms for at_ms, _, _, session in self._ends if model in session.models]
        able = [session for session in self.workers if model in session.models]
        return self.now_ms if any(s.free_slots for s in able) else min(ends)


workers = st.lists(
    st.builds(
        lambda models, slots: (models, slots),
        st.sets(st.sampled_from(MODELS), min_size=1),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=3,
)


lengths = st.integers(1_000, LONGEST_MS)


def grid_of(made: list[tuple[set[str], int]], job_ms: int) -> Simulation:
    return Simulation([worker(*models, slots=slots) for models, slots in made], job_ms)


@settings(deadline=None, max_examples=40)
@given(workers, lengths, lengths, st.integers(0, 3 * LONGEST_MS), st.data())
def test_a_flood_delays_the_first_job_of_another_until_a_worker_is_free_and_no_longer(
    made: list[tuple[set[str], int]],
    job_ms: int,
    flood_ms: int,
    after_ms: int,
    data: st.DataObject,
) -> None:
    grid = grid_of(made, job_ms)
    grid.others_ms = {"ADA": flood_ms}
    for one in grid.workers:  # good and bad ones
        one.paces = {model: data.draw(st.floats(0.2, 5.0)) for model in sorted(one.models)}
        one.delivery_rate = data.draw(st.floats(0.1, 1.0))
    for model in MODELS:
        grid.submit("ADA", model, jobs=40)
    for _ in grid.until(START_MS + after_ms):
        pass
    model = data.draw(st.sampled_from(sorted(set().union(*(models for models, _ in made)))))
    expected_ms = grid.next_free_ms(model)
    (job,) = grid.submit("BOB", model).jobs
    for _ in grid.until(START_MS + after_ms + 2 * flood_ms):
        pass
    assert grid.given[job] <= expected_ms
    assert grid.given[job] <= job.created_ms + flood_ms  # the length of one job


@settings(deadline=None, max_examples=25)
@given(workers, st.integers(5_000, 60_000), st.integers(2, 4), st.data())
def test_nobody_waits_for_ever_however_busy_everybody_is(
    made: list[tuple[set[str], int]], job_ms: int, accounts: int, data: st.DataObject
) -> None:
    """Everybody keeps asking for everything; one more job, of any account, is still served."""
    grid = grid_of(made, job_ms)
    served = sorted(set().union(*(models for models, _ in made)))
    names = [f"A{number}" for number in range(accounts)]
    asked = data.draw(
        st.sets(st.tuples(st.sampled_from(names), st.sampled_from(served)), min_size=1)
    )
    for name, model in sorted(asked):
        grid.submit(name, model, jobs=3)
    for _ in range(10):  # a flood is under way
        for job in grid.until(grid.now_ms + job_ms):
            grid.submit(job.project.account_id, job.render.model)
    (job,) = grid.submit(data.draw(st.sampled_from(names)), data.draw(st.sampled_from(served))).jobs
    queued = sum(1 for room in grid.waiting.rooms() for _ in room)
    turn_ms = HANDICAP_MS + LOADED_AHEAD_MS + len(names) * len(served) * job_ms
    patience_ms = grid.now_ms + (queued + 1) * turn_ms
    while job not in grid.given and grid.now_ms < patience_ms:
        for ended in grid.until(grid.now_ms + job_ms):
            grid.submit(ended.project.account_id, ended.render.model)
    assert job in grid.given


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 3), st.integers(1_000, 60_000))
def test_two_floods_share_the_workers_equally(slots: int, job_ms: int) -> None:
    grid = Simulation([worker("m1", slots=slots)], job_ms)
    grid.submit("ADA", "m1", jobs=100)
    grid.submit("BOB", "m1", jobs=100)
    for _ in grid.until(START_MS + 20 * job_ms):
        pass
    counts = [
        sum(job.project.account_id == account for job in grid.given) for account in ("ADA", "BOB")
    ]
    assert abs(counts[0] - counts[1]) <= slots


def test_two_floods_for_different_models_do_not_make_a_worker_change_at_every_job() -> None:
    grid = Simulation([worker("m1", "m2")], job_ms=1_000)
    grid.submit("ADA", "m1", jobs=200)
    grid.submit("BOB", "m2", jobs=200)
    for _ in grid.until(START_MS + 200_000):
        pass
    order = [job.render.model for job in sorted(grid.given, key=lambda job: grid.given[job])]
    changes = sum(one != other for one, other in itertools.pairwise(order))
    assert changes < 20
    assert abs(order.count("m1") - order.count("m2")) < 50
