"""The SDK against real servers and workers, which are also killed in the middle."""

import asyncio
import io
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import dreamgrid
from dreamgrid.client.connection import Backoff
from tests.cli.processes import Grid, running
from tests.support.known import remember_workers
from tests.support.real_servers import free_port

PATTERN = "pattern-v1"


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    data = tmp_path_factory.mktemp("grid") / "data"
    with running("up", "--json", "--port", "0", data=data) as one:
        yield one


def client_of(grid: Grid) -> dreamgrid.AsyncClient:
    client = dreamgrid.AsyncClient(grid.ready["url"], grid.ready["api_key"])
    client._tracker._tick_s = 0.1
    client._tracker.connection.backoff = Backoff(first_s=0.05, limit_s=0.2)
    return client


async def test_a_picture_comes_out_as_it_was_ordered(grid: Grid, tmp_path: Path) -> None:
    async with client_of(grid) as client:
        project = await client.projects.create(
            model=PATTERN, prompt="a red apple", count=3, width=192, height=96, steps=10, seed=5
        )
        images = await project.wait(timeout_s=60)
        assert [image.index for image in images] == [0, 1, 2]
        assert images[0].seed == 5
        assert len({image.seed for image in images}) == 3
        assert images[0].sha256, "the server tells the hash, so every download is checked"
        path = await images[0].save(tmp_path, metadata=False)
        data = path.read_bytes()
        assert (data[16:24], images[0].size_bytes) == (
            bytes([0, 0, 0, 192, 0, 0, 0, 96]),
            len(data),
        )
        assert str(await project.charge()) == str(
            await client.projects.estimate_cost(
                model=PATTERN, count=3, width=192, height=96, steps=10
            )
        )


async def test_a_result_is_deleted_and_then_its_project(grid: Grid) -> None:
    async with client_of(grid) as client:
        images = await client.projects.generate(
            model=PATTERN, prompt="a", count=2, width=64, height=64
        )
        project_id = images[0].project_id
        await client.projects.delete(project_id, job_id=images[0].job_id)
        (record,) = [one for one in await client.projects.list_projects() if one.id == project_id]
        linked = [job.job_id for job in record.completed_jobs if job.result_url is not None]
        assert linked == [images[1].job_id]
        with pytest.raises(dreamgrid.NotFound):
            await client.projects.delete(project_id, job_id=images[0].job_id)
        await client.projects.delete(project_id)
        with pytest.raises(dreamgrid.NotFound):
            await client.projects.get_status(project_id)


async def test_every_step_and_preview_of_a_render_is_seen(grid: Grid) -> None:
    pillow = pytest.importorskip("PIL.Image")
    async with client_of(grid) as client:
        project = await client.projects.create(
            model=PATTERN, prompt="a", width=1536, height=1536, steps=20, previews=20
        )
        story = [event async for event in project.events()]
    kinds = Counter(type(event).__name__ for event in story)
    assert kinds["Assigned"] == kinds["Started"] == kinds["JobCompleted"] == kinds["Completed"] == 1
    assert kinds["Progressed"] > 1
    steps = [event.step for event in story if isinstance(event, dreamgrid.Progressed)]
    assert steps == sorted(set(steps))
    previews = [event for event in story if isinstance(event, dreamgrid.Previewed)]
    assert previews
    assert pillow.open(io.BytesIO(previews[-1].data)).width > 16


async def test_a_starting_image_goes_all_the_way(grid: Grid) -> None:
    pillow = pytest.importorskip("PIL.Image")
    async with client_of(grid) as client:
        project = await client.projects.create(
            model=PATTERN,
            prompt="a",
            width=64,
            height=64,
            starting_image=pillow.new("RGB", (64, 64), "red"),
            strength=0.0,
        )
        (image,) = await project.wait(timeout_s=60)
        shown = pillow.open(io.BytesIO(await image.read())).convert("RGB")
    assert shown.getpixel((32, 32)) == (255, 0, 0)


async def test_a_broken_starting_image_fails_the_project_and_costs_nothing(grid: Grid) -> None:
    async with client_of(grid) as client:
        before = await client.account.balance()
        project = await client.projects.create(
            model=PATTERN, prompt="a", starting_image=b"\x89PNG\r\n\x1a\n and then nonsense"
        )
        with pytest.raises(dreamgrid.ProjectFailed):
            await project.wait(timeout_s=60)
        assert await client.account.balance() == before


async def test_a_project_survives_a_server_that_is_killed(tmp_path: Path) -> None:
    port = str(free_port())
    serve = ("serve", "--json", "--port", port)
    work = ("work", "--json", "--model", PATTERN)
    data = tmp_path / "data"
    await remember_workers(data, [PATTERN], seen_s=time.time())
    with running(*serve, data=data) as first:
        client = client_of(first)
        project = await client.projects.create(model=PATTERN, prompt="a", count=2)
        first.process.kill()
        first.process.wait()
    async with client:
        watching = asyncio.create_task(project.wait(timeout_s=60))
        with (
            running(*serve, data=data) as second,
            running(*work, data=tmp_path / "worker", environment=second.environment),
        ):
            images = await watching
            assert [len(await image.read()) > 1000 for image in images] == [True, True]
    story = [type(event).__name__ async for event in project.events()]
    assert Counter(story)["JobCompleted"] == 2
    assert Counter(story)["Completed"] == 1


async def test_a_cancel_gives_the_money_back(tmp_path: Path) -> None:
    await remember_workers(tmp_path / "data", [PATTERN], seen_s=time.time())
    with running("serve", "--json", "--port", "0", data=tmp_path / "data") as grid:
        async with client_of(grid) as client:
            before = await client.account.balance()
            project = await client.projects.create(model=PATTERN, prompt="a", count=8)
            assert await client.account.balance() != before, "the price was not held"
            await project.cancel()
            assert await client.account.balance() == before
            with pytest.raises(dreamgrid.ProjectCanceled):
                await project.wait()
