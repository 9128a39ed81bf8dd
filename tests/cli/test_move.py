"""A grid that began in a folder goes on in PostgreSQL and S3, with all that it had."""

import asyncio
import hashlib
import json
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dreamgrid.errors import ConfigError
from dreamgrid.server import whereabouts
from dreamgrid.server.app import run_server
from dreamgrid.server.blobs.s3 import S3Blobs
from dreamgrid.server.blobs.s3_settings import parse
from dreamgrid.server.config import NodeSettings, ServerConfig
from dreamgrid.server.folder_lock import held
from dreamgrid.server.store.choice import copy_to_postgres
from dreamgrid.server.store.postgres_connection import PostgresConnection
from dreamgrid.server.store.postgres_schema import migrate
from tests.cli.conftest import Call
from tests.cli.processes import Ran
from tests.support import postgres
from tests.support.grid import Grid
from tests.support.real_servers import S3Server
from tests.support.wallets import member
from tests.support.wire import PNG, new_id

INPUT = PNG + b" to begin with"


@dataclass
class Before:
    """What a grid held before it moved."""

    key: str
    tokens: dict[str, str]
    done: str
    done_job: str
    waiting: str
    spark: dict[str, str]
    webhook: str


async def grown(data: Path) -> Before:
    """A grid in a folder, with one of everything."""
    async with Grid(data) as grid:
        tokens = await member(grid, "ann")
        hook = {"url": "http://127.0.0.1:9/hook"}  # where nobody listens
        status, webhook = await grid.call("POST", "/v1/webhooks", json=hook)
        assert status == 201
        app, worker = await grid.app(), await grid.worker()
        done = new_id()
        link = await grid.data(f"/v1/image/uploadUrl?jobId={done}&type=startingImage")
        async with grid.http.put(
            link["uploadUrl"], data=INPUT, headers={"Content-Type": "image/png"}
        ) as answer:
            assert answer.status == 200
        await app.request(done, hasStartingImage=True)
        job = await worker.assigned()
        await worker.finish(job)
        await app.wait_state("jobCompleted", jobID=done)
        await worker.leave()
        await grid.without_workers()
        waiting = await app.request()
        await app.wait_state("queued", jobID=waiting)
        return Before(
            key=grid.key,
            tokens=tokens,
            done=done,
            done_job=job.job_id,
            waiting=waiting,
            spark=await grid.spark(),
            webhook=webhook["data"]["id"],
        )


async def goes_on(data: Path, before: Before, *, store: str, blobs: str, s3: S3Server) -> None:
    """The same people find the same things, and everything that waited is made."""
    settings = parse(blobs, s3.environment)
    async with Grid(data, store=store, blobs=settings, known_models=()) as grid:
        assert grid.key == before.key
        assert await grid.spark() == before.spark
        hooks = (await grid.data("/v1/webhooks"))["webhooks"]
        assert [hook["id"] for hook in hooks] == [before.webhook]
        status, _ = await grid.call(
            "POST",
            "/v1/account/refresh-token",
            key="",
            json={"refreshToken": before.tokens["refreshToken"]},
        )
        assert status == 200
        bearer = {"Authorization": f"Bearer {before.tokens['token']}"}
        assert (await grid.call("GET", "/v1/account/me", key="", headers=bearer))[0] == 200
        url = await grid.data(
            f"/v1/image/downloadUrl?jobId={before.done}&imageId={before.done_job}&type=complete"
        )
        assert url["downloadUrl"].startswith(s3.endpoint)
        async with grid.http.get(url["downloadUrl"]) as answer:
            assert await answer.read() == PNG
        app, worker = await grid.app(), await grid.worker()
        job = await worker.assigned()
        assert job.project_id == before.waiting
        await worker.finish(job)
        await app.wait_state("jobCompleted", jobID=before.waiting)
        new = await app.request()
        await worker.finish(await worker.assigned())
        await app.wait_state("jobCompleted", jobID=new)


def test_a_grid_moves_to_postgres_and_s3_and_nobody_loses_anything(
    tmp_path: Path, call: Call, rclone_server: S3Server
) -> None:
    data, store = tmp_path / "data", postgres.new_database()
    blobs = rclone_server.address(f"moved-{new_id()}")
    before = asyncio.run(grown(data))
    there = ("--data", str(data), "--store", store)
    moved = call("move", "--json", *there, "--blobs", blobs, environment=rclone_server.environment)
    assert moved.returncode == 0, moved.stderr
    assert (moved.last_json["files"], moved.last_json["rows"]["job"]) == (2, 2)
    assert sorted(path.name for path in data.glob("*.moved")) == [
        "blobs.moved",
        "dreamgrid.sqlite.moved",
    ]
    asyncio.run(goes_on(data, before, store=store, blobs=blobs, s3=rclone_server))
    audited = call("audit", "--json", "--store", store, environment={}).last_json
    assert (audited["clean"], audited["counted"]["job"]) == (True, 3)


def test_what_was_broken_off_is_moved_again_and_what_is_there_is_not_sent_twice(
    tmp_path: Path, call: Call, rclone_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, store = tmp_path / "data", postgres.new_database()
    blobs = rclone_server.address(f"again-{new_id()}")
    asyncio.run(grown(data))
    kept: list[bool] = []
    keep = S3Blobs.keep

    async def counted(self: S3Blobs, key: str, file: Path) -> bool:
        kept.append(await keep(self, key, file))
        return kept[-1]

    def broken(file: Path, source: int) -> None:
        raise OSError("the power is gone")

    monkeypatch.setattr(S3Blobs, "keep", counted)
    asked = ("move", "--json", "--data", str(data), "--store", store, "--blobs", blobs)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", broken)
        assert call(*asked, environment=rclone_server.environment).returncode != 0
    again = call(*asked, environment=rclone_server.environment)
    assert (again.returncode, again.last_json["files"]) == (0, 2)
    assert kept == [True, True, False, False]


def test_the_database_is_looked_at_before_any_file_is_sent(
    tmp_path: Path, call: Call, rclone_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, store = tmp_path / "data", postgres.new_database()
    asyncio.run(grown(data))
    blobs = rclone_server.address(f"unsent-{new_id()}")
    sent: list[str] = []

    async def keep(self: S3Blobs, key: str, file: Path) -> bool:
        sent.append(key)
        return True

    monkeypatch.setattr(S3Blobs, "keep", keep)
    asked = ("move", "--json", "--data", str(data), "--blobs", blobs, "--store")
    mistyped = store.replace("/test_", "/tset_")
    refused = call(*asked, mistyped, environment=rclone_server.environment)
    assert (refused.returncode, "does not exist" in refused.last_json["message"]) == (2, True)
    with closing(PostgresConnection(store)) as another:
        migrate(another)
        another.execute("INSERT INTO account (id, username, created_ms) VALUES ('A', 'eve', 1)")
    refused = call(*asked, store, environment=rclone_server.environment)
    assert (refused.returncode, "another grid" in refused.last_json["message"]) == (2, True)
    assert sent == []


def test_a_grid_moves_in_two_steps_and_what_was_moved_is_not_moved_again(
    tmp_path: Path, call: Call, rclone_server: S3Server
) -> None:
    data, store = tmp_path / "data", postgres.new_database()
    asyncio.run(grown(data))
    blobs = rclone_server.address(f"twice-{new_id()}")

    def move(*to: str) -> Ran:
        return call("move", "--data", str(data), *to, environment=rclone_server.environment)

    assert move("--store", store).returncode == 0
    assert "2 files" in move("--store", store, "--blobs", blobs).stdout
    note = json.loads((data / "kept-elsewhere.json").read_text())
    assert (list(note), note["blobs"]) == (["store", "blobs"], blobs)
    again = move("--store", store, "--blobs", blobs)
    assert again.returncode == 0
    assert again.stdout.strip() == f"was moved already to {note['store']} and {blobs}"
    other = move("--store", postgres.new_database(), "--blobs", blobs)
    assert (other.returncode, f"moved already, to '{note['store']}'" in other.stderr) == (2, True)
    assert not (data / "blobs").exists()


def test_a_file_that_arrived_differently_is_sent_again(
    tmp_path: Path, rclone_server: S3Server
) -> None:
    file = tmp_path / "picture.png"
    file.write_bytes(PNG)

    async def twice() -> tuple[bool, bool, bool]:
        blobs = S3Blobs(parse(rclone_server.address(new_id()), rclone_server.environment))
        await blobs.open()
        try:
            first = await blobs.keep("results/P/J-1.png", file)
            second = await blobs.keep("results/P/J-1.png", file)
            file.write_bytes(PNG[:-1] + b"?")  # as long as before
            return first, second, await blobs.keep("results/P/J-1.png", file)
        finally:
            await blobs.close()

    assert asyncio.run(twice()) == (True, False, True)


def test_a_store_whose_tags_say_nothing_is_asked_for_the_bytes(
    tmp_path: Path, rclone_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "picture.png"
    file.write_bytes(os.urandom(5_000))
    monkeypatch.setattr("dreamgrid.server.blobs.s3._PART_BYTES", 1_024)

    async def held_as(md5: bytes) -> bool:
        blobs = S3Blobs(parse(rclone_server.address(new_id()), rclone_server.environment))
        await blobs.open()
        try:
            await blobs.keep("results/P/J-1.png", file)
            with monkeypatch.context() as patch:
                patch.setattr("dreamgrid.server.blobs.s3._tag", lambda answer: "something")
                return await blobs._holds("results/P/J-1.png", 5_000, md5)
        finally:
            await blobs.close()

    whole = hashlib.md5(file.read_bytes()).digest()
    assert asyncio.run(held_as(whole))
    assert not asyncio.run(held_as(hashlib.md5(b"another").digest()))


def test_a_grid_that_runs_or_whose_target_is_not_empty_is_not_moved(
    tmp_path: Path, call: Call
) -> None:
    data, store = tmp_path / "data", postgres.new_database()
    asyncio.run(grown(data))
    asked = ("move", "--json", "--data", str(data), "--store", store)
    with held(data):
        assert "is using the data folder" in call(*asked, environment={}).last_json["message"]
    with closing(PostgresConnection(store)) as another:
        another.execute("SELECT pg_advisory_lock(7236000001 + 1)")  # as a server does
        assert "a server uses that" in call(*asked, environment={}).last_json["message"]
        another.execute("SELECT pg_advisory_unlock_all()")  # the end of a connection takes a while
    assert call(*asked, environment={}).returncode == 0
    (tmp_path / "data" / "dreamgrid.sqlite.moved").rename(data / "dreamgrid.sqlite")
    with closing(sqlite3.connect(data / "dreamgrid.sqlite")) as tampered:
        tampered.execute("UPDATE account SET email = 'else' WHERE username = 'ann'")
        tampered.commit()
    refused = call(*asked, environment={})
    assert (refused.returncode, refused.last_json["error"]) == (2, "ConfigError")
    assert "another grid" in refused.last_json["message"]


async def test_a_grid_that_was_not_moved_is_not_replaced_by_an_empty_one(tmp_path: Path) -> None:
    data, keys = tmp_path / "data", {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    async with Grid(data) as grid:
        key = grid.key
    before = {path: path.read_bytes() for path in data.iterdir() if path.is_file()}
    alone = ServerConfig(data_dir=data, port=0, store=postgres.new_database())
    node = NodeSettings(address="10.0.0.5:8771")
    for config in (alone, replace(alone, node=node, blobs=parse("s3://media", keys))):
        with pytest.raises(ConfigError, match="move it to PostgreSQL with 'dreamgrid move'"):
            await begins(config)
        assert {path: path.read_bytes() for path in data.iterdir() if path.is_file()} == before
    with closing(PostgresConnection(str(alone.store))) as database:
        tables = "SELECT 1 FROM pg_tables WHERE schemaname = 'public'"
        assert database.execute(tables).fetchall() == []
    async with Grid(data) as grid:
        assert grid.key == key


async def test_a_move_that_was_broken_off_before_it_renamed_the_file_keeps_no_server_from_it(
    tmp_path: Path,
) -> None:
    data, store = tmp_path / "data", postgres.new_database()
    async with Grid(data):
        pass
    config = ServerConfig(data_dir=data, port=0, store=store)
    copy_to_postgres(data / "dreamgrid.sqlite", store, lambda done, total: None)
    whereabouts.add(config)
    await begins(config)


async def begins(config: ServerConfig) -> None:
    """Starts a server and stops it at once."""
    stop = asyncio.Event()
    stop.set()
    await run_server(config, stop=stop, on_ready=lambda ready: None)


def test_books_that_do_not_add_up_stay_where_they_are(tmp_path: Path, call: Call) -> None:
    data, store = tmp_path / "data", postgres.new_database()
    asyncio.run(grown(data))
    with closing(sqlite3.connect(data / "dreamgrid.sqlite")) as tampered:
        tampered.execute("UPDATE balance SET posted_micros = posted_micros + 1")
        tampered.commit()
    refused = call("move", "--json", "--data", str(data), "--store", store, environment={})
    assert "the books do not add up" in refused.last_json["message"]
    assert (data / "dreamgrid.sqlite").exists()


@pytest.mark.parametrize("asked", [("serve", "--port", "0"), ("audit",), ("migrate", "--check")])
def test_a_folder_whose_database_is_elsewhere_says_where(
    asked: tuple[str, ...], tmp_path: Path, call: Call
) -> None:
    note = {"store": "postgresql://db.example.org/grid"}
    (tmp_path / "kept-elsewhere.json").write_text(json.dumps(note))
    ran = call(*asked, "--json", "--data", str(tmp_path), environment={})
    assert ran.returncode == 2
    assert "postgresql://db.example.org/grid" in ran.last_json["message"]
    assert "--store" in ran.last_json["message"]


@pytest.mark.parametrize("left", ["nothing", "blobs/.uploads"])
def test_a_folder_whose_media_are_elsewhere_says_where(
    left: str, tmp_path: Path, call: Call
) -> None:
    (tmp_path / left).mkdir(parents=True)
    (tmp_path / "kept-elsewhere.json").write_text(json.dumps({"blobs": "s3://media/grid"}))
    ran = call("serve", "--json", "--port", "0", "--data", str(tmp_path), environment={})
    assert (ran.returncode, "s3://media/grid" in ran.last_json["message"]) == (2, True)


@pytest.mark.parametrize(
    ("store", "noted"),
    [
        ("postgresql://ann:s3cret@db:25432/grid", "postgresql://db:25432/grid"),
        ("postgresql://ann:s3cret@[::1]:5433/grid", "postgresql://[::1]:5433/grid"),
        ("postgresql://ann@one:1,two:2/grid?sslmode=require", "postgresql://one:1,two:2/grid"),
        (
            "postgresql:///grid?host=/run/pg&port=5433&user=ann&password=s3cret",
            "postgresql:///grid?host=/run/pg&port=5433",
        ),
    ],
)
def test_the_note_names_the_database_without_who_may_use_it(
    store: str, noted: str, tmp_path: Path
) -> None:
    assert whereabouts.of(ServerConfig(data_dir=tmp_path, store=store)).store == noted


def test_a_command_that_is_told_nothing_to_move_says_what_it_needs(call: Call) -> None:
    ran = call("move", "--json", environment={})
    assert (ran.returncode, "--store" in ran.last_json["message"]) == (2, True)
