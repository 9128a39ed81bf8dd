"""Settings that contradict each other, and side loops that must not die quietly."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dreamgrid.errors import ConfigError, ServerUnavailable
from dreamgrid.server import upkeep
from dreamgrid.server.config import Rate, ServerConfig
from dreamgrid.server.queue_notices import QueueNotices
from dreamgrid.server.rendering import Rendering
from tests.server.conftest import MakeGrid
from tests.simulation import virtual_time
from tests.simulation.virtual_time import VirtualLoop
from tests.support.grid import Grid


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"port": -1}, "port -1"),
        ({"port": 65_536}, "port 65536"),
        ({"lease_s": 9.0, "heartbeat_s": 5.0}, "heartbeat_s"),
        ({"public_url": "grid.example.org"}, "grid.example.org"),
        ({"public_url": "ftp://grid.example.org"}, "ftp"),
        ({"web_origins": ("app.example.org",)}, "app.example.org"),
        ({"web_origins": ("https://app.example.org/",)}, "as browsers write it"),
        ({"unclaimed_kept_s": 60}, "unclaimed_kept_s"),
        ({"max_unclaimed_bytes": 1000}, "max_unclaimed_bytes"),
        ({"requests": Rate(0, burst=5)}, "NO_LIMIT"),
        ({"messages": Rate(5, burst=0.5)}, "NO_LIMIT"),
    ],
)
def test_settings_are_checked_against_each_other(
    tmp_path: Path, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        ServerConfig(data_dir=tmp_path, **settings).validate()


def test_the_defaults_are_valid(tmp_path: Path) -> None:
    ServerConfig(data_dir=tmp_path).validate()


async def test_links_begin_with_the_public_address(make_grid: MakeGrid) -> None:
    async with make_grid(public_url="https://grid.example.org") as grid:
        app, worker = await grid.app(), await grid.worker()
        await app.request()
        job = await worker.assigned()
        assert job.output.url.startswith("https://grid.example.org/blobs/results/")


async def test_links_begin_as_each_peer_reached_the_server(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await app.request()
    job = await worker.assigned()
    assert job.output.url.startswith(grid.url)
    await worker.finish(job)
    assert (await app.wait_for("jobResult"))["resultUrl"].startswith(grid.url)


async def test_a_loop_survives_what_may_pass(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    original = Rendering.expire_leases
    failures = [ServerUnavailable("busy"), OSError("disk"), ServerUnavailable("busy")]

    def fails_at_first(rendering: Rendering) -> None:
        if failures:
            raise failures.pop()
        original(rendering)

    monkeypatch.setattr(Rendering, "expire_leases", fails_at_first)
    await grid.ticked()
    assert failures == []
    assert caplog.text.count("tried again") == 3


async def test_a_loop_that_has_a_bug_stops_the_server_loudly(
    make_grid: MakeGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(queue: QueueNotices) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(upkeep, "POSITIONS_EVERY_S", 0.01)
    monkeypatch.setattr(QueueNotices, "notify", broken)
    grid = make_grid()
    await grid.start()
    with pytest.raises(BaseExceptionGroup) as caught:
        await grid.ended()
    assert caught.group_contains(ZeroDivisionError)
    await grid.http.close()


def test_a_loop_whose_turns_take_long_rests_for_most_of_the_time() -> None:
    began_s: list[float] = []

    async def history(loop: VirtualLoop) -> None:
        async def work() -> None:
            began_s.append(loop.time())
            await asyncio.sleep(0.01 if len(began_s) < 3 else 20)

        every = loop.create_task(upkeep._every(2.0, work))
        await asyncio.sleep(500)
        every.cancel()

    virtual_time.run(history)
    rests = [later - earlier for earlier, later in pairwise(began_s)]
    assert rests == pytest.approx([2.01, 2.01, 200, 200])


async def test_a_project_that_comes_second_is_told_so_at_once(grid: Grid) -> None:
    """Its place counts projects: the jobs of the first do not make it five."""
    app = await grid.app()
    await app.request(numberOfImages=4)
    await app.wait_state("queued")
    second = await app.request()
    assert (await app.wait_state("queued", jobID=second))["queuePosition"] == 2


async def test_media_of_old_projects_is_removed(
    make_grid: MakeGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "MEDIA_EVERY_S", 0.01)
    async with make_grid() as grid:
        app, worker = await grid.app(), await grid.worker()
        project = await app.request()
        job = await worker.assigned()
        await worker.finish(job)
        await app.wait_state("jobCompleted")
        files = grid.config.data_dir / "blobs"
        kept = list(files.rglob(f"{job.job_id}-1.png"))
        assert len(kept) == 1
        grid.clock.advance(grid.config.media_kept_s + 60)
        for _ in range(3):
            await grid.ticked()
        assert (await grid.live(project))["status"] == "completed"
        assert (await grid.call("GET", f"/blobs/results/{project}/x", key=""))[0] == 403
        await grid.ticked_until(lambda: not kept[0].exists())
