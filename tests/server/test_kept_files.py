"""Results of an account take only so much of the disk, and no accepted project suffers from it."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.errors import TooManyRequests
from dreamgrid.server.blobs.keys import result_key
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.kept_files import KeptFiles
from tests.server.conftest import MakeGrid
from tests.server.test_uploads import upload
from tests.support.grid import Grid
from tests.support.wire import PNG, App, Worker, new_id

SIZE = len(PNG)


async def deliver(grid: Grid, app: App, worker: Worker) -> str:
    """A project with one result of `SIZE` bytes; its id."""
    project = await app.request()
    await worker.finish(await worker.assigned(), data=PNG)
    await app.wait_state("jobCompleted", jobID=project)
    return project


async def test_who_has_too_many_results_is_told_when_there_is_room_again(
    make_grid: MakeGrid,
) -> None:
    async with make_grid(max_kept_bytes=2 * SIZE) as grid:
        app, worker = await grid.app(), await grid.worker()
        await deliver(grid, app, worker)
        await deliver(grid, app, worker)
        refused = await app.wait_for("jobError", jobID=await app.request())
        assert refused["error"] == 429
        assert f"take {2 * SIZE} bytes" in refused["error_message"]
        assert 0 < refused["retryAfter"] <= grid.config.media_kept_s * 1.02
        others = await grid.app(key=await grid.account("bob", grant_micros=1_000_000_000))
        await deliver(grid, others, worker)
        grid.clock.advance(refused["retryAfter"])
        again = await app.request()
        await app.wait_state("queued", jobID=again)


async def test_accepted_projects_give_their_results_however_large(make_grid: MakeGrid) -> None:
    async with make_grid(max_kept_bytes=1) as grid:
        app, worker = await grid.app(), await grid.worker()
        first, second = await app.request(), await app.request()
        for project in (first, second):
            await worker.finish(await worker.assigned(), data=PNG)
            await app.wait_state("jobCompleted", jobID=project)
        assert (await app.wait_for("jobError", jobID=await app.request()))["error"] == 429


async def test_inputs_count_as_well_once_their_project_is_done(make_grid: MakeGrid) -> None:
    async with make_grid(max_kept_bytes=2 * SIZE) as grid:
        app, worker, project = await grid.app(), await grid.worker(), new_id()
        await upload(grid, project)
        await app.request(project, hasStartingImage=True, strength=0.5)
        await worker.finish(await worker.assigned(), data=PNG)
        await app.wait_state("jobCompleted", jobID=project)
        assert (await app.wait_for("jobError", jobID=await app.request()))["error"] == 429


async def test_what_is_asked_again_is_answered_though_there_is_no_room(
    make_grid: MakeGrid,
) -> None:
    async with make_grid(max_kept_bytes=1) as grid:
        app, worker, another = await grid.app(), await grid.worker(), await grid.worker("w2")
        running, other = await app.request(), await app.request()
        held = [(peer, await peer.assigned()) for peer in (worker, another)]
        peer, job = held.pop()
        await peer.finish(job)
        done = await app.wait_state("jobCompleted")
        unfinished = running if done["jobID"] == other else other
        await app.request(unfinished)
        await app.fence()
        assert "jobError" not in app.told(unfinished)


Change = Callable[[KeptFiles, str, str, int], None]

CHANGES: dict[str, Change] = {
    "a file comes": lambda kept, project, key, size: kept.arrived(key, size),
    "it goes": lambda kept, project, key, size: kept.gone(key),
    "the project ends": lambda kept, project, key, size: kept.project_ended("ADA", project, size),
    "its account removes one": lambda kept, project, key, size: kept.removed("ADA", project, key),
    "or all of it": lambda kept, project, key, size: kept.removed("ADA", project),
}


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*CHANGES, "time passes"]),
            st.sampled_from(["P1", "P2"]),
            st.integers(1, 2),
            st.integers(0, 9),
        ),
        max_size=30,
    )
)
def test_what_an_account_keeps_is_the_sum_of_its_files(
    changes: list[tuple[str, str, int, int]],
) -> None:
    now_s = 0.0
    config = ServerConfig(data_dir=Path("unused"), max_kept_bytes=1, media_kept_s=100)
    ended: set[str] = set()
    projects: Any = SimpleNamespace(
        project=lambda one: None if one in ended else SimpleNamespace(account_id="ADA")
    )
    kept = KeptFiles(config, projects, lambda: now_s)
    for what, project, job, size in changes:
        if what == "time passes":
            now_s += 20.0 * size
        elif what != "the project ends" or project not in ended:  # it ends once
            CHANGES[what](kept, project, result_key(project, f"J{job}", 1, "png"), size)
            if what == "the project ends":
                ended.add(project)
        try:
            kept.check("ADA")
            told = 0
        except TooManyRequests as error:
            told = int(str(error).split(" take ")[1].split()[0])
        account = kept._accounts.get("ADA")
        files: list[int] = []
        if account is not None:
            of_projects = [*account.open_files.values()]
            of_projects += [one for part in account.parts for one in part.projects.values()]
            files = [size_bytes for one in of_projects for size_bytes in one.values()]
        assert told == sum(files)
