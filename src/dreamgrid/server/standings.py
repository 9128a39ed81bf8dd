"""Where jobs stand and what they wait for, in words and for programs. Pure.

What apps are told on the socket, what records say and what `explain` answers all come from
`standing_of`. Nothing waits for money here: what a balance or a cap does not cover is refused when
it is sent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dreamgrid.protocol import socket
from dreamgrid.protocol.failures import in_words
from dreamgrid.protocol.rest_explain import Standing, WaitsFor
from dreamgrid.protocol.socket import JobWaitingReason, WaitingReason
from dreamgrid.server.live import LiveJob, LiveProject
from dreamgrid.server.scheduler import PREFERRED_AHEAD_MS, SPARED_MS
from dreamgrid.server.store.base import WorkerRow
from dreamgrid.server.workers import WorkerSession
from dreamgrid.states import JobState

MAX_NAMED = 5
"""Most workers that a sentence names."""

MAX_MESSAGE_CHARS = 600
"""Longest sentence on the wire."""

_HELD_ACCOUNT = (
    "an administrator of this grid lets your account wait; it starts when they let it run again"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """Who there is for one kind of job.

    Attributes:
        able: Connected workers that take such jobs now, or when they have room.
        resting: Connected workers that would, but take no jobs at all now. Empty if any is able.
        away: Workers that would, and were connected not long ago. Empty if any is connected.
    """

    able: Sequence[WorkerSession]
    resting: Sequence[WorkerSession] = ()
    away: Sequence[WorkerRow] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """How one project looks at the grid.

    Attributes:
        offer: Who there is for it.
        connected: The connection of a worker by its id; None: it has none.
        max_running: How many jobs of its account workers may hold at once.
        position: Its place in line. 0: it is in none.
        now_ms: The time.
    """

    offer: Offer
    connected: Callable[[str], WorkerSession | None]
    max_running: int
    position: int
    now_ms: int


@dataclass(frozen=True, slots=True)
class JobStanding:
    """Where a job stands, as a sentence as well, and what it waits for if it waits."""

    state: Standing
    message: str
    waits_for: WaitsFor | None = None


def standing_of(job: LiveJob, seen: Seen) -> JobStanding:
    """Where a job stands, and why."""
    match job.state:
        case JobState.QUEUED if job.settling or not job.project.stored:
            return JobStanding("waiting", "what became of it is being stored", "being_stored")
        case JobState.QUEUED:
            return _in_line(job, seen)
        case JobState.ASSIGNED if job.assigning:
            return JobStanding("waiting", "that a worker gets it is being stored", "being_stored")
        case JobState.ASSIGNED:
            return _handed_out(job, seen.connected(job.worker_id))
        case JobState.RUNNING:
            steps = f", step {job.step} of {job.step_count}" if job.step else ""
            return JobStanding("rendering", f"{job.worker_name} renders it{steps}")
        case _:
            return JobStanding("ended", f"it ended: {in_words(job.reason or job.state)}")


def _handed_out(job: LiveJob, holder: WorkerSession | None) -> JobStanding:
    """A worker has it, and has not begun."""
    renders = holder is not None and any(
        other is not job and other.state is JobState.RUNNING for other in holder.jobs.values()
    )
    if renders:
        message = f"{job.worker_name} has it, and renders another job before it"
        return JobStanding("waiting", message, "no_free_slot")
    message = f"{job.worker_name} has it, and gets {job.render.model} ready"
    return JobStanding("waiting", message, "model_loading")


def _in_line(job: LiveJob, seen: Seen) -> JobStanding:
    running, able = job.project.load.running, seen.offer.able
    if not able:
        return _nobody(job.project, seen.offer)
    if seen.max_running == 0:
        return JobStanding("waiting", _HELD_ACCOUNT, "account_limit")
    if running >= seen.max_running:
        return JobStanding(
            "waiting",
            "workers hold as many jobs of your account as one account may have here "
            f"({running}); the next one starts when one of them ends",
            "account_limit",
        )
    # Every submission asks, and there may be hundreds of workers: each is looked at once, here.
    free = [one for one in able if len(one.jobs) < one.most and one.takes_jobs]
    place = f"; it is number {seen.position} in line" if seen.position else ""
    if not free:
        verb = "is" if len(able) == 1 else "are"
        return JobStanding("waiting", f"{_named(able)} {verb} busy{place}", "no_free_slot")
    if seen.position > len(free) and seen.position > sum(one.free_slots for one in free):
        message = f"{_named(free)} will be busy with what comes before it{place}"
        return JobStanding("waiting", message, "no_free_slot")
    return _with_room(job, able, free, seen.now_ms)


def _with_room(
    job: LiveJob, able: Sequence[WorkerSession], free: Sequence[WorkerSession], now_ms: int
) -> JobStanding:
    """Somebody has room: whether the job goes there."""
    spared = now_ms - job.waits_since_ms < SPARED_MS
    if job.failed_on and spared and all(one.id in job.failed_on for one in free):
        fresh = [one for one in able if one.id not in job.failed_on]
        if fresh:
            message = f"{_named(free)} failed at it; it waits a while for {_named(fresh)}"
            return JobStanding("waiting", message, "another_worker")
    if job.back_at_ms and all(job.back_at_ms.get(one.id, 0) > now_ms for one in free):
        again_s = (min(job.back_at_ms[one.id] for one in free) - now_ms) / 1000
        message = f"{_named(free)} handed it back; it may go there again in {again_s:.0f} s"
        return JobStanding("waiting", message, "another_worker")
    targeting = job.project.targeting
    young = now_ms - job.created_ms < PREFERRED_AHEAD_MS
    if targeting.preferred and young and not any(targeting.prefers(one.known_as) for one in free):
        preferred = [one for one in able if targeting.prefers(one.known_as)]
        if preferred:
            message = f"it waits a little for {_named(preferred)}, which it prefers"
            return JobStanding("waiting", message, "preferred_worker")
    return JobStanding("runnable", f"there is room at {_named(free)}: it starts in a moment")


def _nobody(project: LiveProject, offer: Offer) -> JobStanding:
    """Why nobody who is connected takes it."""
    if offer.resting:
        message = f"{_named(offer.resting)} could, but {_why_not(offer.resting)}"
        return JobStanding("waiting", message, "workers_paused")
    if offer.away:
        names = _listed([row.name for row in offer.away[:MAX_NAMED]], len(offer.away))
        message = f"no worker for it is connected; it starts when {names} comes back"
        return JobStanding("waiting", message, "worker_away")
    required = sorted(project.targeting.required)[:MAX_NAMED]
    named = f", called {' or '.join(required)}" if required else ""
    return JobStanding(
        "impossible",
        f"no worker that this grid knows can run it: it needs one for {project.model} on the "
        f"network {project.network}{named}; start one with: dreamgrid work --model "
        f"{project.model}",
    )


def _why_not(resting: Sequence[WorkerSession]) -> str:
    if len(resting) == 1:
        return f"gets no jobs now: {_state(resting[0])}"
    states = "; ".join(f"{one.name}: {_state(one)}" for one in resting[:MAX_NAMED])
    return f"get no jobs now ({states})"


def _state(worker: WorkerSession) -> str:
    if worker.held_back:
        return "an administrator paused it"
    if worker.drained:
        return "an administrator lets it finish what it has, and no more"
    return "it stops, or rests" if worker.draining else "it failed at job after job, and rests"


def _named(workers: Sequence[WorkerSession]) -> str:
    return _listed([worker.name for worker in workers[:MAX_NAMED]], len(workers))


def _listed(names: Sequence[str], count: int) -> str:
    """The first of `count` names, and how many more there are."""
    more = count - MAX_NAMED
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


# ── on the wire ──────────────────────────────────────────────────────────────────────────────────


def reason_of(project: LiveProject, seen: Seen) -> WaitingReason | None:
    """Why jobs of a project wait in line; None when none of them does.

    The word is one of the few that published clients know; `state` and `waits_for` say more.
    """
    job = _next_in_line(project)
    if job is None:
        return None
    standing = standing_of(job, seen)
    return WaitingReason(
        reason=_word(standing),
        message=standing.message[:MAX_MESSAGE_CHARS],
        state=standing.state,
        waits_for=standing.waits_for,
    )


def word_of(reason: WaitingReason | None) -> str:
    """What of a reason counts as news when it changes; empty for none."""
    return "" if reason is None else f"{reason.state} {reason.waits_for}"


class Words:
    """The `word_of` many projects for which there is the same offer, while no worker gets free.

    Most of them wait for one of a few reasons, each of which is found once: what of a project
    decides is its place, and how many jobs of its account workers hold and may hold. Where more
    decides, it is looked at by itself.

    Args:
        offer: Who there is for them.
        seen: What the grid looks like to a project at a place in line.
    """

    def __init__(self, offer: Offer, seen: Callable[[LiveProject, int, Offer], Seen]) -> None:
        self.offer = offer
        self._seen = seen
        self._free_slots = sum(one.free_slots for one in offer.able)
        self._known: dict[tuple[int, int | None, bool], str] = {}

    def of(self, project: LiveProject, place: int) -> str:
        """Why a project waits, at this place in line."""
        job = _next_in_line(project)
        if job is None:
            return ""
        own = job.failed_on or job.back_at_ms or job.settling or project.targeting.preferred
        if own or not project.stored:
            return word_of(reason_of(project, self._seen(project, place, self.offer)))
        kind = (project.load.running, project.load.max_running, place > self._free_slots)
        word = self._known.get(kind)
        if word is None:
            seen = self._seen(project, place, self.offer)
            word = self._known[kind] = word_of(reason_of(project, seen))
        return word


def _next_in_line(project: LiveProject) -> LiveJob | None:
    """The job of a project that can start first: one that no worker had yet, if there is any."""
    had = None
    for job in project.jobs:
        if job.state is JobState.QUEUED:
            if not (job.failed_on or job.settling):
                return job
            had = had or job
    return had


def _word(standing: JobStanding) -> str:
    if standing.state == "impossible" or standing.waits_for in ("workers_paused", "worker_away"):
        return socket.WAITS_NO_WORKERS
    if standing.waits_for == "account_limit":
        return socket.WAITS_CONCURRENCY_LIMIT
    return socket.WAITS_QUEUED


def of_jobs(project: LiveProject, reason: WaitingReason | None) -> tuple[JobWaitingReason, ...]:
    """The same for each job that waits: all of a project wait for the same thing."""
    if reason is None:
        return ()
    return tuple(
        JobWaitingReason(job_index=job.index, job_id=job.id, waiting_reason=reason)
        for job in project.jobs
        if job.state is JobState.QUEUED
    )
