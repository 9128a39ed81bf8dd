"""The event stream of a project: what happened so far, and then what happens."""

from aiohttp import web

from dreamgrid.errors import InvalidRequest, NotFound
from dreamgrid.protocol.job_request import valid_id
from dreamgrid.protocol.project_events import EventsQuery, ProgressEvent, ProjectEvent
from dreamgrid.protocol.rest_projects import ProjectPath
from dreamgrid.server import event_words
from dreamgrid.server.auth import Account
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.event_stream import EVENT_STREAM, STILL_HERE, framed
from dreamgrid.server.file_links import FileLinks
from dreamgrid.server.live import LiveProject
from dreamgrid.server.long_answers import long_answer
from dreamgrid.server.open_projects import key_of_result
from dreamgrid.server.services import Services
from dreamgrid.server.store.base import EventRow

_RECONNECT_MS = 1_000
_NOT_KEPT = {"Cache-Control": "no-store"}


def routes(services: Services) -> Endpoints:
    """The event stream."""
    api = Endpoints("Events", "Watching a project over HTTP, from any process and at any time.")
    projects, links = services.projects, FileLinks(services)

    @api.get(
        "/v1/projects/{projectId}/events",
        content_types=(EVENT_STREAM,),
        errors=(NotFound,),
        events=(ProjectEvent, ProgressEvent),
        also={204: "The project has ended, and its last event is known: do not connect again."},
    )
    async def project_events(
        account: Account, path: ProjectPath, query: EventsQuery, request: web.Request
    ) -> web.StreamResponse:
        """A project's events as server-sent events, from the beginning or after a known one.

        Every change of state comes once and in order, with its number as the event's id; a client
        that reconnects with `Last-Event-ID` misses nothing. Between them come `progress` events,
        which have no id and are not kept. The stream ends after `completed`, `failed` or
        `canceled`; whoever comes back after that is answered 204, which ends a browser's
        `EventSource`. With `follow=false` it ends with what has happened so far.
        """
        with long_answer(services, request, account):
            return await watch(account, path, query, request)

    async def watch(
        account: Account, path: ProjectPath, query: EventsQuery, request: web.Request
    ) -> web.StreamResponse:
        project = await projects.find(account, valid_id(path.project_id))
        known = _last_event_id(request, query)
        if request.method == "HEAD":
            return web.Response(content_type=EVENT_STREAM, headers=_NOT_KEPT)
        ended = project.ended_ms is not None
        if await services.feeds.is_over(project.id, after=known, ended=ended):
            return web.Response(status=204, headers=_NOT_KEPT)
        response = web.StreamResponse(headers=_NOT_KEPT)
        response.content_type = EVENT_STREAM
        await response.prepare(request)
        await response.write(f"retry: {_RECONNECT_MS}\n\n".encode())
        async with services.feeds.watch(project.id, after=known) as feed:
            async for event in feed.events() if query.follow else feed.so_far():
                match event:
                    case None:
                        await response.write(STILL_HERE)
                    case ProgressEvent():
                        await response.write(framed("progress", event))
                    case EventRow():
                        told = event_words.told(event, _url(links, event, project, request))
                        await response.write(framed(told.type, told, number=told.number))
        return response

    return api


def _url(links: FileLinks, row: EventRow, project: LiveProject, request: web.Request) -> str | None:
    """Where the result of a job that was just completed can be fetched."""
    job = next((one for one in project.jobs if one.id == row.job_id), None)
    if job is None or not event_words.has_result(row):
        return None
    return links.download(request, key_of_result(job)).download_url


def _last_event_id(request: web.Request, query: EventsQuery) -> int:
    text = request.headers.get("Last-Event-ID", "").strip()
    if not text:
        return query.after
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise InvalidRequest("Last-Event-ID is the number of an event that this stream has sent")
    return int(text)
