"""Why something stands where it stands: one state, one reason, and what is missing."""

from collections.abc import Sequence

import msgspec
import pytest

from dreamgrid.protocol.rest_explain import Calibration, Explanation, Missing
from dreamgrid.server.explaining import Grid, explain
from dreamgrid.server.live import LiveProject
from dreamgrid.server.scheduler import SPARED_MS
from dreamgrid.server.standings import Offer, Seen
from dreamgrid.server.store.base import Choice, EventKind, EventRow, WorkerRow
from dreamgrid.server.worker_flags import Targeting
from dreamgrid.server.workers import Workers, WorkerSession
from dreamgrid.states import JobEvent
from tests.support.live import live_project, load_of, worker

NOW_MS = 1_000_000


def look(
    project: LiveProject,
    *workers: WorkerSession,
    away: Sequence[str] = (),
    max_running: int = 100,
    log: Sequence[EventRow] = (),
    job_id: str | None = None,
    position: int = 0,
) -> Explanation:
    rows = [
        WorkerRow(
            id=f"OWNER/{name}",
            account_id="OWNER",
            owner="owner",
            name=name,
            network="fast",
            models=("m1",),
            seen_ms=0,
        )
        for name in away
    ]
    connected = Workers()
    for session in workers:
        connected.add(session)
    kind = (project.network, project.model, project.targeting)
    able = connected.able(*kind)
    resting = () if able else connected.resting(*kind)
    grid = Grid(
        seen=Seen(
            offer=Offer(able=able, resting=resting, away=() if able or resting else rows),
            connected=connected.get,
            max_running=max_running,
            position=position,
            now_ms=NOW_MS,
        ),
        start=None,
        calibration=Calibration(starts=0, within=0),
    )
    return explain(project, grid, log, job_id)


def told(found: Explanation) -> tuple[str, str | None]:
    return found.state, found.reason


def test_a_project_for_which_a_worker_has_room_is_runnable() -> None:
    assert told(look(live_project(), worker("m1"))) == ("runnable", None)


def test_behind_busy_workers_it_waits_for_a_slot_and_is_told_its_place() -> None:
    found = look(live_project(), worker("m1", holds=1, name="studio"), position=2)
    assert told(found) == ("waiting", "no_free_slot")
    assert found.message == "studio is busy; it is number 2 in line"
    assert found.queue_position == 2
    assert found.missing is None


def test_behind_more_projects_than_there_is_room_for_it_waits_though_somebody_has_room() -> None:
    studio = worker("m1", slots=2, name="studio")
    assert told(look(live_project(), studio, position=2)) == ("runnable", None)
    found = look(live_project(), studio, position=3)
    assert told(found) == ("waiting", "no_free_slot")
    assert found.message.endswith("; it is number 3 in line")


def test_an_account_that_has_as_many_jobs_running_as_it_may_waits_for_that() -> None:
    found = look(live_project(load=load_of(3)), worker("m1"), max_running=3)
    assert told(found) == ("waiting", "account_limit")
    assert "as one account may have here (3)" in found.message


def test_on_a_worker_that_has_not_begun_it_waits_for_the_model() -> None:
    project = live_project()
    project.jobs[0].move(JobEvent.ASSIGN)
    project.jobs[0].worker_name = "studio"
    found = look(project, worker("m1"))
    assert told(found) == ("waiting", "model_loading")
    assert found.message == "studio has it, and gets m1 ready"


def test_behind_another_job_on_its_worker_it_does_not_wait_for_the_model() -> None:
    project, busy = live_project(), worker("m1", name="studio", holds=1)
    (before,) = busy.jobs.values()
    before.move(JobEvent.ASSIGN)
    before.move(JobEvent.START)
    (job,) = project.jobs
    job.move(JobEvent.ASSIGN)
    job.worker_id, job.worker_name, busy.jobs[job.id] = busy.id, busy.name, job
    found = look(project, busy)
    assert told(found) == ("waiting", "no_free_slot")
    assert found.message == "studio has it, and renders another job before it"


def test_an_account_that_an_administrator_lets_wait_is_told_so() -> None:
    found = look(live_project(), worker("m1"), max_running=0)
    assert told(found) == ("waiting", "account_limit")
    assert "an administrator of this grid lets your account wait" in found.message


def test_one_job_that_renders_is_what_is_told_of_the_project() -> None:
    project = live_project(jobs=2)
    first = project.jobs[0]
    first.move(JobEvent.ASSIGN)
    first.move(JobEvent.START)
    first.worker_name, first.step, first.step_count = "studio", 3, 20
    found = look(project, worker("m1", holds=1))
    assert told(found) == ("rendering", None)
    assert found.message == "studio renders it, step 3 of 20"
    assert [job.state for job in found.jobs] == ["rendering", "waiting"]


def test_a_job_is_explained_alone_if_it_is_asked_for() -> None:
    project = live_project(jobs=2)
    project.jobs[0].move(JobEvent.ASSIGN)
    found = look(project, worker("m1", holds=1), job_id=project.jobs[1].id)
    assert told(found) == ("waiting", "no_free_slot")
    assert [job.index for job in found.jobs] == [1]


def test_a_worker_that_is_preferred_and_busy_is_waited_for_a_little() -> None:
    wish = Targeting(preferred=frozenset({"studio"}))
    young = live_project(targeting=wish, created_ms=NOW_MS - 1_000)
    crew = worker("m1", name="studio", holds=1), worker("m1")
    assert told(look(young, *crew)) == ("waiting", "preferred_worker")
    old = live_project(targeting=wish, created_ms=NOW_MS - 60_000)
    assert told(look(old, *crew)) == ("runnable", None)


def test_a_job_that_a_worker_failed_at_waits_for_another_one() -> None:
    project, bad, busy = live_project(), worker("m1", name="bad"), worker("m1", holds=1)
    (job,) = project.jobs
    job.failed_on |= {bad.id}
    job.waits_since_ms = NOW_MS - SPARED_MS + 1
    assert told(look(project, bad, busy)) == ("waiting", "another_worker")
    job.waits_since_ms = NOW_MS - SPARED_MS
    assert told(look(project, bad, busy)) == ("runnable", None)
    job.waits_since_ms = NOW_MS
    assert told(look(project, bad)) == ("runnable", None)


def test_who_is_paused_is_named_with_the_reason() -> None:
    resting = worker("m1", name="studio")
    for change, words in (
        ({"held_back": True}, "an administrator paused it"),
        ({"held_back": False, "paused": True}, "it failed at job after job, and rests"),
        ({"paused": False, "draining": True}, "it stops, or rests"),
    ):
        for name, value in change.items():
            setattr(resting, name, value)
        found = look(live_project(), resting)
        assert told(found) == ("waiting", "workers_paused")
        assert found.message == f"studio could, but gets no jobs now: {words}"


def test_several_that_are_paused_are_named_each_with_its_reason() -> None:
    first, second = worker("m1", name="w1"), worker("m1", name="w2", draining=True)
    first.held_back = True
    assert look(live_project(), first, second).message == (
        "w1, w2 could, but get no jobs now (w1: an administrator paused it; w2: it stops, or rests)"
    )


def test_a_worker_that_is_away_is_waited_for() -> None:
    found = look(live_project(), worker("m2"), away=["studio"])
    assert told(found) == ("waiting", "worker_away")
    assert "studio" in found.message
    assert found.missing == Missing(model="m1", network="fast")


def test_what_no_known_worker_can_run_is_impossible_and_says_what_is_missing() -> None:
    wish = Targeting(required=frozenset({"studio"}), skipped=frozenset({"bad"}))
    found = look(live_project(targeting=wish), worker("m1"), worker("m2", name="studio"))
    assert told(found) == ("impossible", None)
    assert found.missing == Missing(
        model="m1", network="fast", workers=("studio",), skipped=("bad",)
    )
    assert "called studio" in found.message
    assert "dreamgrid work --model m1" in found.message


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("genfailure-here", "genfailure-here"),
        ("genfailure", "rendering failed"),
        ("queueTimedOut", "no worker took it in time"),
    ],
)
def test_what_has_ended_says_how_in_plain_words(reason: str, words: str) -> None:
    project = live_project()
    project.jobs[0].move(JobEvent.ASSIGN)
    project.jobs[0].move(JobEvent.FAIL)
    project.jobs[0].reason = reason
    project.ended_ms, project.reason = NOW_MS, reason
    found = look(project, worker("m1"))
    assert told(found) == ("ended", None)
    assert found.message == found.jobs[0].message == f"it ended: {words}"


def test_the_log_says_why_a_job_went_where_it_went_last() -> None:
    project = live_project()
    job = project.jobs[0]
    choices = [Choice(waited_ms=900), Choice(waited_ms=1_500, loaded=True, pace=1.25, idle=3)]
    log = [
        EventRow(
            project_id=project.id,
            number=number,
            at_ms=NOW_MS,
            kind=EventKind.ASSIGNED,
            job_id=job.id,
            details={"why": msgspec.to_builtins(choice)},
        )
        for number, choice in enumerate(choices, start=1)
    ]
    why = look(project, worker("m1"), log=log).jobs[0].why_there
    assert why is not None
    assert (why.waited_seconds, why.idle_workers, why.model_loaded) == (1.5, 3, True)
    assert (why.pace, why.delivery_rate) == (1.25, 1.0)
