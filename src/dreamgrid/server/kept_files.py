"""How much of the disk the files of each account take: its results, and the inputs they came from.

Whoever has too much sends nothing new until the oldest are removed; projects that were accepted
give their results in any case. Files go by their age, so they are counted by when they came.
What is counted here is lost in a restart; upkeep still removes those files in time.
"""

from collections import deque
from dataclasses import dataclass, field

from dreamgrid.errors import TooManyRequests
from dreamgrid.server.blobs.keys import INPUTS, RESULTS
from dreamgrid.server.clock import Clock
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.open_projects import OpenProjects

_PARTS = 96
"""Into how many parts the time is divided for which files are kept: 15 minutes of a day."""


@dataclass
class _Part:
    """What came in one part of the time: bytes by project and key, and all of them together."""

    began_s: float
    projects: dict[str, dict[str, int]] = field(default_factory=dict)
    size_bytes: int = 0


@dataclass
class _Account:
    """The files of one account: by when they came, and those of projects that have not ended.

    `size_bytes`: of all of them together.
    """

    parts: deque[_Part] = field(default_factory=deque)
    open_files: dict[str, dict[str, int]] = field(default_factory=dict)
    size_bytes: int = 0


class KeptFiles:
    """Counts them, and says when there are too many."""

    def __init__(self, config: ServerConfig, open_projects: OpenProjects, clock: Clock) -> None:
        self._most_bytes = config.max_kept_bytes
        self._kept_s = config.media_kept_s
        self._open = open_projects
        self._clock = clock
        self._accounts: dict[str, _Account] = {}

    def arrived(self, key: str, size_bytes: int) -> None:
        """A file was stored; the same key again replaces it."""
        folder, project_id, *_ = key.split("/")
        project = self._open.project(project_id) if folder == RESULTS else None
        if project is not None:
            account = self._accounts.setdefault(project.account_id, _Account())
            files = account.open_files.setdefault(project_id, {})
            account.size_bytes += size_bytes - files.get(key, 0)
            files[key] = size_bytes

    def gone(self, key: str) -> None:
        """A file of a project that has not ended was removed, if it was there."""
        _, project_id, *_ = key.split("/")
        project = self._open.project(project_id)
        account = self._accounts.get(project.account_id) if project is not None else None
        if account is not None:
            account.size_bytes -= account.open_files.get(project_id, {}).pop(key, 0)

    def project_ended(self, account_id: str, project_id: str, inputs_bytes: int) -> None:
        """What a project leaves behind counts from now on by its age.

        Args:
            account_id: Whose it is.
            project_id: Which.
            inputs_bytes: Its inputs, where they are kept as long as its results.
        """
        account = self._accounts.get(account_id) or _Account()
        files = account.open_files.pop(project_id, {}) | {INPUTS: inputs_bytes}
        size_bytes = sum(files.values())
        if size_bytes:
            now_s = self._clock()
            if not account.parts or account.parts[-1].began_s + self._kept_s / _PARTS <= now_s:
                account.parts.append(_Part(now_s))
            account.parts[-1].projects[project_id] = files
            account.parts[-1].size_bytes += size_bytes
            account.size_bytes += inputs_bytes  # the others were counted when they arrived
            self._accounts[account_id] = account
        self._forget_old(account_id)

    def removed(self, account_id: str, project_id: str, key: str | None = None) -> None:
        """A file of a project that has ended was removed, or all of it (None).

        It takes no room any more; what was not counted, as before a restart, changes nothing.
        """
        account = self._accounts.get(account_id)
        if account is None:
            return
        for part in account.parts:
            files = part.projects.get(project_id, {})
            for one in [key] if key is not None else list(files):
                removed_bytes = files.pop(one, 0)
                part.size_bytes -= removed_bytes
                account.size_bytes -= removed_bytes

    def check(self, account_id: str) -> None:
        """Refuses an account whose files take all the room that it has.

        Raises:
            TooManyRequests: They do; says when the oldest are removed.
        """
        self._forget_old(account_id)
        account = self._accounts.get(account_id)
        if not self._most_bytes or account is None or account.size_bytes < self._most_bytes:
            return
        oldest_s = account.parts[0].began_s if account.parts else self._clock()
        wait_s = max(1.0, oldest_s + self._time_of_a_part_s - self._clock())
        raise TooManyRequests(
            f"your results of the last {self._kept_s / 3600:g} hours take {account.size_bytes} "
            f"bytes, and this server keeps {self._most_bytes} for one account; the oldest are "
            f"removed in {wait_s / 60:.0f} minutes",
            retry_after_s=wait_s,
        )

    @property
    def _time_of_a_part_s(self) -> float:
        """How long the files of a part count: until the last of them is removed."""
        return self._kept_s * (1 + 1 / _PARTS)

    def _forget_old(self, account_id: str) -> None:
        account = self._accounts.get(account_id)
        if account is None:
            return
        before_s = self._clock() - self._time_of_a_part_s
        while account.parts and account.parts[0].began_s <= before_s:
            account.size_bytes -= account.parts.popleft().size_bytes
        if not account.parts and not account.open_files:
            del self._accounts[account_id]
