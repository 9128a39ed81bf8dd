"""Pictures: links to upload inputs and to fetch results and previews."""

from aiohttp import web

from dreamgrid.errors import DuplicateProject, NotFound
from dreamgrid.protocol.assets import COMPLETE, IMAGE_ROLES, IMAGE_UPLOAD_TYPES, PREVIEW
from dreamgrid.protocol.job_request import valid_id
from dreamgrid.protocol.rest import DownloadUrl, UploadUrl
from dreamgrid.protocol.rest_files import Capabilities, ImageDownloadQuery, ImageUploadQuery
from dreamgrid.server.auth import Account
from dreamgrid.server.blobs.media_types import is_image
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.file_links import FileLinks, job_of, known_role, known_type
from dreamgrid.server.services import Services


def routes(services: Services) -> Endpoints:
    """The file endpoints for pictures."""
    links, projects = FileLinks(services), services.projects
    api = Endpoints(
        "Pictures",
        "Links to upload inputs and to fetch results. A link ends, but the file stays: a new link "
        "can be had for as long as the server keeps it, which here is "
        f"{services.config.media_kept_s / 3600:g} hours.",
    )

    @api.get("/v1/image/uploadUrl", scope="render", errors=(DuplicateProject,))
    async def image_upload_url(
        account: Account, query: ImageUploadQuery, request: web.Request
    ) -> UploadUrl:
        """A link that takes an input picture by PUT; the same role again replaces the file."""
        return await links.upload(
            account,
            request,
            project_id=query.job_id,
            role=known_role(query.type, IMAGE_ROLES, "picture"),
            content_type=known_type(query.content_type, IMAGE_UPLOAD_TYPES),
            max_bytes=services.config.max_image_bytes,
        )

    @api.get("/v1/image/downloadUrl", errors=(NotFound,))
    async def image_download_url(
        account: Account, query: ImageDownloadQuery, request: web.Request
    ) -> DownloadUrl:
        """A link to a result that is a picture, to any preview, or to an uploaded picture."""
        if query.type not in (COMPLETE, PREVIEW):
            role = known_role(query.type, IMAGE_ROLES, "picture")
            return links.download(request, await links.input_key(account, query.job_id, role))
        key = await projects.result_key(
            account,
            valid_id(query.job_id),
            job_of("imageId", query.image_id),
            preview=query.type == PREVIEW,
        )
        if not is_image(key):  # the published Python SDK looks for the other address in the message
            raise NotFound("this result is no picture: ask /v1/media/downloadUrl for it")
        return links.download(request, await links.kept(key))

    @api.get("/v1/assets/capabilities")
    async def capabilities(account: Account) -> Capabilities:
        """Whether uploads can be saved for later projects. They cannot, on this server."""
        del account
        return Capabilities()

    return api
