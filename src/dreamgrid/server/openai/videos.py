"""Videos: asked for, looked at while they are made, fetched, removed."""

from collections.abc import Iterator
from itertools import dropwhile

from aiohttp import web

from dreamgrid.errors import InvalidRequest, NotFound
from dreamgrid.protocol.assets import REFERENCE_IMAGE
from dreamgrid.protocol.job_request import looks_like_id, valid_id
from dreamgrid.protocol.openai import (
    PATH,
    ContentQuery,
    Video,
    VideoList,
    VideoPath,
    VideoQuery,
    VideoRemoved,
    VideoRequest,
    VideoStatus,
    trouble_of,
)
from dreamgrid.protocol.params import OUTPUT_FORMATS
from dreamgrid.protocol.renders import VideoRender
from dreamgrid.server.auth import Account
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.file_links import FileLinks
from dreamgrid.server.live import LiveProject, from_row
from dreamgrid.server.new_projects import App
from dreamgrid.server.open_projects import key_of_result
from dreamgrid.server.openai import wishes
from dreamgrid.server.openai.forms import FORM, JSON, TOO_MUCH, read_form
from dreamgrid.server.openai.images import ERRORS
from dreamgrid.server.openai.orders import APP_ID, Orders, delivered, why_nothing
from dreamgrid.server.removals import Removals
from dreamgrid.server.services import Services
from dreamgrid.states import ProjectState

_STATUS: dict[ProjectState, VideoStatus] = {
    ProjectState.QUEUED: "queued",
    ProjectState.PROCESSING: "in_progress",
    ProjectState.COMPLETED: "completed",
    ProjectState.FAILED: "failed",
    ProjectState.CANCELED: "failed",
}


def add(api: Endpoints, services: Services, orders: Orders) -> None:
    """Everything about videos."""
    videos, links, removals = _Videos(services), FileLinks(services), Removals(services)

    @api.post(
        f"{PATH}/videos",
        bare=True,
        scope="render",
        errors=(InvalidRequest, *ERRORS),
        receives=(FORM, JSON),
        also=TOO_MUCH,
    )
    async def openai_create_video(account: Account, request: web.Request) -> Video:
        """Asks for a video: the answer comes at once, and says what to ask for it by.

        The fields of the form are `prompt`, `model`, `seconds` and `size`, and settings of this
        grid's own; its file `input_reference` is the picture that the video begins with.
        """
        form = await read_form(request, account, services.limits)
        pictures = form.take("input_reference", most=1)
        form.check_rest()
        params = wishes.video_params(form.filled(VideoRequest), services.catalog)
        inputs = dict(zip((REFERENCE_IMAGE,), pictures, strict=False))
        order = await orders.submit(account, request, params, inputs)
        return videos.told(await services.projects.find(account, order.project_id))

    @api.get(f"{PATH}/videos", bare=True)
    async def openai_list_videos(account: Account, query: VideoQuery) -> VideoList:
        """Your videos in any state, those first that have not ended, then the newest."""
        return await videos.page(account, query)

    @api.get(f"{PATH}/videos/{{video}}", bare=True, errors=(NotFound,))
    async def openai_video(account: Account, path: VideoPath) -> Video:
        """A video, and where it stands."""
        return videos.told(await videos.find(account, path.video))

    @api.get(
        f"{PATH}/videos/{{video}}/content",
        errors=(NotFound,),
        status=302,
        content_types=("*/*",),
    )
    async def openai_video_content(
        account: Account, path: VideoPath, query: ContentQuery, request: web.Request
    ) -> web.Response:
        """Leads to the file of a video that is completed; the address is good for a while."""
        del query
        project = await videos.find(account, path.video)
        jobs = delivered(project)
        if not jobs:
            if project.ended_ms is None:
                raise NotFound(f"video {project.id} is not completed yet: look at its status")
            raise why_nothing(project)
        key = await links.kept(key_of_result(jobs[0]))
        where = links.download(request, key).download_url
        return web.Response(status=302, headers={"Location": where, "Cache-Control": "no-store"})

    @api.delete(f"{PATH}/videos/{{video}}", bare=True, errors=(NotFound,))
    async def openai_remove_video(account: Account, path: VideoPath) -> VideoRemoved:
        """Removes a video at once and for good; one that is not completed is canceled first."""
        project = await videos.find(account, path.video)
        if project.ended_ms is None:
            app = App(account=account, app_id=APP_ID, network=project.network, origin="")
            await services.projects.cancel(app, project.id)
        await removals.remove(account, project.id, None)
        return VideoRemoved(id=project.id)


class _Videos:
    """The projects of accounts that are videos."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def find(self, account: Account, video: str) -> LiveProject:
        """One of them.

        Raises:
            NotFound: The account has no such video.
        """
        if looks_like_id(video):
            project = await self._services.projects.find(account, valid_id(video))
            if self._is_one(project):
                return project
        raise NotFound(f"you have no video {video[:64]!r}")

    async def page(self, account: Account, query: VideoQuery) -> VideoList:
        """Some of them, in the order in which they are listed.

        Raises:
            InvalidRequest: What they are to follow is no video of the account.
        """
        after = None if query.after is None else await self._known(account, query.after)
        if after is not None and after.ended_ms is not None:
            found, before = [], after.id
        else:
            found, before = self._open(account, after), None
        rows = await self._services.store.ended_projects(
            account.id, query.limit + 1, before, formats=OUTPUT_FORMATS["video"]
        )
        known = {one.id for one in found}
        found += [from_row(row) for row in rows if row.id not in known]
        shown = [self.told(one) for one in found[: query.limit]]
        return VideoList(
            data=tuple(shown),
            first_id=shown[0].id if shown else None,
            last_id=shown[-1].id if shown else None,
            has_more=len(found) > query.limit,
        )

    def told(self, project: LiveProject) -> Video:
        """A video as clients see it."""
        job = project.jobs[0]
        render = job.render
        assert isinstance(render, VideoRender), "only videos are told so"
        failed = project.ended_ms is not None and not delivered(project)
        done_s = None if project.ended_ms is None else project.ended_ms // 1000
        kept_s = int(self._services.config.media_kept_s)
        progress = 100 * job.step // max(1, job.step_count)
        return Video(
            id=project.id,
            status="failed" if failed else _STATUS[project.state],
            progress=progress if project.ended_ms is None or failed else 100,
            model=project.model,
            prompt=render.prompt,
            seconds=f"{render.frames / render.motion_fps:.4g}",
            size=f"{render.width}x{render.height}",
            created_at=project.created_ms // 1000,
            completed_at=None if failed else done_s,
            expires_at=None if failed or done_s is None else done_s + kept_s,
            error=trouble_of(why_nothing(project)) if failed else None,
        )

    def _open(self, account: Account, after: LiveProject | None) -> list[LiveProject]:
        """Those that have not ended, or whose end is not stored yet; the newest first."""
        found: Iterator[LiveProject] = reversed(self._services.open_projects.of_account(account.id))
        if after is not None:
            found = dropwhile(lambda one: one.id != after.id, found)
            next(found, None)
        return [one for one in found if one.stored and self._is_one(one)]

    async def _known(self, account: Account, after: str) -> LiveProject:
        try:
            return await self.find(account, after)
        except NotFound as error:
            raise wishes.wrong("after", str(error)) from None

    def _is_one(self, project: LiveProject) -> bool:
        return isinstance(project.jobs[0].render, VideoRender)
