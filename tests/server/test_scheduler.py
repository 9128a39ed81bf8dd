"""Which job goes to which worker: the choice itself, without a server."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.protocol.params import NETWORKS
from dreamgrid.server import waiting as waiting_jobs_module
from dreamgrid.server.live import LiveJob, LiveProject
from dreamgrid.server.scheduler import (
    KEPT_AHEAD_MS,
    MAX_COMPARED,
    PREFERRED_AHEAD_MS,
    SPARED_MS,
    Match,
    choose,
)
from dreamgrid.server.store.base import Choice
from dreamgrid.server.waiting import MAX_WALKED, Turn, WaitingJobs
from dreamgrid.server.worker_flags import ANYBODY, Targeting
from dreamgrid.server.workers import QUICKEST, WorkerSession
from dreamgrid.states import JobEvent
from tests.support.live import live_project, load_of, worker

NOW_MS = 1_000_000


def line_up(*projects: LiveProject) -> WaitingJobs:
    """All jobs of these projects, waiting in this order."""
    waiting = WaitingJobs()
    for project in projects:
        for job in project.jobs:
            waiting.add(job)
    return waiting


def fails(job: LiveJob, *workers: WorkerSession) -> None:
    """These workers failed at a job, which waits again since `NOW_MS`."""
    job.failed_on |= {one.id for one in workers}
    job.waits_since_ms = NOW_MS


def give(
    waiting: WaitingJobs,
    workers: Sequence[WorkerSession],
    now_ms: int = NOW_MS,
    max_running: int = 1_000,
) -> list[Match]:
    """One run of `choose`."""
    return choose(waiting, workers, now_ms=now_ms, max_running=max_running)


def chosen(
    waiting: WaitingJobs, *workers: WorkerSession, now_ms: int = NOW_MS, max_running: int = 1_000
) -> list[LiveJob]:
    """The jobs that are given away, in the order in which they are chosen."""
    return [match.job for match in give(waiting, workers, now_ms, max_running)]


def jobs_of(matches: Sequence[Match], session: WorkerSession) -> list[LiveJob]:
    return [match.job for match in matches if match.worker is session]


# ── who may take what ────────────────────────────────────────────────────────────────────────────


def test_a_job_goes_to_a_worker_that_serves_its_model() -> None:
    project = live_project(model="m1")
    right = worker("m0", "m1")
    matches = give(line_up(project), [worker("m2"), right])
    assert matches == [Match(project.jobs[0], right)]


def test_many_short_jobs_are_held_and_few_beside_a_long_one() -> None:
    mixed = worker("short", "long", slots=2)
    mixed.slots_of = {"short": 4}
    assert len(chosen(line_up(live_project(jobs=6, model="short")), mixed)) == 4
    assert len(chosen(line_up(live_project(jobs=6, model="long")), mixed)) == 2

    def held(*models: str) -> list[str]:
        """Models of what it gets when it holds jobs of these."""
        jobs = [job for model in models for job in live_project(model=model).jobs]
        mixed.jobs = {job.id: job for job in jobs}
        short, long = live_project(jobs=6, model="short"), live_project(jobs=6, model="long")
        return sorted(job.render.model for job in chosen(line_up(short, long), mixed))

    assert held("long") in (["long"], ["short"])
    assert held("long", "short") == []
    assert held("short", "short", "long") == [], "it holds more than it would now"
    assert len(held("short", "short")) in (1, 2)
    assert mixed.free_slots == 2
    long = live_project(jobs=6, model="long")
    assert len(chosen(line_up(long), mixed)) == 1, "what is long has its turn behind what is short"


@pytest.mark.parametrize(
    "unfit",
    [
        worker("m2"),
        worker(),
        worker("m1", network="relaxed"),
        worker("m1", draining=True),
        worker("m1", slots=2, holds=2),
        worker("m1", slots=1, holds=3),
        worker("m2", loaded="m1"),
    ],
    ids=["model", "no models", "network", "draining", "full", "overfull", "loaded but not served"],
)
def test_a_worker_that_cannot_take_a_job_gets_none(unfit: WorkerSession) -> None:
    waiting = line_up(live_project(model="m1"))
    assert give(waiting, [unfit]) == []
    assert chosen(waiting, worker("m1")) != []


def test_a_worker_gets_no_more_than_it_has_room_for() -> None:
    waiting = line_up(live_project(jobs=10))
    assert len(chosen(waiting, worker("m1", slots=5, holds=2))) == 3
    assert len(chosen(waiting, worker("m1", slots=20))) == 7


def test_nothing_is_given_away_when_nothing_waits() -> None:
    assert give(WaitingJobs(), [worker("m1")]) == []
    assert give(line_up(live_project()), []) == []


# ── whose turn it is ─────────────────────────────────────────────────────────────────────────────


def test_accounts_take_turns() -> None:
    many, few = live_project("ADA", jobs=4), live_project("BOB", jobs=2)
    order = chosen(line_up(many, few), worker("m1", slots=6))
    assert [job.project.account_id for job in order] == ["ADA", "BOB", "ADA", "BOB", "ADA", "ADA"]


def test_an_account_that_comes_late_gets_the_next_free_worker() -> None:
    waiting = line_up(live_project("ADA", jobs=50))
    one = worker("m1")
    chosen(waiting, one)
    late = live_project("BOB", jobs=2)
    for job in late.jobs:
        waiting.add(job)
    order = [chosen(waiting, one)[0] for _ in range(4)]
    assert [job.project.account_id for job in order] == ["BOB", "ADA", "BOB", "ADA"]


def test_coming_back_again_and_again_gives_an_account_no_more_than_its_turn() -> None:
    waiting = line_up(live_project("ADA", jobs=50))
    one, order = worker("m1"), []
    for _ in range(6):
        if not any(job.project.account_id == "BOB" for job in waiting_jobs(waiting)):
            waiting.add(live_project("BOB").jobs[0])
        order += [job.project.account_id for job in chosen(waiting, one)]
    assert order == ["ADA", "BOB"] * 3


def waiting_jobs(waiting: WaitingJobs) -> list[LiveJob]:
    return [job for room in waiting.rooms() for job in room]


def test_a_walk_through_many_lines_pauses_before_their_order_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting_jobs_module, "AT_ONCE", 20)
    lines = 41
    waiting = line_up(*(live_project(f"{number}") for number in range(lines)))
    (walk,) = waiting.walks()
    walked = list(walk)
    assert walked[:3] == [None] * 3
    longest = max(len(list(some)) for none, some in groupby(walked, key=lambda job: job is None))
    assert longest <= 20
    found = [job.project.account_id for job in walked if job is not None]
    assert found == [str(number) for number in range(lines)]


def test_a_walk_tells_what_waited_when_it_began_and_still_waits() -> None:
    first, second, late = live_project("ADA", jobs=3), live_project("BOB", jobs=2), live_project()
    waiting = line_up(first, second)
    (walk,) = waiting.rooms()
    walked = [next(walk), next(walk)]
    waiting.add(late.jobs[0])
    cancel(second.jobs[1])
    walked += walk
    assert walked == [first.jobs[0], second.jobs[0], first.jobs[1], first.jobs[2]]


def test_many_projects_give_an_account_no_more_turns() -> None:
    waiting = line_up(*(live_project("ADA") for _ in range(10)), live_project("BOB"))
    assert [job.project.account_id for job in chosen(waiting, worker("m1", slots=2))] == [
        "ADA",
        "BOB",
    ]


def test_within_an_account_the_first_to_come_is_the_first_served() -> None:
    first, second = live_project(jobs=2), live_project(jobs=2)
    assert chosen(line_up(first, second), worker("m1", slots=4)) == [*first.jobs, *second.jobs]


def test_between_models_the_job_that_waited_longest_goes_first() -> None:
    young = live_project("ADA", "m1", created_ms=2_000)
    old = live_project("BOB", "m2", created_ms=1_000)
    assert chosen(line_up(young, old), worker("m1", "m2")) == old.jobs


def test_a_worker_prefers_the_model_that_it_has_loaded() -> None:
    old = live_project("BOB", "m2", created_ms=1_000)
    young = live_project("ADA", "m1", created_ms=2_000)
    assert chosen(line_up(old, young), worker("m1", "m2", loaded="m1")) == young.jobs


def test_a_worker_loads_another_model_when_nothing_waits_for_its_own() -> None:
    project = live_project("ADA", "m2")
    assert chosen(line_up(project), worker("m1", "m2", loaded="m1")) == project.jobs


def test_a_worker_prefers_what_it_keeps_in_memory_to_what_it_would_have_to_read() -> None:
    old = live_project("BOB", "m2", created_ms=1_000)
    young = live_project("ADA", "m1", created_ms=2_000)
    keeps = worker("m1", "m2", "m3", loaded="m3", kept=("m1", "m3"))
    assert chosen(line_up(old, young), keeps) == young.jobs
    late = live_project("ADA", "m1", created_ms=1_000 + KEPT_AHEAD_MS + 1)
    other = live_project("BOB", "m2", created_ms=1_000)
    assert chosen(line_up(other, late), keeps) == other.jobs
    loaded = live_project("EVE", "m3", created_ms=2_000)
    young = live_project("ADA", "m1", created_ms=2_000)
    assert chosen(line_up(young, loaded), keeps) == loaded.jobs


def test_an_interrupted_job_is_ahead_of_its_accounts_others() -> None:
    waiting = line_up(live_project(jobs=2))
    interrupted = live_project().jobs[0]
    waiting.add(interrupted, first=True)
    assert chosen(waiting, worker("m1")) == [interrupted]


def test_jobs_spread_over_workers_with_equal_room() -> None:
    one, two = worker("m1", slots=4), worker("m1", slots=4)
    matches = give(line_up(live_project(jobs=4)), [one, two])
    assert len(jobs_of(matches, one)) == len(jobs_of(matches, two)) == 2


def test_the_worker_that_is_least_busy_for_its_size_takes_the_next_job() -> None:
    small, big = worker("m1", slots=2), worker("m1", slots=5, holds=1)
    matches = give(line_up(live_project(jobs=4)), [big, small])
    assert [match.worker for match in matches] == [small, big, big, small]


def test_an_idle_worker_comes_before_one_with_room_beside_its_work() -> None:
    idle, busy = worker("m1", slots=1), worker("m1", slots=8, holds=1)
    assert give(line_up(live_project()), [busy, idle])[0].worker is idle


def test_of_two_idle_workers_the_faster_one_takes_the_job() -> None:
    slow, fast = worker("m1", pace=2.0), worker("m1", pace=0.5)
    assert give(line_up(live_project()), [slow, fast])[0].worker is fast


def test_nobody_counts_as_quicker_than_any_machine_can_be() -> None:
    boaster, quick = worker("m1", pace=1e-6, delivery_rate=0.9), worker("m1", pace=QUICKEST)
    assert give(line_up(live_project()), [boaster, quick])[0].worker is quick


def test_of_two_idle_workers_the_one_that_delivers_more_often_takes_the_job() -> None:
    careless, careful = worker("m1", delivery_rate=0.5), worker("m1", delivery_rate=0.9)
    assert give(line_up(live_project()), [careless, careful])[0].worker is careful


def test_who_fails_now_and_then_may_still_be_the_one_that_delivers_first() -> None:
    quick = worker("m1", pace=0.5, delivery_rate=0.8)
    slow = worker("m1", pace=1.5)
    assert give(line_up(live_project()), [slow, quick])[0].worker is quick


def test_what_counts_is_the_pace_for_the_jobs_model() -> None:
    one, two = worker("m1", "m2"), worker("m1", "m2")
    one.paces, two.paces = {"m1": 2.0, "m2": 0.5}, {"m1": 0.5, "m2": 2.0}
    matches = give(line_up(live_project("ADA", "m1"), live_project("BOB", "m2")), [one, two])
    assert {match.worker.id: match.job.render.model for match in matches} == {
        one.id: "m2",
        two.id: "m1",
    }


def test_a_worker_that_has_the_model_loaded_comes_before_a_faster_one() -> None:
    fast, warm = worker("m1", "m2", loaded="m2", pace=0.5), worker("m1", loaded="m1")
    assert give(line_up(live_project()), [fast, warm])[0].worker is warm


def test_a_worker_with_the_model_loaded_is_found_among_very_many() -> None:
    cold = [worker("m1", pace=0.5) for _ in range(3 * MAX_COMPARED)]
    warm = worker("m1", loaded="m1")
    assert give(line_up(live_project()), [*cold, warm])[0].worker is warm


def test_a_worker_that_keeps_the_model_comes_before_one_that_would_have_to_read_it() -> None:
    fast = worker("m1", "m2", loaded="m2", pace=0.5)
    keeps = worker("m1", "m2", loaded="m2", kept=("m1", "m2"))
    warm = worker("m1", loaded="m1", pace=2.0)
    assert give(line_up(live_project()), [fast, keeps])[0].worker is keeps
    assert give(line_up(live_project()), [fast, keeps, warm])[0].worker is warm
    cold = [worker("m1", pace=0.5) for _ in range(3 * MAX_COMPARED)]
    assert give(line_up(live_project()), [*cold, keeps])[0].worker is keeps


def test_an_idle_worker_comes_before_a_busy_one_with_the_model_loaded() -> None:
    warm, idle = worker("m1", loaded="m1", slots=2, holds=1), worker("m1", slots=2)
    assert give(line_up(live_project()), [warm, idle])[0].worker is idle


def test_where_a_job_goes_is_noted_with_the_reasons() -> None:
    project = live_project(created_ms=900_000)
    waiting = line_up(live_project("ADA"), project)
    one, two = worker("m1", slots=2, pace=2.0, delivery_rate=0.9, loaded="m1"), worker("m2")
    chosen(waiting, one, two)
    assert project.jobs[0].choice == Choice(
        waited_ms=100_000, turn_ms=0, loaded=True, pace=2.0, delivery_rate=0.9, idle=2
    )


paces = st.floats(0.2, 5.0)
crews = st.lists(st.tuples(st.integers(1, 4), paces, st.floats(0.1, 1.0)), min_size=1, max_size=6)


@given(crews, st.integers(1, 12))
def test_a_project_spreads_over_idle_workers_before_any_holds_two_of_its_jobs(
    crew: list[tuple[int, float, float]], jobs: int
) -> None:
    workers = [
        worker("m1", slots=slots, pace=pace, delivery_rate=rate) for slots, pace, rate in crew
    ]
    matches = give(line_up(live_project(jobs=jobs)), workers)
    room = sum(slots for slots, _, _ in crew)
    assert len(matches) == min(jobs, room)
    counts = [len(jobs_of(matches, one)) for one in workers]
    assert all(count <= one.slots for count, one in zip(counts, workers, strict=True))
    if len(matches) >= len(workers):
        assert min(counts) >= 1
    else:
        assert max(counts) == 1


# ── jobs that no longer wait ─────────────────────────────────────────────────────────────────────


def cancel(job: LiveJob) -> None:
    job.move(JobEvent.CANCEL)


def settle(job: LiveJob) -> None:
    job.settling = True


def cancel_project(job: LiveJob) -> None:
    job.project.canceling = True


@pytest.mark.parametrize("gone", [cancel, settle, cancel_project])
def test_a_job_that_no_longer_waits_is_skipped(gone: Callable[[LiveJob], None]) -> None:
    first, second, third = live_project(), live_project(), live_project("BOB")
    waiting = line_up(first, second, third)
    gone(first.jobs[0])
    gone(third.jobs[0])
    assert waiting.positions() == {second.id: 1}
    assert chosen(waiting, worker("m1", slots=5)) == second.jobs
    assert not waiting.positions()


def test_lines_of_canceled_jobs_disappear() -> None:
    project = live_project(jobs=3)
    waiting = line_up(project)
    for job in project.jobs:
        cancel(job)
    assert give(waiting, [worker("m1")]) == []
    assert not waiting
    assert waiting.place(project) == 0


def test_a_job_that_was_put_back_can_be_chosen_again() -> None:
    waiting = line_up(live_project(jobs=2))
    (job,) = chosen(waiting, worker("m1"))
    waiting.add(job, first=True)
    assert chosen(waiting, worker("m1")) == [job]


def test_a_job_that_is_put_back_while_it_is_still_in_line_is_given_away_once() -> None:
    """A cancel that fails puts back what may have been skipped in the meantime, or may not."""
    project = live_project(jobs=2)
    waiting = line_up(project)
    for job in project.jobs:
        waiting.add(job)
    assert chosen(waiting, worker("m1", slots=9)) == project.jobs


# ── positions ────────────────────────────────────────────────────────────────────────────────────


def test_positions_count_projects_from_one_in_the_order_of_their_turns() -> None:
    first, second, other = live_project("ADA", jobs=3), live_project("ADA"), live_project("BOB")
    positions = line_up(first, second, other).positions()
    assert positions == {first.id: 1, other.id: 2, second.id: 3}


@pytest.mark.parametrize("flood", [3, 50 * MAX_WALKED])
def test_a_flood_of_another_account_hardly_moves_the_place_of_a_first_project(flood: int) -> None:
    waiting = line_up(*(live_project("BOB") for _ in range(flood)))
    first, second = live_project("ADA"), live_project("ADA", jobs=2)
    for job in (*first.jobs, *second.jobs):
        waiting.add(job)
    assert (waiting.place(first), waiting.place(second)) == (2, 4)
    give(waiting, [worker("m1")])  # one of the flood
    assert (waiting.place(first), waiting.place(second)) == (1, 3)


def test_places_far_back_are_estimated_by_numbers() -> None:
    """Each account has twice as many jobs as projects, so the truth can be told exactly."""
    lines = [[live_project(name, jobs=2) for _ in range(MAX_WALKED)] for name in ("A", "B", "C")]
    waiting = line_up(*(project for projects in zip(*lines, strict=True) for project in projects))
    positions = waiting.positions()
    for projects in lines:
        for project in (*projects[:20], projects[-1]):
            true = positions[project.id]
            assert abs(waiting.place(project) - true) <= (0 if true < 60 else true // 50)


def test_a_thousand_lines_are_not_walked_one_by_one() -> None:
    waiting = line_up(*(live_project(f"account {n}", jobs=2) for n in range(1_000)))
    newcomer = live_project("ADA")
    waiting.add(newcomer.jobs[0])
    assert waiting.place(newcomer) == 1_001 == waiting.positions()[newcomer.id]


def test_each_model_and_network_has_its_own_line() -> None:
    projects = [
        live_project(model=model, network=network) for model in ("a", "b") for network in NETWORKS
    ]
    assert line_up(*projects).positions() == {project.id: 1 for project in projects}


def test_positions_move_up_when_a_job_is_taken() -> None:
    first, second = live_project(), live_project()
    waiting = line_up(first, second)
    chosen(waiting, worker("m1"))
    assert waiting.positions() == {second.id: 1}


# ── which workers a project wants ────────────────────────────────────────────────────────────────

ONLY_FOX = Targeting(required=frozenset({"fox"}))
NOT_FOX = Targeting(skipped=frozenset({"fox"}))
FOX_FIRST = Targeting(preferred=frozenset({"fox"}))


def test_a_required_worker_is_waited_for() -> None:
    project = live_project(targeting=ONLY_FOX)
    waiting = line_up(project)
    assert chosen(waiting, worker("m1", name="owl")) == []
    fox = worker("m1", name="Fox")
    assert give(waiting, [worker("m1", name="owl"), fox]) == [Match(project.jobs[0], fox)]


def test_a_skipped_worker_gets_the_job_not_even_when_nobody_else_is_there() -> None:
    waiting = line_up(live_project(targeting=NOT_FOX))
    assert chosen(waiting, worker("m1", name="fox")) == []
    assert len(chosen(waiting, worker("m1", name="owl"))) == 1


def test_a_preferred_worker_has_a_head_start() -> None:
    project = live_project(targeting=FOX_FIRST, created_ms=0)
    waiting = line_up(project)
    owl, busy_fox = worker("m1", name="owl"), worker("m1", name="fox", holds=1)
    assert chosen(waiting, owl, busy_fox, now_ms=PREFERRED_AHEAD_MS - 1) == []
    matches = give(waiting, [owl, busy_fox], PREFERRED_AHEAD_MS)
    assert matches == [Match(project.jobs[0], owl)]


def test_nobody_waits_for_a_preferred_worker_that_cannot_come() -> None:
    for fox in (
        worker("m2", name="fox"),
        worker("m1", name="fox", draining=True),
        worker("m1", name="fox", network="relaxed"),
    ):
        project = live_project(targeting=FOX_FIRST)
        assert chosen(line_up(project), worker("m1", name="owl"), fox, now_ms=0) == project.jobs


def test_a_job_that_waits_for_its_worker_holds_up_no_other() -> None:
    picky, easy = live_project(targeting=ONLY_FOX), live_project()
    assert chosen(line_up(picky, easy), worker("m1", name="owl")) == easy.jobs


# ── after failures ───────────────────────────────────────────────────────────────────────────────


def test_a_job_goes_to_a_worker_that_has_not_failed_at_it() -> None:
    failed, other = live_project(), live_project("BOB")
    bad, good = worker("m1"), worker("m1", holds=1)
    fails(failed.jobs[0], bad)
    waiting = line_up(failed, other)
    assert give(waiting, [bad, good]) == [Match(other.jobs[0], bad)]
    good.jobs.clear()
    assert give(waiting, [bad, good]) == [Match(failed.jobs[0], good)]


def test_what_one_worker_failed_at_does_not_keep_it_from_the_other_jobs_of_the_account() -> None:
    failed, others = live_project(), live_project(jobs=3)
    bad, busy = worker("m1", slots=2), worker("m1", holds=1)
    waiting = line_up(failed, others)
    assert chosen(waiting, worker("m1")) == failed.jobs
    fails(failed.jobs[0], bad)
    waiting.add(failed.jobs[0], first=True)
    assert chosen(waiting, bad, busy) == others.jobs[:2]
    busy.jobs.clear()
    assert chosen(waiting, busy) == failed.jobs  # first, wherever it may go
    assert chosen(waiting, bad, busy) == others.jobs[2:]
    assert not waiting.positions()


def test_failures_give_an_account_no_more_turns() -> None:
    failed, others, rival = live_project(jobs=3), live_project(jobs=3), live_project("BOB", jobs=6)
    for job in failed.jobs:
        fails(job, worker("m1"))
    order = chosen(line_up(failed, others, rival), worker("m1", slots=12))
    assert [job.project.account_id for job in order] == ["ADA", "BOB"] * 6
    assert [job for job in order if job.project is not rival] == [*failed.jobs, *others.jobs]


def test_another_worker_is_waited_for_no_longer_than_it_may_take() -> None:
    project, bad, busy = live_project(), worker("m1"), worker("m1", holds=1)
    fails(project.jobs[0], bad)
    waiting = line_up(project)
    assert chosen(waiting, bad, busy, now_ms=NOW_MS + SPARED_MS - 1) == []
    assert chosen(waiting, bad, busy, now_ms=NOW_MS + SPARED_MS) == project.jobs


def test_where_all_have_failed_at_a_job_any_of_them_may_try_again() -> None:
    project, workers = live_project(), [worker("m1"), worker("m1")]
    fails(project.jobs[0], *workers)
    assert len(give(line_up(project), workers)) == 1


def test_a_paused_worker_gets_nothing_and_is_not_waited_for() -> None:
    bad, paused = worker("m1"), worker("m1")
    paused.paused = True
    project = live_project()
    fails(project.jobs[0], bad)
    assert give(line_up(project), [paused, bad]) == [Match(project.jobs[0], bad)]


# ── how much one account may hold ────────────────────────────────────────────────────────────────


def test_workers_hold_no_more_of_an_account_than_it_may_run() -> None:
    waiting = line_up(live_project("ADA", jobs=5), live_project("BOB", jobs=1))
    order = chosen(waiting, worker("m1", slots=9), max_running=2)
    assert [job.project.account_id for job in order] == ["ADA", "BOB", "ADA"]


def test_what_an_account_holds_already_counts() -> None:
    waiting = line_up(live_project("ADA", jobs=3, load=load_of(2)), live_project("BOB"))
    order = chosen(waiting, worker("m1", slots=9), max_running=3)
    assert [job.project.account_id for job in order] == ["ADA", "BOB"]
    assert len(chosen(waiting, worker("m1", slots=9), max_running=4)) == 2


def test_what_an_account_holds_follows_its_jobs() -> None:
    project = live_project(jobs=3)
    for job in project.jobs:
        job.move(JobEvent.ASSIGN)
    assert project.load.running == 3
    project.jobs[0].move(JobEvent.START)
    project.jobs[0].move(JobEvent.COMPLETE)
    project.jobs[1].move(JobEvent.LOSE)
    assert project.load.running == 1
    project.jobs[2].move(JobEvent.CANCEL)
    project.jobs[1].move(JobEvent.CANCEL)
    assert project.load.running == 0


# ── whatever waits and whoever is there ──────────────────────────────────────────────────────────

MODELS = ("m1", "m2", "m3")
projects = st.lists(
    st.builds(
        live_project,
        st.sampled_from(["ADA", "BOB", "CAT"]),
        st.sampled_from(MODELS),
        jobs=st.integers(1, 4),
        created_ms=st.integers(0, 5),
        network=st.sampled_from(NETWORKS),
        targeting=st.sampled_from([ANYBODY, ONLY_FOX, NOT_FOX]),
    ),
    max_size=8,
)
sessions = st.builds(
    lambda models, slots, holds, network, loaded, draining, name: worker(
        *models,
        slots=slots,
        holds=holds,
        network=network,
        loaded=loaded,
        draining=draining,
        name=name,
    ),
    st.sets(st.sampled_from(MODELS)),
    st.integers(1, 4),
    st.integers(0, 2),
    st.sampled_from(NETWORKS),
    st.none() | st.sampled_from(MODELS),
    st.booleans(),
    st.sampled_from(["fox", "owl"]),
)


def can_take(session: WorkerSession, job: LiveJob) -> bool:
    return (
        job.render.model in session.models
        and job.project.network == session.network
        and job.project.targeting.allows(session.known_as)
    )


@given(projects, st.lists(sessions, max_size=4), st.sets(st.integers(0, 30)), st.integers(1, 6))
def test_every_choice_is_allowed_complete_and_fair(
    projects: list[LiveProject],
    workers: list[WorkerSession],
    canceled: set[int],
    max_running: int,
) -> None:
    everything = [job for project in projects for job in project.jobs]
    for index, job in enumerate(everything):
        if index in canceled:
            cancel(job)
    waiting = line_up(*projects)
    # Soon after all of them came: a line that waits for long may have its turn earlier.
    matches = give(waiting, workers, now_ms=10, max_running=max_running)
    check_allowed(matches, workers)
    given_away = {match.job for match in matches}
    left = [job for job in everything if not job.ended and job not in given_away]
    held = Counter(job.project.account_id for job in given_away)
    assert all(count <= max_running for count in held.values())
    check_complete(
        [job for job in left if held[job.project.account_id] < max_running], matches, workers
    )
    check_fair(left, matches, max_running)
    assert set(waiting.positions()) == {job.project.id for job in left}


def check_allowed(matches: list[Match], workers: list[WorkerSession]) -> None:
    assert len({match.job for match in matches}) == len(matches)
    for match in matches:
        assert can_take(match.worker, match.job)
        assert not match.job.ended
    for session in workers:
        assert len(jobs_of(matches, session)) <= max(0, session.free_slots)


def check_complete(left: list[LiveJob], matches: list[Match], workers: list[WorkerSession]) -> None:
    """No slot stays free while a job waits for it that may run."""
    for session in workers:
        if len(jobs_of(matches, session)) < session.free_slots:
            assert not any(can_take(session, job) for job in left)


def check_fair(left: list[LiveJob], matches: list[Match], max_running: int) -> None:
    """Nobody had a second turn in a room in which somebody still waits for the first one."""
    turns: Counter[str] = Counter()
    waits = {(room_of(job), job.project.account_id) for job in left}
    for match in matches:
        account_id = match.job.project.account_id
        for room, other in waits:
            if room == room_of(match.job) and turns[other] < max_running:
                assert turns[account_id] <= turns[other]
        turns[account_id] += 1


def room_of(job: LiveJob) -> tuple[str, str, Targeting]:
    return job.project.network, job.render.model, job.project.targeting


@given(projects)
def test_positions_foretell_the_order_of_the_choices_in_a_room(
    projects: list[LiveProject],
) -> None:
    waiting = line_up(*projects)
    for session in (worker(*MODELS, network=network, name="fox") for network in NETWORKS):
        for model in MODELS:
            for turn in list(room_turns(waiting, session, model)):
                foretold = waiting.positions()
                told = {one.id: waiting.place(one) for one in projects if one.id in foretold}
                assert told == foretold
                room, served = room_of(turn.job), list[str]()
                while (job := next_of(waiting, session, model, room)) is not None:
                    waiting.take(job, now_ms=1_000_000)
                    if job.project.id not in served:
                        served.append(job.project.id)
                assert [foretold[project] for project in served] == [*range(1, len(served) + 1)]


def room_turns(waiting: WaitingJobs, session: WorkerSession, model: str) -> Iterator[Turn]:
    return waiting.turns(session.network, model, session.known_as, lambda job: True)


def next_of(
    waiting: WaitingJobs, session: WorkerSession, model: str, room: tuple[str, str, Targeting]
) -> LiveJob | None:
    """The job whose turn it is in one room."""
    found = (turn.job for turn in room_turns(waiting, session, model))
    return next((job for job in found if room_of(job) == room), None)
