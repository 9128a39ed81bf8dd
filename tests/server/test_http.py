"""HTTP around the projects: keys, who am I, errors in one shape, browsers."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest

from dreamgrid.protocol.rest import KeyInfo
from dreamgrid.protocol.socket import CLOSE_AUTHENTICATION
from dreamgrid.server.accounts import Accounts
from dreamgrid.server.auth import hash_key
from dreamgrid.server.bus.memory import MemoryBus
from dreamgrid.server.clock import system_clock
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.store.base import KeyRow
from dreamgrid.server.store.sqlite import SqliteStore
from tests.support.grid import Grid

NOBODYS = "44BABD98-2112-412D-91DA-B5429A1DF233"

# ── keys ─────────────────────────────────────────────────────────────────────────────────────────


async def make_key(grid: Grid, name: str = "laptop", *, key: str | None = None) -> KeyInfo:
    """A new key of an account."""
    status, body = await grid.call("POST", "/v1/account/keys", key=key, json={"name": name})
    assert (status, body["status"]) == (201, "success")
    made = body["data"]
    return KeyInfo(
        id=made["id"],
        name=made["name"],
        prefix=made["prefix"],
        create_time=made["createTime"],
        scope=made["scope"],
        key=made["key"],
    )


async def test_a_key_works_as_soon_as_it_is_made(grid: Grid) -> None:
    made = await make_key(grid, "laptop")
    assert made.key is not None
    assert made.key.startswith(made.prefix)
    assert (await grid.data("/v1/account/me", key=made.key))["username"] == "local"
    await (await grid.app(key=made.key)).fence()


async def test_keys_are_listed_without_their_secrets(grid: Grid) -> None:
    grid.clock.advance(1)
    made = await make_key(grid, "ноутбук")
    listed = (await grid.data("/v1/account/keys"))["keys"]
    assert [one["name"] for one in listed] == ["local", "ноутбук"]
    assert listed[1] == {
        "id": made.id,
        "name": made.name,
        "prefix": made.prefix,
        "createTime": made.create_time,
        "scope": "all",
    }
    assert made.key is not None
    assert made.key not in json.dumps(listed)


async def test_a_revoked_key_stops_at_once(grid: Grid) -> None:
    made = await make_key(grid)
    assert (await grid.get("/v1/account/me", key=made.key))[0] == 200
    status, body = await grid.call("DELETE", f"/v1/account/keys/{made.id}")
    assert (status, body) == (200, {"status": "success", "data": {}})
    assert (await grid.get("/v1/account/me", key=made.key))[0] == 401
    assert [one["name"] for one in (await grid.data("/v1/account/keys"))["keys"]] == ["local"]
    assert (await grid.call("DELETE", f"/v1/account/keys/{made.id}"))[0] == 404


async def test_a_revoked_key_loses_its_open_sockets_and_no_others(grid: Grid) -> None:
    stolen = (await grid.call("POST", "/v1/account/keys", json={"name": "stolen"}))[1]["data"]
    mine, theirs = await grid.app("mine"), await grid.app("theirs", key=stolen["key"])
    worker, robber = await grid.worker("w1"), await grid.worker("w2", key=stolen["key"])
    assert (await grid.call("DELETE", f"/v1/account/keys/{stolen['id']}"))[0] == 200
    assert await theirs.closed() == CLOSE_AUTHENTICATION
    assert await robber.closed() == CLOSE_AUTHENTICATION
    await mine.fence()
    await mine.request()
    await worker.assigned()


async def test_a_stranger_sees_and_revokes_no_key(grid: Grid) -> None:
    bob = await grid.account("bob")
    made = await make_key(grid, "mine")
    assert "mine" not in str(await grid.data("/v1/account/keys", key=bob))
    status, body = await grid.call("DELETE", f"/v1/account/keys/{made.id}", key=bob)
    assert (status, body["errorCode"]) == (404, 404)
    assert (await grid.get("/v1/account/me", key=made.key))[0] == 200


@pytest.mark.parametrize("path", ["nonsense", NOBODYS, "%2e%2e", "x" * 5_000, "%00", "%ff"])
async def test_revoking_what_never_was_is_not_found(grid: Grid, path: str) -> None:
    status, body = await grid.call("DELETE", f"/v1/account/keys/{path}")
    assert (status, body["status"]) == (404, "error")


def bytes_of_database(grid: Grid) -> bytes:
    return b"".join(path.read_bytes() for path in grid.config.data_dir.glob("dreamgrid.sqlite*"))


async def test_no_secret_is_stored(grid: Grid) -> None:
    made = await make_key(grid)
    assert made.key is not None
    await grid.stop()
    assert made.key.encode() not in bytes_of_database(grid)
    assert made.id.encode() in bytes_of_database(grid)
    await grid.start()
    assert (await grid.get("/v1/account/me", key=made.key))[0] == 200


async def test_the_key_of_the_starter_is_readable_by_nobody_else(grid: Grid) -> None:
    path = grid.config.data_dir / "local-key"
    assert path.read_text().strip() == grid.key
    assert path.stat().st_mode & 0o077 == 0
    first = grid.key
    await grid.restart()
    assert grid.key == first
    path.unlink()
    await grid.restart()
    assert grid.key != first
    assert path.read_text().strip() == grid.key


class SlowLookup(SqliteStore):
    """A store that answers questions about keys when a test lets it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()

    async def key_by_hash(self, key_hash: bytes) -> KeyRow | None:
        row = await super().key_by_hash(key_hash)
        self.asked.set()
        await self.answer.wait()
        return row


async def test_a_key_that_is_revoked_while_it_is_looked_up_is_not_remembered(
    tmp_path: Path,
) -> None:
    store = SlowLookup(tmp_path / "grid.sqlite")
    await store.open()
    accounts = Accounts(ServerConfig(data_dir=tmp_path), store, MemoryBus(), system_clock)
    account = await accounts.create("ada")
    assert account is not None
    info = await accounts.create_key(account, "laptop")
    assert info.key is not None
    looking = asyncio.create_task(accounts.authenticate(info.key))
    await store.asked.wait()
    await accounts.revoke_key(account, info.id)
    store.answer.set()
    assert await looking is None
    assert await accounts.authenticate(info.key) is None
    assert hash_key(info.key) not in accounts._by_key_hash
    await store.close()


# ── accounts ─────────────────────────────────────────────────────────────────────────────────────


async def test_an_account_is_told_who_it_is(grid: Grid) -> None:
    me = await grid.data("/v1/account/me")
    assert me["username"] == "local"
    assert {"currentEmail", "walletAddress", "emailVerified", "discord2FA"} <= me.keys()


@pytest.mark.parametrize("version", [1, 2, 3, 4])
async def test_every_version_of_the_balance_is_the_same(grid: Grid, version: int) -> None:
    balance = await grid.data(f"/v{version}/account/balance")
    assert balance["spark"]["net"] == balance["sogni"]["net"] == "1000.000000"
    assert "premiumCredit" in balance["spark"]


async def test_nobody_has_a_subscription(grid: Grid) -> None:
    status = await grid.data("/v1/subscriptions/status")
    assert status == {"subscription": {"active": False, "status": "none"}}


PRIVATE = [
    ("GET", "/v1/account/me"),
    ("GET", "/v4/account/balance"),
    ("GET", "/v1/account/keys"),
    ("POST", "/v1/account/keys"),
    ("DELETE", "/v1/account/keys/X"),
    ("GET", "/v1/subscriptions/status"),
    ("GET", f"/v1/projects/{NOBODYS}"),
    ("GET", f"/v2/projects/{NOBODYS}"),
    ("GET", "/v1/image/uploadUrl"),
    ("GET", "/v1/image/downloadUrl"),
    ("GET", "/v1/assets/capabilities"),
    ("GET", "/api/v1/artist/projects/active"),
    ("GET", "/api/v1/artist/projects/sync"),
]


@pytest.mark.parametrize(("method", "path"), PRIVATE)
@pytest.mark.parametrize("key", ["", "wrong", "dgk_" + "A" * 43])
async def test_what_is_private_needs_a_key(grid: Grid, method: str, path: str, key: str) -> None:
    status, body = await grid.call(method, path, key=key)
    assert status == 401
    assert (body["status"], body["errorCode"]) == ("error", 401)
    assert body["message"]


PUBLIC = ["/healthz", "/api/v1/models/list", "/api/v2/models/tiers", "/nowhere"]


@pytest.mark.parametrize("path", PUBLIC)
@pytest.mark.parametrize("key", ["", "wrong"])
async def test_what_is_public_never_answers_401(grid: Grid, path: str, key: str) -> None:
    """The published SDKs sign out at any 401."""
    assert (await grid.get(path, key=key))[0] != 401


async def test_an_offer_of_another_upgrade_is_an_ordinary_request(grid: Grid) -> None:
    headers = {"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "AA"}
    assert (await grid.call("GET", "/v1/account/me", headers=headers))[0] == 200


# ── errors ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/loras/personal/none", 404),
        ("GET", "/nowhere", 404),
        ("POST", "/nowhere", 404),
        ("PATCH", "/v1/account/me", 405),
        ("PUT", "/v1/account/keys", 405),
        ("DELETE", "/", 405),
        ("GET", "/v1/chat/completions", 404),
        ("GET", "/v1/projects/", 404),
        ("GET", "/v1/projects/nonsense", 400),
        ("GET", "/v1/projects/..%2f..%2fetc%2fpasswd", 400),
        ("GET", f"/v1/projects/{NOBODYS}", 404),
        ("GET", f"/v2/projects/{NOBODYS}", 404),
        ("GET", "/v2/projects/%00", 400),
        ("GET", "/v1/image/downloadUrl", 400),
        ("GET", f"/v1/image/downloadUrl?jobId={NOBODYS}&imageId=x&type=complete", 400),
        ("GET", "/blobs/nothing", 403),
        ("PUT", "/blobs/nothing", 403),
        ("GET", "/blobs/../../etc/passwd", 404),
        ("POST", "/v1/worker", 405),
        ("GET", "/v1/worker", 400),
    ],
)
async def test_every_error_has_the_one_shape(
    grid: Grid, method: str, path: str, status: int
) -> None:
    answered, body = await grid.call(method, path)
    assert answered == status, body
    assert body["status"] == "error"
    assert isinstance(body["message"], str)
    assert body["message"]
    assert isinstance(body["errorCode"], int)
    assert body.keys() <= {"status", "message", "errorCode", "retryAfter", "details"}


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b'{"name":"x","more":[1]}'],
)
async def test_a_body_may_be_absent_or_hold_more(grid: Grid, body: bytes) -> None:
    assert (await grid.call("POST", "/v1/account/keys", data=body))[0] == 201


@pytest.mark.parametrize(
    "body",
    [
        b"[",
        b"[]",
        b"null",
        b'{"name":7}',
        b'{"name":null}',
        b'{"name":"' + b"x" * 101 + b'"}',
        b"\xff\xfe",
        b'{"name":"\\ud800"}',
        b"[" * 100_000,
        b'{"more":' + b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:30]),
)
async def test_a_body_that_cannot_be_read_is_a_bad_request(grid: Grid, body: bytes) -> None:
    status, answer = await grid.call("POST", "/v1/account/keys", data=body)
    assert (status, answer["errorCode"]) == (400, 4000)
    assert len(answer["message"]) < 500
    assert len((await grid.data("/v1/account/keys"))["keys"]) == 1


async def test_a_body_beyond_the_limit_is_too_large(grid: Grid) -> None:
    status, body = await grid.call(
        "POST", "/v1/account/keys", data=io.BytesIO(bytes(1024 * 1024 + 1))
    )
    assert (status, body["status"], body["errorCode"]) == (413, "error", 413)


async def test_a_surprise_is_told_in_the_same_shape_and_logged(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(store: object, account_id: str) -> object:
        raise RuntimeError("a bug")

    monkeypatch.setattr(SqliteStore, "keys", broken)
    status, body = await grid.get("/v1/account/keys")
    assert (status, body["errorCode"]) == (500, 500)
    assert "a bug" not in body["message"]
    assert "a bug" in caplog.text


# ── browsers ─────────────────────────────────────────────────────────────────────────────────────

ORIGIN = "https://studio.example.org"


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/account/me", 200), ("/nowhere", 404), ("/v1/projects/x", 400), ("/blobs/x", 403)],
)
async def test_browsers_of_any_origin_may_read_answers_and_errors(
    grid: Grid, path: str, status: int
) -> None:
    headers = {"Origin": ORIGIN, "api-key": grid.key}
    async with grid.http.get(grid.url + path, headers=headers) as answer:
        assert answer.status == status
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        readable = answer.headers["Access-Control-Expose-Headers"].split(", ")
        assert {"Retry-After", "x-request-id", "x-should-retry"} <= set(readable)
        assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("path", ["/v1/account/keys", "/blobs/some/file", "/nowhere"])
async def test_a_preflight_allows_what_the_sdks_send(grid: Grid, path: str) -> None:
    wanted = "authorization, api-key, content-type, x-app-source, x-sogni-client"
    headers = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": wanted,
    }
    async with grid.http.options(grid.url + path, headers=headers) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.headers["Access-Control-Allow-Headers"] == wanted
        methods = answer.headers["Access-Control-Allow-Methods"].split(", ")
        assert {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} <= set(methods)


async def test_without_an_origin_nothing_is_said_about_browsers(grid: Grid) -> None:
    async with grid.http.get(f"{grid.url}/healthz") as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers


# ── grants ───────────────────────────────────────────────────────────────────────────────────────

GRANTS = "/v1/admin/grants"


async def test_the_owner_grants_and_connected_apps_hear_of_it(grid: Grid) -> None:
    alice = await grid.account("alice")
    app = await grid.app(key=alice)
    wish = {"username": "Alice", "amount": "12.5"}
    status, body = await grid.call("POST", GRANTS, json=wish)
    assert (status, body["data"]["spark"]["net"]) == (201, "1012.500000")
    assert (await app.wait_for("balanceUpdate"))["spark"]["net"] == "1012.500000"
    assert (await grid.spark(alice))["net"] == "1012.500000"


async def test_nobody_but_the_owner_grants(grid: Grid) -> None:
    alice = await grid.account("alice")
    wish = {"username": "alice", "amount": 5}
    assert (await grid.call("POST", GRANTS, key=alice, json=wish))[0] == 403
    assert (await grid.call("POST", GRANTS, key="", json=wish))[0] == 401
    assert (await grid.spark(alice))["net"] == "1000.000000"


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"username": "nobody", "amount": 1}, 404),
        ({"username": "local", "amount": 0}, 400),
        ({"username": "local", "amount": -1}, 400),
        ({"username": "local", "amount": "0.0000001"}, 400),
        ({"username": "local", "amount": "NaN"}, 400),
        ({"username": "local", "amount": "Infinity"}, 400),
        ({"username": "local", "amount": "1e99999"}, 400),
        ({"username": "local", "amount": 1, "token_type": "gold"}, 400),
    ],
)
async def test_a_grant_that_makes_no_sense_is_refused(
    grid: Grid, wish: dict[str, Any], status: int
) -> None:
    assert (await grid.call("POST", GRANTS, json=wish))[0] == status
    assert (await grid.spark())["net"] == "1000.000000"


# ── what other grids have ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/chat/runs"),
        ("GET", "/v1/chat/runs/1/events/stream"),
        ("POST", "/v1/creative-agent/tools/execute"),
        ("GET", "/v1/creative-agent/workflows/templates/1"),
        ("POST", "/v1/world-builds"),
        ("GET", "/v1/subscriptions/plans"),
        ("POST", "/v1/iap/stripe/subscribe"),
        ("POST", "/v2/account/token/withdraw"),
        ("POST", "/v3/account/token/deposit"),
        ("GET", "/api/v1/job-llm/estimate/spark/some-model/100/100"),
    ],
)
async def test_what_this_grid_does_not_have_is_not_found_and_signs_nobody_out(
    grid: Grid, method: str, path: str
) -> None:
    for key in (grid.key, ""):
        status, body = await grid.call(method, path, key=key, json={})
        assert (status, body["status"], body["errorCode"]) == (404, "error", 404)
        assert "/docs/api" in body["message"]


@pytest.mark.parametrize(
    ("method", "path", "why"),
    [
        ("POST", "/v1/assets/prepare", "saved uploads are off"),
        ("POST", "/v1/assets/A/finalize", "saved uploads are off"),
        ("POST", "/v1/assets/A/bind", "saved uploads are off"),
        ("DELETE", "/v1/assets/A", "saved uploads are off"),
        ("POST", "/v1/loras/personal", "its operator adds them"),
        ("GET", "/v1/loras/personal/A", "its operator adds them"),
        ("DELETE", "/v1/loras/personal/A", "its operator adds them"),
        ("POST", "/v1/replay/records", "replay records are not kept"),
        ("GET", "/v1/replay/records/A", "replay records are not kept"),
    ],
)
async def test_what_this_grid_does_not_do_is_refused_in_words(
    grid: Grid, method: str, path: str, why: str
) -> None:
    status, body = await grid.call(method, path, json={})
    assert (status, body["status"], body["errorCode"]) == (404, "error", 404)
    assert why in body["message"]


async def test_replay_records_are_an_empty_list_without_a_wrapper(grid: Grid) -> None:
    assert await grid.get("/v1/replay/records?limit=3") == (200, {"records": []})


async def test_an_announcement_that_nobody_made_can_be_hidden(grid: Grid) -> None:
    _, body = await grid.call("POST", "/v1/announcements/A1/dismiss", json={})
    assert body["data"] == {"dismissed": True, "id": "A1"}


NO_SAVED_UPLOADS = dict.fromkeys(
    ("entries", "bytes", "fileBytes", "idleDays", "copyBytesPerDay", "bindingsPerDay"), 0
)


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/v1/assets", {"assets": [], "limits": NO_SAVED_UPLOADS}),
        ("/v1/leaderboard/", []),
        ("/v1/announcements/active?platform=web", {"announcements": []}),
        ("/v4/account/rewards?provider=base", {"rewards": []}),
        ("/v2/wallet/balance?provider=base", {"sogni": "0", "spark": "0", "ether": "0"}),
        ("/v1/subscriptions/status", {"subscription": {"active": False, "status": "none"}}),
        (
            "/v1/loras/personal",
            {
                "loras": [],
                "models": [],
                "limits": {
                    "entries": 0,
                    "fileBytes": None,
                    "importsPerDay": 0,
                    "perGeneration": 0,
                },
            },
        ),
    ],
)
async def test_what_clients_ask_for_on_the_way_is_answered_emptily(
    grid: Grid, path: str, data: object
) -> None:
    assert await grid.data(path) == data
