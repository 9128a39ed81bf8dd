"""What a delivered job costs reaches the owner of the worker that rendered it."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from dreamgrid.server import ledger
from dreamgrid.server.config import MICROS
from dreamgrid.server.store.sqlite_audit import audit_file
from tests.server.conftest import MakeGrid
from tests.support.grid import Grid
from tests.support.wire import PNG, App, Worker, finished

START = Decimal(1000)


async def net(grid: Grid, key: str | None = None) -> Decimal:
    return Decimal((await grid.spark(key))["net"])


async def rendered(app: App, worker: Worker, *, objecting: bool = False) -> str:
    """A project of one picture, rendered."""
    project = await app.request()
    job = await worker.assigned()
    await worker.upload(job)
    done = finished(job.job_id, job.attempt, PNG)
    if objecting:
        done = msgspec.structs.replace(done, sensitive=("image",))
    await worker.send(done)
    await worker.expect_settled(job)
    await app.wait_state("jobCompleted", jobID=project)
    return project


@pytest.mark.parametrize("permille", [0, 800, 1000])
async def test_the_owner_of_the_worker_earns_its_share(make_grid: MakeGrid, permille: int) -> None:
    async with make_grid(worker_share_permille=permille) as grid:
        bob = await grid.account("bob")
        app, worker = await grid.app(), await grid.worker(key=bob)
        await rendered(app, worker)
        cost = START - await net(grid)
        assert cost > 0
        share = ledger.share(int(cost * MICROS), permille)
        assert await net(grid, bob) == START + Decimal(share) / MICROS
        assert audit_file(grid.config.data_dir / "dreamgrid.sqlite").clean


async def test_whoever_renders_their_own_pictures_pays_themselves(make_grid: MakeGrid) -> None:
    async with make_grid(worker_share_permille=1000) as grid:
        app, worker = await grid.app(), await grid.worker()
        await rendered(app, worker)
        assert await net(grid) == START
        assert [line["source"] for line in await lines(grid)] == ["earning", "project"]


async def test_the_owners_apps_are_told_what_was_earned(make_grid: MakeGrid) -> None:
    async with make_grid(worker_share_permille=1000) as grid:
        bob = await grid.account("bob")
        watching = await grid.app(key=bob)
        app, worker = await grid.app(), await grid.worker(key=bob)
        await rendered(app, worker)
        told = await watching.wait_for("balanceUpdate")
        assert Decimal(told["spark"]["net"]) == await net(grid, bob) > START


async def lines(grid: Grid, key: str | None = None) -> list[dict[str, Any]]:
    found = (await grid.data("/v1/transactions/list", key=key))["transactions"]
    assert isinstance(found, list)
    return [line for line in found if line["source"] != "grant"]


async def test_statements_say_who_paid_and_who_earned(make_grid: MakeGrid) -> None:
    async with make_grid(worker_share_permille=1000) as grid:
        bob = await grid.account("bob")
        app, worker = await grid.app(), await grid.worker(key=bob)
        project = await rendered(app, worker)
        (paid,), (earned,) = await lines(grid), await lines(grid, bob)
        assert (paid["type"], paid["role"], paid["sourceSID"]) == ("debit", "artist", project)
        assert (earned["type"], earned["role"], earned["source"]) == ("credit", "worker", "earning")
        assert earned["amount"] == paid["amount"]


async def test_withheld_media_are_charged_where_the_operator_wants_it(make_grid: MakeGrid) -> None:
    async with make_grid(charge_withheld=True) as grid:
        app, worker = await grid.app(), await grid.worker()
        project = await rendered(app, worker, objecting=True)
        cost = START - await net(grid)
        assert cost > 0
        record = await grid.record(project)
        (job,) = record["completedWorkerJobs"]
        assert job["triggeredNSFWFilter"] is True
        for told in (record, job):
            assert Decimal(told["costActual"]["costInToken"]) == cost
        await grid.restart()
        (job,) = (await grid.record(project))["completedWorkerJobs"]
        assert Decimal(job["costActual"]["costInToken"]) == cost
        assert audit_file(grid.config.data_dir / "dreamgrid.sqlite").clean
