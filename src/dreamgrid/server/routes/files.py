"""Where apps put their input files and get results: signed links. The bytes go another way.

Inputs are uploaded before their project exists, so they belong to (account, project id, role). The
`imageId` of an upload is random and means nothing; that of a download is a job.
"""

from aiohttp import web

from dreamgrid.errors import DuplicateProject, InvalidRequest, NotFound
from dreamgrid.protocol.assets import COMPLETE, IMAGE_ROLES, IMAGE_UPLOAD_TYPES, PREVIEW
from dreamgrid.protocol.job_request import valid_id
from dreamgrid.protocol.rest import DownloadUrl, UploadUrl
from dreamgrid.server.auth import Account
from dreamgrid.server.blobs.keys import input_key
from dreamgrid.server.http import answer, query, require_account
from dreamgrid.server.services import Services

_UNSET = ("", "undefined")
"""The oldest client writes `undefined` for a parameter that it leaves out."""


def routes(services: Services) -> list[web.RouteDef]:
    """The file endpoints for pictures."""
    config, blobs, projects = services.config, services.blobs, services.projects
    uploads = services.uploads

    async def upload_url(request: web.Request) -> web.Response:
        account = require_account(request)
        project_id = valid_id(query(request, "jobId"))
        role = _input_role(query(request, "type"))
        content_type = _content_type(request)
        owner = await projects.owner(project_id)
        if owner not in (None, account.id):
            raise DuplicateProject(f"project id {project_id} is taken; use a fresh UUID")
        url = blobs.put_url(
            uploads.expect(account.id, project_id, role),
            content_type=content_type,
            max_bytes=config.max_image_bytes,
            expires_s=config.upload_url_s,
            origin=services.origin(request),
        )
        return answer(UploadUrl(upload_url=url))

    async def download_url(request: web.Request) -> web.Response:
        account = require_account(request)
        project_id = valid_id(query(request, "jobId"))
        role = query(request, "type")
        if role in (COMPLETE, PREVIEW):
            job_id = valid_id(query(request, "imageId"))
            key = await projects.result_key(account, project_id, job_id, preview=role == PREVIEW)
        else:
            key = await _stored_input(account, project_id, _input_role(role))
        url = blobs.get_url(key, expires_s=config.download_url_s, origin=services.origin(request))
        return answer(DownloadUrl(download_url=url))

    async def _stored_input(account: Account, project_id: str, role: str) -> str:
        key = input_key(account.id, project_id, role)
        if await blobs.stat(key) is None:
            raise NotFound(f"you have uploaded no {role} for project {project_id}")
        return key

    async def capabilities(request: web.Request) -> web.Response:
        require_account(request)
        return answer({"enabled": False})

    return [
        web.get("/v1/image/uploadUrl", upload_url),
        web.get("/v1/image/downloadUrl", download_url),
        web.get("/v1/assets/capabilities", capabilities),
    ]


def _input_role(role: str) -> str:
    if role not in IMAGE_ROLES:
        raise InvalidRequest(
            f"type {role[:64]!r} is no role of an input picture: use startingImage, cnImage, "
            "contextImage1..16, referenceImage, referenceImageEnd, referenceMask or "
            "keyframeImage1..8"
        )
    return role


def _content_type(request: web.Request) -> str | None:
    """The type that the upload will carry, if the app says."""
    given = request.query.get("contentType", "").lower()
    if given in _UNSET:
        return None
    if given not in IMAGE_UPLOAD_TYPES:
        raise InvalidRequest(
            f"contentType {given[:64]!r} is not accepted: use {', '.join(IMAGE_UPLOAD_TYPES)}"
        )
    return given
