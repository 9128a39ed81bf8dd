"""`dreamgrid migrate`, on databases that lack the newest script."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dreamgrid.server.folder_lock import held
from dreamgrid.server.store import postgres_schema, sqlite_schema
from dreamgrid.server.store.sqlite import SqliteStore
from tests.cli.conftest import Call
from tests.support import postgres
from tests.support.stores import ADA, PostgresBackend, account


@pytest.fixture
def next_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The next release has one script more, in both databases."""
    for module in (postgres_schema, sqlite_schema):
        folder = tmp_path / module.__name__
        shutil.copytree(str(module._FOLDER), folder)
        (folder / "9999_more.sql").write_text("ALTER TABLE account ADD COLUMN more TEXT;\n")
        monkeypatch.setattr(module, "_FOLDER", folder)
    monkeypatch.setattr(sqlite_schema, "_columns_of", sqlite_schema._columns_of.__wrapped__)
    return "9999_more.sql"


async def made(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.close()


def test_a_new_database_has_nothing_missing(tmp_path: Path, call: Call) -> None:
    asyncio.run(made(tmp_path / "dreamgrid.sqlite"))
    ran = call("migrate", "--check", "--json", "--data", str(tmp_path), environment={})
    assert (ran.returncode, ran.last_json["missing"]) == (0, [])


def test_an_older_database_in_the_folder_is_brought_forward(
    tmp_path: Path, call: Call, request: pytest.FixtureRequest
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    asyncio.run(made(data / "dreamgrid.sqlite"))
    script = request.getfixturevalue("next_script")
    asked = ("migrate", "--json", "--data", str(data))
    looked = call(*asked, "--check", environment={})
    assert (looked.returncode, looked.last_json["missing"]) == (1, [script])
    with held(data):
        assert "is using" in call(*asked, environment={}).last_json["message"]
    ran = call(*asked, environment={})
    assert (ran.returncode, ran.last_json["missing"]) == (0, [])
    with closing(sqlite3.connect(data / "dreamgrid.sqlite")) as connection:
        assert connection.execute("SELECT more FROM account").fetchall() == []
    assert call(*asked, "--check", environment={}).returncode == 0


def test_a_postgres_database_is_brought_forward_while_a_server_uses_it(
    tmp_path: Path, call: Call, request: pytest.FixtureRequest
) -> None:
    backend = PostgresBackend(tmp_path)
    store = backend.store()
    script = ""

    async def used() -> None:
        nonlocal script
        await store.open()
        try:
            script = request.getfixturevalue("next_script")
            asked = ("migrate", "--json", "--store", backend.address)
            looked = await asyncio.to_thread(call, *asked, "--check", environment={})
            assert (looked.returncode, looked.last_json["missing"]) == (1, [script])
            ran = await asyncio.to_thread(call, *asked, environment={})
            assert (ran.returncode, ran.last_json["missing"]) == (0, [])
            assert await store.create_account(account(), {"spark": 5})
            assert (await store.account(ADA)) is not None
        finally:
            await store.close()

    asyncio.run(used())


def test_a_script_does_not_make_a_busy_table_wait_for_long(
    tmp_path: Path, call: Call, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = PostgresBackend(tmp_path)

    async def opened() -> None:
        store = backend.store()
        await store.open()
        await store.close()

    asyncio.run(opened())
    request.getfixturevalue("next_script")
    monkeypatch.setattr(postgres_schema, "_WAITS_S", 0.05)
    asked = ("migrate", "--json", "--store", backend.address)
    import psycopg

    with psycopg.connect(backend.address) as reader:
        reader.execute("SELECT * FROM account")  # its transaction stays open
        busy = call(*asked, environment={})
    assert (busy.returncode, "try again" in busy.last_json["message"]) == (2, True)
    assert call(*asked, environment={}).returncode == 0


def test_a_database_that_is_not_there_is_said(tmp_path: Path, call: Call) -> None:
    for asked in (("--data", str(tmp_path)), ("--store", postgres.server().replace("=/", "=/x"))):
        ran = call("migrate", "--json", *asked, environment={})
        assert (ran.returncode, ran.last_json["error"]) == (2, "ConfigError")
