"""How the server is, for administrators: what it does and holds, and whether the books add up."""

import asyncio
import time

from dreamgrid.protocol import rest_admin as wire
from dreamgrid.server.admin import Admin
from dreamgrid.server.auth import Account
from dreamgrid.server.clock import milliseconds
from dreamgrid.server.services import Services
from dreamgrid.states import JobState


class Checkup:
    """Looks, and changes nothing."""

    def __init__(self, services: Services, version: str) -> None:
        self._services = services
        self._admin = Admin(services)
        self._version = version
        self._since_ms = milliseconds(services.clock)
        self._auditing: asyncio.Task[wire.AuditReport] | None = None

    async def health(self, actor: Account) -> wire.GridHealth:
        """What the server does and holds.

        Raises:
            NotAllowed: Whoever asks is no administrator.
        """
        self._admin.require(actor)
        services = self._services
        jobs = [job.state for one in services.open_projects.all() for job in one.jobs]
        media = await services.blobs.usage()
        return wire.GridHealth(
            version=self._version,
            since=self._since_ms,
            workers=len(services.workers.all()),
            projects=len(services.open_projects.all()),
            waiting=jobs.count(JobState.QUEUED),
            media=wire.MediaUsage(
                files=media.count, size_bytes=media.size_bytes, free_bytes=media.free_bytes
            ),
        )

    async def audit(self, actor: Account) -> wire.AuditReport:
        """Whether the books add up at this moment; who asks while it looks gets the same answer.

        Raises:
            NotAllowed: Whoever asks is no administrator.
        """
        self._admin.require(actor)
        if self._auditing is None or self._auditing.done():
            self._auditing = asyncio.get_running_loop().create_task(self._audit())
        return await asyncio.shield(self._auditing)

    async def _audit(self) -> wire.AuditReport:
        began_s = time.monotonic()
        report = await self._services.store.audit()
        return wire.AuditReport(
            clean=report.clean,
            time=milliseconds(self._services.clock),
            took_s=round(time.monotonic() - began_s, 3),
            counted=report.counted,
            findings=tuple(
                wire.AuditFinding(
                    check=one.check, rows=one.rows, message=one.message, advice=one.advice
                )
                for one in report.findings
            ),
        )
