"""The jobs that wait, and whose turn it is. Pure: no I/O, no clock.

Jobs wait in rooms: one for each model, network and choice of workers. In a room every account has a
line, first come first served. The line comes first whose account was served longest ago, in a room
and between rooms; an account that was not served for `NEWCOMER_MS` counts as served that long
before it came. So a flood of one account, in however many rooms, delays the first job of another
until the next worker is free, and no longer.

In a line the jobs come first that a worker has failed at, apart from each other by which workers
did: what is spared one worker must not keep it from the other jobs of its account.

Service in one room makes an account's lines in other rooms come later by `HANDICAP_MS` at most.
Together the two limits see to it that no line waits for ever.
"""

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, count, islice
from typing import NamedTuple

from dreamgrid.protocol.params import Network
from dreamgrid.server.live import LiveJob, LiveProject
from dreamgrid.server.worker_flags import ANYBODY, Targeting
from dreamgrid.states import JobState

HANDICAP_MS = 30_000
"""How much later a line comes at most because its account was served in another room."""

NEWCOMER_MS = 60 * 60 * 1000
"""How long ago a newcomer counts as served; longer than any one render should take."""

MAX_WALKED = 200
"""How many jobs of a line are looked at to say at once where a project stands."""

AT_ONCE = 1_000
"""After how many lines or jobs a walk through the queue pauses; a millisecond."""

_NOBODY: frozenset[str] = frozenset()


class Turn(NamedTuple):
    """The job whose turn it is in a room, and what decides between rooms: the lowest comes first.

    Attributes:
        since_ms: Since when its line counts as not served.
        turn: The number of its account's last turn, for equal times. 0: none yet.
    """

    since_ms: int
    turn: int
    job: LiveJob


@dataclass(slots=True, eq=False)
class _Account:
    """When an account had its last turn, the number of that turn, and how many lines it has.

    `ahead_ms`: how much longer its jobs count as waiting, which an administrator may say.
    """

    served_ms: int
    turn: int = 0
    lines: int = 0
    ahead_ms: int = 0


@dataclass(slots=True, eq=False)
class _Line:
    """Jobs of one account in one room.

    Attributes:
        account: Whose they are.
        since_ms: When it was last served here, or began.
        queues: The jobs, by the ids of the workers that failed at them. Empty ones go with time.
        projects: Id of a project to how many of its jobs are here.
        length: How many jobs are here; like `projects`, with those that no longer wait.
    """

    account: _Account
    since_ms: int
    queues: dict[frozenset[str], deque[LiveJob]] = field(default_factory=dict)
    projects: dict[str, int] = field(default_factory=dict)
    length: int = 0

    def add(self, job: LiveJob, *, first: bool) -> None:
        """Puts a job where it belongs, at the front or at the end."""
        project_id = job.project.id
        self.projects[project_id] = self.projects.get(project_id, 0) + 1
        self.length += 1
        if first:
            self.queue(job).appendleft(job)
        else:
            self.queue(job).append(job)

    def pop(self, queue: deque[LiveJob]) -> LiveJob:
        """Takes the first job out of one of the queues."""
        job = queue.popleft()
        self._left(job)
        return job

    def withdraw(self, job: LiveJob) -> None:
        """Takes a job out from wherever it stands, in time in proportion to the line."""
        self.queue(job).remove(job)
        self._left(job)

    def _left(self, job: LiveJob) -> None:
        job.in_line = False
        self.length -= 1
        left = self.projects.pop(job.project.id) - 1
        if left:
            self.projects[job.project.id] = left

    def queue(self, job: LiveJob) -> deque[LiveJob]:
        """Where a job stands, or would stand."""
        queue = self.queues.get(job.failed_on)
        if queue is None:
            queue = self.queues[job.failed_on] = deque()
        return queue

    def in_order(self) -> Iterator[LiveJob]:
        """All jobs: first those that were interrupted by a failure."""
        if len(self.queues) == 1:  # as in most lines
            (queue,) = self.queues.values()
            return iter(queue)
        failed = [queue for failed_on, queue in self.queues.items() if failed_on]
        return chain(*failed, self.queues.get(_NOBODY, ()))

    def ahead_of(self, project: LiveProject) -> tuple[int, int]:
        """How many jobs and projects are in line before a project."""
        jobs = 0
        projects: set[str] = set()
        for job in islice(self.in_order(), MAX_WALKED):
            if _waits(job):
                if job.project is project:
                    return jobs, len(projects)
                jobs += 1
                projects.add(job.project.id)
        own = self.projects[project.id]
        return self.length - own, len(self.projects) - 1  # a newcomer is the last one

    def projects_among(self, jobs: int, most: int) -> tuple[int, int]:
        """How many projects the first `jobs` belong to, and how many jobs were looked at."""
        if not jobs:
            return 0, 0
        projects: set[str] = set()
        walked = 0
        for job in islice(self.in_order(), most):
            walked += 1
            if _waits(job):
                projects.add(job.project.id)
                jobs -= 1
                if not jobs:
                    break
        if jobs and walked == most:  # the rest is like what was seen, as far as anybody knows
            rest = min(jobs, self.length - walked) * len(self.projects) // self.length
            return min(len(self.projects), len(projects) + rest), walked
        return len(projects), walked

    @property
    def rank(self) -> tuple[int, int]:
        """What decides; changes, and only rises, when the account has a turn."""
        account = self.account
        since_ms = min(account.served_ms, self.since_ms + HANDICAP_MS)
        return since_ms - account.ahead_ms, account.turn


Ranked = tuple[tuple[int, int], int, _Line]
"""A line with its rank, and a number by which lines of the same rank keep their order."""


class Room:
    """The jobs that wait for the same kind of worker.

    `_heap` has every line once, by the rank that it had when it was put there: that may be too low
    by now, but never too high, so the first one whose rank still holds is the first of all.

    Attributes:
        changes: Grows whenever a job comes, goes or no longer waits, or an account had a turn here.
    """

    def __init__(self) -> None:
        self.changes = 0
        self.lines: dict[str, _Line] = {}
        self._heap: list[tuple[int, int, int, str, _Line]] = []
        self._numbers = count()

    def open_line(self, account_id: str, account: _Account, since_ms: int) -> _Line:
        """Begins the line of an account that has none here."""
        line = self.lines[account_id] = _Line(account, since_ms)
        account.lines += 1
        self._push(account_id, line)
        return line

    def _close_line(self, account_id: str) -> None:
        self.lines.pop(account_id).account.lines -= 1

    def close(self) -> None:
        """Forgets what is left: jobs that no longer wait."""
        for account_id, line in list(self.lines.items()):
            for queue in line.queues.values():
                while queue:
                    line.pop(queue)
            self._close_line(account_id)

    def _push(self, account_id: str, line: _Line) -> None:
        heapq.heappush(self._heap, self._entry(account_id, line))

    def _entry(self, account_id: str, line: _Line) -> tuple[int, int, int, str, _Line]:
        return (*line.rank, next(self._numbers), account_id, line)

    def first(self, may_run: Callable[[LiveJob], bool]) -> Turn | None:
        """The job whose turn it is, of those that may run now."""
        passed_over = []
        found = None
        while self._heap:
            since_ms, turn, _, account_id, line = self._heap[0]
            fronts = self._fronts(line)
            if not fronts:
                heapq.heappop(self._heap)
                self._close_line(account_id)
            elif turn != line.account.turn:
                heapq.heapreplace(self._heap, self._entry(account_id, line))
            elif (job := next(filter(may_run, fronts), None)) is not None:
                found = Turn(since_ms, turn, job)
                break
            else:
                passed_over.append(heapq.heappop(self._heap))
        for entry in passed_over:
            heapq.heappush(self._heap, entry)
        return found

    def _fronts(self, line: _Line) -> list[LiveJob]:
        """The first job of each queue of a line; those that no longer wait are dropped."""
        fronts = []
        for failed_on, queue in list(line.queues.items()):
            while queue and not _waits(queue[0]):
                line.pop(queue)
            if not queue:
                del line.queues[failed_on]
            elif failed_on:
                fronts.append(queue[0])
        fresh = line.queues.get(_NOBODY)
        return [*fronts, fresh[0]] if fresh else fronts

    def place(self, project: LiveProject, line: _Line) -> int:
        """Where a project of a line stands among all: 1 for the one whose job comes next.

        Walks no more than `MAX_WALKED` jobs of the others, and goes by their numbers beyond that.
        """
        jobs, ahead = line.ahead_of(project)
        rank = line.rank
        others, seen, left, behind = 0, 0, MAX_WALKED, False
        for other in self.lines.values():
            if other is line:
                behind = True
                continue
            if not left:
                return 1 + ahead + others * (len(self.lines) - 1) // seen
            other_rank = other.rank
            earlier = other_rank < rank or (other_rank == rank and not behind)
            projects, walked = other.projects_among(jobs + earlier, left)
            others += projects
            seen += 1
            left -= max(1, walked)
        return 1 + ahead + others

    def anyone(self) -> LiveJob | None:
        """A job that waits here still; None: there is none."""
        for line in self.lines.values():
            fronts = self._fronts(line)
            if fronts:
                return fronts[0]
        return None

    def walk(self) -> Iterator[LiveJob | None]:
        """The jobs in the order in which they would be taken, as things stood at the beginning.

        There is a None after every `AT_ONCE` lines or jobs that were looked at: whoever walks a
        long queue may do something else there, and after any job. What changes in the meantime does
        not disturb it, and what no longer waits is left out. So a line is copied, but only when its
        first job comes up: a copy of all of them would hold everybody up, as would one long sort.
        """
        lines = enumerate(list(self.lines.values()))
        ranked: list[Iterator[Ranked]] = []
        while some := sorted((line.rank, n, line) for n, line in islice(lines, AT_ONCE)):
            ranked.append(_drained(some))
            yield None
        walks: deque[Iterator[LiveJob]] = deque()
        looked_at = 0
        for _, _, line in heapq.merge(*ranked):
            walk: Iterator[LiveJob] = filter(_waits, list(line.in_order()))
            job = next(walk, None)
            looked_at += line.length
            if job is not None:
                if line.length > 1:
                    walks.append(walk)
                yield job
            if looked_at >= AT_ONCE:
                looked_at = 0
                yield None
        while len(walks) > 1:
            walk = walks.popleft()
            job = next(walk, None)
            if job is not None:
                walks.append(walk)
                yield job
            elif len(walks) % AT_ONCE == 0:
                yield None
        for walk in walks:
            yield from walk


def _drained(ranked: list[Ranked]) -> Iterator[Ranked]:
    """The lines of a list, which gets empty meanwhile: to forget them all at once takes long."""
    ranked.reverse()
    while ranked:
        yield ranked.pop()


def _waits(job: LiveJob) -> bool:
    return job.state is JobState.QUEUED and not job.settling and not job.project.canceling


class WaitingJobs:
    """All queued jobs."""

    def __init__(self) -> None:
        self._rooms: dict[tuple[Network, str], dict[Targeting, Room]] = {}
        self._accounts: OrderedDict[str, _Account] = OrderedDict()  # the one served last at the end
        self._turns = count(1)

    def __bool__(self) -> bool:
        return bool(self._rooms)

    def add(self, job: LiveJob, *, first: bool = False) -> None:
        """Adds a queued job; `first`: ahead of its account's others (it was interrupted)."""
        self.add_all((job,), first=first)

    def add_all(self, jobs: Iterable[LiveJob], *, first: bool = False) -> None:
        """Adds queued jobs of one project in their order.

        Which workers have failed at them must not change while they are in line.

        Those that are in line already keep their place: nothing may be given away twice.
        """
        place = None
        for job in jobs:
            if job.in_line:
                self.note(job)
                continue
            if place is None:
                place = self._place(job)
            room, line = place
            job.in_line = True
            line.add(job, first=first)
            room.changes += 1

    def _place(self, job: LiveJob) -> tuple[Room, _Line]:
        """The room and the line for a job."""
        project = job.project
        rooms = self._rooms.setdefault((project.network, job.render.model), {})
        room = rooms.get(project.targeting)
        if room is None:
            room = rooms[project.targeting] = Room()
        line = room.lines.get(project.account_id)
        if line is None:
            account = self._account(project.account_id, job.created_ms)
            account.ahead_ms = project.load.ahead_ms
            line = room.open_line(project.account_id, account, job.created_ms)
        return room, line

    def note(self, job: LiveJob) -> None:
        """Notes that a job may wait no longer, or again, though it stays in line."""
        room = self._room_of(job.project) if job.in_line else None
        if room is not None:
            room.changes += 1

    def _room_of(self, project: LiveProject) -> Room | None:
        return self._rooms.get((project.network, project.model), {}).get(project.targeting)

    def _account(self, account_id: str, now_ms: int) -> _Account:
        """An account; those that were served too long ago to matter are forgotten."""
        newcomer_ms = now_ms - NEWCOMER_MS
        for oldest_id, oldest in list(islice(self._accounts.items(), 2)):
            if oldest.served_ms < newcomer_ms and not oldest.lines:
                del self._accounts[oldest_id]
        account = self._accounts.get(account_id)
        if account is None:
            account = self._accounts[account_id] = _Account(newcomer_ms)
            self._accounts.move_to_end(account_id, last=False)
        return account

    def waits_for(self, network: Network, model: str) -> bool:
        """Whether anything may wait for a model; quicker than looking."""
        return (network, model) in self._rooms

    def turns(
        self,
        network: Network,
        model: str,
        known_as: frozenset[str],
        may_run: Callable[[LiveJob], bool],
    ) -> Iterator[Turn]:
        """The jobs whose turn it is for a worker with these names and this model, one a room.

        Canceled jobs stay in their line until they come up: removing one from the middle would
        cost time in proportion to the length of the line.
        """
        for targeting, room in tuple(self._rooms.get((network, model), {}).items()):
            if targeting is not ANYBODY and not targeting.allows(known_as):
                continue
            turn = room.first(may_run)
            if turn is not None:
                yield turn
            elif not room.lines:
                self._remove_room(network, model, targeting)

    def take(self, job: LiveJob, now_ms: int) -> int | None:
        """Removes a job that `turns` gave: its account has had its turn.

        Returns when the account had its turn before; None: not lately.
        """
        project = job.project
        room = self._rooms[project.network, job.render.model][project.targeting]
        room.changes += 1
        line = room.lines[project.account_id]
        queue = line.queue(job)
        assert queue[0] is job, "only a job whose turn it is may be taken"
        line.pop(queue)
        account = line.account
        before_ms = account.served_ms if account.turn else None
        account.served_ms = line.since_ms = now_ms
        account.turn = next(self._turns)
        self._accounts.move_to_end(project.account_id)
        return before_ms

    def withdraw(self, job: LiveJob) -> None:
        """Takes a job out of line that came only just now; harmless if it has been taken."""
        if job.in_line:
            project = job.project
            room = self._rooms[project.network, job.render.model][project.targeting]
            room.changes += 1
            room.lines[project.account_id].withdraw(job)

    def _remove_room(self, network: Network, model: str, targeting: Targeting) -> None:
        rooms = self._rooms[network, model]
        rooms.pop(targeting).close()
        if not rooms:
            del self._rooms[network, model]

    # ── where projects stand ─────────────────────────────────────────────────────────────────────

    def place(self, project: LiveProject) -> int:
        """Where a project stands: 1 for the one whose job comes next. 0: it is not in line."""
        room = self._room_of(project)
        line = room.lines.get(project.account_id) if room is not None else None
        if room is None or line is None or project.id not in line.projects:
            return 0
        return room.place(project, line)

    def occupied(self) -> list[tuple[Room, LiveJob]]:
        """Each room with a job that waits there.

        Forgets rooms in which nobody waits any more: those that no worker serves are not looked
        at otherwise.
        """
        found = []
        for (network, model), rooms in list(self._rooms.items()):
            for targeting, room in list(rooms.items()):
                job = room.anyone()
                if job is not None:
                    found.append((room, job))
                else:
                    self._remove_room(network, model, targeting)
        return found

    def walks(self) -> Iterator[Iterator[LiveJob | None]]:
        """The jobs of each room, in the order of their turns as things stand; None is a pause."""
        return (room.walk() for room, _ in self.occupied())

    def rooms(self) -> Iterator[Iterator[LiveJob]]:
        """The same without pauses."""
        return (filter(None, walk) for walk in self.walks())

    def positions(self) -> dict[str, int]:
        """Project id to queue position: 1 for the project whose job comes next in its room."""
        positions: dict[str, int] = {}
        for jobs in self.rooms():
            ahead = 0
            for job in jobs:
                if job.project.id not in positions:
                    ahead += 1
                    positions[job.project.id] = ahead
        return positions
