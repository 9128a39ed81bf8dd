"""Projects: records of finished ones, live look-ups, and what an app needs to recover."""

from dreamgrid.errors import InvalidRequest, NotAllowed, NotFound
from dreamgrid.protocol.job_request import valid_id
from dreamgrid.protocol.rest import ActiveProjects, ProjectAnswer, ProjectSync
from dreamgrid.protocol.rest_projects import (
    HISTORY_WINDOW_MS,
    JobList,
    JobListQuery,
    ProjectPath,
    SyncQuery,
)
from dreamgrid.server.auth import Account
from dreamgrid.server.clock import milliseconds
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.services import Services

_SLACK_MS = 60 * 60 * 1000
"""Clients count the seven days by clocks of their own, and a request takes a moment."""


def routes(services: Services) -> Endpoints:
    """The project endpoints of both hosts."""
    projects, recovery = services.projects, services.recovery
    api = Endpoints(
        "Projects",
        "What became of your projects. They are made, watched and canceled over the socket.",
    )

    @api.get("/v1/projects/{projectId}", errors=(NotFound,))
    async def finished_project(account: Account, path: ProjectPath) -> ProjectAnswer:
        """The record of a project that has ended; 404 until then.

        `status` is `completed`, `errored` or `cancelled`. Records are kept for a week.
        """
        project = await projects.find(account, valid_id(path.project_id))
        if project.ended_ms is None:
            # An unfinished record would un-finish the project in the published SDKs.
            raise NotFound(f"project {project.id} has not ended yet; /v2/projects shows it")
        return ProjectAnswer(project=projects.record(project, account, raw=True))

    @api.get("/v2/projects/{projectId}", errors=(NotFound,))
    async def project(account: Account, path: ProjectPath) -> ProjectAnswer:
        """A project in any state.

        `status` is `queued`, `processing`, `completed`, `failed` or `canceled`.
        """
        found = await projects.find(account, valid_id(path.project_id))
        return ProjectAnswer(project=projects.record(found, account, raw=False))

    @api.get("/api/v1/artist/projects/active", bare=True)
    async def active_projects(account: Account) -> ActiveProjects:
        """Ids of the projects that have not ended, of all your apps."""
        found = services.open_projects.active(account.id)
        return ActiveProjects(projects=tuple({"id": one.id} for one in found))

    @api.get("/api/v1/artist/projects/sync", bare=True)
    async def sync_projects(account: Account, query: SyncQuery) -> ProjectSync:
        """What an app missed: open projects, and those that ended while it was away."""
        unclaimed = await recovery.unclaimed(account, query.app_id)
        active = services.open_projects.active(account.id, query.app_id)
        return ProjectSync(
            active_projects=recovery.records(account, active),
            unclaimed_completed_projects=recovery.records(account, unclaimed),
            server_time=milliseconds(services.clock),
        )

    @api.get("/v1/jobs/list", errors=(NotAllowed,))
    async def recent_jobs(account: Account, query: JobListQuery) -> JobList:
        """The jobs that completed lately, newest first, of projects that have ended."""
        if query.address is not None and query.address.lower() != account.address.lower():
            raise NotAllowed("you can list your own jobs only: leave address out")
        oldest_ms = milliseconds(services.clock) - HISTORY_WINDOW_MS
        since_ms = int(query.since) or oldest_ms
        if since_ms < oldest_ms - _SLACK_MS:
            raise InvalidRequest("the list goes back seven days: since is in milliseconds")
        found = await projects.recent(
            account, since_ms=since_ms, limit=query.limit, app_source=query.app_source
        )
        return JobList(jobs=found)

    return api
