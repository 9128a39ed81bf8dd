"""What can happen to projects and jobs: each change says what it needs and then decides, in memory.

A change checks its fence first and moves nothing when it is refused, so that others in its group
are not disturbed. It finds what those before it have done.
"""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, Generic, TypeVar

from dreamgrid.server import ledger
from dreamgrid.server.store import sql_keys
from dreamgrid.server.store.base import (
    Acquisition,
    Balance,
    Ended,
    EventKind,
    JobEnd,
    JobRow,
    ProjectRow,
    SubmitResult,
    Submitted,
)
from dreamgrid.server.store.connection import Connection
from dreamgrid.server.store.sql_group import Group, GroupProject, Needs
from dreamgrid.states import FINAL_PROJECT_STATES, JobState, ProjectState

T = TypeVar("T")
C = TypeVar("C", bound=Connection)


class Change(Generic[T]):
    """An operation of a store that is read and written together with its neighbours."""

    def need(self, needs: Needs) -> None:
        """Adds what it has to know."""
        raise NotImplementedError

    def decide(self, group: Group) -> T:
        """Does it, in memory."""
        raise NotImplementedError

    def __call__(self, connection: Connection) -> T:
        """Does it alone."""
        answer: T = _together(connection, [self])[0]
        return answer


def answers(connection: C, operations: Sequence[Callable[[C], Any]]) -> list[Any]:
    """Runs operations in their order, changes that follow each other together; what they answer."""
    told: list[Any] = []
    for changes, several in groupby(operations, lambda one: isinstance(one, Change)):
        if changes:
            told += _together(connection, list(several))
        else:
            told += [operation(connection) for operation in several]
    return told


def _together(connection: Connection, changes: list[Any]) -> list[Any]:
    needs, group = Needs(), Group(connection)
    for change in changes:
        change.need(needs)
    group.read(needs)
    told = [change.decide(group) for change in changes]
    group.write()
    return told


class Submit(Change[Submitted]):
    """Adds a project with its jobs and holds their price, or says why not."""

    def __init__(self, row: ProjectRow) -> None:
        self._row = row

    def need(self, needs: Needs) -> None:
        needs.new.add(self._row.id)
        needs.accounts.add(self._row.account_id)
        if self._row.key_id:
            needs.keys.add(self._row.key_id)

    def decide(self, group: Group) -> Submitted:
        row = self._row
        known = group.known.get(row.id)
        if known is not None:
            same = known == (row.account_id, row.request)
            return Submitted(result=SubmitResult.KNOWN if same else SubmitResult.CONFLICT)
        caps = group.caps.get(row.key_id) if row.key_id else None
        refusal = sql_keys.refusal(group.connection, row, caps) if caps else None
        if refusal is not None:
            return refusal
        held = group.books.hold(
            ledger.hold(row.token_type, row.account_id, row.hold_micros, row.id, row.created_ms)
        )
        if held is None:
            assert group.books.knows(row.account_id), f"there is no account {row.account_id}"
            return Submitted(result=SubmitResult.INSUFFICIENT)
        if caps:
            sql_keys.spend(group.connection, row)
        group.tell(
            group.add(row),
            EventKind.QUEUED,
            row.created_ms,
            model=row.model,
            jobs=[job.id for job in row.jobs],
        )
        return Submitted(result=SubmitResult.CREATED, balance=held)


class Acquire(Change[list[bool]]):
    """Gives each job to its worker if it is still queued with the attempt before."""

    def __init__(self, wishes: Sequence[Acquisition], at_ms: int) -> None:
        self._wishes = wishes
        self._at_ms = at_ms

    def need(self, needs: Needs) -> None:
        needs.jobs.update([wish.job_id for wish in self._wishes])

    def decide(self, group: Group) -> list[bool]:
        return [self._acquire(group, wish) for wish in self._wishes]

    def _acquire(self, group: Group, wish: Acquisition) -> bool:
        job = group.job(wish.job_id)
        if job is None or job.state is not JobState.QUEUED or job.attempt != wish.attempt - 1:
            return False
        job.attempt, job.worker_id, job.worker_name = wish.attempt, wish.worker_id, wish.worker_name
        group.move(job, JobState.ASSIGNED)
        group.tell(
            group.projects[job.project_id],
            EventKind.ASSIGNED,
            self._at_ms,
            job.id,
            index=job.index,
            attempt=job.attempt,
            worker=job.worker_name,
            why=wish.why,
        )
        return True


class Start(Change[None]):
    """Marks a job as running."""

    def __init__(self, job_id: str, attempt: int, at_ms: int) -> None:
        self._job_id = job_id
        self._attempt = attempt
        self._at_ms = at_ms

    def need(self, needs: Needs) -> None:
        needs.jobs.add(self._job_id)

    def decide(self, group: Group) -> None:
        job = group.job(self._job_id)
        if job is None or job.state is not JobState.ASSIGNED or job.attempt != self._attempt:
            return
        job.started_ms = self._at_ms
        group.move(job, JobState.RUNNING)
        group.tell(
            group.projects[job.project_id],
            EventKind.STARTED,
            self._at_ms,
            job.id,
            index=job.index,
            attempt=job.attempt,
            worker=job.worker_name,
        )


class Requeue(Change[bool]):
    """Takes a job back from the attempt that holds it."""

    def __init__(self, job_id: str, attempt: int, failures: int, reason: str, at_ms: int) -> None:
        self._job_id = job_id
        self._attempt = attempt
        self._failures = failures
        self._reason = reason
        self._at_ms = at_ms

    def need(self, needs: Needs) -> None:
        needs.jobs.add(self._job_id)

    def decide(self, group: Group) -> bool:
        job = group.job(self._job_id)
        if job is None or job.state is JobState.QUEUED or job.attempt != self._attempt:
            return False
        job.failures, job.started_ms = self._failures, None
        group.move(job, JobState.QUEUED)
        group.tell(
            group.projects[job.project_id],
            EventKind.RETRIED,
            self._at_ms,
            job.id,
            index=job.index,
            attempt=job.attempt,
            reason=self._reason,
        )
        return True


class EndJob(Change[Ended]):
    """Ends a job, posts or voids its price, moves its project."""

    def __init__(self, end: JobEnd) -> None:
        self._end = end
        self._final = end.project_state in FINAL_PROJECT_STATES
        self._pays = bool(end.charge and end.earner and end.earned_micros)

    def need(self, needs: Needs) -> None:
        end = self._end
        needs.payers = True
        needs.accounts.add(ledger.HOUSE)
        if self._pays:
            needs.accounts.add(end.earner)
        if self._final:  # no other job of the project may be open then
            needs.projects.add(end.project_id)
        else:
            needs.jobs.add(end.job_id)

    def decide(self, group: Group) -> Ended:
        end = self._end
        job = group.job(end.job_id)
        if job is None or job.attempt != end.attempt:
            return Ended(accepted=False)
        project = group.projects[job.project_id]
        # An earlier end of this project was not stored after all; this one must wait for it.
        assert not self._final or len(project.open) == 1, (
            f"project {project.id} cannot end while a job of it is open"
        )
        self._end_job(group, project, job)
        if end.charge:
            project.charged_micros += job.price_micros
        else:
            sql_keys.give_back(
                group.connection,
                project.key_id,
                project.token_type,
                project.created_ms,
                job.price_micros,
            )
        group.move_project(project, end.project_state, end.project_reason, end.at_ms)
        if self._final:
            kind = EventKind(str(end.project_state))
            group.tell(project, kind, end.at_ms, reason=end.project_reason)
        return self._settle(group, project, job)

    def _end_job(self, group: Group, project: GroupProject, job: JobRow) -> None:
        end = self._end
        job.reason, job.failures, job.ended_ms = end.reason, end.failures, end.at_ms
        job.seed, job.steps, job.sha256 = end.seed, end.steps, end.sha256
        job.sensitive, job.withheld = end.sensitive, end.withheld
        job.charged_micros = job.price_micros if end.charge else 0
        group.move(job, end.state)
        delivered = end.state is JobState.COMPLETED
        group.tell(
            project,
            EventKind.JOB_COMPLETED if delivered else EventKind.JOB_FAILED,
            end.at_ms,
            job.id,
            index=job.index,
            attempt=end.attempt,
            reason=None if delivered else end.reason,
            seed=end.seed if delivered else None,
            steps=end.steps if delivered else None,
            sha256=end.sha256,
            sensitive=end.sensitive.split() or None,
            withheld=end.withheld or None,
        )

    def _settle(self, group: Group, project: GroupProject, job: JobRow) -> Ended:
        end, payer, currency = self._end, project.account_id, project.token_type
        make = ledger.post if end.charge else ledger.void
        entry = make(currency, payer, job.price_micros, project.id, job.id, end.at_ms)
        earning = None
        if self._pays:
            earning = ledger.earning(
                currency, end.earner, end.earned_micros, project.id, job.id, end.at_ms
            )
        group.books.settle(entry, earning)
        balance, earned = group.books.balance(payer, currency), Balance()
        if earning is not None:
            own = end.earner == payer
            earned = balance if own else group.books.balance(end.earner, currency)
        return Ended(accepted=True, balance=balance, earner_balance=earned)


class Cancel(Change[Ended]):
    """Cancels a project that has not ended, with the jobs of it that have not."""

    def __init__(
        self, project_id: str, reason: str, at_ms: int, *, claimed: bool, message: str
    ) -> None:
        self._project_id = project_id
        self._reason = reason
        self._at_ms = at_ms
        self._claimed = claimed
        self._message = message

    def need(self, needs: Needs) -> None:
        needs.payers = True
        needs.projects.add(self._project_id)

    def decide(self, group: Group) -> Ended:
        project = group.projects.get(self._project_id)
        if project is None or project.ended_ms is not None:
            return Ended(accepted=False)
        payer, currency = project.account_id, project.token_type
        jobs = sorted(project.open.values(), key=lambda job: job.index)
        for job in jobs:
            job.reason, job.ended_ms = self._reason, self._at_ms
            group.move(job, JobState.CANCELED)
            group.books.settle(
                ledger.void(currency, payer, job.price_micros, project.id, job.id, self._at_ms)
            )
        project.claimed = int(self._claimed)
        group.move_project(project, ProjectState.CANCELED, self._reason, self._at_ms)
        group.tell(
            project,
            EventKind.CANCELED,
            self._at_ms,
            reason=self._reason,
            message=self._message or None,
        )
        given_back = sum(job.price_micros for job in jobs)
        sql_keys.give_back(
            group.connection, project.key_id, currency, project.created_ms, given_back
        )
        return Ended(accepted=True, balance=group.books.balance(payer, currency))
