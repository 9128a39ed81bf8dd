"""The event log of every project, told again from the beginning: it must lead to what is stored."""

import json
from dataclasses import dataclass, field
from typing import Any

from dreamgrid.server.store.base import EventKind
from tests.simulation.disk import Disk

OPEN = ("queued", "assigned", "running")
ENDS = {EventKind.COMPLETED, EventKind.FAILED, EventKind.CANCELED}

MOVES: dict[str, tuple[tuple[str, ...], str]] = {
    EventKind.ASSIGNED: (("queued",), "assigned"),
    EventKind.STARTED: (("assigned",), "running"),
    EventKind.RETRIED: (("assigned", "running"), "queued"),
    EventKind.JOB_COMPLETED: (("assigned", "running"), "completed"),
    EventKind.JOB_FAILED: (OPEN, "failed"),
}
"""What an event does to a job: from one of these states, to this one."""


@dataclass
class Story:
    """A project as its log tells it."""

    project_id: str
    jobs: dict[str, list[Any]] = field(default_factory=dict)  # id to state and attempt
    end: str | None = None

    def follow(self, number: int, kind: str, job_id: str | None, details: dict[str, Any]) -> None:
        """The next event."""
        here = f"event {number} ({kind}) of project {self.project_id}"
        assert self.end is None, f"{here} comes after the end"
        if kind == EventKind.QUEUED:
            assert number == 1, f"{here} must be the first"
            self.jobs = {job: ["queued", 0] for job in details["jobs"]}
        elif kind in ENDS:
            self._ends(here, kind)
        else:
            assert job_id in self.jobs, f"{here} is about the unknown job {job_id}"
            self._moves(here, kind, self.jobs[job_id], details["attempt"])

    def _moves(self, here: str, kind: str, job: list[Any], attempt: int) -> None:
        before, after = MOVES[kind]
        assert job[0] in before, f"{here} happens to a job that is {job[0]}"
        expected = job[1] + 1 if kind == EventKind.ASSIGNED else job[1]
        assert attempt == expected, f"{here} has attempt {attempt}, not {expected}"
        job[:] = after, attempt

    def _ends(self, here: str, kind: str) -> None:
        for job in self.jobs.values():
            if kind == EventKind.CANCELED and job[0] in OPEN:
                job[0] = "canceled"
            assert job[0] not in OPEN, f"{here}, and a job is {job[0]}"
        delivered = any(job[0] == "completed" for job in self.jobs.values())
        assert kind == EventKind.CANCELED or delivered is (kind == EventKind.COMPLETED), here
        self.end = kind


def look(disk: Disk, made: set[tuple[str, int, str]]) -> None:
    """Follows all logs and compares the ends of the stories with the rows.

    Args:
        disk: Where they lie.
        made: Job, attempt and hash of each result that a worker has made.
    """
    stories: dict[str, Story] = {}
    for project_id, number, kind, job_id, text in disk.rows(
        "SELECT project.id, event.number, kind, job_id, details"
        " FROM event JOIN project ON project = project.number ORDER BY project, event.number"
    ):
        story = stories.setdefault(project_id, Story(project_id))
        details = json.loads(text)
        story.follow(number, kind, job_id, details)
        if kind == EventKind.JOB_COMPLETED:
            result = (job_id, details["attempt"], details["sha256"])
            assert result in made, f"job {job_id} was completed with what nobody made: {details}"
    _compare(disk, stories)


def _compare(disk: Disk, stories: dict[str, Story]) -> None:
    counts = dict(disk.rows("SELECT project, count(*) FROM event GROUP BY project"))
    newest = dict(disk.rows("SELECT project, max(number) FROM event GROUP BY project"))
    assert counts == newest, "the numbers of a log have gaps"
    rows: dict[str, dict[str, list[Any]]] = {}
    for project_id, job_id, state, attempt in disk.rows(
        "SELECT project.id, job.id, job.state, attempt FROM job JOIN project ON project = number"
    ):
        rows.setdefault(project_id, {})[job_id] = [state, attempt]
    told = {project_id: story.jobs for project_id, story in stories.items()}
    if rows != told:
        different = [(rows.get(one), told.get(one)) for one in rows if rows[one] != told.get(one)]
        raise AssertionError(f"stored is, and the log tells: {different}")
    for project_id, state, ended_ms in disk.rows("SELECT id, state, ended_ms FROM project"):
        end = state if ended_ms is not None else None
        assert end == stories[project_id].end, f"project {project_id}: {state}, {ended_ms}"
