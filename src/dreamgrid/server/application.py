"""What answers: every endpoint and both kinds of sockets, and what each request passes before."""

from aiohttp import web
from aiohttp.typedefs import Middleware

from dreamgrid.protocol.worker import WORKER_PATH
from dreamgrid.server import cookies
from dreamgrid.server.app_sockets import AppSockets
from dreamgrid.server.blobs.links import PATH as BLOBS_PATH
from dreamgrid.server.blobs.local import LocalBlobs
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.http import (
    ACCOUNT,
    COOKIE_COUNTS,
    Handler,
    add_cors_headers,
    cors_middleware,
    credential_of,
    errors_middleware,
    is_websocket,
)
from dreamgrid.server.openai import api as openai
from dreamgrid.server.openai.errors import openai_errors
from dreamgrid.server.routes import (
    account,
    admin,
    catalog,
    documentation,
    elsewhere,
    estimates,
    events,
    explain,
    gallery,
    health,
    history,
    images,
    media,
    projects,
    sign_in,
    sign_in_links,
    studio,
    webhooks,
)
from dreamgrid.server.services import Services
from dreamgrid.server.worker_sockets import WorkerSockets

MAX_BODY_BYTES = 1024 * 1024
"""Largest body of an API request; uploads have their own limit."""


def application(services: Services, apps: AppSockets, workers: WorkerSockets) -> web.Application:
    """What serves apps and workers."""
    app = web.Application(
        client_max_size=MAX_BODY_BYTES,
        middlewares=[
            cors_middleware,
            openai_errors,
            errors_middleware,
            _account_middleware(services),
            _socket_middleware(apps),
        ],
    )
    app.on_response_prepare.append(add_cors_headers)
    for subject in endpoints(services, workers):
        app.add_routes(subject)
    return app


def endpoints(services: Services, workers: WorkerSockets) -> list[Endpoints]:
    """Every HTTP endpoint of a server, by subject."""
    rooms = (
        catalog,
        estimates,
        gallery,
        projects,
        events,
        explain,
        images,
        media,
        account,
        sign_in,
        sign_in_links,
        history,
        webhooks,
        admin,
        elsewhere,
        health,
        studio,
        openai,
    )
    subjects = [room.routes(services) for room in rooms]
    if isinstance(services.blobs, LocalBlobs):  # other stores serve their files themselves
        subjects.append(services.blobs.routes())
    subjects.append(workers.routes())
    return [*subjects, documentation.routes(services, subjects)]


def _socket_middleware(apps: AppSockets) -> Middleware:
    """Apps upgrade at the path of their endpoint, whatever it is; workers have one of their own."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if is_websocket(request) and request.path != WORKER_PATH:
            return await apps.handle(request)
        return await handler(request)

    return middleware


def _account_middleware(
    services: Services,
) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[COOKIE_COUNTS] = services.may_use_cookie(request)
        if is_websocket(request):
            return await handler(request)  # which answers with close codes
        credential = credential_of(request)
        found = await services.authenticate(credential) if credential is not None else None
        if found is not None:
            request[ACCOUNT] = found
        if not request.path.startswith(BLOBS_PATH):  # a signed link was counted when it was given
            services.limits.request(found, services.address(request))
        response = await handler(request)
        if found is not None and credential == cookies.of(request):
            await cookies.renew(services, request, response)
        return response

    return middleware
