"""Finds a project or job that somebody asks about, and explains it."""

from dreamgrid.errors import NotFound
from dreamgrid.protocol.rest_explain import Calibration, Explanation
from dreamgrid.server.admin import Admin
from dreamgrid.server.auth import Account
from dreamgrid.server.explaining import Grid, explain
from dreamgrid.server.live import LiveProject
from dreamgrid.server.services import Services


class Explanations:
    """For the account that owns a project, and for administrators."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._admin = Admin(services)

    async def of(self, account: Account, wanted_id: str) -> Explanation:
        """Where a project, or one of its jobs, stands and why.

        Raises:
            NotFound: The account has neither a project nor a job of this id.
        """
        services = self._services
        project_id = await self._project_of_job(wanted_id)
        anybodys = self._admin.is_one(account)
        try:
            project = await services.projects.find(
                account, project_id or wanted_id, anybodys=anybodys
            )
        except NotFound:  # its message would tell whose job it is: the id of the project
            raise NotFound(f"you have no project or job {wanted_id}") from None
        log = await services.store.events(project.id, 0)
        job_id = wanted_id if project_id is not None else None
        return explain(project, self._grid(project), log, job_id)

    async def _project_of_job(self, job_id: str) -> str | None:
        job = self._services.open_projects.job(job_id)
        if job is not None:
            return job.project.id
        return await self._services.store.project_of_job(job_id)

    def _grid(self, project: LiveProject) -> Grid:
        services = self._services
        forecasts = services.rendering.forecasts
        waits = project.waiting and project.ended_ms is None
        place = services.queue.position(project) if waits else 0
        return Grid(
            seen=services.open_projects.seen(project, place),
            start=services.open_projects.start(project) if waits else None,
            calibration=Calibration(starts=forecasts.starts, within=forecasts.within),
        )
