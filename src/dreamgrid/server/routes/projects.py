"""Projects: records of finished ones, live look-ups, and what an app needs to recover."""

from aiohttp import web

from dreamgrid.errors import NotFound
from dreamgrid.protocol.job_request import valid_id
from dreamgrid.protocol.rest import ActiveProjects, ProjectAnswer, ProjectSync
from dreamgrid.server.clock import milliseconds
from dreamgrid.server.http import answer, bare_answer, require_account
from dreamgrid.server.services import Services


def routes(services: Services) -> list[web.RouteDef]:
    """The project endpoints of both hosts."""
    projects = services.projects

    async def finished(request: web.Request) -> web.Response:
        account = require_account(request)
        project = await projects.find(account, valid_id(request.match_info["project_id"]))
        if project.ended_ms is None:
            # An unfinished record would un-finish the project in the published SDKs.
            raise NotFound(f"project {project.id} has not ended yet; /v2/projects shows it")
        return answer(ProjectAnswer(project=projects.record(project, raw=True)))

    async def live(request: web.Request) -> web.Response:
        account = require_account(request)
        project = await projects.find(account, valid_id(request.match_info["project_id"]))
        return answer(ProjectAnswer(project=projects.record(project, raw=False)))

    async def active(request: web.Request) -> web.Response:
        found = projects.active(require_account(request))
        return bare_answer(ActiveProjects(projects=tuple({"id": one.id} for one in found)))

    async def sync(request: web.Request) -> web.Response:
        account = require_account(request)
        app_id = request.query.get("appId") or None
        unclaimed = await projects.unclaimed(account, app_id)
        return bare_answer(
            ProjectSync(
                active_projects=projects.recovery_records(projects.active(account, app_id)),
                unclaimed_completed_projects=projects.recovery_records(unclaimed),
                server_time=milliseconds(services.clock),
            )
        )

    return [
        web.get("/v1/projects/{project_id}", finished),
        web.get("/v2/projects/{project_id}", live),
        web.get("/api/v1/artist/projects/active", active),
        web.get("/api/v1/artist/projects/sync", sync),
    ]
