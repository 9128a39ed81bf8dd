"""Which files may come: renders of jobs that workers hold, and inputs that no project uses.

No project uses an input yet, or not any more because it was refused, canceled or failed.
Inputs come before their project, so anybody with an account could fill the disk with what will
never be used. So each account has room for a number of them, and they go when no project came in
time. What is counted here is lost in a restart; upkeep still removes those files, only later.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from dreamgrid.errors import DuplicateProject, NotAllowed, TooManyRequests
from dreamgrid.server.blobs.base import Blobs
from dreamgrid.server.blobs.keys import INPUTS, input_key, rendered_by
from dreamgrid.server.clock import Clock
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.kept_files import KeptFiles
from dreamgrid.server.live import LiveProject
from dreamgrid.server.open_projects import OpenProjects
from dreamgrid.states import ProjectState


@dataclass
class _Inputs:
    """The inputs of one project id.

    Attributes:
        linked_s: Clock time of the newest link.
        sizes: Role to bytes; 0 until they have arrived.
    """

    linked_s: float
    sizes: dict[str, int] = field(default_factory=dict)


@dataclass
class _Account:
    """The inputs of one account, and the bytes that are on their way in this moment."""

    projects: dict[str, _Inputs] = field(default_factory=dict)
    arriving_bytes: int = 0


class Uploads:
    """Makes room for inputs, and takes it back.

    Attributes:
        kept: Counts what stays of projects.
    """

    def __init__(
        self,
        config: ServerConfig,
        blobs: Blobs,
        open_projects: OpenProjects,
        clock: Clock,
    ) -> None:
        self._config = config
        self._blobs = blobs
        self._open = open_projects
        self.kept = KeptFiles(config, open_projects, clock)
        self._clock = clock
        self._accounts: dict[str, _Account] = {}
        self.arrived: Counter[bool] = Counter()
        self.arrived_bytes = 0
        open_projects.removed = self._project_ended

    def expect(self, account_id: str, project_id: str, role: str) -> str:
        """Makes room for an input before its link is given; the key under which it will lie.

        Raises:
            DuplicateProject: The project is running: its inputs are what they are.
            TooManyRequests: The account has too many inputs that no project uses.
        """
        if self._open.project(project_id) is not None:
            raise DuplicateProject(
                f"project {project_id} has begun; use a fresh UUID for another one"
            )
        account = self._accounts.setdefault(account_id, _Account())
        inputs = account.projects.get(project_id)
        if inputs is None or role not in inputs.sizes:
            count = sum(len(unused.sizes) for unused in self._unused(account))
            if count >= self._config.max_unclaimed_uploads:
                raise self._full(account, f"{count} files")
        if self._unused_bytes(account) >= self._config.max_unclaimed_bytes:
            raise self._full(account, f"{self._unused_bytes(account)} bytes")
        if inputs is None:
            inputs = account.projects[project_id] = _Inputs(self._clock())
        inputs.linked_s = self._clock()
        inputs.sizes.setdefault(role, 0)
        return input_key(account_id, project_id, role)

    # ── files on their way ───────────────────────────────────────────────────────────────────────

    def begin(self, key: str, size_bytes: int) -> None:
        """Makes room for a file that is about to arrive; after it, `end` follows in any case.

        Raises:
            NotAllowed: Its project has begun; or it is a render of a job that no worker holds with
                this attempt any more.
            TooManyRequests: The account has too much that no project uses.
        """
        self.check(key)
        folder, *rest = key.split("/")
        if folder != INPUTS:
            return
        account_id, project_id, role = rest
        if self._open.project(project_id) is not None:
            raise NotAllowed(f"project {project_id} has begun: its inputs can no longer be changed")
        account = self._accounts.setdefault(account_id, _Account())
        # A link that was given before a restart is good, and forgotten here.
        inputs = account.projects.setdefault(project_id, _Inputs(self._clock()))
        room = self._config.max_unclaimed_bytes - self._unused_bytes(account)
        if size_bytes > room + inputs.sizes.get(role, 0):
            raise self._full(account, f"{self._unused_bytes(account)} bytes")
        account.arriving_bytes += size_bytes

    def check(self, key: str) -> None:
        """Looks whether a render may still take its place: links live longer than attempts.

        What was delivered was paid for: nobody replaces it any more.

        Raises:
            NotAllowed: No worker holds its job with this attempt any more.
        """
        rendered = rendered_by(key)
        if rendered is None:
            return
        job_id, attempt = rendered
        job = self._open.job(job_id)
        held = job is not None and job.on_worker and job.attempt == attempt
        if job is None or not held or job.settling or job.project.canceling:
            raise NotAllowed(
                f"attempt {attempt} at job {job_id} is over: its files can no longer be changed"
            )

    def end(self, key: str, size_bytes: int, stored_bytes: int | None) -> None:
        """A file that had begun with `size_bytes` was stored, or given up (None)."""
        self.arrived[stored_bytes is not None] += 1
        self.arrived_bytes += stored_bytes or 0
        folder, *rest = key.split("/")
        if folder != INPUTS:
            if stored_bytes is not None:
                self.kept.arrived(key, stored_bytes)
            return
        account_id, project_id, role = rest
        account = self._accounts[account_id]
        account.arriving_bytes -= size_bytes
        inputs = account.projects.get(project_id)
        if inputs is not None and stored_bytes is not None:
            inputs.sizes[role] = stored_bytes
        self._forget_if_empty(account_id)

    # ── when they go ─────────────────────────────────────────────────────────────────────────────

    def _project_ended(self, project: LiveProject) -> None:
        """What a paid project used is its own; the rest waits for another try, or its removal."""
        account = self._accounts.get(project.account_id)
        inputs_bytes = 0
        if account is not None and project.state is ProjectState.COMPLETED:
            inputs = account.projects.pop(project.id, None)
            inputs_bytes = sum(inputs.sizes.values()) if inputs is not None else 0
            self._forget_if_empty(project.account_id)
        self.kept.project_ended(project.account_id, project.id, inputs_bytes)

    def removed(self, account_id: str, project_id: str) -> None:
        """Everything of a project that had ended was removed: it takes no room any more."""
        account = self._accounts.get(account_id)
        if account is not None:
            account.projects.pop(project_id, None)
            self._forget_if_empty(account_id)
        self.kept.removed(account_id, project_id)

    async def remove_unused(self) -> int:
        """Removes the inputs whose project did not come in time; how many files there were."""
        before_s = self._clock() - self._config.unclaimed_kept_s
        removed = 0
        for account_id, account in list(self._accounts.items()):
            for project_id, inputs in list(account.projects.items()):
                if inputs.linked_s > before_s or self._open.uses_inputs(project_id):
                    continue
                removed += await self.remove(account_id, project_id)
            self._forget_if_empty(account_id)
        return removed

    async def remove(self, account_id: str, project_id: str) -> int:
        """Removes the inputs of a project that does not come; how many files there were."""
        account = self._accounts.get(account_id)
        if account is not None:
            account.projects.pop(project_id, None)
            self._forget_if_empty(account_id)
        self._open.inputs_leaving.add(project_id)  # a request that comes now is too late
        try:
            return await self._blobs.delete_prefix(f"{INPUTS}/{account_id}/{project_id}")
        finally:
            self._open.inputs_leaving.discard(project_id)

    def _forget_if_empty(self, account_id: str) -> None:
        account = self._accounts.get(account_id)
        if account is not None and not account.projects and not account.arriving_bytes:
            del self._accounts[account_id]

    # ── how much there is ────────────────────────────────────────────────────────────────────────

    def _unused(self, account: _Account) -> Iterator[_Inputs]:
        return (
            inputs
            for project_id, inputs in account.projects.items()
            if self._open.project(project_id) is None
        )

    def _unused_bytes(self, account: _Account) -> int:
        stored = sum(sum(inputs.sizes.values()) for inputs in self._unused(account))
        return stored + account.arriving_bytes

    def _full(self, account: _Account, held: str) -> TooManyRequests:
        oldest_s = min((one.linked_s for one in self._unused(account)), default=self._clock())
        wait_s = max(1.0, oldest_s + self._config.unclaimed_kept_s - self._clock())
        return TooManyRequests(
            f"you have uploaded {held} that no project uses, the most that this server keeps; "
            f"send their projects, or wait {wait_s:.0f} s until the oldest are removed",
            retry_after_s=wait_s,
        )
