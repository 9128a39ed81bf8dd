"""Copies of grids that run, and grids that come back from them."""

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from dreamgrid.errors import ConfigError
from dreamgrid.server import key_ring
from dreamgrid.server.backup import back_up
from tests.cli.conftest import Call
from tests.support import postgres
from tests.support.grid import Grid
from tests.support.wire import PNG


async def made_one(grid: Grid) -> tuple[str, str]:
    """A delivered picture: its project and its job."""
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await worker.finish(job)
    await app.wait_state("jobCompleted", jobID=project)
    await app.leave()
    await worker.leave()
    await grid.without_workers()
    return project, job.job_id


async def picture(grid: Grid, project: str, job: str) -> bytes:
    asked = f"/v1/image/downloadUrl?jobId={project}&imageId={job}&type=complete"
    url = (await grid.data(asked))["downloadUrl"]
    async with grid.http.get(url) as answer:
        assert answer.status == 200
        return await answer.read()


async def copied(source: Path, target: Path) -> tuple[int, int]:
    """Files, and how many of them were new."""
    told = await asyncio.to_thread(back_up, source, target, lambda done, total: None)
    return told.files, told.sent


async def test_a_copy_of_a_running_grid_is_a_grid(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    async with Grid(data) as grid:
        project, job = await made_one(grid)
        assert await copied(data, copy) == (1, 1)
        app = await grid.app()
        waiting = await app.request()
        await app.wait_state("queued", jobID=waiting)
        spark, key = await grid.spark(), grid.key
        assert await copied(data, copy) == (1, 0)
        await app.request()  # after the copy: not in it
    assert {path.stat().st_mode & 0o077 for path in (copy, copy / "token-secret")} == {0}
    async with Grid(copy, known_models=()) as again:
        assert (again.key, await again.spark()) == (key, spark)
        assert await picture(again, project, job) == PNG
        worker = await again.worker()
        assert (await worker.assigned()).project_id == waiting
        _, active = await again.get("/api/v1/artist/projects/active")
        assert active == {"projects": [{"id": waiting}]}


async def test_what_is_gone_from_the_grid_goes_from_its_copy(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    async with Grid(data) as grid:
        project, _ = await made_one(grid)
        await copied(data, copy)
        assert (await grid.call("DELETE", f"/v1/projects/{project}"))[0] == 200
        assert await copied(data, copy) == (0, 0)
    assert list((copy / "blobs").rglob("*.png")) == []


async def test_a_media_folder_whose_disk_is_missing_does_not_empty_the_copy(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    async with Grid(data) as grid:
        await made_one(grid)
        await copied(data, copy)
    (data / "blobs").rename(tmp_path / "disk")
    (data / "blobs").mkdir()
    with pytest.raises(ConfigError, match="its disk may be missing"):
        await copied(data, copy)
    await begun(data)  # not even when a server was started on what is below it
    with pytest.raises(ConfigError, match="its disk may be missing"):
        await copied(data, copy)
    assert [path.read_bytes() for path in (copy / "blobs").rglob("*.png")] == [PNG]
    shutil.rmtree(data / "blobs")
    (tmp_path / "disk").rename(data / "blobs")
    assert await copied(data, copy) == (1, 0)


def test_what_cannot_be_a_copy_is_left_alone(tmp_path: Path, call: Call) -> None:
    data, letters = tmp_path / "data", tmp_path / "letters"
    letters.mkdir()
    (letters / "to-ada.txt").write_text("Dear Ada")
    asyncio.run(begun(data))
    for target, says in ((data / "copy", "lies in the data folder"), (letters, "to-ada.txt")):
        ran = call("backup", str(target), "--json", "--data", str(data), environment={})
        assert (ran.returncode, says in ran.last_json["message"]) == (2, True)
    assert os.listdir(letters) == ["to-ada.txt"]


async def begun(data: Path) -> None:
    async with Grid(data):
        pass


def test_books_that_do_not_add_up_do_not_replace_a_good_copy(tmp_path: Path, call: Call) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    asyncio.run(begun(data))
    asked = ("backup", str(copy), "--data", str(data))
    assert "the books add up" in call(*asked, environment={}).stdout
    good = (copy / "dreamgrid.sqlite").read_bytes()
    add_to_balances(data, 1)
    for _ in range(2):
        refused = call(*asked, "--json", environment={})
        assert (refused.returncode, "do not add up" in refused.last_json["message"]) == (2, True)
        assert (copy / "dreamgrid.sqlite").read_bytes() == good
    add_to_balances(data, -1)
    assert "the books add up" in call(*asked, environment={}).stdout


def add_to_balances(data: Path, micros: int) -> None:
    with closing(sqlite3.connect(data / "dreamgrid.sqlite")) as tampered:
        tampered.execute("UPDATE balance SET posted_micros = posted_micros + ?", (micros,))
        tampered.commit()


async def test_a_copy_that_broke_off_is_made_whole_by_the_next(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    await begun(data)
    copy.mkdir()
    for name in ("dreamgrid.sqlite.new", ".token-secret.new", ".blob-secret.old-1.new"):
        (copy / name).write_bytes(b"half of it")
    await copied(data, copy)
    assert (copy / "token-secret").read_bytes() == (data / "token-secret").read_bytes()
    assert list(copy.glob("*.new")) == []


async def test_sign_ins_from_before_a_rotation_outlive_a_restore(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    await begun(data)
    signed = (data / "token-secret").read_bytes()
    key_ring.rotate(data / "token-secret")
    await copied(data, copy)
    ring = key_ring.load_ring(copy / "token-secret", good_for_s=3600)
    assert ring == ((data / "token-secret").read_bytes(), signed)
    (data / "token-secret.old-1").unlink()
    await copied(data, copy)
    assert len(key_ring.load_ring(copy / "token-secret", good_for_s=3600)) == 1


@pytest.mark.parametrize(
    ("part", "moved_to", "as_noted"),
    [
        ("dreamgrid.sqlite", "postgresql://db.example.org/grid", "store"),
        ("blobs", "s3://media/grid", "blobs"),
    ],
)
def test_a_copy_from_before_a_move_is_not_mixed_with_what_came_after(
    part: str, moved_to: str, as_noted: str, tmp_path: Path, call: Call
) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    asyncio.run(begun(data))
    asked = ("backup", "--json", "--data", str(data))
    assert call(*asked, str(copy), environment={}).returncode == 0
    before = sorted(copy.rglob("*"))
    assert copy / part in before
    (data / part).rename(data / f"{part}.moved")
    (data / "kept-elsewhere.json").write_text(json.dumps({as_noted: moved_to}))
    refused = call(*asked, str(copy), environment={})
    assert (refused.returncode, moved_to in refused.last_json["message"]) == (2, True)
    assert sorted(copy.rglob("*")) == before
    assert call(*asked, str(tmp_path / "another"), environment={}).returncode == 0


def test_an_old_database_beside_a_grid_that_is_elsewhere_is_not_copied(
    tmp_path: Path, call: Call
) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    asyncio.run(begun(data))
    asked = ("backup", str(copy), "--json", "--data", str(data))
    assert call(*asked, environment={}).returncode == 0
    good = (copy / "dreamgrid.sqlite").stat()
    note = {"store": "postgresql://db.example.org/grid"}
    (data / "kept-elsewhere.json").write_text(json.dumps(note))
    refused = call(*asked, environment={})
    assert (refused.returncode, note["store"] in refused.last_json["message"]) == (2, True)
    assert not (copy / "kept-elsewhere.json").exists()
    assert os.path.samestat((copy / "dreamgrid.sqlite").stat(), good)


async def test_a_grid_in_postgres_comes_back_from_a_dump_and_a_copy(tmp_path: Path) -> None:
    data, copy, dump = tmp_path / "data", tmp_path / "copy", tmp_path / "grid.dump"
    store, restored = postgres.new_database(), postgres.new_database()
    async with Grid(data, store=store, known_models=()) as grid:
        project, job = await made_one(grid)
        key, spark = grid.key, await grid.spark()
        await ran("pg_dump", "--format=custom", f"--file={dump}", store)
        told = await asyncio.to_thread(back_up, data, copy, lambda done, total: None)
    assert told.database is not None
    await ran("pg_restore", f"--dbname={restored}", str(dump))
    async with Grid(copy, store=restored, known_models=()) as again:
        assert (again.key, await again.spark()) == (key, spark)
        assert await picture(again, project, job) == PNG


async def ran(name: str, *arguments: str) -> None:
    """One of PostgreSQL's programs, those of the server that runs."""
    program = postgres.programs() / name
    ending = await asyncio.to_thread(
        subprocess.run, [str(program), *arguments], capture_output=True, text=True
    )
    assert ending.returncode == 0, ending.stderr
