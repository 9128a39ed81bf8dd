"""Which job goes to which worker: the choice itself, without a server."""

from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.protocol.params import NETWORKS
from dreamgrid.server.live import LiveJob, LiveProject
from dreamgrid.server.scheduler import Match, WaitingJobs, choose
from dreamgrid.server.workers import WorkerSession
from dreamgrid.states import JobEvent
from tests.support.live import live_project, worker


def line_up(*projects: LiveProject) -> WaitingJobs:
    """All jobs of these projects, waiting in this order."""
    waiting = WaitingJobs()
    for project in projects:
        for job in project.jobs:
            waiting.add(job)
    return waiting


def chosen(waiting: WaitingJobs, *workers: WorkerSession) -> list[LiveJob]:
    """The jobs that are given away, in the order in which they are chosen."""
    return [match.job for match in choose(waiting, workers)]


def jobs_of(matches: Sequence[Match], session: WorkerSession) -> list[LiveJob]:
    return [match.job for match in matches if match.worker is session]


# ── who may take what ────────────────────────────────────────────────────────────────────────────


def test_a_job_goes_to_a_worker_that_serves_its_model() -> None:
    project = live_project(model="m1")
    right = worker("m0", "m1")
    matches = choose(line_up(project), [worker("m2"), right])
    assert matches == [Match(project.jobs[0], right)]


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
    assert choose(waiting, [unfit]) == []
    assert chosen(waiting, worker("m1")) != []


def test_a_worker_gets_no_more_than_it_has_room_for() -> None:
    waiting = line_up(live_project(jobs=10))
    assert len(chosen(waiting, worker("m1", slots=5, holds=2))) == 3
    assert len(chosen(waiting, worker("m1", slots=20))) == 7


def test_nothing_is_given_away_when_nothing_waits() -> None:
    assert choose(WaitingJobs(), [worker("m1")]) == []
    assert choose(line_up(live_project()), []) == []


# ── whose turn it is ─────────────────────────────────────────────────────────────────────────────


def test_accounts_take_turns() -> None:
    many, few = live_project("ADA", jobs=4), live_project("BOB", jobs=2)
    order = chosen(line_up(many, few), worker("m1", slots=6))
    assert [job.project.account_id for job in order] == ["ADA", "BOB", "ADA", "BOB", "ADA", "ADA"]


def test_an_account_that_comes_late_waits_one_turn_not_a_whole_line() -> None:
    waiting = line_up(live_project("ADA", jobs=50))
    one = worker("m1")
    chosen(waiting, one)
    late = live_project("BOB")
    waiting.add(late.jobs[0])
    assert late.jobs[0] in [*chosen(waiting, one), *chosen(waiting, one)]


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


def test_an_interrupted_job_is_ahead_of_its_accounts_others() -> None:
    waiting = line_up(live_project(jobs=2))
    interrupted = live_project().jobs[0]
    waiting.add(interrupted, first=True)
    assert chosen(waiting, worker("m1")) == [interrupted]


def test_jobs_spread_over_workers_with_equal_room() -> None:
    one, two = worker("m1", slots=4), worker("m1", slots=4)
    matches = choose(line_up(live_project(jobs=4)), [one, two])
    assert len(jobs_of(matches, one)) == len(jobs_of(matches, two)) == 2


def test_the_worker_with_the_most_room_is_filled_until_it_has_no_more_than_others() -> None:
    small, big = worker("m1", slots=1), worker("m1", slots=3)
    matches = choose(line_up(live_project(jobs=2)), [small, big])
    assert len(jobs_of(matches, big)) == 2


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
    assert choose(waiting, [worker("m1")]) == []
    assert not waiting
    assert waiting.length("fast", "m1") == 0


def test_a_job_that_was_put_back_can_be_chosen_again() -> None:
    waiting = line_up(live_project(jobs=2))
    (job,) = chosen(waiting, worker("m1"))
    waiting.add(job, first=True)
    assert chosen(waiting, worker("m1")) == [job]


# ── positions ────────────────────────────────────────────────────────────────────────────────────


def test_positions_count_projects_from_one_in_the_order_of_their_turns() -> None:
    first, second, other = live_project("ADA", jobs=3), live_project("ADA"), live_project("BOB")
    positions = line_up(first, second, other).positions()
    assert positions == {first.id: 1, other.id: 2, second.id: 3}


def test_the_length_of_a_line_counts_projects() -> None:
    waiting = line_up(live_project("ADA", jobs=3), live_project("ADA"), live_project("BOB"))
    assert waiting.length("fast", "m1") == 3
    one = worker("m1")
    chosen(waiting, one)
    assert waiting.length("fast", "m1") == 3
    chosen(waiting, one)
    assert waiting.length("fast", "m1") == 2
    (again,) = chosen(waiting, one)
    waiting.add(again, first=True)
    assert waiting.length("fast", "m1") == 2
    assert waiting.length("fast", "m2") == waiting.length("relaxed", "m1") == 0


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
    ),
    max_size=8,
)
sessions = st.builds(
    lambda models, slots, holds, network, loaded, draining: worker(
        *models, slots=slots, holds=holds, network=network, loaded=loaded, draining=draining
    ),
    st.sets(st.sampled_from(MODELS)),
    st.integers(1, 4),
    st.integers(0, 2),
    st.sampled_from(NETWORKS),
    st.none() | st.sampled_from(MODELS),
    st.booleans(),
)


def can_take(session: WorkerSession, job: LiveJob) -> bool:
    return job.render.model in session.models and job.project.network == session.network


@given(projects, st.lists(sessions, max_size=4), st.sets(st.integers(0, 30)))
def test_every_choice_is_allowed_complete_and_fair(
    projects: list[LiveProject], workers: list[WorkerSession], canceled: set[int]
) -> None:
    everything = [job for project in projects for job in project.jobs]
    for index, job in enumerate(everything):
        if index in canceled:
            cancel(job)
    waiting = line_up(*projects)
    matches = choose(waiting, workers)
    check_allowed(matches, workers)
    given_away = {match.job for match in matches}
    left = [job for job in everything if not job.ended and job not in given_away]
    check_complete(left, matches, workers)
    check_fair(left, matches)
    assert set(waiting.positions()) == {job.project.id for job in left}


def check_allowed(matches: list[Match], workers: list[WorkerSession]) -> None:
    assert len({match.job for match in matches}) == len(matches)
    for match in matches:
        assert can_take(match.worker, match.job)
        assert not match.job.ended
    for session in workers:
        assert len(jobs_of(matches, session)) <= max(0, session.free_slots)


def check_complete(left: list[LiveJob], matches: list[Match], workers: list[WorkerSession]) -> None:
    """No slot stays free while a job waits for it."""
    for session in workers:
        if len(jobs_of(matches, session)) < session.free_slots:
            assert not any(can_take(session, job) for job in left)


def check_fair(left: list[LiveJob], matches: list[Match]) -> None:
    """Where two accounts still wait for a model, they were given as much, give or take one."""
    taken = Counter((room_of(match.job), match.job.project.account_id) for match in matches)
    wait = {(room_of(job), job.project.account_id) for job in left}
    for room, account in wait:
        for other_room, other in wait:
            if room == other_room:
                assert abs(taken[room, account] - taken[room, other]) <= 1


def room_of(job: LiveJob) -> tuple[str, str]:
    return job.project.network, job.render.model


@given(projects)
def test_positions_foretell_the_order_of_the_choices(projects: list[LiveProject]) -> None:
    waiting = line_up(*projects)
    foretold = waiting.positions()
    for network in NETWORKS:
        for model in MODELS:
            served: list[str] = []
            for job in chosen(waiting, worker(model, slots=100, network=network)):
                if job.project.id not in served:
                    served.append(job.project.id)
            assert [foretold[project_id] for project_id in served] == [*range(1, len(served) + 1)]
