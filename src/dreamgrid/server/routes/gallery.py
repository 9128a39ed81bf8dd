"""Everything that an account made, in pages."""

from aiohttp import web

from dreamgrid.errors import NotFound
from dreamgrid.protocol.job_request import valid_id
from dreamgrid.protocol.rest_account import Nothing
from dreamgrid.protocol.rest_projects import (
    ProjectList,
    ProjectListQuery,
    ProjectPath,
    ResultPath,
)
from dreamgrid.server.auth import Account
from dreamgrid.server.blobs.media_types import is_image
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.file_links import FileLinks
from dreamgrid.server.live import LiveProject, from_row
from dreamgrid.server.removals import Removals
from dreamgrid.server.services import Services
from dreamgrid.server.thumbnails import CONTENT_TYPE, Thumbnails


def routes(services: Services) -> Endpoints:
    """The list of an account's projects, and what it takes out of it."""
    projects, links = services.projects, FileLinks(services)
    removals = Removals(services)
    api = Endpoints("Gallery", "Everything that you made, with links to the files.")

    @api.get("/v1/projects")
    async def list_projects(
        account: Account, query: ProjectListQuery, request: web.Request
    ) -> ProjectList:
        """Your projects in any state, newest first, with links to their results.

        The first page begins with all that have not ended.
        """
        before = None if query.before is None else valid_id(query.before)
        found, following = await _page(services, account, query.limit, before)
        return ProjectList(
            projects=tuple(
                links.linked(projects.record(project, account, raw=False), project, request)
                for project in found
            ),
            next=following,
            media_kept_s=services.config.media_kept_s,
        )

    @api.delete("/v1/projects/{projectId}", errors=(NotFound,))
    async def remove_project(account: Account, path: ProjectPath) -> Nothing:
        """Removes a project that has ended: its results, previews and inputs, at once and for good.

        It is in no list any more. What it cost stays in the statement.
        """
        await removals.remove(account, valid_id(path.project_id), None)
        return Nothing()

    @api.delete("/v1/projects/{projectId}/jobs/{jobId}", errors=(NotFound,))
    async def remove_result(account: Account, path: ResultPath) -> Nothing:
        """Removes the result of one job of a project that has ended.

        The last one takes the project with it: its inputs too, and it is in no list any more.
        """
        await removals.remove(account, valid_id(path.project_id), valid_id(path.job_id))
        return Nothing()

    _thumbnails(api, services)
    return api


def _thumbnails(api: Endpoints, services: Services) -> None:
    """Small versions of pictures."""
    projects, links = services.projects, FileLinks(services)
    thumbnails = Thumbnails(services.blobs)

    @api.get(
        "/v1/projects/{projectId}/jobs/{jobId}/thumbnail",
        content_types=(CONTENT_TYPE,),
        errors=(NotFound,),
        also={302: "There is no smaller version: this is a link to the picture itself."},
    )
    async def thumbnail(account: Account, path: ResultPath, request: web.Request) -> web.Response:
        """A picture that was delivered, at most 512 pixels wide and high, for lists of many.

        A browser that is signed in can show it without a link of its own.
        """
        key = await projects.result_key(
            account, valid_id(path.project_id), valid_id(path.job_id), preview=False
        )
        if not is_image(key):
            raise NotFound("this result is no picture")
        small = await thumbnails.of(await links.kept(key))
        if small is None:
            where = links.download(request, key).download_url
            return web.Response(
                status=302, headers={"Location": where, "Cache-Control": "no-store"}
            )
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=86400"}
        return web.Response(body=small, content_type=CONTENT_TYPE, headers=headers)


async def _page(
    services: Services, account: Account, limit: int, before: str | None
) -> tuple[list[LiveProject], str | None]:
    """Projects, newest first, and what `before` of the next page is; None: there is none."""
    rows = await services.store.ended_projects(account.id, limit, before)
    open_ones = [] if before is not None else services.open_projects.active(account.id)[::-1]
    shown = {project.id for project in open_ones}
    ended = [from_row(row) for row in rows if row.id not in shown]
    return open_ones + ended, rows[-1].id if len(rows) == limit else None
