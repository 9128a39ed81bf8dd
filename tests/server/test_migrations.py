"""Databases of other versions: old ones are migrated, newer and strange ones are left alone."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dreamgrid.errors import ConfigError
from dreamgrid.server import store as store_package
from dreamgrid.server.store.sqlite import SqliteStore
from dreamgrid.server.store.sqlite_audit import audit_file

MIGRATIONS = Path(store_package.__file__).parent / "migrations"

RELEASED = {
    "0001_initial.sql": "7b46d2a28acf0581d3e4b03f32e3046fffcdcbe0d1bdfe6324b155050ce83ed6",
    "0002_wallets.sql": "91af6ef9ef33c59ff4b2e653ebd5ed60fa37804415682d8b3892df2db6f14814",
    "0003_media.sql": "d02436e99ee4ccf8de0ed2673e1d011b3e118b81c98d97ff856df16219bd7131",
    "0004_workers.sql": "e41cc694d8e57f3f70071102607e75eff91fad5213a1d20d0f12a54e772cb2d4",
    "0005_events.sql": "ec6e7342280426615abeca7306652f1b9fc010cc5c59f44753d1d3609a3777ca",
    "0006_recent.sql": "d724e651368106e6195578cc62540601653fe952f527f5b198b2efd0c24d0e52",
    "0007_earnings.sql": "e00715419b298710cd160f5b0b7182b89dbae8a5925dd082da2f37a441370da7",
    "0008_keys.sql": "13ceafb9f0eb9661b53d340025099a819f9e9079fe3075885df186d8e8d67c31",
    "0009_webhooks.sql": "63cbf1daaf56262660dadbc01140e94e50bc02fbd4ac5fd995889af73465919a",
    "0010_admin.sql": "417731bcadb111999cea8b8514856864ec9f931bfb7b20d682a1f05bb055abd9",
    "0011_numbers.sql": "9c9b9560eed1255b21889fa04f5778709fbe8f5fb1f6a15d96cd7076a2da5c38",
    "0012_outbox.sql": "bffd9fe73e8392953fc9e5d3351795a2b5a80d0a4512d64537d5a813ea64cd45",
    "0013_removed.sql": "e7873707e0fd939028e7603db95d0f467bbd5925fbf1a4ab8cabcc0eb887a2e0",
}
"""Every script and its SHA-256. A new one is added here in the commit that brings it."""


def test_scripts_that_databases_have_seen_are_never_edited() -> None:
    found = {
        script.name: hashlib.sha256(script.read_bytes()).hexdigest()
        for script in sorted(MIGRATIONS.iterdir())
        if script.suffix == ".sql"
    }
    assert found == RELEASED, "write a new script for what is to be changed, and name it above"


def test_scripts_are_numbered_without_gaps() -> None:
    assert [int(name[:4]) for name in RELEASED] == list(range(1, len(RELEASED) + 1))


@pytest.fixture
async def grid(tmp_path: Path) -> Path:
    """The file of a database in its newest form."""
    path = tmp_path / "grid.sqlite"
    store = SqliteStore(path)
    await store.open()
    await store.close()
    return path


def spoil(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(sql)


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


async def test_a_database_of_a_newer_version_is_left_alone_and_told_apart(grid: Path) -> None:
    newer = len(RELEASED) + 1
    spoil(grid, f"ALTER TABLE job ADD COLUMN mood; PRAGMA user_version = {newer}")
    before = dump(grid)
    told = rf"newer dreamgrid: it has version {newer}.* knows {len(RELEASED)}\. Upgrade dreamgrid"
    with pytest.raises(ConfigError, match=told):
        await SqliteStore(grid).open()
    assert dump(grid) == before


@pytest.mark.parametrize(
    ("spoiled", "told"),
    [
        (
            "ALTER TABLE wish RENAME COLUMN renders TO pictures",
            "has no wish.renders, it has wish.pi",
        ),
        ("ALTER TABLE job ADD COLUMN mood TEXT", "has job.mood"),
        ("DROP TABLE wish", "no wish.project"),
        # A script was taken back after this database had seen it.
        ("PRAGMA user_version = 10", "has version 10.* and more"),
    ],
)
async def test_a_database_that_is_not_as_its_version_is_says_what_is_wrong_and_what_to_do(
    grid: Path, spoiled: str, told: str
) -> None:
    spoil(grid, spoiled)
    before = dump(grid)
    with pytest.raises(ConfigError, match=rf"{told}.*dreamgrid that wrote it.*--data"):
        await SqliteStore(grid).open()
    with pytest.raises(ConfigError):
        audit_file(grid)
    assert dump(grid) == before


async def test_tables_of_others_are_none_of_our_business(grid: Path) -> None:
    spoil(grid, "CREATE TABLE backup_of_others (at); CREATE INDEX mine ON job (seed); ANALYZE")
    store = SqliteStore(grid)
    await store.open()
    await store.close()
    assert audit_file(grid).findings == ()
