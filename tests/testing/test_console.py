"""Orders to a test grid: what `dreamgrid dev` and its users say."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

import dreamgrid
from dreamgrid.errors import InvalidRequest
from dreamgrid.testing import Behaviour, Faults, Grid, grid
from dreamgrid.testing.console import HELP, Console


@pytest.fixture
async def one() -> AsyncIterator[Grid]:
    async with grid(faults=Faults()) as running:
        yield running


async def test_a_worker_comes_as_it_was_described(one: Grid) -> None:
    order = "worker fail name=bad models=pattern-v1 slots=2 render=1.5 times=1 retryable=no"
    told = await Console(one).do(order)
    (worker,) = one.workers
    assert (worker.name, worker.state) == ("bad", "connected")
    assert worker.behaviour == Behaviour(does="fail", render_s=1.5, times=1, retryable=False)
    assert told["worker"] == "bad"


async def test_an_app_sees_what_the_workers_are_told(one: Grid) -> None:
    console = Console(one)
    await console.do("worker fail retryable=no name=studio")
    small: dict[str, Any] = {"model": "pattern-v1", "prompt": "a", "width": 64, "height": 64}
    project = await one.client.projects.create(**small)
    with pytest.raises(dreamgrid.ProjectFailed):
        await project.wait(timeout_s=60)
    await console.do("set studio finish")
    assert len(await (await one.client.projects.create(**small)).wait(timeout_s=60)) == 1
    told = await console.do("workers")
    assert [row["asked"] for row in told["workers"]] == [2]


async def test_workers_go_and_come_back(one: Grid) -> None:
    console = Console(one)
    await console.do("worker name=studio")
    for order in ("crash", "leave"):
        assert (await console.do(f"{order} studio"))["state"] == "away"
        assert (await console.do("back studio"))["state"] == "connected"


async def test_time_the_network_and_the_server_obey(one: Grid) -> None:
    console, before_s = Console(one), one.clock()
    await console.do("advance 100")
    assert one.clock() == pytest.approx(before_s + 100)
    await console.do("faults cut=0.5 delay=0.1 seed=3")
    assert one.network is not None
    assert one.network.faults == Faults(seed=3, cut=0.5, delay_s=0.1)
    await console.do("faults")
    assert one.network.faults == Faults()
    await console.do("faults disk_error=0.25 kill=0.5")
    assert one.network.faults == Faults(disk_error=0.25, kill=0.5)
    await console.do("faults kill=0 cut=0.1")
    assert one.network.faults == Faults(disk_error=0.25, cut=0.1)
    await console.do("faults")
    assert await console.do("restart") == {"restarted": one.url}
    assert await console.do("kill") == {"killed": one.url}
    assert await console.do("") == {"help": HELP}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("advance x", "'x' is no number"),
        ("worker slots=many", "'many' is no whole number"),
        ("worker fail render=long", "'long' is no number"),
        ("worker fail times=2.5", "'2.5' is no whole number"),
        ("faults seed=a", "'a' is no whole number"),
        ("faults cut=often", "'often' is no number"),
    ],
)
async def test_what_should_be_a_number_is_named(one: Grid, line: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{said}; try help"):
        await Console(one).do(line)


@pytest.mark.parametrize(
    "line",
    [
        "jump",
        "worker dance",
        "worker slots=many",
        "worker finish color=red",
        "worker name=studio",
        "set nobody fail",
        "crash",
        "faults often",
        "faults cut=often",
        "faults cut=1.5",
        "faults kill=-0.1",
        "faults swap=nan",
        "faults delay=-1",
        "faults delay=inf",
        "advance",
        "advance soon",
        "advance -1",
    ],
)
async def test_what_cannot_be_understood_is_refused_and_changes_nothing(
    one: Grid, line: str
) -> None:
    console, before_s = Console(one), one.clock()
    await console.do("worker name=studio")
    with pytest.raises(InvalidRequest):
        await console.do(line)
    assert [worker.name for worker in one.workers] == ["studio"]
    assert one.clock() == before_s
    assert one.network is not None
    assert one.network.faults == Faults()
