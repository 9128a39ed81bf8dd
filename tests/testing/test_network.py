"""A bad network between an app and a grid: everything is delivered once, whatever breaks."""

from decimal import Decimal

import pytest

import dreamgrid
from dreamgrid.testing import Faults, grid

SOON_S = 60

BAD = [
    Faults(seed=1, cut=0.05),
    Faults(seed=2, repeat=0.5),
    Faults(seed=3, swap=0.3),
    Faults(seed=4, delay_s=0.01),
    Faults(seed=5, cut=0.03, repeat=0.2, swap=0.2, delay_s=0.005),
]


@pytest.mark.parametrize("faults", BAD, ids=str)
async def test_everything_is_made_and_charged_once_whatever_goes_wrong(faults: Faults) -> None:
    async with grid(faults=faults) as one:
        await one.worker(slots=2)
        before = (await one.client.account.balance()).spark
        cost = Decimal(0)
        for _ in range(3):
            project = await one.client.projects.create(
                model="pattern-v1", prompt="a", width=64, height=64, count=2
            )
            assert len(await project.wait(timeout_s=SOON_S)) == 2
            record = await one.client.projects.get_status(project.id)
            cost += Decimal(record.cost_actual.cost_in_token)
        assert (await one.client.account.balance()).spark == before - cost
        assert cost > 0


async def test_a_port_that_is_taken_is_told_with_what_to_do() -> None:
    async with grid(faults=Faults()) as one:
        port = int(one.url.rpartition(":")[2])
        with pytest.raises(dreamgrid.ConfigError, match="--port 0 for any free one"):
            async with grid(faults=Faults(), port=port):
                pass


async def test_a_network_without_faults_carries_everything() -> None:
    async with grid(faults=Faults()) as one:
        await one.worker()
        project = await one.client.projects.create(
            model="pattern-v1", prompt="a", width=64, height=64
        )
        (image,) = await project.wait(timeout_s=60)
        assert image.url is not None
        assert one.network is not None
        assert image.url.startswith(one.network.url)
        assert (await image.read()).startswith(b"\x89PNG")
