"""What each write to projects and jobs does in SQL. Runs on the writer's thread.

Every function checks its fence first and writes nothing when it is refused, so that operations of
other callers in the same transaction are not disturbed.
"""

import json
from collections.abc import Sequence
from operator import attrgetter, itemgetter
from typing import Any

import msgspec

from dreamgrid.server import ledger
from dreamgrid.server.store import sql_keys, sql_money, sql_webhooks
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
from dreamgrid.server.store.sql_events import append
from dreamgrid.states import FINAL_PROJECT_STATES, JobState, ProjectState

PRUNED_AT_ONCE = 200
PROJECTS_AT_ONCE = 250
"""Of how many projects the jobs are asked for with one statement."""

# All but the jobs, and what is long and never changes: that is in `wish`.
_PROJECT_FIELDS = tuple(
    name
    for name in ProjectRow.__struct_fields__
    if name not in ("request", "cancel_message", "jobs")
)
_JOB_FIELDS = tuple(
    name for name in JobRow.__struct_fields__ if name not in ("project_id", "render")
)
_GIVEN = _JOB_FIELDS.index("created_ms") + 1  # the fields after it have defaults
_JOB_COLUMNS = tuple("job_index" if name == "index" else name for name in _JOB_FIELDS)
_project_values = attrgetter(*_PROJECT_FIELDS)
_job_values = attrgetter(*_JOB_FIELDS)
_JOB_STATES = {state.value: state for state in JobState}  # quicker than to call it, for each row
_PROJECT_STATES = {state.value: state for state in ProjectState}
_renders = msgspec.json.Decoder(tuple[msgspec.Raw, ...])

_INSERT_PROJECT = (
    f"INSERT INTO project ({', '.join(_PROJECT_FIELDS)})"
    f" SELECT {', '.join('?' * len(_PROJECT_FIELDS))} WHERE NOT EXISTS (SELECT 1 FROM transfer"
    " WHERE kind = 'hold' AND project_id = ?) ON CONFLICT DO NOTHING RETURNING number"
)
_INSERT_WISH = "INSERT INTO wish (project, request, renders) VALUES (?, ?, ?)"
_INSERT_JOB = (
    f"INSERT INTO job (project, {', '.join(_JOB_COLUMNS)})"
    f" VALUES (?, {', '.join('?' * len(_JOB_COLUMNS))})"
)
_JOBS = f"SELECT project, {', '.join(_JOB_COLUMNS)} FROM job WHERE TRUE"
_OTHER_JOBS = f"{_JOBS} AND (attempt > 0 OR ended_ms IS NOT NULL)"
_FRESH_JOBS = (
    f"SELECT project, {', '.join(_JOB_COLUMNS[:_GIVEN])} FROM job"
    " WHERE attempt = 0 AND ended_ms IS NULL"
)
"""Jobs that are as they were made, as nearly all are that wait: only what was given is read."""
_index = itemgetter(1 + _JOB_COLUMNS.index("job_index"))
_CANCELED = (
    "CASE WHEN state = 'canceled' THEN (SELECT details FROM event WHERE event.project ="
    " project.number AND kind = 'canceled') END"
)
"""What the log says of a cancel."""

_OF_PROJECT = (("event", "project"), ("job", "project"), ("wish", "project"), ("project", "number"))
"""Every table that has rows of a project, and by which column; in the order to delete them."""


def submit(connection: Connection, project: ProjectRow) -> Submitted:
    """Inserts a project with its jobs and holds their price, or says why not."""
    values = (*_project_values(project), project.id)
    added = connection.execute(_INSERT_PROJECT, values).fetchone()
    if added is None:
        known = connection.execute(
            "SELECT account_id, request FROM project JOIN wish ON project = number WHERE id = ?",
            (project.id,),
        ).fetchone()  # None: it was forgotten, and its transfers stay
        same = known == (project.account_id, project.request)
        return Submitted(result=SubmitResult.KNOWN if same else SubmitResult.CONFLICT)
    (number,) = added
    caps = sql_keys.caps(connection, project.key_id)
    refusal = sql_keys.refusal(connection, project, caps) if caps else None
    if refusal is not None:
        connection.execute("DELETE FROM project WHERE number = ?", (number,))
        return refusal
    held = sql_money.hold(
        connection,
        ledger.hold(
            project.token_type,
            project.account_id,
            project.hold_micros,
            project.id,
            project.created_ms,
        ),
    )
    if held is None:
        connection.execute("DELETE FROM project WHERE number = ?", (number,))
        return Submitted(result=SubmitResult.INSUFFICIENT)
    if caps:
        sql_keys.spend(connection, project)
    renders = b"[%b]" % b",".join([job.render for job in project.jobs])
    connection.execute(_INSERT_WISH, (number, project.request, renders))
    connection.executemany(_INSERT_JOB, [(number, *_job_values(job)) for job in project.jobs])
    append(
        connection,
        number,
        EventKind.QUEUED,
        project.created_ms,
        model=project.model,
        jobs=[job.id for job in project.jobs],
    )
    return Submitted(result=SubmitResult.CREATED, balance=held)


def acquire(connection: Connection, acquisitions: Sequence[Acquisition], at_ms: int) -> list[bool]:
    """Gives each job to its worker if it is still queued with the attempt before."""
    return [_acquire(connection, wish, at_ms) for wish in acquisitions]


def _acquire(connection: Connection, wish: Acquisition, at_ms: int) -> bool:
    job = connection.execute(
        "UPDATE job SET state = 'assigned', attempt = ?1, worker_id = ?2, worker_name = ?3"
        " WHERE id = ?4 AND state = 'queued' AND attempt = ?1 - 1 RETURNING project, job_index",
        (wish.attempt, wish.worker_id, wish.worker_name, wish.job_id),
    ).fetchone()
    if job is None:
        return False
    append(
        connection,
        job[0],
        EventKind.ASSIGNED,
        at_ms,
        wish.job_id,
        index=job[1],
        attempt=wish.attempt,
        worker=wish.worker_name,
        why=wish.why,
    )
    return True


def start(connection: Connection, job_id: str, attempt: int, at_ms: int) -> None:
    """Marks a job as running."""
    job = connection.execute(
        "UPDATE job SET state = 'running', started_ms = ?"
        " WHERE id = ? AND attempt = ? AND state = 'assigned'"
        " RETURNING project, job_index, worker_name",
        (at_ms, job_id, attempt),
    ).fetchone()
    if job is not None:
        project, index, worker = job
        append(
            connection,
            project,
            EventKind.STARTED,
            at_ms,
            job_id,
            index=index,
            attempt=attempt,
            worker=worker,
        )


def requeue(
    connection: Connection,
    job_id: str,
    attempt: int,
    failures: int,
    reason: str,
    at_ms: int,
) -> bool:
    """Takes a job back from the attempt that holds it."""
    job = connection.execute(
        "UPDATE job SET state = 'queued', failures = ?, started_ms = NULL"
        " WHERE id = ? AND attempt = ? AND state IN ('assigned', 'running')"
        " RETURNING project, job_index",
        (failures, job_id, attempt),
    ).fetchone()
    if job is None:
        return False
    append(
        connection,
        job[0],
        EventKind.RETRIED,
        at_ms,
        job_id,
        index=job[1],
        attempt=attempt,
        reason=reason,
    )
    return True


def end_job(connection: Connection, end: JobEnd) -> Ended:
    """Ends a job, posts or voids its price, moves its project."""
    row = connection.execute(
        "UPDATE job SET state = ?, reason = ?, failures = ?, seed = ?, steps = ?, sha256 = ?,"
        " sensitive = ?, withheld = ?, ended_ms = ?,"
        " charged_micros = CASE WHEN ? = 1 THEN price_micros ELSE 0 END"
        " WHERE id = ? AND attempt = ? AND ended_ms IS NULL"
        " RETURNING project, job_index, price_micros",
        (
            end.state,
            end.reason,
            end.failures,
            end.seed,
            end.steps,
            end.sha256,
            end.sensitive,
            end.withheld,
            end.at_ms,
            end.charge,
            end.job_id,
            end.attempt,
        ),
    ).fetchone()
    if row is None:
        return Ended(accepted=False)
    number, index, price = row
    _tell_end(connection, end, number, index)
    final = end.project_state in FINAL_PROJECT_STATES
    project = connection.execute(
        "UPDATE project SET state = ?, reason = ?, charged_micros = charged_micros + ?,"
        " updated_ms = ?, ended_ms = ?5 WHERE number = ?6 AND (CAST(?5 AS BIGINT) IS NULL"
        " OR NOT EXISTS (SELECT 1 FROM job WHERE project = ?6 AND ended_ms IS NULL))"
        " RETURNING account_id, token_type, key_id, created_ms",
        (
            end.project_state,
            end.project_reason,
            price if end.charge else 0,
            end.at_ms,
            end.at_ms if final else None,
            number,
        ),
    ).fetchone()
    # An earlier end of this project was not stored after all; this one must wait for it.
    assert project is not None, f"project {end.project_id} cannot end while a job of it is open"
    payer, currency, key_id, submitted_ms = project
    if not end.charge:
        sql_keys.give_back(connection, key_id, currency, submitted_ms, price)
    make = ledger.post if end.charge else ledger.void
    entry = make(currency, payer, price, end.project_id, end.job_id, end.at_ms)
    earning = None
    if end.charge and end.earner and end.earned_micros:
        earning = ledger.earning(
            currency, end.earner, end.earned_micros, end.project_id, end.job_id, end.at_ms
        )
    sql_money.settle(connection, entry, earning)
    balance = sql_money.balance(connection, payer, currency)
    earned = Balance()
    if earning is not None:
        own = end.earner == payer
        earned = balance if own else sql_money.balance(connection, end.earner, currency)
    return Ended(accepted=True, balance=balance, earner_balance=earned)


def _tell_end(connection: Connection, end: JobEnd, project: int, index: int) -> None:
    """Appends that a job has ended, and its project if this was the last."""
    delivered = end.state is JobState.COMPLETED
    append(
        connection,
        project,
        EventKind.JOB_COMPLETED if delivered else EventKind.JOB_FAILED,
        end.at_ms,
        end.job_id,
        index=index,
        attempt=end.attempt,
        reason=None if delivered else end.reason,
        seed=end.seed if delivered else None,
        steps=end.steps if delivered else None,
        sha256=end.sha256,
        sensitive=end.sensitive.split() or None,
        withheld=end.withheld or None,
    )
    if end.project_state in FINAL_PROJECT_STATES:
        kind = EventKind(str(end.project_state))
        append(connection, project, kind, end.at_ms, reason=end.project_reason)


def cancel(
    connection: Connection,
    project_id: str,
    reason: str,
    at_ms: int,
    *,
    claimed: bool,
    message: str,
) -> Ended:
    """Cancels a project that has not ended, with the jobs of it that have not."""
    project = connection.execute(
        "UPDATE project SET state = ?, reason = ?, updated_ms = ?, ended_ms = ?, claimed = ?"
        " WHERE id = ? AND ended_ms IS NULL"
        " RETURNING number, account_id, token_type, key_id, created_ms",
        (ProjectState.CANCELED, reason, at_ms, at_ms, claimed, project_id),
    ).fetchone()
    if project is None:
        return Ended(accepted=False)
    number, payer, currency, key_id, submitted_ms = project
    jobs = connection.execute(
        "UPDATE job SET state = ?, reason = ?, ended_ms = ?"
        " WHERE project = ? AND ended_ms IS NULL RETURNING id, price_micros",
        (JobState.CANCELED, reason, at_ms, number),
    ).fetchall()
    append(connection, number, EventKind.CANCELED, at_ms, reason=reason, message=message or None)
    for job_id, price in jobs:
        voided = ledger.void(currency, payer, price, project_id, job_id, at_ms)
        sql_money.settle(connection, voided)
    given_back = sum(price for _, price in jobs)
    sql_keys.give_back(connection, key_id, currency, submitted_ms, given_back)
    return Ended(accepted=True, balance=sql_money.balance(connection, payer, currency))


def remove_results(connection: Connection, project_id: str, job_id: str | None) -> int:
    """Marks results as removed; a project without any left has nothing to tell its app either."""
    project = connection.execute(
        "SELECT number FROM project WHERE id = ? AND ended_ms IS NOT NULL", (project_id,)
    ).fetchone()
    if project is None:
        return 0
    condition, values = "project = ? AND removed = 0", [project[0]]
    if job_id is not None:
        condition += " AND id = ?"
        values.append(job_id)
    removed = connection.execute(f"UPDATE job SET removed = 1 WHERE {condition}", values).rowcount
    connection.execute(
        "UPDATE project SET claimed = 1 WHERE number = ?1"
        " AND NOT EXISTS (SELECT 1 FROM job WHERE project = ?1 AND removed = 0)",
        project,
    )
    return removed


def prune(connection: Connection, before_ms: int) -> int:
    """Forgets some projects that ended before a time; their transfers stay."""
    ended = connection.execute(
        "SELECT number, id FROM project WHERE ended_ms < ? LIMIT ?", (before_ms, PRUNED_AT_ONCE)
    ).fetchall()
    sql_webhooks.forget(connection, [(project_id,) for _, project_id in ended])
    for table, column in _OF_PROJECT:
        connection.executemany(
            f"DELETE FROM {table} WHERE {column} = ?", [(number,) for number, _ in ended]
        )
    return len(ended)


def select(
    connection: Connection,
    condition: str,
    values: Sequence[Any],
    *,
    kinds_of_jobs: Sequence[str] = (_JOBS,),
) -> list[ProjectRow]:
    """The projects that fulfil an SQL condition, in its order, with their jobs.

    Args:
        connection: To the database.
        condition: What follows WHERE.
        values: Of the places in it.
        kinds_of_jobs: The statements that together read all jobs of some projects.
    """
    rows = connection.execute(
        f"SELECT number, renders, {_CANCELED}, request, {', '.join(_PROJECT_FIELDS)}"
        f" FROM project JOIN wish ON project = number WHERE {condition}",
        values,
    ).fetchall()
    jobs = _jobs(connection, [row[0] for row in rows], kinds_of_jobs)
    projects = []
    for row in rows:
        number, renders, canceled, *fields = row
        project = ProjectRow(*fields)
        project.state = _PROJECT_STATES[project.state]
        if canceled:
            project.cancel_message = json.loads(canceled).get("message", "")
        project.claimed = bool(project.claimed)
        project.disable_safety = bool(project.disable_safety)
        project.jobs = tuple(
            _job(project.id, render, job)
            for render, job in zip(_renders.decode(renders), jobs[number], strict=True)
        )
        projects.append(project)
    return projects


def open_numbers(connection: Connection) -> list[int]:
    """The numbers of all projects that have not ended, oldest first."""
    rows = connection.execute(
        "SELECT number FROM project WHERE ended_ms IS NULL ORDER BY created_ms, number"
    )
    return [number for (number,) in rows.fetchall()]


def numbered(connection: Connection, numbers: Sequence[int]) -> list[ProjectRow]:
    """The projects with these numbers, oldest first."""
    marks = ", ".join("?" * len(numbers))
    condition = f"number IN ({marks}) ORDER BY created_ms, number"
    return select(connection, condition, numbers, kinds_of_jobs=(_FRESH_JOBS, _OTHER_JOBS))


def _jobs(
    connection: Connection, projects: Sequence[int], kinds: Sequence[str]
) -> dict[int, list[tuple[Any, ...]]]:
    """The jobs of projects in their order, by the number of the project, which begins each row."""
    found: dict[int, list[tuple[Any, ...]]] = {number: [] for number in projects}
    for start in range(0, len(projects), PROJECTS_AT_ONCE):
        some = projects[start : start + PROJECTS_AT_ONCE]
        marks = ", ".join("?" * len(some))
        for kind in kinds:
            for row in connection.execute(f"{kind} AND project IN ({marks})", some):
                found[row[0]].append(row)
    for rows in found.values():
        rows.sort(key=_index)
    return found


def _job(project_id: str, render: msgspec.Raw, row: tuple[Any, ...]) -> JobRow:
    job = JobRow(project_id, bytes(render), *row[1:])
    job.state = _JOB_STATES[job.state]
    job.withheld = bool(job.withheld)
    job.removed = bool(job.removed)
    return job
