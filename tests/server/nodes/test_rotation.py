"""One command exchanges what signs sign-ins, on all nodes, and nobody is logged out."""

from pathlib import Path

import pytest

from dreamgrid.server import key_ring
from dreamgrid.server.nodes import node
from dreamgrid.server.store.choice import rotate_shared_at
from tests.server.nodes.conftest import MakeNode
from tests.server.nodes.test_takeover import answers
from tests.support.grid import Grid
from tests.support.log_lines import awaiting, heard
from tests.support.wallets import Person, member

NAME, MONTH_S = "token-secret", 30 * 24 * 60 * 60.0
TAKEN = "signed with a new secret"


def rotate(address: str, now_s: float) -> bool:
    return rotate_shared_at(
        address, NAME, lambda ring: key_ring.rotated(NAME, ring, now_s, MONTH_S)
    )


async def signed_in(grid: Grid, token: str) -> int:
    bearer = {"Authorization": f"Bearer {token}"}
    return (await grid.call("GET", "/v1/account/me", key="", headers=bearer))[0]


async def test_all_nodes_sign_with_a_new_secret_and_believe_the_old_one(
    make_node: MakeNode, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "SECRETS_LOOK_S", 0.05)
    one, two = await make_node(), await make_node()
    before = (await member(one, "ann"))["token"]
    secret = (one.config.data_dir / NAME).read_bytes()
    with awaiting(TAKEN) as taken:
        assert rotate(address, one.clock())
        await heard(taken)
    after = (await Person(two, "ann").log_in())[1]["data"]["token"]
    assert [await signed_in(two, token) for token in (before, after)] == [200, 200]
    await one.stop()
    await answers(two)  # it was running all the time, and now signs by itself
    assert [await signed_in(two, token) for token in (before, after)] == [200, 200]
    folder = two.config.data_dir
    assert (folder / f"{NAME}.old-1").read_bytes() == secret
    assert (folder / NAME).read_bytes() == (one.config.data_dir / NAME).read_bytes() != secret


async def test_a_coordinator_that_cannot_store_new_secrets_goes_on_and_takes_them_later(
    make_node: MakeNode, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "SECRETS_LOOK_S", 0.05)
    grid = await make_node()
    token = (await member(grid, "ann"))["token"]
    file = grid.config.data_dir / NAME
    secret, in_the_way = file.read_bytes(), file.with_name(f"{NAME}.old-1")
    in_the_way.mkdir()
    with awaiting("new secrets cannot be taken") as failed:
        assert rotate(address, grid.clock())
        await heard(failed)
    assert await signed_in(grid, token) == 200
    assert file.read_bytes() == secret
    with awaiting(TAKEN) as taken:
        in_the_way.rmdir()
        await heard(taken)
    after = (await Person(grid, "ann").log_in())[1]["data"]["token"]
    assert [await signed_in(grid, one) for one in (token, after)] == [200, 200]


async def test_secrets_of_before_come_along_when_a_server_becomes_a_node(
    make_node: MakeNode, tmp_path: Path
) -> None:
    file = tmp_path / "node-1" / NAME
    key_ring.load_ring(file, good_for_s=MONTH_S)
    key_ring.rotate(file)
    ring = key_ring.load_ring(file, good_for_s=MONTH_S)
    await make_node()
    two = await make_node()
    assert key_ring.load_ring(two.config.data_dir / NAME, good_for_s=MONTH_S) == ring


def test_what_nothing_can_need_any_more_is_shared_no_longer() -> None:
    ring = key_ring.rotated(NAME, {NAME: "aa"}, 1_000.0, MONTH_S)
    again = key_ring.rotated(NAME, ring, 2_000.0, MONTH_S)
    assert again[f"{NAME}.old-1"] == "aa 1000"
    assert again[f"{NAME}.old-2"] == f"{ring[NAME]} 2000"
    last = key_ring.rotated(NAME, again, 1_500.0 + MONTH_S, MONTH_S)
    assert sorted(last) == [NAME, f"{NAME}.old-2", f"{NAME}.old-3"]
