"""What must be true of every history, whatever went wrong in it.

The oracle hears every message when the server says it, before the network can lose it, and reads
the database behind the server's back.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from dreamgrid.protocol import codec, failures
from dreamgrid.protocol.params import TOKEN_TYPES
from dreamgrid.protocol.worker import Assign, Finished, Settled, WorkerMessage
from dreamgrid.server import ledger
from dreamgrid.server.store import sql_money
from dreamgrid.server.store.sql_audit import audited
from tests.simulation import logs
from tests.simulation.apps import Asked, opened
from tests.simulation.disk import Disk
from tests.simulation.idleness import Idleness
from tests.simulation.interruptions import Interruptions
from tests.simulation.lines import Line
from tests.simulation.reputations import Reputations
from tests.simulation.server import MIN_RUN_S
from tests.support.frame_rules import Referee
from tests.support.wire import Frame

Said = Callable[[bytes], None]


class Oracle:
    """Watches one history.

    Args:
        disk: Where the truth lies.
        grant_micros: What every account was given of each currency.
        share_permille: What owners of workers earn.
        fair_share: Jobs that others may be given while an account waits. None: not looked at.
        max_queue_s: How long a job may wait. 0: for ever.
        max_attempts: How many failures are the end of a job.
        clock: The time.
    """

    def __init__(
        self,
        disk: Disk,
        *,
        grant_micros: int,
        share_permille: int,
        fair_share: int | None,
        max_queue_s: float,
        max_attempts: int,
        clock: Callable[[], float],
    ) -> None:
        self._disk = disk
        self._grant_micros = grant_micros
        self._share_permille = share_permille
        self._fair_share = fair_share
        self._max_queue_s = max_queue_s
        self._clock = clock
        self._given_s: dict[str, float] = {}  # job to when it was last given away
        self._counts: dict[str, int] = {}
        self._accepted: set[str] = set()
        self._ended: dict[str, set[str]] = defaultdict(set)  # by app
        self._balances: dict[str, Any] = {}  # by app
        self._assigned: dict[str, int] = {}  # job to its last attempt
        self._reports: set[tuple[str, int]] = set()
        self._made: set[tuple[str, int, str]] = set()
        self.reputations = Reputations(clock)
        self.idleness = Idleness(disk, clock)
        self.interruptions = Interruptions(disk, max_attempts)
        self._passed: dict[str, Counter[str]] = defaultdict(Counter)

    # ── what is said ─────────────────────────────────────────────────────────────────────────────

    def asked(self, asked: Asked, account_id: str) -> None:
        """An app wants a project."""
        del account_id
        self._counts[asked.id] = asked.count

    def worker_reports(self, name: str, outcome: WorkerMessage) -> None:
        """A worker has an outcome, whether or not anybody will hear of it."""
        self.reputations.reported(name, outcome)
        job_id, attempt = outcome.job_id, outcome.attempt  # type: ignore[attr-defined]
        self._reports.add((job_id, attempt))
        self.interruptions.reported(job_id, attempt, outcome)
        if isinstance(outcome, Finished):
            self._made.add((job_id, attempt, outcome.sha256))

    def of_app(self, app: str) -> Said:
        """Takes what the server says on a new connection of an app."""
        referee = Referee(self._counts)
        referee.ended = set(self._ended[app])

        def said(data: bytes) -> None:
            frame = opened(data)
            if frame.type == "balanceUpdate":
                self._balances[app] = frame.payload
            referee.watch(frame)
            if isinstance(frame.payload, dict) and "jobID" in frame.payload:
                self._project_told(app, frame)

        return said

    def _project_told(self, app: str, frame: Frame) -> None:
        project_id, word = frame["jobID"], frame.short
        refused = word == "jobError" and isinstance(frame["error"], int)
        if refused or word == "artistCancelConfirmation":
            return
        self._accepted.add(project_id)
        row = self._disk.rows("SELECT state, ended_ms FROM project WHERE id = ?", project_id)
        assert row, f"an app was told {word} of project {project_id}, which is not stored"
        if "imgID" in frame.payload:
            self._job_told(frame, word)
        elif word in ("jobCompleted", "jobError"):
            assert row[0][1] is not None, f"{word} of project {project_id} was told, not stored"
            self._ended[app].add(project_id)

    def _job_told(self, frame: Frame, word: str) -> None:
        job_id = frame["imgID"]
        rows = self._disk.rows(
            "SELECT job.state, withheld, attempt, price_micros FROM job"
            " JOIN project ON project = number WHERE job.id = ? AND project.id = ?",
            job_id,
            frame["jobID"],
        )
        assert rows, f"{word} names job {job_id}, which its project does not have"
        state, withheld, attempt, price = rows[0]
        if word in ("jobError", "jobRetry"):
            self._time_is_up(frame)
        if word == "jobError":
            assert state == "failed", f"job {job_id} was told to have failed; it is {state}"
        if word != "jobResult":
            return
        assert state == "completed", f"the result of job {job_id} was told, not stored: {state}"
        posted = self._disk.rows(
            "SELECT sum(amount_micros) FROM transfer WHERE kind = 'post' AND job_id = ?", job_id
        )[0][0]
        assert (posted or 0) == (0 if withheld else price), f"job {job_id} cost {posted}"
        if not withheld:
            key = f"results/{frame['jobID']}/{job_id}-{attempt}.png"
            assert self._disk.files.has(key), f"{key} was told and is not there"

    def _time_is_up(self, frame: Frame) -> None:
        """Whoever is told that something took too long is told the truth."""
        job_id, now_s = frame["imgID"], self._clock()
        if frame["error"] == failures.JOB_TIMED_OUT:
            took_s = now_s - self._given_s[job_id]
            assert took_s >= MIN_RUN_S, f"job {job_id} was taken away after {took_s} s"
        if frame["error"] == failures.QUEUE_TIMED_OUT:
            (created_ms,) = self._disk.rows("SELECT created_ms FROM job WHERE id = ?", job_id)[0]
            waited_s = now_s - created_ms / 1000
            in_time = self._max_queue_s and waited_s >= self._max_queue_s
            assert in_time, f"job {job_id} was given up after {waited_s} s"

    def of_worker(self, worker_id: str, line: Line) -> Said:
        """Takes what the server says on a new connection of a worker."""

        def said(data: bytes) -> None:
            message = codec.decode_from_server(data)
            if isinstance(message, Assign):
                self._given(worker_id, message)
                ended = line.close_code is not None
                self.interruptions.given(message.job_id, message.attempt, in_vain=ended)
            elif isinstance(message, Settled) and message.accepted:
                self._settled(worker_id, message)

        return said

    def _settled(self, worker_id: str, message: Settled) -> None:
        """An outcome was accepted; that of a job whose attempts are used up comes from nobody."""
        rows = self._disk.rows("SELECT state FROM job WHERE id = ?", message.job_id)
        waits_again = rows != [("failed",)]
        name = worker_id.partition("/")[2]
        self.interruptions.settled(message.job_id, message.attempt)
        self.reputations.settled(name, message.job_id, message.attempt, waits_again=waits_again)
        if (message.job_id, message.attempt) not in self._reports:
            assert rows == [("failed",)], f"{message} settles what {worker_id} never reported"

    def _given(self, worker_id: str, job: Assign) -> None:
        (chosen_ms,) = self._disk.rows(
            "SELECT max(at_ms) FROM event WHERE job_id = ? AND kind = 'assigned'", job.job_id
        )[0]
        self.reputations.given(worker_id.partition("/")[2], (chosen_ms or 0) / 1000)
        self.idleness.given(worker_id, job.job_id)
        before = self._assigned.get(job.job_id, 0)
        assert job.attempt > before, (
            f"job {job.job_id} was given away with attempt {job.attempt} after attempt {before}"
        )
        self._assigned[job.job_id] = job.attempt
        self._given_s[job.job_id] = self._clock()
        state, attempt, holder, account_id = self._disk.rows(
            "SELECT job.state, attempt, worker_id, account_id FROM job"
            " JOIN project ON project = number WHERE job.id = ?",
            job.job_id,
        )[0]
        assert (state, attempt, holder) == ("assigned", job.attempt, worker_id), (
            f"job {job.job_id} was given to {worker_id} with attempt {job.attempt}; "
            f"stored: {state} at {holder} with attempt {attempt}"
        )
        if self._fair_share is not None:
            self._judge_fairness(account_id)

    def _judge_fairness(self, served: str) -> None:
        waiting = {
            row[0]
            for row in self._disk.rows(
                "SELECT DISTINCT account_id FROM job JOIN project ON project = number"
                " WHERE job.state = 'queued' AND project.ended_ms IS NULL"
            )
        }
        for account_id in list(self._passed):
            if account_id == served or account_id not in waiting:
                del self._passed[account_id]
        for account_id in waiting - {served}:
            passed = self._passed[account_id]
            passed[served] += 1
            assert passed[served] <= (self._fair_share or 0), (
                f"{account_id} waits while {served} was given {passed[served]} jobs"
            )

    def has_accepted(self, project_id: str) -> bool:
        """Whether the server has said so."""
        return project_id in self._accepted

    def is_unknown(self, project_id: str) -> None:
        """The server says that there is no such project."""
        assert project_id not in self._accepted, f"the accepted project {project_id} is lost"

    # ── what is stored ───────────────────────────────────────────────────────────────────────────

    def look(self) -> None:
        """Looks at everything that is stored; true at any moment."""
        found = audited(self._disk.connection).findings
        assert not found, f"the audit finds: {found}"
        self._look_at_the_money()
        logs.look(self._disk, self._made)
        self.interruptions.look()
        stored = {row[0] for row in self._disk.rows("SELECT id FROM project")}
        assert self._accepted <= stored, f"accepted, and lost: {self._accepted - stored}"

    def _look_at_the_money(self) -> None:
        """Balances as they follow from what was delivered, not from the ledger's own entries."""
        paid: Counter[tuple[str, str]] = Counter()
        held: Counter[tuple[str, str]] = Counter()
        for payer, token, state, withheld, price, worker_id in self._disk.rows(
            "SELECT account_id, token_type, job.state, withheld, price_micros, worker_id"
            " FROM job JOIN project ON project = number"
        ):
            if state == "completed" and not withheld:
                owner = worker_id.partition("/")[0]
                paid[payer, token] += price
                paid[owner, token] -= ledger.share(price, self._share_permille)
            elif state in ("queued", "assigned", "running"):
                held[payer, token] += price
        for (account_id,) in self._disk.rows("SELECT id FROM account"):
            for token in TOKEN_TYPES:
                balance = sql_money.balance(self._disk.connection, account_id, token)
                key = (account_id, token)
                right = (self._grant_micros - paid[key], held[key])
                assert (balance.posted_micros, balance.held_micros) == right, (
                    f"{account_id} has {balance} of {token}; right is {right}"
                )

    def everything_has_ended(self) -> bool:
        """Whether no project is open."""
        return not self._disk.rows("SELECT 1 FROM project WHERE ended_ms IS NULL LIMIT 1")

    def still_open(self) -> list[Any]:
        """What has not ended, for people to read."""
        return self._disk.rows(
            "SELECT project.id, job.id, job.state, attempt, failures, worker_id FROM job"
            " JOIN project ON project = number WHERE project.ended_ms IS NULL"
        )

    def look_at_the_end(self, apps: dict[str, str]) -> None:
        """Looks once nothing is open any more.

        Args:
            apps: Account id of each connected app.
        """
        self.look()
        held = self._disk.rows("SELECT * FROM balance WHERE held_micros <> 0")
        assert not held, f"everything has ended, and money is still held: {held}"
        for app, account_id in apps.items():
            for token in TOKEN_TYPES:
                balance = sql_money.balance(self._disk.connection, account_id, token)
                told = self._balances[app][token]["settled"]
                right = ledger.decimal(balance.posted_micros)
                assert told == right, f"{app} was told a balance of {told}; it is {right}"
