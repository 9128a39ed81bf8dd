"""A disk that fills up and a server that dies in the middle: everything is delivered once."""

import asyncio
import uuid
from decimal import Decimal

import pytest

import dreamgrid
from dreamgrid.client.connection import Backoff
from dreamgrid.errors import ConfigError
from dreamgrid.testing import Faults, Grid, grid

SOON_S = 60
AGAIN = (
    dreamgrid.ConnectionFailed,
    dreamgrid.ServerUnavailable,
    dreamgrid.ProtocolError,  # a connection that ends in the middle of an answer
    dreamgrid.WaitTimeout,
)


async def made(one: Grid, count: int) -> dreamgrid.Project:
    """A project that is asked for, under one id, until it has been made."""
    project_id = str(uuid.uuid4()).upper()
    async with asyncio.timeout(SOON_S):
        while True:
            try:
                project = await one.client.projects.create(
                    model="pattern-v1",
                    prompt="a",
                    width=64,
                    height=64,
                    count=count,
                    project_id=project_id,
                )
                assert len(await project.wait(timeout_s=SOON_S)) == count
                return project
            except AGAIN:
                await asyncio.sleep(0.05)


def quick(one: Grid) -> None:
    """Its client comes back at once."""
    one.client._tracker.connection.backoff = Backoff(first_s=0.05, limit_s=0.1)


@pytest.mark.parametrize(
    "faults",
    [
        Faults(seed=1, disk_error=0.2),
        Faults(seed=2, kill=0.02),
        Faults(seed=3, kill=0.02, disk_error=0.05, cut=0.02, repeat=0.1, swap=0.1),
    ],
    ids=str,
)
async def test_everything_is_made_and_charged_once_whatever_breaks(faults: Faults) -> None:
    async with grid(faults=Faults()) as one:
        quick(one)
        assert one.network is not None
        await one.worker(slots=2)
        before = (await one.client.account.balance()).spark
        one.network.faults = faults
        projects = [await made(one, 2) for _ in range(3)]
        one.network.faults = Faults()
        await one.kill()
        cost = Decimal(0)
        for project in projects:
            kinds = [type(event).__name__ async for event in project.events()]
            assert kinds.count("JobCompleted") == 2
            assert kinds[-1] == "Completed"
            record = await one.client.projects.get_status(project.id)
            cost += Decimal(record.cost_actual.cost_in_token)
        assert (await one.client.account.balance()).spark == before - cost
        assert cost > 0


async def test_a_killed_server_comes_back_with_what_it_had_stored() -> None:
    async with grid(faults=Faults()) as one:
        quick(one)
        worker = await one.worker(dreamgrid.testing.Behaviour(does="finish", render_s=10))
        project = await one.client.projects.create(
            model="pattern-v1", prompt="a", width=64, height=64
        )
        async for event in project.events():
            if isinstance(event, dreamgrid.Started):
                break
        await one.kill()
        await one.advance(11)
        assert len(await project.wait(timeout_s=SOON_S)) == 1
        assert len(worker.renders) == 1, "it went on with what it held"


async def test_what_a_full_disk_cannot_take_is_refused_and_costs_nothing() -> None:
    async with grid(faults=Faults()) as one:
        await one.worker()
        before = await one.client.account.balance()
        await one.client.connect()
        assert one.network is not None
        one.network.faults = Faults(disk_error=1.0)
        with pytest.raises(dreamgrid.ServerUnavailable, match="disk is full"):
            await one.client.projects.create(model="pattern-v1", prompt="a", width=64, height=64)
        one.network.faults = Faults()
        assert await one.client.account.balance() == before


async def test_a_server_without_a_network_of_ours_cannot_be_killed() -> None:
    async with grid() as one:
        with pytest.raises(ConfigError, match=r"faults=Faults\(\)"):
            await one.kill()
