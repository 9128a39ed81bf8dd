"""The part of `client.projects` that looks back: records and results of the past."""

from datetime import UTC, datetime, timedelta
from typing import Any

from dreamgrid.client.current_account import CurrentAccount
from dreamgrid.client.files import Files
from dreamgrid.client.records import bare_params, media_named, params_of
from dreamgrid.client.results import Audio, Enhance, Image, Origin, Result, Video
from dreamgrid.client.session import Session
from dreamgrid.protocol.job_request import valid_id
from dreamgrid.protocol.params import (
    CONTENT_TYPES,
    AnyParams,
    AudioParams,
    ImageParams,
    Media,
    OutputFormat,
)
from dreamgrid.protocol.rest import JobRecord, ProjectAnswer, ProjectRecord
from dreamgrid.protocol.rest_account import Nothing
from dreamgrid.protocol.rest_explain import Explanation
from dreamgrid.protocol.rest_projects import JobList, ProjectList
from dreamgrid.protocol.statuses import JOB_DELIVERED


class Finished(Files):
    """What is left of projects: their records, and the files that the server still keeps."""

    _session: Session
    _enhance: Enhance

    async def get(self, project_id: str) -> ProjectRecord:
        """The record of a finished project, as the server keeps it.

        Raises:
            NotFound: The account has no such project, or it has not ended yet.
        """
        path = f"/v1/projects/{valid_id(project_id)}"
        return (await self._http.rest("GET", path, ProjectAnswer)).project

    async def get_status(self, project_id: str) -> ProjectRecord:
        """The record of a project in any state, as the server has it now.

        Raises:
            NotFound: The account has no such project.
        """
        path = f"/v2/projects/{valid_id(project_id)}"
        return (await self._http.rest("GET", path, ProjectAnswer)).project

    async def explain(self, project_or_job_id: str) -> Explanation:
        """Why a project or a job stands where it stands: what it waits for, or what is missing.

        Also when it should start, and why each job went to the worker that has it. The original
        network has no such answer.

        Raises:
            NotFound: The account has neither a project nor a job of this id.
        """
        path = f"/v1/explain/{valid_id(project_or_job_id)}"
        return await self._http.rest("GET", path, Explanation)

    async def get_result(self, project_id: str, media: Media | None = None) -> tuple[Result, ...]:
        """What a project has delivered so far, in order; ready to be saved.

        Args:
            project_id: Any project of the account, from any process.
            media: Only if it is of this kind. Default: any.

        Raises:
            NotFound: The account has no such project.
        """
        record = await self.get_status(project_id)
        params = params_of(record)
        if media is not None and media_of_params(params) != media:
            return ()
        jobs = sorted(record.completed_jobs, key=lambda job: job.job_index)
        return tuple(self._of_record(job, params) for job in jobs if is_delivered(job))

    async def list_projects(
        self, *, limit: int = 20, before: str | None = None
    ) -> tuple[ProjectRecord, ...]:
        """The account's projects in any state, failed and canceled ones too, newest first.

        All that have not ended come first. The original network has no such list.

        Args:
            limit: Most ended projects, 1 to 100.
            before: Id of the last project of the page before. Default: the first page.
        """
        query = {"limit": str(limit)} | ({} if before is None else {"before": valid_id(before)})
        return (await self._http.rest("GET", "/v1/projects", ProjectList, query=query)).projects

    async def list_recent(
        self,
        *,
        limit: int = 20,
        since: datetime | timedelta | None = None,
        app_source: str | None = None,
    ) -> tuple[Result, ...]:
        """What the account made lately, newest first; ready to be saved while it is kept.

        Args:
            limit: Most results, 1 to 100.
            since: Only what ended after this time, or within this time from now; at most seven
                days back. Default: all of the seven days.
            app_source: Only results of requests with this label.
        """
        query = {"role": "artist", "state": "completed", "mediaOnly": "true", "limit": str(limit)}
        if since is not None:
            start = datetime.now(UTC) - since if isinstance(since, timedelta) else since
            query["since"] = str(int(start.timestamp() * 1000))
        if app_source is not None:
            query["appSource"] = app_source
        address = self._account().wallet_address
        if address:
            query["address"] = address
        answer = await self._http.rest("GET", "/v1/jobs/list", JobList, query=query)
        found = []
        for job in answer.jobs:
            model = job.parent_request.model
            params = bare_params(model.id, media_named(model.type))
            found.append(self._of_record(job, params))
        return tuple(found)

    async def delete(self, project_id: str, *, job_id: str | None = None) -> None:
        """Deletes what was made, from the server and for good; what it cost stays in the statement.

        The original network has no such thing.

        Args:
            project_id: A project of the account that has ended, from any process.
            job_id: Only the result of this job; the last one takes its project along. Default: the
                project with all of its results, previews and inputs.

        Raises:
            NotFound: The account has no such project or result (any more).
            InvalidRequest: The project has not ended: cancel it first.
        """
        path = f"/v1/projects/{valid_id(project_id)}"
        if job_id is not None:
            path += f"/jobs/{valid_id(job_id)}"
        await self._http.rest("DELETE", path, Nothing)

    def _account(self) -> CurrentAccount:
        return self._session.current_account

    def _of_record(self, job: JobRecord, params: AnyParams) -> Result:
        return self._make_result(
            project_id=job.id.upper(),
            job_id=job.job_id.upper(),
            index=job.job_index,
            seed=job.seed_used if job.seed_used >= 0 else None,
            params=params,
            output_format=job.output_format,
            url=job.result_url,
            sha256=job.sha256,
        )

    def _make_result(
        self,
        *,
        project_id: str,
        job_id: str,
        index: int,
        seed: int | None,
        params: AnyParams,
        output_format: str | None,
        url: str | None,
        sha256: str | None,
    ) -> Result:
        """A result of the right kind. Its type is what the server says, or else what was asked."""
        known: OutputFormat | None = params.output_format
        for name in CONTENT_TYPES:
            if output_format == name:
                known = name
        content_type = CONTENT_TYPES[known] if known is not None else None
        kind = {"image": Image, "audio": Audio, "video": Video}[media_of_params(params)]
        ask: Any = self.download_url if kind is Image else self.media_download_url

        async def find_url() -> str:
            url: str = await ask(project_id=project_id, job_id=job_id, content_type=content_type)
            return url

        return kind(
            Origin(
                http=self._http,
                find_url=find_url,
                enhance=self._enhance if kind is Image else None,
            ),
            project_id=project_id,
            job_id=job_id,
            index=index,
            seed=seed,
            params=params,
            content_type=content_type,
            url=url,
            sha256=sha256,
        )


def media_of_params(params: AnyParams) -> Media:
    """What is to be made."""
    if isinstance(params, ImageParams):
        return "image"
    return "audio" if isinstance(params, AudioParams) else "video"


def is_delivered(job: JobRecord) -> bool:
    """Whether there is a file to fetch: it was made, and is not withheld."""
    withheld = job.triggered_nsfw_filter and not job.nsfw_detected
    return job.status == JOB_DELIVERED and not withheld
