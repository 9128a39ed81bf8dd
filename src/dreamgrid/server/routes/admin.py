"""For administrators of the grid: accounts, money, workers, jobs, bans, and the trail of it all."""

from dreamgrid.errors import NotFound
from dreamgrid.protocol import rest_admin as wire
from dreamgrid.protocol.rest import Grant
from dreamgrid.protocol.rest_account import Nothing
from dreamgrid.protocol.socket import BalanceUpdate
from dreamgrid.server.admin import Admin
from dreamgrid.server.auth import Account
from dreamgrid.server.checkup import Checkup
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.release import version
from dreamgrid.server.services import Services


def routes(services: Services) -> Endpoints:
    """The endpoints under `/v1/admin`."""
    api = Endpoints("Administration", "For whoever runs the grid; others are refused with 403.")
    admin = Admin(services)
    _people(api, admin)
    _work(api, admin)
    _condition(api, Checkup(services, version()))
    return api


def _people(api: Endpoints, admin: Admin) -> None:
    """Accounts, money, bans."""

    @api.get("/v1/admin/accounts", scope="all")
    async def list_accounts(account: Account, query: wire.PageQuery) -> wire.AccountEntries:
        """Accounts with what they can spend, their limits and bans, by name."""
        return await admin.accounts(account, query)

    @api.put("/v1/admin/accounts/{username}/limits", errors=(NotFound,))
    async def set_limits(account: Account, path: wire.AccountPath, body: wire.NewLimits) -> Nothing:
        """Gives an account limits of its own; what is left out is as the settings say."""
        await admin.set_limits(account, path.username, body)
        return Nothing()

    @api.post("/v1/admin/grants", status=201, errors=(NotFound,))
    async def grant(account: Account, body: Grant) -> BalanceUpdate:
        """Gives an account more to spend."""
        return await admin.grant(account, body)

    @api.post("/v1/admin/refunds")
    async def refund(account: Account, body: wire.NewRefund) -> wire.RefundAnswer:
        """Takes back what was charged for a project or a job; a second time changes nothing."""
        return await admin.refund(account, body)

    @api.get("/v1/admin/bans", scope="all")
    async def list_bans(account: Account) -> wire.Bans:
        """Banned accounts, blocked app ids and paused workers."""
        return admin.bans(account)

    @api.post("/v1/admin/bans", errors=(NotFound,))
    async def ban(account: Account, body: wire.NewBan) -> Nothing:
        """Bans an account or blocks an app id, or lifts that; what is connected is closed."""
        await admin.ban(account, body)
        return Nothing()


def _work(api: Endpoints, admin: Admin) -> None:
    """Workers, jobs, and the trail of everything."""

    @api.get("/v1/admin/projects", scope="all")
    async def list_open_projects(account: Account, query: wire.PageQuery) -> wire.OpenProjects:
        """Everybody's projects that have not ended, with what their jobs wait for."""
        return await admin.open_projects(account, query)

    @api.get("/v1/admin/workers", scope="all")
    async def list_workers(account: Account) -> wire.WorkerEntries:
        """The connected workers and what they are doing."""
        return admin.workers(account)

    @api.post("/v1/admin/workers", errors=(NotFound,))
    async def order_worker(account: Account, body: wire.WorkerOrder) -> Nothing:
        """Pauses, resumes or drains a worker; what it holds it may finish."""
        await admin.order(account, body)
        return Nothing()

    @api.post("/v1/admin/jobs/{jobId}/requeue", errors=(NotFound,))
    async def requeue_job(account: Account, path: wire.JobPath, body: wire.Because) -> Nothing:
        """Takes a job from its worker and lets another one render it; that costs no attempt."""
        await admin.requeue(account, path.job_id, body.reason)
        return Nothing()

    @api.post("/v1/admin/projects/{projectId}/cancel", errors=(NotFound,))
    async def cancel_any_project(
        account: Account, path: wire.AnyProjectPath, body: wire.Because
    ) -> Nothing:
        """Ends a project of anybody; delivered jobs stay paid, the rest is given back."""
        await admin.cancel(account, path.project_id, body.reason)
        return Nothing()

    @api.get("/v1/admin/activity", scope="all")
    async def activity(account: Account, query: wire.ActivityQuery) -> wire.Activity:
        """What ended lately: how much, how fast, and for how much."""
        return await admin.activity(account, query)

    @api.get("/v1/admin/actions", scope="all")
    async def list_actions(account: Account, query: wire.PageQuery) -> wire.ActionEntries:
        """What administrators did, newest first: who, when, what, and why."""
        return await admin.actions(account, query)


def _condition(api: Endpoints, checkup: Checkup) -> None:
    """How the server is."""

    @api.get("/v1/admin/health", scope="all")
    async def health(account: Account) -> wire.GridHealth:
        """What the server does and holds at this moment."""
        return await checkup.health(account)

    @api.get("/v1/admin/audit", scope="all")
    async def audit(account: Account) -> wire.AuditReport:
        """Proves the books, as `dreamgrid audit` does, beside whatever goes on; changes nothing."""
        return await checkup.audit(account)
