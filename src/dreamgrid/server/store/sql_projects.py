"""Projects and jobs in SQL: reading them, and what happens to those that have ended.

What happens to the others is told in `sql_changes`.
"""

import json
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import msgspec

from dreamgrid.server.store import sql_webhooks
from dreamgrid.server.store.base import JobRow, ProjectRow
from dreamgrid.server.store.connection import Connection
from dreamgrid.states import JobState, ProjectState

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
_JOB_STATES = {state.value: state for state in JobState}  # quicker than to call it, for each row
_PROJECT_STATES = {state.value: state for state in ProjectState}
_renders = msgspec.json.Decoder(tuple[msgspec.Raw, ...])

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
