"""Signing up, in and out over HTTP, and how long each of these lasts."""

import asyncio
import base64
import builtins
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import jwt
import pytest

from dreamgrid.protocol import wallet
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.sessions import COOKIE_S, GRACE_MS
from dreamgrid.server.wallet import NONCE_S
from tests.server.conftest import MakeGrid
from tests.support.grid import Grid
from tests.support.wallets import Person, member

ME = "/v1/account/me"


async def me(grid: Grid, token: str, prefix: str = "") -> tuple[int, Any]:
    return await grid.call("GET", ME, key="", headers={"Authorization": prefix + token})


async def refresh(grid: Grid, token: str) -> tuple[int, Any]:
    wish = {"refreshToken": token}
    return await grid.call("POST", "/v1/account/refresh-token", key="", json=wish)


# ── who comes in ─────────────────────────────────────────────────────────────────────────────────


async def test_a_new_account_can_work_at_once(grid: Grid) -> None:
    tokens = await member(grid, "Alice")
    assert tokens["username"] == "Alice"
    status, shown = await me(grid, tokens["token"])
    assert status == 200
    assert shown["data"]["username"] == "Alice"
    assert shown["data"]["currentEmail"] == "Alice@example.com"
    assert shown["data"]["walletAddress"] == Person(grid, "Alice").address
    bearer = {"Authorization": "Bearer " + tokens["token"]}
    _, balance = await grid.call("GET", "/v4/account/balance", key="", headers=bearer)
    assert balance["data"]["spark"]["net"] == "1000.000000"


@pytest.mark.parametrize("testnet", [False, True])
async def test_both_networks_signatures_are_taken(grid: Grid, testnet: bool) -> None:
    alice = Person(grid, "alice")
    assert (await alice.sign_up(testnet=testnet))[0] == 200
    status, body = await alice.log_in(testnet=testnet)
    assert (status, body["data"]["username"]) == (200, "alice")


async def test_a_wallet_address_counts_in_any_case(grid: Grid) -> None:
    alice = Person(grid, "alice")
    await alice.sign_up()
    assert (await alice.log_in(walletAddress=alice.address.lower()))[0] == 200


async def test_a_nonce_works_once(grid: Grid) -> None:
    alice = Person(grid, "alice")
    await alice.sign_up()
    nonce = await alice.nonce()
    assert (await alice.log_in(nonce))[0] == 200
    assert (await alice.log_in(nonce))[0] == 403


async def test_two_logins_of_one_wallet_may_overlap(grid: Grid) -> None:
    alice = Person(grid, "alice")
    await alice.sign_up()
    first, second = await alice.nonce(), await alice.nonce()
    assert (await alice.log_in(first))[0] == 200
    assert (await alice.log_in(second))[0] == 200


async def test_a_nonce_is_not_good_for_long(grid: Grid) -> None:
    alice = Person(grid, "alice")
    await alice.sign_up()
    nonce = await alice.nonce()
    grid.clock.advance(NONCE_S)
    assert (await alice.log_in(nonce))[0] == 403


async def test_a_wrong_password_is_told_as_such(grid: Grid) -> None:
    await Person(grid, "alice").sign_up()
    status, body = await Person(grid, "alice", "guess").log_in()
    assert (status, body["message"]) == (403, "wrong username or password")


async def test_what_was_signed_cannot_be_changed_afterwards(grid: Grid) -> None:
    alice = Person(grid, "alice")
    assert (await alice.sign_up(email="mallory@example.com"))[0] == 403
    assert (await alice.sign_up(username="mallory"))[0] == 403
    mallory = Person(grid, "mallory")
    assert (await mallory.sign_up(walletAddress=alice.address))[0] == 403


@pytest.mark.parametrize("taken", ["alice", "ALICE"])
async def test_a_username_belongs_to_one_account_in_any_case(grid: Grid, taken: str) -> None:
    await Person(grid, "alice").sign_up()
    status, body = await Person(grid, taken, "another").sign_up()
    assert (status, body["errorCode"]) == (400, 108)
    status, body = await Person(grid, taken).post("username/validate", username=taken)
    assert (status, body["errorCode"]) == (400, 108)
    assert await Person(grid, "b").post("username/validate", username="bob") == (
        200,
        {"status": "success", "data": None},
    )


@pytest.mark.parametrize("name", ["", "x", "a b", "../etc", "a" * 41, "ünsal"])
async def test_a_username_has_a_plain_form(grid: Grid, name: str) -> None:
    status, body = await Person(grid, "x").post("username/validate", username=name)
    assert (status, body["errorCode"]) == (400, 4000)


async def test_sign_up_can_be_closed_while_members_still_come_in(make_grid: MakeGrid) -> None:
    async with make_grid() as grid:
        await Person(grid, "alice").sign_up()
    async with make_grid(signup="closed") as grid:
        status, body = await Person(grid, "bob").sign_up()
        assert (status, body["errorCode"]) == (403, 4004)
        assert "closed" in body["message"]
        assert (await Person(grid, "alice").log_in())[0] == 200


async def test_a_page_is_told_which_ways_in_there_are(
    make_grid: MakeGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways, elsewhere = "/v1/account/sign-in", {"X-Forwarded-For": "203.0.113.7"}
    async with make_grid() as grid:
        assert await grid.data(ways, key="") == {"password": True, "signUp": True, "reason": ""}
        status, body = await grid.call("GET", ways, key="", headers=elsewhere)
        assert (status, body["data"]["password"], body["data"]["signUp"]) == (200, True, False)
        assert "private grid" in body["data"]["reason"]
        monkeypatch.setattr("dreamgrid.server.wallet.find_spec", lambda name: None)
        told = await grid.data(ways, key="")
        assert (told["password"], told["signUp"]) == (False, False)
        assert "eth-account is missing" in told["reason"]
    monkeypatch.undo()
    async with make_grid(signup="closed") as grid:
        told = await grid.data(ways, key="")
        assert (told["password"], told["signUp"]) == (True, False)
        assert "closed" in told["reason"]


@pytest.mark.parametrize(("host", "is_open"), [("0.0.0.0", False), ("127.0.0.1", True)])
def test_strangers_are_welcome_only_where_no_stranger_can_connect(
    tmp_path: Path, host: str, is_open: bool
) -> None:
    assert ServerConfig(data_dir=tmp_path, host=host).signup_open is is_open
    assert ServerConfig(data_dir=tmp_path, host=host, signup="open").signup_open


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[::1"},
        {"Host": "evil.example:8770"},
        {"X-Forwarded-For": "203.0.113.7"},
        {"Via": "1.1 proxy"},
    ],
    ids=lambda headers: " ".join(*headers.items()),
)
async def test_nobody_from_elsewhere_makes_an_account_on_a_private_grid(
    make_grid: MakeGrid, headers: dict[str, str]
) -> None:
    async with make_grid() as grid:
        status, body = await Person(grid, "alice").sign_up(headers=headers)
        assert (status, body["errorCode"]) == (403, 4004)
        local = {"Origin": "http://localhost:5173"}
        assert (await Person(grid, "alice").sign_up(headers=local))[0] == 200
    async with make_grid(signup="open") as grid:
        assert (await Person(grid, "bob").sign_up(headers=headers))[0] == 200


# ── limits ───────────────────────────────────────────────────────────────────────────────────────


async def test_guessing_is_slowed_down_and_members_wait_a_minute(make_grid: MakeGrid) -> None:
    async with make_grid(guesses_per_minute=3) as grid:
        alice = Person(grid, "alice")
        await alice.sign_up()
        for guess in ("1", "2", "3"):
            assert (await Person(grid, "alice", guess).log_in())[0] == 403
        status, body = await alice.log_in()
        assert (status, body["errorCode"], body["retryAfter"]) == (429, 429, 60.0)
        grid.clock.advance(60)
        assert (await alice.log_in())[0] == 200


async def test_many_guesses_at_once_are_no_way_around_the_limit(make_grid: MakeGrid) -> None:
    async with make_grid(guesses_per_minute=3) as grid:
        thieves = [Person(grid, "alice", str(number)) for number in range(12)]
        nonces = [await thief.nonce() for thief in thieves]
        guesses = zip(thieves, nonces, strict=True)
        answers = await asyncio.gather(*(thief.log_in(nonce) for thief, nonce in guesses))
        assert sorted(status for status, _ in answers) == [403] * 3 + [429] * 9


async def test_right_passwords_do_not_count_as_guesses(make_grid: MakeGrid) -> None:
    async with make_grid(guesses_per_minute=2) as grid:
        alice = Person(grid, "alice")
        assert (await alice.sign_up())[0] == 200
        for _ in range(4):
            assert (await alice.log_in())[0] == 200


async def test_accounts_cannot_be_made_in_bulk(make_grid: MakeGrid) -> None:
    async with make_grid(signups_per_hour=2) as grid:
        await member(grid, "alice")
        await member(grid, "bob")
        assert (await Person(grid, "carol").sign_up())[0] == 429
        grid.clock.advance(3600)
        assert (await Person(grid, "carol").sign_up())[0] == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("nonce", {}),
        ("nonce", {"walletAddress": "0x12"}),
        ("nonce", {"walletAddress": 7}),
        ("login", {"walletAddress": "0x" + "a" * 40, "signature": "0x" + "z" * 130}),
        ("login", {"walletAddress": "0x" + "a" * 40}),
        ("create", {"username": "alice"}),
        ("refresh-token", {"refreshToken": None}),
        ("username/validate", {"username": "a" * 10_000}),
    ],
)
async def test_a_malformed_body_is_refused_with_the_field(
    grid: Grid, path: str, body: dict[str, Any]
) -> None:
    status, answer = await Person(grid, "alice").post(path, **body)
    assert (status, answer["errorCode"]) == (400, 4000)


# ── tokens ───────────────────────────────────────────────────────────────────────────────────────


async def test_tokens_say_what_clients_read_from_them(grid: Grid) -> None:
    tokens = await member(grid, "alice")
    now_s = int(grid.clock())
    access, renewal = (
        json.loads(base64.urlsafe_b64decode(tokens[name].split(".")[1] + "=="))
        for name in ("token", "refreshToken")
    )
    assert access["addr"] == Person(grid, "alice").address
    assert access["exp"] - now_s >= 3600
    assert renewal["exp"] - now_s >= 30 * 24 * 3600


async def test_an_expired_access_token_is_exchanged_for_a_new_one(grid: Grid) -> None:
    tokens = await member(grid, "alice")
    grid.clock.advance(grid.config.access_token_s)
    assert (await me(grid, tokens["token"]))[0] == 401
    status, body = await refresh(grid, tokens["refreshToken"])
    assert status == 200
    assert (await me(grid, body["data"]["token"]))[0] == 200


async def test_processes_that_share_a_refresh_token_get_the_same_next_one(grid: Grid) -> None:
    tokens = await member(grid, "alice")
    old = tokens["refreshToken"]
    _, first = await refresh(grid, old)
    _, second = await refresh(grid, old)
    assert first["data"]["refreshToken"] == second["data"]["refreshToken"]
    grid.clock.advance(GRACE_MS / 1000 + 1)
    assert (await refresh(grid, old))[0] == 401
    assert (await refresh(grid, second["data"]["refreshToken"]))[0] == 200


async def test_a_sign_in_lasts_as_long_as_it_is_used(grid: Grid) -> None:
    token = (await member(grid, "alice"))["refreshToken"]
    for _ in range(3):
        grid.clock.advance(grid.config.refresh_token_s - 10)
        status, body = await refresh(grid, token)
        assert status == 200
        token = body["data"]["refreshToken"]
    grid.clock.advance(grid.config.refresh_token_s)
    assert (await refresh(grid, token))[0] == 401


async def test_sign_ins_survive_a_restart(grid: Grid) -> None:
    tokens = await member(grid, "alice")
    await grid.restart()
    assert (await me(grid, tokens["token"]))[0] == 200
    assert (await refresh(grid, tokens["refreshToken"]))[0] == 200


async def test_logout_ends_this_sign_in_and_no_other(grid: Grid) -> None:
    alice = Person(grid, "alice")
    here = await member(grid, "alice")
    there = (await alice.log_in())[1]["data"]
    headers = {"Authorization": here["token"]}
    assert (await grid.call("POST", "/v1/account/logout", key="", headers=headers, json={}))[
        0
    ] == 200
    assert (await me(grid, here["token"]))[0] == 401
    assert (await refresh(grid, here["refreshToken"]))[0] == 401
    assert (await me(grid, there["token"]))[0] == 200


async def test_logout_with_a_key_leaves_the_key_alone(grid: Grid) -> None:
    assert (await grid.call("POST", "/v1/account/logout", json={}))[0] == 200
    assert (await grid.get(ME))[0] == 200


async def test_forged_and_mixed_up_tokens_are_refused(grid: Grid) -> None:
    tokens = await member(grid, "alice")
    claims = jwt.decode(tokens["token"], options={"verify_signature": False})
    forged = {
        "another secret": jwt.encode(claims, "x" * 32, algorithm="HS256"),
        "no signature": jwt.encode(claims, "", algorithm="none"),
        "a refresh token": tokens["refreshToken"],
        "a cut off one": tokens["token"][:-2],
        "no token": "nonsense",
    }
    assert {what: (await me(grid, token))[0] for what, token in forged.items()} == dict.fromkeys(
        forged, 401
    )
    assert (await refresh(grid, tokens["token"]))[0] == 401


async def test_a_token_opens_the_socket_and_a_wrong_one_is_told_so(grid: Grid) -> None:
    tokens = await member(grid, "alice")
    for token, frame in ((tokens["token"], b"authenticated"), ("a.b.c", None)):
        async with grid.http.ws_connect(
            f"{grid.url}/?appId=a", headers={"Authorization": token}
        ) as socket:
            message = await socket.receive(timeout=60)
            if frame is None:
                assert socket.close_code == 4021
                assert "sign in again" in str(message.extra)
            else:
                assert frame in message.data


# ── browsers ─────────────────────────────────────────────────────────────────────────────────────


async def browse(grid: Grid, method: str, path: str, cookie: str | None = None, **body: Any) -> Any:
    """What a browser gets: status and the cookie that it is to keep from now on, if any."""
    headers = {"Cookie": f"authorization={cookie}"} if cookie else {}
    async with grid.http.request(
        method, f"{grid.url}{path}", headers=headers, json=body or None
    ) as answer:
        await answer.read()
        return answer.status, answer.cookies.get("authorization")


async def log_in_with_browser(grid: Grid, *, remember: bool) -> Any:
    """Signs in; the cookie."""
    alice = Person(grid, "alice")
    signature = alice.sign(wallet.authentication(alice.address, await alice.nonce(), testnet=False))
    wish: dict[str, Any] = {"walletAddress": alice.address, "signature": signature}
    wish["rememberMe"] = remember
    status, given = await browse(grid, "POST", "/v1/account/login", **wish)
    assert status == 200
    return given


@pytest.mark.parametrize(("remember", "max_age"), [(False, ""), (True, str(30 * 24 * 3600))])
async def test_a_browser_is_signed_in_by_a_cookie_that_scripts_cannot_read(
    grid: Grid, remember: bool, max_age: str
) -> None:
    await member(grid, "alice")
    given = await log_in_with_browser(grid, remember=remember)
    assert (given["httponly"], given["samesite"], given["max-age"]) == (True, "Lax", max_age)
    assert (await browse(grid, "GET", ME, given.value))[0] == 200
    headers = {"Cookie": f"authorization={given.value}"}
    async with grid.http.ws_connect(f"{grid.url}/?appId=a", headers=headers) as socket:
        assert b"authenticated" in (await socket.receive(timeout=60)).data


async def test_a_browser_that_comes_back_keeps_its_session(grid: Grid) -> None:
    await member(grid, "alice")
    given = await log_in_with_browser(grid, remember=False)
    assert await browse(grid, "GET", ME, given.value) == (200, None)
    for _ in range(3):
        grid.clock.advance(COOKIE_S * 0.6)
        status, given = await browse(grid, "GET", ME, given.value)
        assert status == 200
    grid.clock.advance(COOKIE_S)
    assert (await browse(grid, "GET", ME, given.value))[0] == 401


async def test_logout_takes_the_cookie_away(grid: Grid) -> None:
    await member(grid, "alice")
    given = await log_in_with_browser(grid, remember=True)
    status, gone = await browse(grid, "POST", "/v1/account/logout", given.value)
    assert (status, gone.value, gone["max-age"]) == (200, "", "0")
    assert (await browse(grid, "GET", ME, given.value))[0] == 401


# ── without the libraries ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("missing", "says"), [("eth_account", "eth-account"), ("jwt", "PyJWT")])
async def test_a_server_without_the_libraries_still_works_with_keys(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, missing: str, says: str
) -> None:
    alice = Person(grid, "alice")
    tokens = await member(grid, "alice")
    real_import = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == missing:
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    nonce = await alice.nonce()
    signature = alice.sign(wallet.authentication(alice.address, nonce, testnet=False))
    monkeypatch.setattr(builtins, "__import__", without)
    status, body = await alice.post("login", walletAddress=alice.address, signature=signature)
    assert (status, body["errorCode"]) == (503, 5006)
    assert says in body["message"]
    assert (await grid.get(ME))[0] == 200
    assert (await me(grid, tokens["token"]))[0] == (401 if missing == "jwt" else 200)


# ── history ──────────────────────────────────────────────────────────────────────────────────────


async def test_an_account_sees_what_it_received_and_paid_and_nobody_elses(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(slots=2)
    grid.clock.advance(1)
    project = await app.request(numberOfImages=2)
    for job in [await worker.assigned() for _ in range(2)]:
        await worker.start(job)
        await worker.finish(job)
    await app.wait_state("jobCompleted")
    page = await grid.data("/v1/transactions/list?status=completed&limit=1&offset=undefined")
    paid = page["transactions"][0]
    assert page["next"] == 1
    assert (paid["type"], paid["source"], paid["sourceSID"]) == ("debit", "project", project)
    spent = Decimal("1000") - Decimal((await grid.spark())["net"])
    assert Decimal(str(paid["amount"])) == spent
    page = await grid.data("/v1/transactions/list?offset=1")
    assert [(one["type"], one["tokenType"], one["amount"]) for one in page["transactions"]] == [
        ("credit", "sogni", 1000.0),
        ("credit", "spark", 1000.0),
    ]
    stranger = {"Authorization": (await member(grid, "bob"))["token"]}
    _, body = await grid.call("GET", "/v1/transactions/list", key="", headers=stranger)
    assert {one["source"] for one in body["data"]["transactions"]} == {"grant"}


@pytest.mark.parametrize("query", ["limit=-1", "limit=x", "offset=99999999999", "limit=%C2%B2"])
async def test_a_page_is_asked_for_in_whole_numbers(grid: Grid, query: str) -> None:
    assert (await grid.get(f"/v1/transactions/list?{query}"))[0] == 400


EMPTY = {
    "/v4/account/rewards": {"rewards": []},
    "/v2/wallet/balance?walletAddress=0x1": {"sogni": "0", "spark": "0", "ether": "0"},
    "/v1/leaderboard/?type=x": [],
    "/v1/announcements/active": {"announcements": []},
    "/v1/subscriptions/status": {"subscription": {"active": False, "status": "none"}},
}


@pytest.mark.parametrize(("path", "data"), EMPTY.items())
async def test_what_this_grid_does_not_have_is_answered_empty(
    grid: Grid, path: str, data: Any
) -> None:
    assert await grid.data(path) == data
