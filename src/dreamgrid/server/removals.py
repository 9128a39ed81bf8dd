"""What accounts remove of what they made: the files are gone, what they cost stays in the books."""

import asyncio
from weakref import WeakValueDictionary

from dreamgrid.errors import InvalidRequest, NotFound
from dreamgrid.server.auth import Account
from dreamgrid.server.blobs.keys import folders_of_project
from dreamgrid.server.live import LiveProject
from dreamgrid.server.open_projects import keys_of_attempts
from dreamgrid.server.services import Services


class Removals:
    """Files first, the record of it second: a removal that stopped half way can be asked again."""

    def __init__(self, services: Services) -> None:
        self._projects = services.projects
        self._store = services.store
        self._blobs = services.blobs
        self._uploads = services.uploads
        self._busy: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def remove(self, account: Account, project_id: str, job_id: str | None) -> None:
        """Removes the result of one job, or a whole project; it is whole without its last result.

        Raises:
            NotFound: The account has no such project, or no such result any more.
            InvalidRequest: The project has not ended.
            ServerUnavailable: The media store is away; what is left can be removed later.
        """
        # One after the other: of two that remove the last two results, one must see it is the last.
        async with self._busy.setdefault(project_id, asyncio.Lock()):
            project = await self._projects.find(account, project_id)
            if project.ended_ms is None:
                raise InvalidRequest(f"project {project_id} has not ended yet: cancel it first")
            left = {job.id for job in project.jobs if not job.removed}
            if job_id is not None and job_id not in left:
                raise NotFound(f"project {project_id} has no result of the job {job_id} (any more)")
            if job_id is None or left == {job_id}:
                await self._remove_all(project)
            else:
                await self._remove_result(project, job_id)
            await self._store.remove_results(project_id, job_id)

    async def _remove_all(self, project: LiveProject) -> None:
        for folder in folders_of_project(project.account_id, project.id):
            await self._blobs.delete_prefix(folder)
        self._uploads.removed(project.account_id, project.id)

    async def _remove_result(self, project: LiveProject, job_id: str) -> None:
        for key in (
            key for job in project.jobs if job.id == job_id for key in keys_of_attempts(job)
        ):
            await self._blobs.delete(key)
            self._uploads.kept.removed(project.account_id, project.id, key)
