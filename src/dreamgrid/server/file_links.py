"""Signed links for apps: where inputs go up, and where results and inputs come down.

Inputs are uploaded before their project exists, so they belong to (account, project id, role).
"""

import msgspec
from aiohttp import web

from dreamgrid.errors import DuplicateProject, InvalidRequest, NotFound
from dreamgrid.protocol.job_request import valid_id
from dreamgrid.protocol.rest import DownloadUrl, ProjectRecord, UploadUrl
from dreamgrid.server.auth import Account
from dreamgrid.server.blobs.keys import input_key
from dreamgrid.server.clock import milliseconds
from dreamgrid.server.live import LiveProject
from dreamgrid.server.open_projects import key_of_result
from dreamgrid.server.services import Services
from dreamgrid.states import JobState


class FileLinks:
    """Makes the links of one server."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def upload(
        self,
        account: Account,
        request: web.Request,
        *,
        project_id: str,
        role: str,
        content_type: str | None,
        max_bytes: int,
    ) -> UploadUrl:
        """A link that takes an input.

        Raises:
            InvalidRequest: The project id is no UUID.
            DuplicateProject: The project belongs to another account, or has begun.
            TooManyRequests: The account has too many inputs that no project uses.
        """
        project_id = valid_id(project_id)
        owner = await self._services.projects.owner(project_id)
        if owner not in (None, account.id):
            raise DuplicateProject(f"project id {project_id} is taken; use a fresh UUID")
        url = self._services.blobs.put_url(
            self._services.uploads.expect(account.id, project_id, role),
            content_type=content_type,
            max_bytes=max_bytes,
            expires_s=self._services.config.upload_url_s,
            origin=self._services.origin(request),
        )
        return UploadUrl(upload_url=url)

    def download(self, request: web.Request, key: str) -> DownloadUrl:
        """A link that gives a file."""
        url = self._services.blobs.get_url(
            key,
            expires_s=self._services.config.download_url_s,
            origin=self._services.origin(request),
        )
        return DownloadUrl(download_url=url)

    def linked(
        self, record: ProjectRecord, project: LiveProject, request: web.Request
    ) -> ProjectRecord:
        """A project's record with a link to each result, for as long as its file is kept."""
        config, now_ms = self._services.config, milliseconds(self._services.clock)
        oldest_ms = now_ms - config.media_kept_s * 1000
        urls = {
            job.id: self.download(request, key_of_result(job)).download_url
            for job in project.jobs
            if job.state is JobState.COMPLETED
            and not job.withheld
            and not job.removed
            and (job.ended_ms or 0) >= oldest_ms
        }
        jobs = tuple(
            msgspec.structs.replace(job, result_url=urls.get(job.job_id))
            for job in record.completed_jobs
        )
        return msgspec.structs.replace(record, completed_jobs=jobs)

    async def kept(self, key: str, *, missing: str = "there is no such file (any more)") -> str:
        """`key`, whose file must still be there; `missing` says what it means if it is not.

        Raises:
            NotFound: It was never made, or was removed since.
        """
        if await self._services.blobs.stat(key) is None:
            kept_s = self._services.config.media_kept_s
            raise NotFound(f"{missing}: results are kept for {kept_s / 3600:g} hours")
        return key

    async def input_key(self, account: Account, project_id: str, role: str) -> str:
        """Where an input lies that was uploaded.

        Raises:
            NotFound: It was not.
        """
        key = input_key(account.id, valid_id(project_id), role)
        if await self._services.blobs.stat(key) is None:
            raise NotFound(f"you have uploaded no {role} for project {project_id}")
        return key


def known_role(role: str, known: frozenset[str], what: str) -> str:
    """`role`, which must be one of `known`.

    Raises:
        InvalidRequest: It is not; the message lists them.
    """
    if role not in known:
        raise InvalidRequest(
            f"type {role[:64]!r} is no role of an input {what}: use {', '.join(sorted(known))}"
        )
    return role


def known_type(given: str | None, known: tuple[str, ...]) -> str | None:
    """The type that an upload will carry, if the app says; parameters such as codecs left out.

    Raises:
        InvalidRequest: It is not one that the endpoint takes.
    """
    if given is None:
        return None
    kind = given.partition(";")[0].strip().lower()
    if kind not in known:
        raise InvalidRequest(f"contentType {given[:64]!r} is not accepted: use {', '.join(known)}")
    return kind


def job_of(name: str, value: str | None) -> str:
    """The job that a query parameter names.

    Raises:
        InvalidRequest: It is missing, or no UUID.
    """
    if value is None:
        raise InvalidRequest(f"the query parameter '{name}' is missing: the id of the job")
    return valid_id(value)
