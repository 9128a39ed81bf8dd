"""What was quoted holds for a quarter of an hour, also when the catalogue has changed since."""

import json
from dataclasses import replace
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from dreamgrid.protocol.params import NETWORKS, Network
from dreamgrid.server.earlier_prices import QUOTE_HOLDS_S
from tests.server.conftest import MakeGrid
from tests.support.grid import Grid

SIZE = 64


def write_catalogue(path: Path, *, times: float) -> Path:
    """The built-in catalogue of `pattern-v1`, in which it costs so many times as much."""
    built_in = resources.files("dreamgrid.server") / "catalog_data" / "pattern.json"
    data: dict[str, Any] = json.loads(built_in.read_text("utf-8"))
    for tier in data["tiers"].values():
        tier["benchmark"]["sec"] *= times
    path.write_text(json.dumps(data), "utf-8")
    return path


async def quoted(grid: Grid, network: Network = "fast") -> tuple[Decimal, int]:
    """What one picture would cost, and for how many seconds that holds."""
    path = f"/api/v2/job/estimate/spark/{network}/pattern-v1/1/4/0/0/0/{SIZE}/{SIZE}"
    async with grid.http.get(grid.url + path) as answer:
        assert answer.status == 200
        told = await answer.json()
    return Decimal(told["quote"]["project"]["costInToken"]), told["validSeconds"]


async def charged(grid: Grid, network: Network = "fast") -> Decimal:
    """What one picture costs."""
    app, worker = await grid.app(), await grid.worker(network=network)
    project = await app.request(stepCount=4, width=SIZE, height=SIZE, network=network)
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted", jobID=project)
    await app.leave()
    await worker.leave()
    return Decimal((await grid.record(project))["costActual"]["costInToken"])


async def with_prices(grid: Grid, path: Path, *, times: float) -> None:
    """Restarts the grid with another catalogue."""
    await grid.stop()
    write_catalogue(path, times=times)
    await grid.start()


async def test_who_was_quoted_a_price_pays_no_more_after_the_catalogue_has_changed(
    make_grid: MakeGrid, tmp_path: Path
) -> None:
    path = write_catalogue(tmp_path / "prices.json", times=1)
    async with make_grid(catalog_files=(path,)) as grid:
        price, holds_s = await quoted(grid)
        assert holds_s == QUOTE_HOLDS_S
        assert await charged(grid) == price
        await with_prices(grid, path, times=3)
        assert await quoted(grid) == (price, QUOTE_HOLDS_S)
        grid.clock.advance(QUOTE_HOLDS_S - 10)
        assert await quoted(grid) == (price, 10)
        await grid.restart()
        assert await charged(grid) == price
        grid.clock.advance(11)
        dearer, holds_s = await quoted(grid)
        assert dearer > 2 * price
        assert holds_s == QUOTE_HOLDS_S
        assert await charged(grid) == dearer


def doubled(price: Decimal, dearer: Decimal) -> bool:
    """Whether one is twice the other; each was rounded up to a millionth."""
    return 0 <= 2 * price - dearer <= Decimal("0.000001")


@pytest.mark.parametrize("network", NETWORKS)
async def test_each_network_has_its_price_and_quotes_of_it_hold(
    make_grid: MakeGrid, network: Network
) -> None:
    async with make_grid(fast_permille=3_000, relaxed_permille=1_500) as grid:
        price, _ = await quoted(grid, network)
        assert await charged(grid, network) == price
        assert doubled((await quoted(grid, "relaxed"))[0], (await quoted(grid, "fast"))[0])
        await grid.stop()
        grid.config = replace(grid.config, fast_permille=6_000, relaxed_permille=3_000)
        await grid.start()
        assert (await quoted(grid, network))[0] == price == await charged(grid, network)
        grid.clock.advance(QUOTE_HOLDS_S + 1)
        dearer, _ = await quoted(grid, network)
        assert doubled(price, dearer)
        assert await charged(grid, network) == dearer


async def test_what_becomes_cheaper_is_cheaper_at_once(make_grid: MakeGrid, tmp_path: Path) -> None:
    path = write_catalogue(tmp_path / "prices.json", times=4)
    async with make_grid(catalog_files=(path,)) as grid:
        price, _ = await quoted(grid)
        await with_prices(grid, path, times=1)
        cheaper, _ = await quoted(grid)
        assert cheaper < price / 3
        assert await charged(grid) == cheaper


async def test_a_note_that_cannot_be_read_stops_nobody(make_grid: MakeGrid, tmp_path: Path) -> None:
    path = write_catalogue(tmp_path / "prices.json", times=1)
    async with make_grid(catalog_files=(path,)) as grid:
        price, _ = await quoted(grid)
        await grid.stop()
        (grid.config.data_dir / "prices.json").write_bytes(b"\x00")
        await grid.start()
        assert (await quoted(grid))[0] == price


@pytest.mark.parametrize("default", ["steps", "size"])
async def test_a_quote_holds_when_the_defaults_change_that_the_benchmark_is_for(
    make_grid: MakeGrid, tmp_path: Path, default: str
) -> None:
    """The benchmark is one render with all the defaults: with smaller ones all else is dearer."""
    path = write_catalogue(tmp_path / "prices.json", times=1)
    async with make_grid(catalog_files=(path,)) as grid:
        price, _ = await quoted(grid)
        await grid.stop()
        data = json.loads(path.read_text("utf-8"))
        if default == "steps":
            for tier in data["tiers"].values():
                tier["steps"]["default"] //= 4
        else:
            for model in data["models"]:
                model["size"]["width"] //= 2
        path.write_text(json.dumps(data), "utf-8")
        await grid.start()
        assert (await quoted(grid))[0] == price
        assert await charged(grid) == price
        grid.clock.advance(QUOTE_HOLDS_S + 1)
        assert (await quoted(grid))[0] > price


async def test_a_note_that_cannot_be_written_stops_nobody(
    make_grid: MakeGrid, tmp_path: Path
) -> None:
    path = write_catalogue(tmp_path / "prices.json", times=1)
    async with make_grid(catalog_files=(path,)) as grid:
        price, _ = await quoted(grid)
        await grid.stop()
        (grid.config.data_dir / "prices.new").mkdir()  # nothing can be written there
        write_catalogue(path, times=3)
        await grid.start()
        assert (await quoted(grid))[0] == price, "the old note is still there"
