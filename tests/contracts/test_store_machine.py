"""Money under any sequence of events: nothing is lost, made up, charged twice or given back twice.

Hypothesis drives a real store with right and wrong requests in any order, keeps a small model of
what must be true beside it, and after every step proves the books.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from dreamgrid.protocol.params import TOKEN_TYPES, TokenType
from dreamgrid.server.ledger import (
    EARNING,
    GRANT,
    HOLD,
    HOUSE,
    MINT,
    POST,
    REFUND,
    VOID,
    Transfer,
    share,
)
from dreamgrid.server.store.base import Balance, JobRow, ProjectRow, SubmitResult
from dreamgrid.states import (
    FINAL_JOB_STATES,
    FINAL_PROJECT_STATES,
    JobState,
    ProjectState,
    project_state,
)
from tests.support.stores import BACKENDS, NOW, account, acquisition, end, project

T = TypeVar("T")

ACCOUNTS = ("ADA", "BOB")
EVERYBODY = (*ACCOUNTS, MINT, HOUSE)
HELD_BY = {GRANT: 0, HOLD: 1, POST: -1, VOID: -1, EARNING: 0, REFUND: 0}
"""What an entry does to what its payer has reserved."""

Balances = dict[tuple[str, TokenType], Balance]
prices = st.lists(st.integers(0, 60), min_size=1, max_size=3)


EXAMPLES = {"sqlite": 15, "postgres": 3}
"""How many histories; the SQL is the same, and PostgreSQL takes its time."""


class Ledger(RuleBasedStateMachine):
    """A store, and what its projects must look like."""

    backend_name = "sqlite"
    projects = Bundle("projects")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.backend = BACKENDS[self.backend_name](Path(self.folder.name))
        self.runner = asyncio.Runner()
        self.store = self.backend.store()
        self.rows: dict[str, ProjectRow] = {}
        self.owned: Counter[tuple[str, TokenType]] = Counter()
        self.refunded: set[str] = set()
        self.run(self.store.open())
        for owner in ACCOUNTS:
            self.run(self.store.create_account(account(owner), {"spark": 200, "sogni": 50}))
            self.owned[owner, "spark"] = 200
            self.owned[owner, "sogni"] = 50

    def run(self, write: "Coroutine[Any, Any, T] | asyncio.Future[T]") -> T:
        async def wait() -> T:
            return await write

        return self.runner.run(wait())

    def teardown(self) -> None:
        self.run(self.store.close())
        self.runner.close()
        self.folder.cleanup()

    def held(self, owner: str, token: TokenType) -> int:
        return sum(
            job.price_micros
            for row in self.rows.values()
            if (row.account_id, row.token_type) == (owner, token)
            for job in row.jobs
            if job.state not in FINAL_JOB_STATES
        )

    # ── what can happen ──────────────────────────────────────────────────────────────────────────

    @rule(
        target=projects,
        prices=prices,
        owner=st.sampled_from(ACCOUNTS),
        token=st.sampled_from(TOKEN_TYPES),
    )
    def submit(self, prices: list[int], owner: str, token: TokenType) -> Any:
        row = project(*prices, account_id=owner, token=token)
        free = self.owned[owner, token] - self.held(owner, token)
        answer = self.run(self.store.submit(row))
        if sum(prices) > free:
            assert answer.result is SubmitResult.INSUFFICIENT
            return multiple()
        assert answer.result is SubmitResult.CREATED
        self.rows[row.id] = row
        return row

    @rule(row=projects)
    def submit_again(self, row: ProjectRow) -> None:
        again = project(*(job.price_micros for job in row.jobs), project_id=row.id)
        again.account_id = row.account_id
        assert self.run(self.store.submit(again)).result is SubmitResult.KNOWN

    @rule(row=projects, thief=st.sampled_from(ACCOUNTS))
    def submit_something_else_under_the_same_id(self, row: ProjectRow, thief: str) -> None:
        other = project(1, account_id=thief, project_id=row.id, request=b"{}")
        assert self.run(self.store.submit(other)).result is SubmitResult.CONFLICT

    @rule(row=projects, data=st.data(), attempt=st.integers(0, 3))
    def acquire(self, row: ProjectRow, data: st.DataObject, attempt: int) -> None:
        job = data.draw(st.sampled_from(row.jobs))
        right = job.state is JobState.QUEUED and attempt == job.attempt + 1
        assert self.run(self.store.acquire([acquisition(job, attempt=attempt)], NOW)) == [right]
        if right:
            job.state, job.attempt = JobState.ASSIGNED, attempt

    @rule(row=projects, data=st.data(), attempt=st.integers(0, 3))
    def requeue(self, row: ProjectRow, data: st.DataObject, attempt: int) -> None:
        job = data.draw(st.sampled_from(row.jobs))
        right = job.state is JobState.ASSIGNED and attempt == job.attempt
        assert (
            self.run(self.store.requeue(job.id, attempt, failures=0, reason="lost", at_ms=NOW))
            is right
        )
        if right:
            job.state = JobState.QUEUED

    @rule(
        row=projects,
        data=st.data(),
        attempt=st.integers(0, 3),
        delivered=st.booleans(),
        earner=st.sampled_from(ACCOUNTS),
        permille=st.sampled_from((0, 333, 1000)),
    )
    def end_job(
        self,
        row: ProjectRow,
        data: st.DataObject,
        attempt: int,
        delivered: bool,
        earner: str,
        permille: int,
    ) -> None:
        job = data.draw(st.sampled_from(row.jobs))
        state = JobState.COMPLETED if delivered else JobState.FAILED
        earned = share(job.price_micros, permille)
        right = job.state not in FINAL_JOB_STATES and attempt == job.attempt
        after = project_state([state if one is job else one.state for one in row.jobs])
        told = end(job, state, attempt=attempt, project_state=after, earner=earner, earned=earned)
        ended = self.run(self.store.end_job(told))
        assert ended.accepted is right
        if right and delivered:
            self.owned[earner, row.token_type] += earned
        if right:
            self.ended(row, job, state)
            row.state = after

    def ended(self, row: ProjectRow, job: JobRow, state: JobState) -> None:
        job.state = state
        if state is JobState.COMPLETED:
            row.charged_micros += job.price_micros
            self.owned[row.account_id, row.token_type] -= job.price_micros

    @rule(row=projects)
    def cancel(self, row: ProjectRow) -> None:
        right = any(job.state not in FINAL_JOB_STATES for job in row.jobs)
        ended = self.run(self.store.cancel(row.id, "artistCanceled", NOW, claimed=True))
        assert ended.accepted is right
        if right:
            for job in row.jobs:
                if job.state not in FINAL_JOB_STATES:
                    self.ended(row, job, JobState.CANCELED)
            row.state = ProjectState.CANCELED

    @rule(row=projects, data=st.data(), whole=st.booleans())
    def refund(self, row: ProjectRow, data: st.DataObject, whole: bool) -> None:
        jobs = row.jobs if whole else [data.draw(st.sampled_from(row.jobs))]
        due = [job for job in jobs if job.state is JobState.COMPLETED and job.price_micros]
        due = [job for job in due if job.id not in self.refunded]
        told = None if whole else jobs[0].id
        refunded = self.run(self.store.refund(row.id, told, NOW))
        amount = sum(job.price_micros for job in due)
        assert (refunded.jobs, refunded.amount_micros) == (len(due), amount)
        self.refunded.update(job.id for job in due)
        self.owned[row.account_id, row.token_type] += amount

    @rule(row=consumes(projects))
    def forget(self, row: ProjectRow) -> None:
        """Nothing more is done with it, so that others get their turn."""

    @rule()
    def reopen(self) -> None:
        self.run(self.store.close())
        self.store = self.backend.store()
        self.run(self.store.open())

    # ── what must always be true ─────────────────────────────────────────────────────────────────

    @invariant()
    def the_books_balance(self) -> None:
        balances = self.run(self.read_balances())
        entries = self.backend.transfers()
        self.check_against_the_model(balances)
        check_nothing_is_made_up_or_lost(balances)
        check_balances_are_the_sum_of_their_transfers(balances, entries)
        check_each_job_is_settled_at_most_once(entries)
        self.check_projects_are_charged_what_was_delivered(entries)
        assert self.run(self.store.audit()).findings == ()

    async def read_balances(self) -> Balances:
        found = await asyncio.gather(*map(self.store.balances, EVERYBODY))
        return {
            (owner, token): balances.get(token, Balance())
            for owner, balances in zip(EVERYBODY, found, strict=True)
            for token in TOKEN_TYPES
        }

    def check_against_the_model(self, balances: Balances) -> None:
        for owner in ACCOUNTS:
            for token in TOKEN_TYPES:
                balance = balances[owner, token]
                assert balance.posted_micros == self.owned[owner, token]
                assert balance.held_micros == self.held(owner, token)

    def check_projects_are_charged_what_was_delivered(self, entries: list[Transfer]) -> None:
        posts: Counter[str | None] = Counter()
        for entry in entries:
            if entry.kind == POST:
                posts[entry.project_id] += entry.amount_micros
        found = self.run(self.read_projects())
        assert found.keys() == self.rows.keys()
        for project_id, row in self.rows.items():
            after = found[project_id]
            assert after.charged_micros == row.charged_micros == posts[project_id]
            assert [job.state for job in after.jobs] == [job.state for job in row.jobs]
            assert (after.ended_ms is None) is (row.state not in FINAL_PROJECT_STATES)

    async def read_projects(self) -> dict[str, ProjectRow]:
        found = await asyncio.gather(*map(self.store.project, self.rows))
        return {row.id: row for row in found if row is not None}


def check_nothing_is_made_up_or_lost(balances: Balances) -> None:
    for token in TOKEN_TYPES:
        assert sum(balances[owner, token].posted_micros for owner in EVERYBODY) == 0
    for (owner, _), balance in balances.items():
        assert balance.held_micros >= 0
        assert balance.held_micros <= balance.posted_micros or owner in (MINT, HOUSE)


def check_balances_are_the_sum_of_their_transfers(
    balances: Balances, entries: list[Transfer]
) -> None:
    posted: Counter[tuple[str, TokenType]] = Counter()
    held: Counter[tuple[str, TokenType]] = Counter()
    for entry in entries:
        if entry.kind not in (HOLD, VOID):
            posted[entry.payer, entry.currency] -= entry.amount_micros
            posted[entry.payee, entry.currency] += entry.amount_micros
        held[entry.payer, entry.currency] += HELD_BY[entry.kind] * entry.amount_micros
    for key, balance in balances.items():
        assert balance == Balance(posted_micros=posted[key], held_micros=held[key])


def check_each_job_is_settled_at_most_once(entries: list[Transfer]) -> None:
    settled = Counter(entry.job_id for entry in entries if entry.kind in (POST, VOID))
    assert set(settled.values()) <= {1}


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_books_balance_whatever_happens(backend: str) -> None:
    machine = type("Ledger", (Ledger,), {"backend_name": backend})
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=EXAMPLES[backend], stateful_step_count=25, deadline=None),
    )
