"""Signing keys that are exchanged: what the one before has signed stays good, and nothing else."""

import os
from pathlib import Path

import pytest

from dreamgrid.errors import ConfigError
from dreamgrid.server.key_ring import load_ring, rotate
from tests.server.conftest import MakeGrid
from tests.support.grid import Grid, ManualClock
from tests.support.wallets import Person, member

DAY_S = 24 * 60 * 60.0


def test_the_newest_comes_first_and_older_ones_follow(tmp_path: Path) -> None:
    path, clock = tmp_path / "secret", ManualClock()
    (first,) = load_ring(path, good_for_s=DAY_S, clock=clock)
    rotate(path)
    second, *older = load_ring(path, good_for_s=DAY_S, clock=clock)
    assert (older, len({first, second})) == ([first], 2)
    rotate(path)
    third, *older = load_ring(path, good_for_s=DAY_S, clock=clock)
    assert (older, third not in older) == ([second, first], True)
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}


def test_an_old_one_goes_when_nothing_of_its_own_can_be_good(tmp_path: Path) -> None:
    """It may have signed until the server that had it was stopped."""
    path, clock = tmp_path / "secret", ManualClock()
    load_ring(path, good_for_s=DAY_S, clock=clock)
    rotate(path)
    clock.advance(10 * DAY_S)  # the server of before goes on, and signs with it
    assert len(load_ring(path, good_for_s=DAY_S, clock=clock)) == 2
    clock.advance(DAY_S - 1)
    assert len(load_ring(path, good_for_s=DAY_S, clock=clock)) == 2
    clock.advance(2)
    assert len(load_ring(path, good_for_s=DAY_S, clock=clock)) == 1
    assert os.listdir(tmp_path) == ["secret"]


def test_files_that_are_named_are_taken_as_they_are(tmp_path: Path) -> None:
    for name in ("new", "old"):
        (tmp_path / name).write_bytes(name.encode() * 20)
    named = [tmp_path / "new", tmp_path / "old"]
    ring = load_ring(tmp_path / "secret", named=named, good_for_s=DAY_S)
    assert ring == (b"new" * 20, b"old" * 20)
    assert not (tmp_path / "secret").exists()
    (tmp_path / "old").write_bytes(b"short")
    with pytest.raises(ConfigError, match="has 5 bytes and needs 32"):
        load_ring(tmp_path / "secret", named=named, good_for_s=DAY_S)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_ring(tmp_path / "secret", named=[tmp_path / "nothing"], good_for_s=DAY_S)


async def signed_in(grid: Grid, token: str) -> int:
    bearer = {"Authorization": f"Bearer {token}"}
    status, _ = await grid.call("GET", "/v1/account/me", key="", headers=bearer)
    return status


async def test_nobody_is_logged_out_and_links_go_on_working(make_grid: MakeGrid) -> None:
    async with make_grid() as grid:
        tokens = await member(grid, "ann")
        app, worker = await grid.app(), await grid.worker()
        project = await app.request()
        job = await worker.assigned()
        await worker.finish(job)
        result = await app.wait_for("jobResult", jobID=project)
        for name in ("token-secret", "blob-secret"):
            rotate(grid.config.data_dir / name)
        await grid.restart()
        assert await signed_in(grid, tokens["token"]) == 200
        refresh = {"refreshToken": tokens["refreshToken"]}
        status, body = await grid.call("POST", "/v1/account/refresh-token", key="", json=refresh)
        assert status == 200
        async with grid.http.get(result["resultUrl"]) as answer:
            assert answer.status == 200
        # What was given out since is signed with the new one alone.
        for name in ("token-secret.old-1", "blob-secret.old-1"):
            (grid.config.data_dir / name).unlink()
        await grid.restart()
        assert await signed_in(grid, tokens["token"]) == 401
        assert await signed_in(grid, body["data"]["token"]) == 200
        async with grid.http.get(result["resultUrl"]) as answer:
            assert answer.status == 403


async def test_servers_with_the_same_files_believe_each_other(
    make_grid: MakeGrid, tmp_path: Path
) -> None:
    (tmp_path / "mounted").write_bytes(os.urandom(32))
    async with make_grid(token_secret_files=(tmp_path / "mounted",)) as grid:
        await member(grid, "ann")
        assert not (grid.config.data_dir / "token-secret").exists()
        _, body = await Person(grid, "ann").log_in()
        await grid.restart()
        assert await signed_in(grid, body["data"]["token"]) == 200
