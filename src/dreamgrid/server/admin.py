"""What administrators do; each of it leaves a trail: who, when, what, and why."""

import asyncio
from collections import Counter
from difflib import get_close_matches
from typing import Literal

from dreamgrid.errors import InvalidRequest, NotAllowed, NotFound
from dreamgrid.protocol import amounts
from dreamgrid.protocol import rest_admin as wire
from dreamgrid.protocol.rest import Grant
from dreamgrid.protocol.socket import CLOSE_BLOCKED, CLOSE_NOT_ALLOWED, BalanceUpdate
from dreamgrid.server import ledger
from dreamgrid.server.accounts import grant_micros
from dreamgrid.server.auth import Account
from dreamgrid.server.bus.base import ban_subject
from dreamgrid.server.clock import milliseconds
from dreamgrid.server.live import LiveProject
from dreamgrid.server.services import Services
from dreamgrid.server.store.admin import AccountLimits, Action, Restriction, RestrictionKind
from dreamgrid.server.store.base import AccountRow, WorkerRow
from dreamgrid.server.workers import WorkerSession
from dreamgrid.states import FINAL_JOB_STATES, JobState

_CLOSES = {"account": CLOSE_NOT_ALLOWED, "app": CLOSE_BLOCKED}


class Admin:
    """Every method checks first that whoever asks is an administrator."""

    def __init__(self, services: Services) -> None:
        self._is_administrator = services.is_administrator
        self._store = services.store
        self._accounts = services.accounts
        self._projects = services.projects
        self._open = services.open_projects
        self._rendering = services.rendering
        self._workers = services.workers
        self._known_workers = services.known_workers
        self._rules = services.rules
        self._bus = services.bus
        self._clock = services.clock

    def is_one(self, account: Account) -> bool:
        """Whether somebody is an administrator."""
        return self._is_administrator(account.username)

    def require(self, account: Account) -> None:
        """Refuses everybody who is no administrator.

        Raises:
            NotAllowed: They are none.
        """
        if not self.is_one(account):
            raise NotAllowed(
                "only an administrator of this grid can do this: whoever started it (the key is in "
                "local-key), or somebody named with --admin"
            )

    def _action(
        self, actor: Account, action: str, target: str, reason: str, detail: str = ""
    ) -> Action:
        self.require(actor)
        return Action(
            at_ms=milliseconds(self._clock),
            actor=actor.username,
            action=action,
            target=target,
            detail=detail,
            reason=reason,
        )

    # ── money ────────────────────────────────────────────────────────────────────────────────────

    async def grant(self, actor: Account, wish: Grant) -> BalanceUpdate:
        """Gives an account more to spend; its balances afterwards."""
        self.require(actor)
        actor.require_uncapped()
        amount_micros = grant_micros(wish.amount)
        row = await self._account(wish.username)
        detail = amounts.price(ledger.decimal(amount_micros), wish.token_type)
        action = self._action(actor, "grant", row.username, wish.reason, detail)
        balance = await self._store.admin.grant(row.id, wish.token_type, amount_micros, action)
        self._accounts.note_balance(row.id, wish.token_type, balance)
        return await self._accounts.balance(row.id)

    async def refund(self, actor: Account, wish: wire.NewRefund) -> wire.RefundAnswer:
        """Takes back what was charged for a project or one of its jobs, once."""
        project_id, job_id = wish.project_id.upper(), wish.job_id and wish.job_id.upper()
        action = self._action(actor, "refund", project_id, wish.reason, job_id or "")
        done = await self._store.admin.refund(project_id, job_id or None, action)
        if done.jobs:
            self._accounts.note_balance(done.account_id, done.currency, done.balance)
        return wire.RefundAnswer(
            jobs=done.jobs, amount=ledger.decimal(done.amount_micros), token_type=done.currency
        )

    # ── accounts ─────────────────────────────────────────────────────────────────────────────────

    async def accounts(self, actor: Account, page: wire.PageQuery) -> wire.AccountEntries:
        """The accounts, by name."""
        self.require(actor)
        rows = await self._store.admin.accounts(page.search, page.limit, page.offset)
        return wire.AccountEntries(
            accounts=tuple(
                wire.AccountEntry(
                    username=row.username,
                    create_time=row.created_ms,
                    spark=ledger.decimal(row.balances["spark"].free_micros),
                    sogni=ledger.decimal(row.balances["sogni"].free_micros),
                    banned_reason=row.banned_reason,
                    limits=wire.Limits(
                        max_running_jobs=row.limits.max_running_jobs,
                        max_queued_projects=row.limits.max_queued_projects,
                        priority=row.limits.priority,
                    ),
                )
                for row in rows
            )
        )

    async def set_limits(self, actor: Account, username: str, wish: wire.NewLimits) -> None:
        """Gives an account limits of its own, from now on."""
        self.require(actor)
        row = await self._account(username)
        limits = AccountLimits(
            max_running_jobs=wish.max_running_jobs,
            max_queued_projects=wish.max_queued_projects,
            priority=wish.priority,
        )
        detail = (
            f"running {limits.max_running_jobs}, queued {limits.max_queued_projects}, "
            f"priority {limits.priority}"
        ).replace("None", "as set")
        action = self._action(actor, "limits", row.username, wish.reason, detail)
        await self._store.admin.set_limits(row.id, limits, action)
        self._rules.set_limits(row.id, limits)
        self._open.limits_changed(row.id)
        self._rendering.scheduler.hint()

    async def ban(self, actor: Account, wish: wire.NewBan) -> None:
        """Bans an account or blocks an app id, or ends that; closes what is connected.

        Raises:
            InvalidRequest: Administrators cannot be banned.
            NotFound: There is no such account, or no such ban to lift.
        """
        self.require(actor)
        target = name = wish.target
        if wish.kind == "account":
            row = await self._account(wish.target)
            target, name = row.id, row.username
            if self._is_administrator(row.username) and not wish.lift:
                raise InvalidRequest(f"{row.username} is an administrator and cannot be banned")
        if wish.lift:
            await self._lift(actor, wish.kind, target, name, wish.reason)
            return
        await self._restrict(actor, wish.kind, target, name, wish.reason)
        reason = f"banned: {wish.reason}" if wish.reason else "banned by an administrator"
        frame = f"{_CLOSES[wish.kind]} {reason}".encode()
        self._bus.publish(ban_subject(wish.kind, target), frame)

    def bans(self, actor: Account) -> wire.Bans:
        """Everything that is restricted now."""
        self.require(actor)
        return wire.Bans(
            bans=tuple(
                wire.Ban(kind=one.kind, target=one.target, reason=one.reason, time=one.at_ms)
                for one in self._rules.all()
            )
        )

    async def _restrict(
        self, actor: Account, kind: RestrictionKind, target: str, name: str, reason: str
    ) -> None:
        verb = {"account": "ban", "app": "block app", "worker": "pause"}[kind]
        action = self._action(actor, verb, name, reason)
        restriction = Restriction(kind=kind, target=target, reason=reason, at_ms=action.at_ms)
        await self._store.admin.restrict(restriction, action)
        self._rules.add(restriction)

    async def _lift(
        self, actor: Account, kind: RestrictionKind, target: str, name: str, reason: str
    ) -> None:
        verb = {"account": "unban", "app": "unblock app", "worker": "resume"}[kind]
        action = self._action(actor, verb, name, reason)
        if not await self._store.admin.lift(kind, target, action):
            raise NotFound(f"{name[:80]} is not restricted; GET /v1/admin/bans lists what is")
        self._rules.remove(kind, target)

    async def _account(self, username: str) -> AccountRow:
        row = await self._store.account_by_username(username)
        if row is None:
            raise NotFound(f"nobody on this grid has the name {username[:40]}")
        return row

    # ── workers and jobs ─────────────────────────────────────────────────────────────────────────

    async def open_projects(self, actor: Account, page: wire.PageQuery) -> wire.OpenProjects:
        """What waits and what is rendered, oldest first."""
        self.require(actor)
        everything = self._open.all()
        shown = everything[page.offset : page.offset + page.limit]
        ids = {project.account_id for project in shown}
        rows = await asyncio.gather(*(self._store.account(account_id) for account_id in ids))
        names = {row.id: row.username for row in rows if row is not None}
        return wire.OpenProjects(
            projects=tuple(self._open_project(one, names[one.account_id]) for one in shown),
            total=len(everything),
        )

    def _open_project(self, project: LiveProject, username: str) -> wire.OpenProject:
        states = Counter(job.state for job in project.jobs)
        reason, starts_in_s = self._open.reason(project), None
        if reason is not None and project.starts_at_s is not None:
            starts_in_s = round(max(0.0, project.starts_at_s - self._clock()), 1)
        return wire.OpenProject(
            id=project.id,
            username=username,
            model_id=project.model,
            jobs=len(project.jobs),
            running=states[JobState.ASSIGNED] + states[JobState.RUNNING],
            done=sum(states[state] for state in FINAL_JOB_STATES),
            create_time=project.created_ms,
            starts_in_s=starts_in_s,
            reason=None if reason is None else reason.message,
        )

    def workers(self, actor: Account) -> wire.WorkerEntries:
        """The connected workers, and those that left to rest."""
        self.require(actor)
        resting = self._known_workers.resting()
        return wire.WorkerEntries(
            workers=tuple(map(self._entry, self._workers.all())),
            away=tuple(_entry_away(row, said) for row, said in resting),
        )

    def _entry(self, session: WorkerSession) -> wire.WorkerEntry:
        return wire.WorkerEntry(
            id=session.id,
            name=session.name,
            owner=session.owner,
            network=session.network,
            models=tuple(sorted(session.models)),
            slots=session.slots,
            jobs=tuple(session.jobs),
            state=_state(session),
            paused_reason=self._paused_reason(session),
        )

    def _paused_reason(self, session: WorkerSession) -> str | None:
        """Why a worker gets no jobs: what an administrator said, what it failed at, or it says."""
        said = self._rules.reason("worker", session.id)
        if said is None and session.paused:
            return self._rendering.reliability.reason(session.id)
        return said or session.rests_because or None

    async def order(self, actor: Account, wish: wire.WorkerOrder) -> None:
        """Pauses, resumes or drains a worker.

        Raises:
            NotFound: No such worker is connected, or it is not paused.
            InvalidRequest: Several have this name.
        """
        self.require(actor)
        if wish.action == "resume" and self._rules.reason("worker", wish.worker) is not None:
            worker_id, name, session = wish.worker, wish.worker, self._workers.get(wish.worker)
        else:
            session = self._session(wish.worker)
            worker_id, name = session.id, session.name
        match wish.action:
            case "pause":
                await self._restrict(actor, "worker", worker_id, name, wish.reason)
            case "resume" if session is not None and session.drained:
                if self._rules.reason("worker", worker_id) is not None:
                    await self._lift(actor, "worker", worker_id, name, wish.reason)
                else:
                    await self._store.admin.note(self._action(actor, "resume", name, wish.reason))
                self._workers.drain(session, drained=False)
            case "resume":
                await self._lift(actor, "worker", worker_id, name, wish.reason)
            case "drain":
                await self._store.admin.note(self._action(actor, "drain", name, wish.reason))
                if session is not None:
                    self._workers.drain(session, drained=True)
        if session is not None:
            held_back = self._rules.reason("worker", worker_id) is not None
            self._workers.hold_back(session, held_back=held_back)
        self._rendering.scheduler.hint()

    def _session(self, worker: str) -> WorkerSession:
        found = [
            one
            for one in self._workers.all()
            if worker in (one.id, one.id.rpartition("/")[2], one.name)
        ]
        if not found:
            asked, names = worker[:80], {one.name for one in self._workers.all()}
            close = get_close_matches(asked, sorted(names), n=1)
            meant = f": did you mean {close[0]}?" if close else ";"
            raise NotFound(
                f"no worker {asked} is connected{meant} 'dreamgrid admin workers' lists them, "
                "as GET /v1/admin/workers does"
            )
        if len(found) > 1:
            raise InvalidRequest(f"several workers have the name {worker[:80]}; use the id of one")
        return found[0]

    async def requeue(self, actor: Account, job_id: str, reason: str) -> None:
        """Takes a job from the worker that holds it and gives it to another; it costs no attempt.

        Raises:
            NotFound: There is no such open job.
            InvalidRequest: No worker holds it.
        """
        self.require(actor)
        job = self._open.job(job_id.upper())
        if job is None:
            raise NotFound(f"there is no open job {job_id[:80]}")
        if not job.on_worker or job.settling:
            raise InvalidRequest("no worker holds this job now, so there is nothing to take back")
        action = self._action(actor, "requeue", job.id, reason, job.worker_name)
        await self._store.admin.note(action)
        why = "an administrator gave it to another worker"
        self._rendering.take_back(job, why, elsewhere=True)

    async def cancel(self, actor: Account, project_id: str, reason: str) -> None:
        """Ends a project of anybody; delivered jobs stay paid, the rest is given back.

        Raises:
            NotFound: There is no such open project.
        """
        self.require(actor)
        project = self._open.project(project_id.upper())
        if project is None or not project.stored:
            raise NotFound(f"there is no open project {project_id[:80]}")
        await self._store.admin.note(self._action(actor, "cancel", project.id, reason))
        why = f": {reason}" if reason else ""
        message = f"the project was canceled by an administrator of this grid{why}"
        await self._projects.end(project, message)

    async def activity(self, actor: Account, query: wire.ActivityQuery) -> wire.Activity:
        """What the grid did lately, in about sixty parts."""
        self.require(actor)
        part_ms = query.minutes * 1000  # a sixtieth of it
        now_ms = milliseconds(self._clock)
        since_ms = now_ms - now_ms % part_ms - 59 * part_ms
        rows = await self._store.admin.activity(since_ms, part_ms)
        return wire.Activity(
            since=since_ms,
            part_s=part_ms // 1000,
            parts=tuple(
                wire.ActivityPart(
                    time=since_ms + row.part * part_ms,
                    completed=row.completed,
                    failed=row.failed,
                    waited_s=_seconds(row.waited_ms),
                    rendered_s=_seconds(row.rendered_ms),
                    spark=ledger.decimal(row.charged_micros),
                )
                for row in rows
            ),
        )

    async def actions(self, actor: Account, page: wire.PageQuery) -> wire.ActionEntries:
        """The trail of what administrators did, newest first."""
        self.require(actor)
        rows = await self._store.admin.actions(page.limit, page.offset)
        return wire.ActionEntries(
            actions=tuple(
                wire.ActionEntry(
                    id=row.id,
                    time=row.at_ms,
                    actor=row.actor,
                    action=row.action,
                    target=row.target,
                    detail=row.detail,
                    reason=row.reason,
                )
                for row in rows
            )
        )


def _seconds(duration_ms: int | None) -> float | None:
    return None if duration_ms is None else round(duration_ms / 1000, 3)


def _entry_away(row: WorkerRow, said: str) -> wire.WorkerEntry:
    return wire.WorkerEntry(
        id=row.id,
        name=row.name,
        owner=row.owner,
        network=row.network,
        models=row.models,
        slots=0,
        jobs=(),
        state="away",
        paused_reason=said,
    )


def _state(session: WorkerSession) -> Literal["working", "draining", "resting", "paused"]:
    if session.held_back:
        return "paused"
    if session.draining or session.drained:
        return "draining"
    return "resting" if session.paused else "working"
