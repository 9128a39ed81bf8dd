"""Bugs to plant in the real code: each must make histories fail, or the oracle proves nothing."""

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from dreamgrid.protocol.worker import Settled
from dreamgrid.server import frames, interruptions, ledger
from dreamgrid.server.app_sockets import AppSession, AppSockets
from dreamgrid.server.live import LiveJob, LiveProject
from dreamgrid.server.open_projects import OpenProjects
from dreamgrid.server.outcomes import Outcomes
from dreamgrid.server.recovery import Recovery
from dreamgrid.server.reliability import Reliability
from dreamgrid.server.rendering import Rendering
from dreamgrid.server.run_limits import RunLimits
from dreamgrid.server.scheduler import Match, Scheduler, _Choice
from dreamgrid.server.store.base import Acquisition, EventKind, JobEnd, JobRow
from dreamgrid.server.store.sql_group import Group, GroupProject
from dreamgrid.server.store.sql_money import Books
from dreamgrid.server.waiting import Room, WaitingJobs
from dreamgrid.server.workers import WorkerSession
from dreamgrid.states import JobState
from tests.simulation import scenarios
from tests.simulation.disk import DiskStore
from tests.simulation.server import MIN_RUN_S
from tests.simulation.world import Plan

Plant = Callable[[pytest.MonkeyPatch], None]


def a_delivered_job_is_paid_twice(patch: pytest.MonkeyPatch) -> None:
    settle = Books.settle

    def twice(books: Books, entry: ledger.Transfer, earning: ledger.Transfer | None = None) -> None:
        settle(books, entry, earning)
        left = books.balance(entry.payer, entry.currency).free_micros
        if entry.kind == ledger.POST and left > 1_000:  # a poor payer's balance refuses it
            # which would refuse it too
            books._connection.execute("DROP INDEX IF EXISTS transfer_once")
            amount = entry.amount_micros
            books._move(entry.payer, entry.currency, -amount, 0)
            books._record(entry)
            books._move(entry.payee, entry.currency, amount, 0)

    patch.setattr(Books, "settle", twice)


def money_is_minted_on_cancel(patch: pytest.MonkeyPatch) -> None:
    settle = Books.settle

    def generous(
        books: Books, entry: ledger.Transfer, earning: ledger.Transfer | None = None
    ) -> None:
        settle(books, entry, earning)
        if entry.kind == ledger.VOID:
            books._move(entry.payer, entry.currency, entry.amount_micros, 0)

    patch.setattr(Books, "settle", generous)


def a_failed_job_keeps_its_hold(patch: pytest.MonkeyPatch) -> None:
    settle = Books.settle

    def forgetful(
        books: Books, entry: ledger.Transfer, earning: ledger.Transfer | None = None
    ) -> None:
        if entry.kind != ledger.VOID:
            settle(books, entry, earning)

    patch.setattr(Books, "settle", forgetful)


def what_is_withheld_is_charged(patch: pytest.MonkeyPatch) -> None:
    end_job = DiskStore.end_job

    def charging(store: DiskStore, end: JobEnd) -> Any:
        charge = end.charge or end.withheld
        return end_job(store, msgspec.structs.replace(end, charge=charge))

    patch.setattr(DiskStore, "end_job", charging)


def an_interrupted_job_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    add = WaitingJobs.add

    def forgetful(lines: WaitingJobs, job: LiveJob, *, first: bool = False) -> None:
        if not first:
            add(lines, job)

    patch.setattr(WaitingJobs, "add", forgetful)


def a_restart_forgets_what_was_on_a_worker(patch: pytest.MonkeyPatch) -> None:
    def take_up(rendering: Rendering, project: LiveProject) -> None:
        for job in project.jobs:
            if job.state is JobState.QUEUED:
                rendering.scheduler.waiting.add(job)
            else:
                job.lease_until_s = float("inf")

    patch.setattr(Rendering, "take_up", take_up)


def a_late_result_is_accepted(patch: pytest.MonkeyPatch) -> None:
    def held_by(
        rendering: Rendering, worker: WorkerSession, job_id: str, attempt: int
    ) -> LiveJob | None:
        del worker, attempt
        job = rendering._open.job(job_id)
        return job if job is not None and job.on_worker and not job.settling else None

    patch.setattr(Rendering, "_held_by", held_by)


def a_result_of_an_old_attempt_is_taken(patch: pytest.MonkeyPatch) -> None:
    def held_by(
        rendering: Rendering, worker: WorkerSession, job_id: str, attempt: int
    ) -> LiveJob | None:
        del rendering, attempt
        job = worker.jobs.get(job_id)
        return None if job is None or job.settling or job.project.canceling else job

    patch.setattr(Rendering, "_held_by", held_by)


def an_older_connection_of_an_app_replaces_a_newer_one(patch: pytest.MonkeyPatch) -> None:
    enter = AppSockets._enter

    async def latecomer(apps: AppSockets, session: AppSession) -> None:
        session.arrival = sys.maxsize  # whoever comes in last is believed to have come last
        await enter(apps, session)

    patch.setattr(AppSockets, "_enter", latecomer)


def a_job_is_given_to_two_workers(patch: pytest.MonkeyPatch) -> None:
    assigned = Scheduler._acquired

    def acquired(scheduler: Scheduler, matches: list[Match], future: Any) -> None:
        assigned(scheduler, matches, future)
        for job, worker in matches:
            others = [one for one in scheduler._workers.all() if one is not worker]
            if others and future.exception() is None and job.state is JobState.ASSIGNED:
                scheduler._assigned(Match(job, others[0]))

    patch.setattr(Scheduler, "_acquired", acquired)


def a_job_is_given_away_before_that_is_stored(patch: pytest.MonkeyPatch) -> None:
    acquire = DiskStore.acquire

    def hasty(store: DiskStore, wishes: Sequence[Acquisition], at_ms: int) -> Any:
        acquire(store, wishes, at_ms)
        done = store.writer._loop.create_future()
        done.set_result([True] * len(wishes))
        return done

    patch.setattr(DiskStore, "acquire", hasty)


def a_project_is_acknowledged_before_it_is_stored(patch: pytest.MonkeyPatch) -> None:
    add = OpenProjects.add

    def hasty(projects: OpenProjects, project: LiveProject) -> None:
        add(projects, project)
        if not project.stored:
            projects.tell_queued(project, 1)

    patch.setattr(OpenProjects, "add", hasty)


def an_end_is_told_before_it_is_stored(patch: pytest.MonkeyPatch) -> None:
    end = Outcomes.end

    def hasty(outcomes: Outcomes, worker: Any, job: LiveJob, *rest: Any, **more: Any) -> None:
        outcomes._open.tell(job.project, frames.result(job, frames.ResultUrls()))
        end(outcomes, worker, job, *rest, **more)

    patch.setattr(Outcomes, "end", hasty)


def a_frame_follows_the_end(patch: pytest.MonkeyPatch) -> None:
    tell_end = OpenProjects.tell_end

    def talkative(projects: OpenProjects, project: LiveProject) -> None:
        tell_end(projects, project)
        projects.tell(project, frames.started(project.jobs[0]))

    patch.setattr(OpenProjects, "tell_end", talkative)


def a_retry_has_another_id(patch: pytest.MonkeyPatch) -> None:
    initiating = frames.initiating

    def renamed(job: LiveJob) -> bytes:
        before = job.id
        job.id = before if job.attempt == 1 else f"{before}-{job.attempt}"
        frame = initiating(job)
        job.id = before
        return frame

    patch.setattr(frames, "initiating", renamed)


def an_event_is_told_without_its_change(patch: pytest.MonkeyPatch) -> None:
    move = Group.move

    def forgetful(group: Group, job: JobRow, state: JobState) -> None:
        if state is not JobState.RUNNING:
            move(group, job, state)

    patch.setattr(Group, "move", forgetful)


def a_change_has_no_event(patch: pytest.MonkeyPatch) -> None:
    tell = Group.tell

    def forgetful(
        group: Group, project: GroupProject, kind: EventKind, *rest: Any, **more: Any
    ) -> None:
        if kind is not EventKind.RETRIED:
            tell(group, project, kind, *rest, **more)

    patch.setattr(Group, "tell", forgetful)


def the_numbers_of_events_have_gaps(patch: pytest.MonkeyPatch) -> None:
    tell = Group.tell

    def skipping(
        group: Group, project: GroupProject, kind: EventKind, *rest: Any, **more: Any
    ) -> None:
        project.events += kind is EventKind.RETRIED
        tell(group, project, kind, *rest, **more)

    patch.setattr(Group, "tell", skipping)


def a_watcher_misses_an_event(patch: pytest.MonkeyPatch) -> None:
    events = DiskStore.events

    async def careless(store: DiskStore, project_id: str, after: int, most: int = 1_000) -> Any:
        rows = await events(store, project_id, after, most)
        return rows[1:] if after and len(rows) > 1 else rows

    patch.setattr(DiskStore, "events", careless)


def a_turn_does_not_count(patch: pytest.MonkeyPatch) -> None:
    take = WaitingJobs.take

    def take_again(lines: WaitingJobs, job: LiveJob, now_ms: int) -> int | None:
        account = lines._accounts[job.project.account_id]
        before = account.served_ms, account.turn
        served_ms = take(lines, job, now_ms)
        account.served_ms, account.turn = before
        return served_ms

    patch.setattr(WaitingJobs, "take", take_again)


def an_accepted_project_is_dropped_when_its_app_leaves(patch: pytest.MonkeyPatch) -> None:
    app_left = Recovery.app_left

    def careless(recovery: Recovery, app: Any, *, orderly: bool) -> None:
        for project in recovery._open.active(app.account.id, app.app_id):
            recovery._open.remove(project)
        app_left(recovery, app, orderly=orderly)

    patch.setattr(Recovery, "app_left", careless)


def a_render_may_take_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RunLimits, "run_s", lambda limits, job: math.inf)
    patch.setattr(RunLimits, "longest_s", lambda limits, job: math.inf)


def a_render_is_taken_away_too_early(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RunLimits, "run_s", lambda limits, job: MIN_RUN_S / 3)


def a_project_may_wait_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Rendering, "end_long_waits", lambda rendering: None)


def a_project_is_given_up_too_early(patch: pytest.MonkeyPatch) -> None:
    end_long_waits = Rendering.end_long_waits

    def hasty(rendering: Rendering) -> None:
        for project in rendering._open.all():
            for job in project.jobs:
                job.waits_since_ms = 0
            project.created_ms = 0
        end_long_waits(rendering)

    patch.setattr(Rendering, "end_long_waits", hasty)


def a_worker_that_fails_at_everything_is_never_paused(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Reliability, "paused", lambda reliability, worker_id, now_s: False)


def one_worker_is_filled_before_the_next(patch: pytest.MonkeyPatch) -> None:
    share = _Choice._share
    patch.setattr(_Choice, "_share", lambda choice, number: -share(choice, number))


def who_delivers_how_often_is_ignored(patch: pytest.MonkeyPatch) -> None:
    def careless(worker: WorkerSession, model: str | None = None) -> float:
        return worker.paces.get(model or worker.loaded_model or "", 1.0)

    patch.setattr(WorkerSession, "cost", careless)


def the_loaded_model_is_ignored(patch: pytest.MonkeyPatch) -> None:
    def rank(choice: _Choice, number: int, job: LiveJob) -> tuple[bool, float]:
        return False, choice._workers[number].cost(job.render.model)

    patch.setattr(_Choice, "_rank", rank)


def what_a_worker_failed_at_keeps_it_from_the_rest_of_the_line(patch: pytest.MonkeyPatch) -> None:
    fronts = Room._fronts
    patch.setattr(Room, "_fronts", lambda room, line: fronts(room, line)[:1])


def an_interruption_counts_as_a_failure(patch: pytest.MonkeyPatch) -> None:
    lose = Outcomes.lose

    def strict(outcomes: Outcomes, job: LiveJob, message: str, **more: Any) -> None:
        lose(outcomes, job, message, **more | {"counts": True})

    patch.setattr(Outcomes, "lose", strict)


def a_job_may_kill_worker_after_worker(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(interruptions, "blamed", lambda job: False)


def a_restart_forgets_how_often_a_job_failed(patch: pytest.MonkeyPatch) -> None:
    take_up = Rendering.take_up

    def forgiving(rendering: Rendering, project: LiveProject) -> None:
        for job in project.jobs:
            job.failures = 0
        take_up(rendering, project)

    patch.setattr(Rendering, "take_up", forgiving)


def a_failure_is_settled_before_it_is_stored(patch: pytest.MonkeyPatch) -> None:
    requeue = Outcomes._requeue

    def hasty(
        outcomes: Outcomes, job: LiveJob, *why: str, reporter: WorkerSession | None = None
    ) -> None:
        if reporter is not None:
            reporter.send(Settled(job_id=job.id, attempt=job.attempt))
        requeue(outcomes, job, *why)

    patch.setattr(Outcomes, "_requeue", hasty)


PLANTED: dict[Plant, Plan] = {
    a_delivered_job_is_paid_twice: scenarios.QUIET,
    money_is_minted_on_cancel: scenarios.CANCELS,
    a_failed_job_keeps_its_hold: scenarios.HOPELESS_FAILURES,
    what_is_withheld_is_charged: scenarios.OBJECTIONS,
    an_interrupted_job_is_forgotten: scenarios.INTERRUPTIONS,
    a_restart_forgets_what_was_on_a_worker: scenarios.RESTARTS,
    a_late_result_is_accepted: scenarios.ECHOES,
    a_result_of_an_old_attempt_is_taken: scenarios.ECHOES,
    an_older_connection_of_an_app_replaces_a_newer_one: scenarios.SLOW_GREETINGS,
    a_job_is_given_to_two_workers: scenarios.QUIET,
    a_job_is_given_away_before_that_is_stored: scenarios.QUIET,
    a_project_is_acknowledged_before_it_is_stored: scenarios.QUIET,
    an_end_is_told_before_it_is_stored: scenarios.QUIET,
    a_frame_follows_the_end: scenarios.QUIET,
    a_retry_has_another_id: scenarios.INTERRUPTIONS,
    an_event_is_told_without_its_change: scenarios.INTERRUPTIONS,
    a_change_has_no_event: scenarios.INTERRUPTIONS,
    the_numbers_of_events_have_gaps: scenarios.INTERRUPTIONS,
    a_watcher_misses_an_event: scenarios.WATCHERS,
    a_turn_does_not_count: scenarios.FLOOD,
    an_accepted_project_is_dropped_when_its_app_leaves: scenarios.DEPARTURES,
    a_render_may_take_for_ever: scenarios.ENDLESS_RENDERS,
    a_render_is_taken_away_too_early: scenarios.SLOW_RENDERS,
    a_project_may_wait_for_ever: scenarios.WAITING_IN_VAIN,
    a_project_is_given_up_too_early: scenarios.WAITING_IN_VAIN,
    a_worker_that_fails_at_everything_is_never_paused: scenarios.FAILURES,
    one_worker_is_filled_before_the_next: scenarios.SPREADING,
    who_delivers_how_often_is_ignored: scenarios.UNEVEN_WORKERS,
    the_loaded_model_is_ignored: scenarios.UNEVEN_WORKERS,
    what_a_worker_failed_at_keeps_it_from_the_rest_of_the_line: scenarios.FAILURES,
    an_interruption_counts_as_a_failure: scenarios.INTERRUPTIONS,
    a_job_may_kill_worker_after_worker: scenarios.CRASHING_WORKERS,
    a_restart_forgets_how_often_a_job_failed: scenarios.CRASHES_AND_FAILURES,
    a_failure_is_settled_before_it_is_stored: scenarios.CRASHES_WITH_A_FULL_DISK,
}
"""Each bug, and what makes it show in most histories."""
