"""Projects and jobs as a group of changes sees them: read together and written together.

In between they are changed in memory, one after the other. So the number of statements grows with
the kinds of changes in a group, and hardly with their number. Nobody else writes meanwhile: both
are in one transaction, and writers take turns.
"""

from copy import copy
from functools import cache
from itertools import chain
from typing import Any

import msgspec

from dreamgrid.protocol.params import TokenType
from dreamgrid.server.store import sql_events, sql_keys, sql_many
from dreamgrid.server.store.base import EventKind, JobRow, ProjectRow
from dreamgrid.server.store.connection import Connection
from dreamgrid.server.store.sql_keys import Caps
from dreamgrid.server.store.sql_money import Books
from dreamgrid.states import FINAL_JOB_STATES, FINAL_PROJECT_STATES, JobState, ProjectState

_FOUND = (
    "project.number, project.id, account_id, token_type, key_id, project.created_ms, project.state,"
    " project.reason, project.charged_micros, claimed, updated_ms, project.ended_ms,"
    " (SELECT coalesce(max(event.number), 0) FROM event WHERE event.project = project.number),"
    " job_index, job.id, job.state, price_micros, attempt, failures, worker_id, worker_name,"
    " job.created_ms, started_ms"
)
_OF_PROJECT = 13
"""How many of these columns are the project's."""
_JOBS = (
    f"SELECT {_FOUND} FROM job JOIN project ON project.number = job.project"
    " WHERE job.ended_ms IS NULL AND job.id IN ({})"
)
_PROJECTS = (
    f"SELECT {_FOUND} FROM project"
    " LEFT JOIN job ON job.project = project.number AND job.ended_ms IS NULL"
    " WHERE project.id IN ({})"
)
_KNOWN = (
    "SELECT id, account_id, request FROM project JOIN wish ON wish.project = project.number"
    " WHERE id IN ({})"
    " UNION ALL SELECT project_id, NULL, NULL FROM transfer"
    " WHERE kind = 'hold' AND project_id IN ({})"
)
"""Projects that there were; of those that were forgotten, only their entries are left.

Of the others there are both, in any order.
"""

_INSERT_PROJECTS = (
    "INSERT INTO project (id, account_id, app_id, model, network, token_type, origin, state, width,"
    " height, steps, previews, output_format, disable_safety, hold_micros, key_id, created_ms,"
    " updated_ms) VALUES {} RETURNING id, number"
)
_A_PROJECT = f"({'?, ' * 15}nullif(?, ''), ?, ?)"  # to bind NULL costs as much as three columns
_INSERT_WISHES = "INSERT INTO wish (project, request, renders) VALUES {}"
_INSERT_JOBS = (
    "INSERT INTO job (project, job_index, id, state, price_micros, attempt, failures, worker_id,"
    " worker_name, created_ms) VALUES {}"
)
# PostgreSQL takes what stands in VALUES for text where it is not told otherwise.
_CHANGE_PROJECTS = """
    UPDATE project
       SET state = new.column2, reason = new.column3, charged_micros = CAST(new.column4 AS BIGINT),
           claimed = CAST(new.column5 AS BIGINT), updated_ms = CAST(new.column6 AS BIGINT),
           ended_ms = CAST(new.column7 AS BIGINT)
      FROM (VALUES {}) AS new WHERE number = CAST(new.column1 AS BIGINT)
"""
_MOVE_JOBS = """
    UPDATE job
       SET state = new.column3, attempt = CAST(new.column4 AS BIGINT),
           failures = CAST(new.column5 AS BIGINT), worker_id = new.column6,
           worker_name = new.column7, started_ms = NULL
      FROM (VALUES {}) AS new
     WHERE project = CAST(new.column1 AS BIGINT) AND job_index = CAST(new.column2 AS BIGINT)
"""
_STARTED = "started_ms = CAST(new.column8 AS BIGINT)"
_START_JOBS = _MOVE_JOBS.replace("started_ms = NULL", _STARTED)
_END_JOBS = _MOVE_JOBS.replace(
    "started_ms = NULL",
    f"""{_STARTED},
           reason = new.column9, seed = CAST(new.column10 AS BIGINT),
           steps = CAST(new.column11 AS BIGINT), sha256 = new.column12,
           sensitive = new.column13, withheld = CAST(new.column14 AS BIGINT),
           charged_micros = CAST(new.column15 AS BIGINT),
           ended_ms = CAST(new.column16 AS BIGINT)""",
)
_STATES = {state.value: state for state in JobState}  # quicker than to call it, for each row
_WAITING = (JobState.QUEUED, JobState.ASSIGNED)


class Needs:
    """What a group of changes has to know.

    Attributes:
        jobs: Ids of jobs; those that have ended are not found.
        projects: Ids of projects; all of their jobs that have not ended are found.
        new: Ids that new projects want.
        accounts: Whose money moves.
        keys: Ids of API keys that pay for new projects.
        payers: Whether it is also the money of those who pay for these jobs and projects.
    """

    def __init__(self) -> None:
        self.jobs: set[str] = set()
        self.projects: set[str] = set()
        self.new: set[str] = set()
        self.accounts: set[str] = set()
        self.keys: set[str] = set()
        self.payers = False


class GroupProject(msgspec.Struct):
    """A project as the group has it, with fields of `ProjectRow`.

    Attributes:
        number: By which its jobs and events are kept. 0: it is not stored yet.
        events: How many its log has.
        open: Its jobs that have not ended, by their ids; all of them if the group needed that.
    """

    number: int
    id: str
    account_id: str
    token_type: TokenType
    key_id: str | None
    created_ms: int
    state: ProjectState
    reason: str | None
    charged_micros: int
    claimed: int
    updated_ms: int
    ended_ms: int | None
    events: int
    open: dict[str, JobRow] = {}


class Group:
    """See the module's text.

    Attributes:
        connection: For what few changes need, and do at once.
        books: The money of accounts.
        projects: By id, as far as they are needed; none that had ended before.
        known: Account and request of every project that a new one might be. None: forgotten.
        caps: What keys may spend, of those that may not spend everything.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.books = Books(connection)
        self.projects: dict[str, GroupProject] = {}
        self.known: dict[str, tuple[str | None, bytes | None]] = {}
        self.caps: dict[str, Caps] = {}
        self._jobs: dict[str, JobRow] = {}
        self._events: list[tuple[GroupProject, int, int, EventKind, str, str]] = []
        self._new: list[tuple[GroupProject, ProjectRow, list[JobRow]]] = []
        self._changed_projects: dict[str, GroupProject] = {}
        self._changed_jobs: dict[str, JobRow] = {}

    def read(self, needs: Needs) -> None:
        """Looks up what the group needs."""
        find, connection = sql_many.find, self.connection
        projects = find(connection, _PROJECTS, needs.projects)
        jobs = find(connection, _JOBS, needs.jobs)
        known = find(connection, _KNOWN, needs.new)
        caps = find(connection, sql_keys.CAPS, needs.keys)
        for row in chain(*projects, *jobs):
            self._take(row)
        for project_id, account_id, request in chain(*known):
            if account_id is not None or project_id not in self.known:
                self.known[project_id] = account_id, request
        self.caps = {key_id: (day, total) for key_id, day, total in chain(*caps)}
        if needs.payers:
            needs.accounts.update([project.account_id for project in self.projects.values()])
        self.books.read(needs.accounts)

    def _take(self, row: tuple[Any, ...]) -> None:
        """Notes a project, and the job in its row if there is one."""
        project = self.projects.get(row[1])
        if project is None:
            project = GroupProject(*row[:_OF_PROJECT])
            if project.ended_ms is not None:
                return
            self.projects[project.id] = project
        index, job_id, state, price, attempt, failures, worker_id, worker, created, started = row[
            _OF_PROJECT:
        ]
        if job_id is not None and job_id not in self._jobs:
            self._jobs[job_id] = project.open[job_id] = JobRow(
                id=job_id,
                project_id=project.id,
                index=index,
                state=_STATES[state],
                render=b"",
                price_micros=price,
                attempt=attempt,
                failures=failures,
                worker_id=worker_id,
                worker_name=worker,
                created_ms=created,
                started_ms=started,
            )

    def job(self, job_id: str) -> JobRow | None:
        """A job that has not ended; what is changed in it is told to `move`."""
        return self._jobs.get(job_id)

    def add(self, row: ProjectRow) -> GroupProject:
        """Adds a project that has just come, with its jobs."""
        project = GroupProject(
            number=0,
            id=row.id,
            account_id=row.account_id,
            token_type=row.token_type,
            key_id=row.key_id,
            created_ms=row.created_ms,
            state=row.state,
            reason=None,
            charged_micros=0,
            claimed=0,
            updated_ms=row.updated_ms,
            ended_ms=None,
            events=0,
        )
        self.projects[row.id] = project
        self.known[row.id] = row.account_id, row.request
        jobs = [copy(job) for job in row.jobs]
        project.open = {job.id: job for job in jobs}
        self._jobs.update(project.open)
        self._new.append((project, row, jobs))
        return project

    def move(self, job: JobRow, state: JobState) -> None:
        """Notes that a job has changed, and in which state it is; one that has ended is gone."""
        job.state = state
        self._changed_jobs[job.id] = job
        if state in FINAL_JOB_STATES:
            del self._jobs[job.id], self.projects[job.project_id].open[job.id]

    def move_project(
        self, project: GroupProject, state: ProjectState, reason: str | None, at_ms: int
    ) -> None:
        """Notes that a project has changed, and in which state it is."""
        project.state, project.reason, project.updated_ms = state, reason, at_ms
        project.ended_ms = at_ms if state in FINAL_PROJECT_STATES else None
        self._changed_projects[project.id] = project

    def tell(
        self, project: GroupProject, kind: EventKind, at_ms: int, job_id: str = "", **details: Any
    ) -> None:
        """Adds an event at the end of a project's log; details that are None are left out."""
        project.events += 1
        told = sql_events.told(details)
        self._events.append((project, project.events, at_ms, kind, job_id, told))

    def write(self) -> None:
        """Stores all of it."""
        self._write_new()
        self._write_jobs()
        projects = [_project_values(project) for project in self._changed_projects.values()]
        sql_many.change(self.connection, _CHANGE_PROJECTS, _row(7), projects)
        self.books.write()
        sql_events.append(
            self.connection,
            [
                (project.number, number, at_ms, kind._value_, job_id, details)
                for project, number, at_ms, kind, job_id, details in self._events
            ],
        )

    def _write_new(self) -> None:
        """Stores what has come; jobs as they are now, unless they are under way already."""
        if not self._new:
            return
        change, connection = sql_many.change, self.connection
        projects = [_new_project_values(row) for _, row, _ in self._new]
        for project_id, number in change(connection, _INSERT_PROJECTS, _A_PROJECT, projects):
            self.projects[project_id].number = number
        wishes, jobs = [], []
        for project, row, theirs in self._new:
            number = project.number
            renders = b"[%b]" % b",".join([job.render for job in theirs])
            wishes.append((number, row.request, renders))
            for job in theirs:
                if job.state in _WAITING:
                    self._changed_jobs.pop(job.id, None)
                jobs.append(_new_job_values(number, job))
        change(connection, _INSERT_WISHES, _row(3), wishes)
        change(connection, _INSERT_JOBS, _row(10), jobs)

    def _write_jobs(self) -> None:
        waiting, running, ended = [], [], []
        for job in self._changed_jobs.values():
            values = _moved_values(self.projects[job.project_id].number, job)
            if job.state in _WAITING:
                waiting.append(values)
            elif job.state is JobState.RUNNING:
                running.append((*values, job.started_ms))
            else:
                ended.append((*values, job.started_ms, *_ended_values(job)))
        sql_many.change(self.connection, _MOVE_JOBS, _row(7), waiting)
        sql_many.change(self.connection, _START_JOBS, _row(8), running)
        sql_many.change(self.connection, _END_JOBS, _row(16), ended)


@cache
def _row(columns: int) -> str:
    """Places for the values of a row."""
    return f"({', '.join('?' * columns)})"


def _new_project_values(row: ProjectRow) -> tuple[Any, ...]:
    return (
        row.id,
        row.account_id,
        row.app_id,
        row.model,
        row.network,
        row.token_type,
        row.origin,
        row.state._value_,
        row.width,
        row.height,
        row.steps,
        row.previews,
        row.output_format,
        int(row.disable_safety),
        row.hold_micros,
        row.key_id or "",
        row.created_ms,
        row.updated_ms,
    )


def _project_values(project: GroupProject) -> tuple[Any, ...]:
    return (
        project.number,
        str(project.state),
        project.reason,
        project.charged_micros,
        project.claimed,
        project.updated_ms,
        project.ended_ms,
    )


def _new_job_values(number: int, job: JobRow) -> tuple[Any, ...]:
    state = job.state if job.state in _WAITING else JobState.QUEUED
    return (
        number,
        job.index,
        job.id,
        state._value_,
        job.price_micros,
        job.attempt,
        job.failures,
        job.worker_id,
        job.worker_name,
        job.created_ms,
    )


def _moved_values(number: int, job: JobRow) -> tuple[Any, ...]:
    return (
        number,
        job.index,
        job.state._value_,
        job.attempt,
        job.failures,
        job.worker_id,
        job.worker_name,
    )


def _ended_values(job: JobRow) -> tuple[Any, ...]:
    return (
        job.reason,
        job.seed,
        job.steps,
        job.sha256,
        job.sensitive,
        int(job.withheld),
        job.charged_micros,
        job.ended_ms,
    )
