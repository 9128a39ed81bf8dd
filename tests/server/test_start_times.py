"""When waiting projects should start, by the speeds that were measured."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.server import speeds as speeds_of
from dreamgrid.server import start_times
from dreamgrid.server.live import LiveJob, LiveProject
from dreamgrid.server.pricing import render_s
from dreamgrid.server.scheduler import choose
from dreamgrid.server.speeds import LEAST_SHARE, Speeds
from dreamgrid.server.start_times import MAX_ROOMS
from dreamgrid.server.waiting import WaitingJobs
from dreamgrid.server.workers import WorkerSession
from dreamgrid.states import JobEvent
from tests.support.live import live_project, worker

NOW_MS = 1_000_000
PRICE = 1_000_000  # one spark: 5 seconds of rendering
WORK_S = render_s(PRICE, "spark", 1_000)


def project(model: str = "m1", jobs: int = 1, account: str = "ADA") -> LiveProject:
    made = live_project(account, model, jobs=jobs)
    for job in made.jobs:
        job.price_micros = PRICE
    return made


def measured(**seconds: float) -> Speeds:
    """Speeds of models, in seconds for one job of `PRICE`."""
    speeds = Speeds()
    for model, took_s in seconds.items():
        speeds.observe("somebody", model, work_s=WORK_S, took_s=took_s)
    return speeds


def running(session: WorkerSession, job: LiveJob, since_s: float) -> None:
    job.move(JobEvent.ASSIGN)
    job.move(JobEvent.START)
    job.started_ms = NOW_MS - int(since_s * 1000)
    session.jobs[job.id] = job


def foretell(
    rooms: Sequence[list[LiveJob]], workers: Sequence[WorkerSession], speeds: Speeds, now_ms: int
) -> dict[str, float]:
    """Seconds by project."""
    return dict(filter(None, start_times.foretell(rooms, workers, speeds, now_ms)))


def line_up(job: LiveJob) -> WaitingJobs:
    waiting = WaitingJobs()
    waiting.add(job)
    return waiting


def room(*projects: LiveProject) -> list[LiveJob]:
    return [job for one in projects for job in one.jobs]


def test_a_price_of_one_spark_is_five_seconds_of_rendering() -> None:
    assert pytest.approx(5.0) == WORK_S


def test_the_next_project_starts_when_the_running_job_ends() -> None:
    session, waits = worker("m1"), project()
    running(session, project().jobs[0], since_s=4)
    starts = foretell([room(waits)], [session], measured(m1=10), NOW_MS)
    assert starts == {waits.id: pytest.approx(6.0)}


def test_projects_behind_wait_for_the_work_ahead_of_them() -> None:
    session, first, second = worker("m1"), project(jobs=3), project()
    running(session, project().jobs[0], since_s=0)
    starts = foretell([room(first, second)], [session], measured(m1=10), NOW_MS)
    assert starts == {first.id: pytest.approx(10.0), second.id: pytest.approx(40.0)}


def test_several_workers_share_the_work() -> None:
    workers, first, second = [worker("m1"), worker("m1")], project(jobs=4), project()
    for session in workers:
        running(session, project().jobs[0], since_s=0)
    starts = foretell([room(first, second)], workers, measured(m1=10), NOW_MS)
    assert starts[second.id] == pytest.approx(30.0)


def test_a_render_that_takes_longer_than_expected_ends_any_moment() -> None:
    session, waits = worker("m1"), project()
    running(session, project().jobs[0], since_s=99)
    assert foretell([room(waits)], [session], measured(m1=10), NOW_MS) == {waits.id: 0.0}


def test_other_models_on_the_same_worker_take_their_turns() -> None:
    """Turns are counted by jobs, however long these take."""
    session, mine, theirs = worker("m1", "m2"), project("m1", jobs=2), project("m2", jobs=9)
    mine.created_ms, theirs.created_ms = 2, 1
    last = project("m1")
    rooms = [room(mine, last), room(theirs)]
    starts = foretell(rooms, [session], measured(m1=10, m2=4), NOW_MS)
    assert starts == {
        theirs.id: 0.0,
        mine.id: pytest.approx(4.0),
        last.id: pytest.approx(2 * 10 + 3 * 4),
    }


def test_a_model_for_which_more_accounts_wait_has_more_turns() -> None:
    session = worker("m1", "m2")
    few, many = project("m1", account="ADA"), [project("m2", account=one) for one in "BCDE"]
    starts = foretell([room(few), room(*many)], [session], measured(m1=10, m2=4), NOW_MS)
    assert starts[few.id] == pytest.approx(2 * 4)
    assert [starts[one.id] for one in many] == [0.0, 4.0, *map(pytest.approx, (18.0, 22.0))]


def test_workers_that_become_free_later_take_less() -> None:
    workers, first, second = [worker("m1"), worker("m1")], project(), project()
    for session, since_s in zip(workers, (9, 1), strict=True):
        running(session, project().jobs[0], since_s=since_s)
    starts = foretell([room(first, second)], workers, measured(m1=10), NOW_MS)
    assert starts == {first.id: pytest.approx(1.0), second.id: pytest.approx(9.0)}


def test_models_on_other_workers_do_not_matter() -> None:
    sessions, mine, theirs = [worker("m1"), worker("m2")], project("m1"), project("m2", jobs=9)
    starts = foretell([room(mine), room(theirs)], sessions, measured(m1=10, m2=4), NOW_MS)
    assert starts[mine.id] == 0.0


def test_nothing_is_foretold_where_nothing_was_measured() -> None:
    waits = project()
    assert foretell([room(waits)], [worker("m1")], Speeds(), NOW_MS) == {}
    busy = worker("m1", "m2")
    running(busy, project("m2").jobs[0], since_s=0)
    assert foretell([room(waits)], [busy], measured(m1=10), NOW_MS) == {}
    rival = project("m2")
    both = [worker("m1", "m2")]
    assert rival.id not in foretell([room(waits), room(rival)], both, measured(m1=10), NOW_MS)


def test_nothing_is_foretold_where_no_worker_serves() -> None:
    assert foretell([room(project())], [worker("m2")], measured(m1=10), NOW_MS) == {}
    assert foretell([room(project())], [], measured(m1=10), NOW_MS) == {}


def test_too_many_rooms_are_not_looked_at() -> None:
    rooms = [room(project(f"m{number}")) for number in range(MAX_ROOMS + 1)]
    assert foretell(rooms, [worker("m1")], measured(m1=10), NOW_MS) == {}


# ── speeds ───────────────────────────────────────────────────────────────────────────────────────


def test_what_was_never_measured_is_unknown() -> None:
    assert Speeds().seconds("m1", 5.0) is None
    assert Speeds().pace("w1", "m1") == 1.0


def test_a_measurement_holds_for_larger_jobs_of_the_model() -> None:
    speeds = Speeds()
    speeds.observe("w1", "m1", work_s=2.0, took_s=6.0)
    assert speeds.seconds("m1", 10.0) == pytest.approx(30.0)


def test_a_worker_is_known_by_its_own_renders_and_else_by_those_of_others() -> None:
    speeds = Speeds()
    speeds.observe("slow", "m1", work_s=1.0, took_s=4.0)
    speeds.observe("fast", "m1", work_s=1.0, took_s=1.0)
    assert speeds.seconds("m1", 1.0, "slow") == pytest.approx(4.0)
    assert speeds.seconds("m1", 1.0, "fast") == pytest.approx(1.0)
    usual_s = speeds.seconds("m1", 1.0, "new")
    assert usual_s is not None
    assert 1.0 < usual_s < 4.0
    assert speeds.pace("fast", "m1") < 1.0 < speeds.pace("slow", "m1")


def test_what_cannot_be_is_not_measured() -> None:
    speeds = Speeds()
    speeds.observe("w1", "m1", work_s=0.0, took_s=1.0)
    speeds.observe("w1", "m1", work_s=1.0, took_s=0.0)
    for took_s in (math.inf, math.nan, -1.0):
        speeds.observe("w1", "m1", work_s=1.0, took_s=took_s)
    speeds.observe("w1", "m1", work_s=1e-300, took_s=1e300)
    assert speeds.seconds("m1", 1.0) is None


@pytest.mark.parametrize("lie_s", [1e-6, 604_800.0])
def test_one_worker_that_lies_hardly_moves_what_is_usual(lie_s: float) -> None:
    speeds = Speeds()
    for number in range(4):
        speeds.observe(f"honest-{number}", "m1", work_s=600.0, took_s=850.0 + 30 * number)
    for _ in range(30):
        speeds.observe("liar", "m1", work_s=600.0, took_s=lie_s)
    usual_s = speeds.seconds("m1", 600.0, "new")
    assert usual_s is not None
    assert 850.0 <= usual_s <= 940.0
    assert speeds.seconds("m1", 600.0, "honest-0") == pytest.approx(850.0)


def given_away(had_s: float, *, began_s: float | None = None, loaded: bool = True) -> LiveJob:
    """A job that `w1` has had for so long, and began so long ago."""
    (job,) = project().jobs
    session = worker("m1", loaded="m1" if loaded else None)
    now_ms = NOW_MS - int(had_s * 1000)
    assert choose(line_up(job), [session], now_ms=now_ms, max_running=1)
    job.worker_id = "w1"
    job.started_ms = None if began_s is None else NOW_MS - int(began_s * 1000)
    return job


def test_no_more_is_believed_than_passed_and_not_much_less() -> None:
    for told_s, right_s in ((1e9, 8.0), (5.0, 5.0), (1e-6, 2.0)):
        speeds = Speeds()
        speeds.learn(given_away(8, began_s=8), told_s, NOW_MS)
        assert speeds.measured_s("m1", WORK_S, "w1") == pytest.approx(right_s)


def test_of_a_worker_that_never_began_no_more_is_believed_than_it_had_the_job() -> None:
    (unknown,) = project().jobs
    unknown.worker_id, speeds = "w1", Speeds()
    assert speeds.learn(unknown, 1e9, NOW_MS) == 1.0
    assert speeds.seconds("m1", WORK_S) is None, "it was given away before the server began"
    speeds.learn(given_away(9), 1e9, NOW_MS)
    assert speeds.measured_s("m1", WORK_S, "w1") == pytest.approx(9.0)


@pytest.mark.parametrize("others_were_measured", [False, True])
@pytest.mark.parametrize(
    "hidden",
    [
        given_away(4, began_s=0.001, loaded=False),
        given_away(4, loaded=False),
        given_away(4),
    ],
    ids=["behind the loading", "began never, nor had it loaded", "began never"],
)
def test_what_the_server_did_not_see_makes_no_worker_quicker_than_usual(
    hidden: LiveJob, *, others_were_measured: bool
) -> None:
    speeds = Speeds()
    if others_were_measured:
        speeds.observe("honest", "m1", work_s=WORK_S, took_s=10.0)
    for _ in range(20):
        assert speeds.learn(hidden, 1e-6, NOW_MS) >= 1.0
    if others_were_measured:
        assert speeds.pace("honest", "m1") == 1.0
        assert speeds.measured_s("m1", WORK_S, "new") == pytest.approx(10.0)
    else:
        assert speeds.measured_s("m1", WORK_S, "new") is None


def test_a_worker_that_was_measured_to_be_quick_is_not_quicker_for_what_nobody_saw() -> None:
    speeds = Speeds()
    for name in ("one", "two"):
        speeds.observe(name, "m1", work_s=WORK_S, took_s=10.0)
    speeds.observe("w1", "m1", work_s=WORK_S, took_s=5.0)
    speeds.learn(given_away(60, began_s=0.001, loaded=False), 1e-6, NOW_MS)
    assert 5.0 <= (speeds.measured_s("m1", WORK_S, "w1") or 0.0) <= 10.0


def test_who_renders_several_jobs_at_once_is_measured_by_what_it_delivers_in_the_time() -> None:
    speeds = Speeds()
    speeds.learn(given_away(20, began_s=1), 1.0, NOW_MS, turns=4)
    assert speeds.measured_s("m1", WORK_S, "w1") == pytest.approx(20 / 4 * LEAST_SHARE)
    # Two that were held until both were done: the second one took no less for it.
    speeds = Speeds()
    speeds.learn(given_away(20, began_s=0.001), 1e-6, NOW_MS, turns=2)
    assert speeds.measured_s("m1", WORK_S, "w1") == pytest.approx(20 / 2 * LEAST_SHARE)


@given(
    st.lists(
        st.tuples(
            st.floats(1.0, 100.0),  # how long it had the job, all of which it needed
            st.none() | st.floats(0.0, 1.0),  # the part of that after its `started`
            st.floats(1e-9, 1e4),  # what it says
            st.booleans(),  # whether the model was loaded
        ),
        min_size=1,
        max_size=20,
    )
)
def test_whatever_a_worker_says_it_counts_as_little_quicker_than_it_is(
    jobs: list[tuple[float, float | None, float, bool]],
) -> None:
    speeds = Speeds()
    for name in ("one", "two", "three"):
        speeds.observe(name, "m1", work_s=WORK_S, took_s=10.0)
    for had_s, part, told_s, loaded in jobs:
        began_s = None if part is None else part * had_s
        speeds.learn(given_away(had_s, began_s=began_s, loaded=loaded), told_s, NOW_MS)
    measured_s = speeds.measured_s("m1", WORK_S, "w1")
    quickest_s = min(10.0, LEAST_SHARE * min(had_s for had_s, *_ in jobs))
    assert measured_s is not None
    assert measured_s >= quickest_s - 0.01
    assert speeds.pace("w1", "m1") >= quickest_s / 10.0 - 0.001


def test_pairs_that_are_forgotten_no_longer_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speeds_of, "MAX_PAIRS", 2)
    speeds = Speeds()
    for name, took_s in (("w1", 100.0), ("w2", 1.0), ("w3", 2.0)):
        speeds.observe(name, "m1", work_s=1.0, took_s=took_s)
    assert speeds.seconds("m1", 1.0) == pytest.approx(1.5)
    for name in ("w4", "w5"):
        speeds.observe(name, "m2", work_s=1.0, took_s=1.0)
    assert speeds.seconds("m1", 1.0) is None


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=20), st.floats(0.1, 100))
def test_a_measured_speed_lies_among_the_measurements_and_moves_to_the_newest(
    taken: list[float], last: float
) -> None:
    speeds = Speeds()
    for took_s in taken:
        speeds.observe("w1", "m1", work_s=1.0, took_s=took_s)
    before = speeds.seconds("m1", 1.0)
    assert before is not None
    assert min(taken) - 1e-9 <= before <= max(taken) + 1e-9
    speeds.observe("w1", "m1", work_s=1.0, took_s=last)
    after = speeds.seconds("m1", 1.0)
    assert after is not None
    assert abs(after - last) <= abs(before - last)


def test_nothing_is_foretold_for_an_account_that_must_wait_and_nobody_waits_for_it() -> None:
    held, other = project(account="EVE"), project()
    held.load.max_running = 0
    session = worker("m1")
    running(session, project().jobs[0], since_s=4)
    starts = foretell([room(held, other)], [session], measured(m1=10), NOW_MS)
    assert starts == {other.id: pytest.approx(6.0)}
