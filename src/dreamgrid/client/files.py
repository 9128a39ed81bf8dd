"""The part of `client.projects` that hands out addresses of files, to move them by hand."""

import uuid

from dreamgrid.client.http import Http
from dreamgrid.protocol.assets import COMPLETE, IMAGE_ROLES
from dreamgrid.protocol.job_request import valid_id
from dreamgrid.protocol.rest import DownloadUrl, UploadUrl

_IMAGE, _MEDIA = "/v1/image", "/v1/media"


class Files:
    """Addresses of inputs and results. Pictures and other media have endpoints of their own."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def upload_url(
        self, *, project_id: str, role: str, content_type: str | None = None
    ) -> str:
        """An address to PUT an input picture of a coming project to, for about 15 minutes.

        Args:
            project_id: The id that the project will have.
            role: What the file is for, such as `startingImage`.
            content_type: Media type that the PUT will name. Default: any.
        """
        query = {"imageId": str(uuid.uuid4()).upper(), "jobId": valid_id(project_id), "type": role}
        return await self._upload(_IMAGE, query, content_type)

    async def download_url(
        self,
        *,
        project_id: str,
        job_id: str,
        role: str = COMPLETE,
        content_type: str | None = None,
    ) -> str:
        """An address to GET a picture or a preview from, for about an hour.

        Args:
            project_id: The project.
            job_id: The render.
            role: `complete` or `preview`.
            content_type: Media type that is expected. Default: whatever is stored.

        Raises:
            NotFound: There is no such file (any more).
        """
        query = {"imageId": valid_id(job_id), "jobId": valid_id(project_id), "type": role}
        return await self._download(_IMAGE, query, content_type)

    async def media_upload_url(
        self, *, project_id: str, role: str, content_type: str | None = None
    ) -> str:
        """As `upload_url`, for an input sound or video, such as `referenceAudio`."""
        query = {"jobId": valid_id(project_id), "type": role}
        return await self._upload(_MEDIA, query, content_type)

    async def media_download_url(
        self,
        *,
        project_id: str,
        job_id: str,
        role: str = COMPLETE,
        artifact: str | None = None,
        content_type: str | None = None,
    ) -> str:
        """As `download_url`, for a video or sound.

        Args:
            project_id: The project.
            job_id: The render.
            role: `complete` or `preview`.
            artifact: `lastFrame`: the last frame of a video, a picture, instead of the video.
            content_type: Media type that is expected. Default: whatever is stored.

        Raises:
            NotFound: There is no such file (any more).
        """
        query = {"id": valid_id(job_id), "jobId": valid_id(project_id), "type": role}
        if artifact is not None:
            query["artifact"] = artifact
        return await self._download(_MEDIA, query, content_type)

    async def _upload(self, host: str, query: dict[str, str], content_type: str | None) -> str:
        typed = query if content_type is None else query | {"contentType": content_type}
        path = f"{host}/uploadUrl"
        return (await self._http.rest("GET", path, UploadUrl, query=typed)).upload_url

    async def _download(self, host: str, query: dict[str, str], content_type: str | None) -> str:
        typed = query if content_type is None else query | {"contentType": content_type}
        path = f"{host}/downloadUrl"
        return (await self._http.rest("GET", path, DownloadUrl, query=typed)).download_url

    async def _put(self, project_id: str, role: str, data: bytes, content_type: str) -> None:
        """Uploads an input."""
        ask = self.upload_url if role in IMAGE_ROLES else self.media_upload_url
        url = await ask(project_id=project_id, role=role, content_type=content_type)
        await self._http.upload(url, data, content_type)
