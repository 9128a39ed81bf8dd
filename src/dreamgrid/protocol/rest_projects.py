"""Parameters of the project endpoints, and the list of an account's newest jobs."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from dreamgrid.protocol.rest import JobRecord, ProjectRecord

HISTORY_WINDOW_MS = 7 * 24 * 60 * 60 * 1000
"""How far back a list of jobs may reach."""


class ProjectPath(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A project of the caller.

    Attributes:
        project_id: A UUID; upper and lower case are the same.
    """

    project_id: Annotated[str, Meta(extra_json_schema={"format": "uuid"})]


class ResultPath(ProjectPath, frozen=True, kw_only=True):
    """A job of a project of the caller, by its UUID."""

    job_id: Annotated[str, Meta(extra_json_schema={"format": "uuid"})]


class SyncQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whose projects.

    Attributes:
        app_id: Those of one app. Absent: those of all apps of the account.
    """

    app_id: str | None = None


class JobListQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which jobs; newest first.

    Attributes:
        state: Only `completed` is kept apart: jobs with a result.
        since: Jobs that ended at or after this time, in milliseconds since 1970; at most seven
            days back. 0: all of the seven days.
        limit: Most jobs of the answer.
        role: Only `artist` is known: jobs that the account asked for.
        address: The account's own wallet address, or nothing.
        media_only: Changes nothing: every job here makes media.
        app_source: Jobs of projects that carried this label.
    """

    state: Literal["completed"] = "completed"
    since: Annotated[float, Meta(ge=0, le=2**53)] = 0
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    role: Literal["artist"] = "artist"
    address: str | None = None
    media_only: bool = False
    app_source: str | None = None


class ProjectListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which projects; newest first.

    Attributes:
        limit: Most ended projects of the answer.
        before: What `next` of the page before said. Absent: the first page.
    """

    limit: Annotated[int, Meta(ge=1, le=100)] = 30
    before: str | None = None


class ProjectList(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`GET /v1/projects`.

    Attributes:
        projects: Records as `/v2/projects` gives them; each completed job has its `resultUrl` for
            as long as its file is kept.
        next: What `before` of the next page is. Null: this is the last one.
        media_kept_s: How long files are kept after a project's end, in seconds.
    """

    projects: tuple[ProjectRecord, ...]
    next: str | None
    media_kept_s: int


class RequestModel(msgspec.Struct, frozen=True, kw_only=True):
    """The model of a listed job; `type` is image, video or audio."""

    id: str
    name: str
    type: str = "image"


class ParentRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The project of a listed job."""

    id: str
    model: RequestModel
    app_source: str = ""


class ListedJob(JobRecord, frozen=True, kw_only=True, rename="camel"):
    """A job with what its project was."""

    parent_request: ParentRequest


class JobList(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /v1/jobs/list`, newest first."""

    jobs: tuple[ListedJob, ...]
