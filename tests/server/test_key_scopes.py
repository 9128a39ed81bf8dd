"""What a key may do depends on its scope, at every door: HTTP, the apps' socket, the workers'."""

from decimal import Decimal
from typing import Any

import pytest

from dreamgrid.protocol.scopes import Scope
from dreamgrid.protocol.socket import CLOSE_NOT_ALLOWED
from dreamgrid.protocol.worker import Welcome
from tests.support.grid import Grid
from tests.support.wire import hello_of

SCOPES: tuple[Scope, ...] = ("all", "render", "work", "read")
NOT_ALLOWED, OVER_CAP = 4004, 4007


async def key_of(grid: Grid, scope: Scope, **caps: str) -> str:
    body = {"name": scope, "scope": scope, **caps}
    status, answer = await grid.call("POST", "/v1/account/keys", json=body)
    assert status == 201
    assert answer["data"]["scope"] == scope
    return str(answer["data"]["key"])


@pytest.mark.parametrize(
    ("method", "path", "body", "allowed"),
    [
        ("GET", "/v1/account/me", None, SCOPES),
        ("GET", "/v4/account/balance", None, ("all", "render", "read")),
        ("GET", "/v1/transactions/list", None, ("all", "render", "read")),
        ("GET", "/v1/account/keys", None, ("all",)),
        ("POST", "/v1/account/keys", {"name": "x"}, ("all",)),
        ("POST", "/v1/admin/grants", {"username": "local", "amount": "1"}, ("all",)),
        (
            "GET",
            "/v1/image/uploadUrl?imageId=X&jobId=6F1E9D1C-2A6B-4B6E-9C61-5B0C4D1F2A33"
            "&type=startingImage",
            None,
            ("all", "render"),
        ),
    ],
)
async def test_http_asks_for_the_scope(
    grid: Grid, method: str, path: str, body: Any, allowed: tuple[Scope, ...]
) -> None:
    for scope in SCOPES:
        key = await key_of(grid, scope)
        status, answer = await grid.call(method, path, key=key, json=body)
        if scope in allowed:
            assert status in (200, 201), scope
        else:
            assert (status, answer["errorCode"]) == (403, NOT_ALLOWED)
            assert f"scope '{scope}'" in answer["message"]
            assert "keys create --scope" in answer["message"]


async def test_every_endpoint_is_closed_to_keys_without_its_scope(grid: Grid) -> None:
    """A new endpoint that changes something needs a key for everything, unless it says less."""
    _, document = await grid.get("/openapi.json")
    worker_key, checked = await key_of(grid, "work"), 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "Needs an API key" not in operation["description"] or "{" in path:
                continue
            options: dict[str, Any] = {} if method == "get" else {"json": {}}
            status, _ = await grid.call(method.upper(), path, key=worker_key, **options)
            assert status == 403, path
            checked += 1
    assert checked > 10


@pytest.mark.parametrize("scope", SCOPES)
async def test_only_a_key_that_may_work_runs_a_worker(grid: Grid, scope: Scope) -> None:
    worker = await grid.worker_socket(hello_of("w1"), key=await key_of(grid, scope))
    if scope in ("all", "work"):
        await worker.expect(Welcome)
    else:
        assert await worker.closed() == CLOSE_NOT_ALLOWED


async def test_a_key_for_workers_opens_no_socket_for_apps(grid: Grid) -> None:
    app = await grid.socket(await key_of(grid, "work"), appId="a")
    assert await app.closed() == CLOSE_NOT_ALLOWED
    assert app.frames == []


async def test_a_key_that_only_reads_watches_but_neither_submits_nor_cancels(grid: Grid) -> None:
    app = await grid.app(key=await key_of(grid, "render"))
    project = await app.request()
    await app.wait_state("queued", jobID=project)
    watching = await grid.app(key=await key_of(grid, "read"))
    refused = await watching.request()
    answer = await watching.wait_for("jobError", jobID=refused)
    assert answer["error"] == NOT_ALLOWED
    assert "scope 'read'" in answer["error_message"]
    await watching.send("jobError", {"jobID": project, "error": "artistCanceled"})
    answer = await watching.wait_for("artistCancelConfirmation", jobID=project)
    assert answer["didCancel"] is False
    assert (await grid.live(project))["status"] == "queued"


async def test_a_key_that_renders_can_cancel_and_look(grid: Grid) -> None:
    key = await key_of(grid, "render")
    app = await grid.app(key=key)
    project = await app.request()
    await app.wait_state("queued", jobID=project)
    assert (await grid.live(project, key=key))["status"] == "queued"
    await app.cancel(project)


# ── caps ─────────────────────────────────────────────────────────────────────────────────────────


async def price(grid: Grid) -> Decimal:
    """What the test's project costs."""
    app = await grid.app("asks")
    project = await app.request()
    await app.wait_state("queued", jobID=project)
    held = Decimal((await grid.spark())["debit"])
    await app.cancel(project)
    return held


@pytest.mark.parametrize(("cap", "says"), [("maxPerDay", "today"), ("maxTotal", "in all")])
async def test_a_project_beyond_a_cap_is_refused_and_the_cap_is_named(
    grid: Grid, cap: str, says: str
) -> None:
    most = 2 * await price(grid)
    app = await grid.app(key=await key_of(grid, "render", **{cap: f"{most:f}"}))
    for _ in range(2):
        project = await app.request()
        await app.wait_state("queued", jobID=project)
    refused = await app.request()
    answer = await app.wait_for("jobError", jobID=refused)
    assert answer["error"] == OVER_CAP
    assert says in answer["error_message"]
    assert f"{most:f}" in answer["error_message"]
    await app.cancel(project)
    await app.wait_state("queued", jobID=await app.request())


async def test_a_cap_for_a_day_is_fresh_on_the_next_and_outlives_a_restart(grid: Grid) -> None:
    most = await price(grid)
    key = await key_of(grid, "render", maxPerDay=f"{most:f}")
    app = await grid.app(key=key)
    await app.wait_state("queued", jobID=await app.request())
    await grid.restart()
    app = await grid.app(key=key)
    assert (await app.wait_for("jobError", jobID=await app.request()))["error"] == OVER_CAP
    grid.clock.advance(24 * 60 * 60)
    await app.wait_state("queued", jobID=await app.request())


@pytest.mark.parametrize("cap", ["-1", "NaN", "1e30"])
async def test_a_cap_is_an_amount(grid: Grid, cap: str) -> None:
    status, body = await grid.call(
        "POST", "/v1/account/keys", json={"scope": "render", "maxPerDay": cap}
    )
    assert status == 400
    assert "cap" in body["message"]


async def test_scopes_and_caps_are_listed(grid: Grid) -> None:
    await key_of(grid, "render", maxPerDay="5", maxTotal="100.5")
    (listed,) = [
        one for one in (await grid.data("/v1/account/keys"))["keys"] if one["name"] == "render"
    ]
    assert (listed["maxPerDay"], listed["maxTotal"]) == ("5.000000", "100.500000")
    assert "key" not in listed


@pytest.mark.parametrize("cap", ["maxPerDay", "maxTotal"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/account/keys", {"name": "free"}),
        ("/v1/account/keys", {"name": "wider", "maxPerDay": "1000", "maxTotal": "1000"}),
        ("/v1/account/sign-in-links", None),
        ("/v1/admin/grants", {"username": "local", "amount": "1"}),
    ],
)
async def test_a_cap_cannot_be_shed(grid: Grid, cap: str, path: str, body: Any) -> None:
    key, before = await key_of(grid, "all", **{cap: "5"}), await grid.data("/v1/account/keys")
    status, answer = await grid.call("POST", path, key=key, json=body)
    assert (status, answer["errorCode"]) == (403, NOT_ALLOWED)
    assert "spending cap" in answer["message"]
    assert await grid.data("/v1/account/keys", key=key) == before
    status, _ = await grid.call("POST", path, json=body)
    assert status == 201, "the account's own key may"


async def test_a_key_stays_capped_after_a_restart(grid: Grid) -> None:
    key = await key_of(grid, "all", maxTotal="0")
    await grid.restart()
    status, _ = await grid.call("POST", "/v1/account/keys", key=key, json={"name": "free"})
    assert status == 403, "a cap of nothing is a cap"
