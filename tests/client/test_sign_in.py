"""Signing up, in and out with name and password, against a whole server."""

import asyncio
import base64
import json
from pathlib import Path

import pytest

import dreamgrid
from tests.client.mill import PICTURE, working
from tests.support.grid import Grid

pytest.importorskip("eth_account")


def anonymous(house: Grid) -> dreamgrid.AsyncClient:
    return dreamgrid.AsyncClient(house.url, "")


async def test_somebody_signs_up_makes_a_picture_and_leaves(house: Grid) -> None:
    async with anonymous(house) as client, working(house):
        assert await client.account.validate_username("alice")
        await client.account.create("alice", "correct horse", email="alice@example.com")
        assert not await client.account.validate_username("alice")
        me = await client.account.me()
        assert (me.username, me.email) == ("alice", "alice@example.com")
        assert (
            me.wallet_address == (await client.account.get_wallet("Alice", "correct horse")).address
        )
        assert len(await client.projects.generate(model=PICTURE, prompt="x")) == 1
        assert client.current_account.username == "alice"
        await client.account.logout()
        assert client.tokens is None
        assert not client.current_account.is_authenticated
        with pytest.raises(dreamgrid.AuthenticationFailed):
            await client.account.me()


async def test_who_waits_for_a_project_is_told_of_a_logout(house: Grid) -> None:
    async with anonymous(house) as client:
        await client.account.create("erin", "correct horse", email="")
        project = await client.projects.create(model=PICTURE, prompt="x")
        waiting = asyncio.create_task(project.wait())
        await asyncio.sleep(0)
        await client.account.logout()
        with pytest.raises(dreamgrid.ConnectionFailed, match="signed in or out"):
            await waiting
        await client.account.login("erin", "correct horse")
        found = await client.projects.attach(project.id)
        await found.cancel()
        assert found.state is dreamgrid.ProjectState.CANCELED


async def test_a_session_goes_on_in_another_process(house: Grid) -> None:
    async with anonymous(house) as first:
        await first.account.create("bob", "correct horse", email="")
        tokens = first.tokens
    assert tokens is not None
    assert "correct horse" not in repr(tokens)
    assert tokens.token not in repr(tokens)
    async with anonymous(house) as second:
        assert not await second.check_auth()
        await second.set_tokens(tokens)
        assert (await second.account.me()).username == "bob"
        assert await second.check_auth()


async def test_a_wrong_password_and_a_taken_name_are_told(house: Grid) -> None:
    async with anonymous(house) as client:
        await client.account.create("carol", "correct horse", email="")
        with pytest.raises(dreamgrid.UsernameTaken):
            await client.account.create("carol", "another horse", email="")
        with pytest.raises(dreamgrid.InvalidRequest, match="at least 8 characters"):
            await client.account.create("fred", "short", email="")
        with pytest.raises(dreamgrid.DreamgridError):
            await client.account.login("carol", "wrong")
        await client.account.login("CAROL", "correct horse", remember_me=True)
        assert (await client.account.me()).username == "carol"


async def test_a_token_that_has_run_out_is_exchanged_without_a_word(house: Grid) -> None:
    async with anonymous(house) as client:
        tokens = await client.account.create("dave", "correct horse", email="")
        head, payload, signature = tokens.token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        old = base64.urlsafe_b64encode(json.dumps(claims | {"exp": 1}).encode()).decode()
        await client.set_tokens((f"{head}.{old.rstrip('=')}.{signature}", tokens.refresh_token))
        assert (await client.account.me()).username == "dave"
        assert client.tokens is not None
        assert client.tokens.refresh_token != tokens.refresh_token
        await client.connect()


async def test_what_was_received_and_paid_is_listed(house: Grid, tmp_path: Path) -> None:
    del tmp_path
    async with dreamgrid.AsyncClient(house.url, house.key) as client, working(house):
        project = await client.projects.create(model=PICTURE, prompt="x")
        await project.wait(timeout_s=45)
        page = await client.account.transactions(limit=50)
        paid = [one for one in page.entries if one.id.upper() == project.id]
        assert [one.kind for one in paid] == ["debit"]
        assert paid[0].amount == (await project.charge()).token
        assert page.next == len(page.entries)
        assert await client.account.rewards() == ()
        assert set(await client.account.wallet_balance()) == {"spark", "sogni", "ether"}
        assert await client.stats.leaderboard("renders") == ()
        assert isinstance(await client.projects.get_loras(), tuple)
        assert (await client.projects.get_lora_constraints()).max_per_request == 8
        light = await client.projects.estimate_enhancement_cost("light")
        heavy = await client.projects.estimate_enhancement_cost("heavy")
        assert 0 < light.token < heavy.token


async def test_the_network_and_the_subscriptions_are_switched(house: Grid) -> None:
    async with dreamgrid.AsyncClient(house.url, house.key) as client:
        assert await client.account.switch_network("relaxed") == "relaxed"
        assert client.current_account.network == "relaxed"
        switches = await client.set_socket_event_subscriptions(
            subscribe=["projectQueue"], unsubscribe=["swarmModels"]
        )
        assert (switches["projectQueue"], switches["swarmModels"]) == (True, False)
