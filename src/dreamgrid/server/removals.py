"""What accounts remove of what they made: the files are gone, what they cost stays in the books."""

from collections.abc import Iterable

from dreamgrid.errors import InvalidRequest, NotFound
from dreamgrid.server.auth import Account
from dreamgrid.server.blobs.keys import folders_of_project, input_key
from dreamgrid.server.open_projects import key_of_result, keys_of_attempts
from dreamgrid.server.services import Services


class Removals:
    """Stored first and removed second: what a crash leaves behind is old media some day."""

    def __init__(self, services: Services) -> None:
        self._projects = services.projects
        self._store = services.store
        self._blobs = services.blobs
        self._kept_files = services.uploads.kept

    async def remove(self, account: Account, project_id: str, job_id: str | None) -> None:
        """Removes the result of one job, or a whole project with its inputs.

        Raises:
            NotFound: The account has no such project, or no such result any more.
            InvalidRequest: The project has not ended.
        """
        project = await self._projects.find(account, project_id)
        if project.ended_ms is None:
            raise InvalidRequest(f"project {project_id} has not ended yet: cancel it first")
        jobs = [job for job in project.jobs if job_id in (None, job.id) and not job.removed]
        if not jobs:
            raise NotFound(f"project {project_id} has no result of the job {job_id} (any more)")
        await self._store.remove_results(project_id, job_id)
        taken = [key_of_result(job) for job in jobs]
        if job_id is None:
            roles = {role for job in jobs for role in job.render.assets}
            taken += [input_key(account.id, project_id, role) for role in roles]
        size_bytes = await self._size(taken)
        if job_id is None:
            for folder in folders_of_project(account.id, project_id):
                await self._blobs.delete_prefix(folder)
        else:
            for key in (key for job in jobs for key in keys_of_attempts(job)):
                await self._blobs.delete(key)
        self._kept_files.removed(account.id, project.ended_ms / 1000, size_bytes)

    async def _size(self, keys: Iterable[str]) -> int:
        found = [await self._blobs.stat(key) for key in keys]
        return sum(one.size_bytes for one in found if one is not None)
