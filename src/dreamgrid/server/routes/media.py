"""Sound, video and 3D models: links to upload inputs and to fetch results and previews."""

from aiohttp import web

from dreamgrid.errors import DuplicateProject, InvalidRequest, NotFound
from dreamgrid.protocol.assets import COMPLETE, MEDIA_ROLES, MEDIA_UPLOAD_TYPES, PREVIEW
from dreamgrid.protocol.job_request import valid_id
from dreamgrid.protocol.rest import DownloadUrl, UploadUrl
from dreamgrid.protocol.rest_files import MediaDownloadQuery, MediaUploadQuery
from dreamgrid.server.auth import Account
from dreamgrid.server.blobs.media_types import is_image
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.file_links import FileLinks, job_of, known_role, known_type
from dreamgrid.server.services import Services


def routes(services: Services) -> Endpoints:
    """The file endpoints for everything that is no picture."""
    links, projects = FileLinks(services), services.projects
    api = Endpoints(
        "Sound and video", "The same as for pictures, for everything else. Previews are on both."
    )

    @api.get("/v1/media/uploadUrl", scope="render", errors=(DuplicateProject,))
    async def media_upload_url(
        account: Account, query: MediaUploadQuery, request: web.Request
    ) -> UploadUrl:
        """A link that takes an input sound or video by PUT; the same role again replaces it."""
        return await links.upload(
            account,
            request,
            project_id=query.job_id,
            role=slot_of(query.type, query.id),
            content_type=known_type(query.content_type, MEDIA_UPLOAD_TYPES),
            max_bytes=services.config.max_media_bytes,
        )

    @api.get("/v1/media/downloadUrl", errors=(NotFound,))
    async def media_download_url(
        account: Account, query: MediaDownloadQuery, request: web.Request
    ) -> DownloadUrl:
        """A link to a result that is no picture, to any preview, or to an uploaded file."""
        if query.type not in (COMPLETE, PREVIEW):
            role = slot_of(query.type, query.id)
            return links.download(request, await links.input_key(account, query.job_id, role))
        preview = query.type == PREVIEW
        last_frame = query.artifact is not None and not preview
        job_id = job_of("id", query.id)
        key = await projects.result_key(
            account, valid_id(query.job_id), job_id, preview=preview, last_frame=last_frame
        )
        if is_image(key) and not (preview or last_frame):
            raise NotFound("this result is a picture: ask /v1/image/downloadUrl for it")
        if last_frame:
            missing = "has no last frame of its own (any more); leave artifact out"
            return links.download(request, await links.kept(key, missing=f"{job_id} {missing}"))
        return links.download(request, await links.kept(key))

    return api


def slot_of(role: str, slot: str | None) -> str:
    """The one role behind its two spellings: `type` alone, or `type` and the slot in `id`.

    Raises:
        InvalidRequest: The role is unknown, or the two contradict each other.
    """
    if slot in MEDIA_ROLES and slot != role:
        if not slot.startswith(role):
            raise InvalidRequest(f"id {slot} contradicts type {role[:64]!r}: send one of the two")
        role = slot
    return known_role(role, MEDIA_ROLES, "sound or video")
