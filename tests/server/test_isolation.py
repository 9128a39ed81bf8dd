"""Every endpoint and every message, walked by a stranger who knows all ids of somebody else.

The list of endpoints comes from the server's own router and that of messages from its source, so a
new one without an entry here fails. The owner walks the same way in the end, which shows that each
request would have worked with the right credential.
"""

import ast
import contextlib
import inspect
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from dreamgrid.protocol.params import Network
from dreamgrid.protocol.worker import Assign, Cancel, Failed, Released, RunningJob, Settled, Started
from dreamgrid.server import app as server_app
from dreamgrid.server import app_sockets, application
from tests.server.conftest import MakeGrid
from tests.support.grid import Grid
from tests.support.wallets import Person, member
from tests.support.wire import CANCELED, PNG, App, Worker, finished, job_request, new_id

SECRET_PROMPT = "ann's own secret prompt"
INPUT = b"\x89PNG\r\n\x1a\nann's own picture"


@dataclass
class Ann:
    """Somebody with one of everything, and all that only she should know."""

    grid: Grid
    key: str
    app: App
    worker: Worker
    done: str
    done_job: str
    running: Assign
    preview: str = ""
    unsent: str = field(default_factory=new_id)
    spare_key: dict[str, str] = field(default_factory=dict)
    webhook: str = ""
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def secrets(self) -> set[str]:
        ids = {self.done, self.done_job, self.running.project_id, self.running.job_id, self.unsent}
        ids.add(self.webhook)
        return ids | {SECRET_PROMPT, "ann's app", self.spare_key["id"], self.spare_key["prefix"]}


@dataclass(frozen=True)
class Try:
    """One request, and the status that each of three gets. None: not tried."""

    path: str
    stranger: int
    anonymous: int = 401
    owner: int | None = 200
    body: Any = None


# ── the table of endpoints ───────────────────────────────────────────────────────────────────────


def public(path: str, status: int = 200, body: Any = None) -> list[Try]:
    """The same for all, whoever asks."""
    return [Try(path, status, status, status, body)]


def personal(path: str, body: Any = None, status: int = 200) -> list[Try]:
    """Shows or changes what belongs to whoever asks."""
    return [Try(path, status, 401, status, body)]


def foreign(path: str, stranger: int = 404, body: Any = None, owner: int = 200) -> list[Try]:
    """Names something of Ann's."""
    return [Try(path, stranger, 401, owner, body)]


def files_of(ann: Ann) -> list[Try]:
    asked = f"/v1/image/downloadUrl?jobId={ann.done}&imageId={ann.done_job}&type=complete"
    running = f"jobId={ann.running.project_id}&imageId={ann.running.job_id}"
    return (
        foreign(asked)
        + foreign(f"/v1/image/downloadUrl?{running}&type=preview")
        + foreign(f"/v1/image/downloadUrl?{running}&type=startingImage")
        + foreign(f"/v1/image/downloadUrl?jobId={ann.unsent}&type=cnImage")
    )


def for_administrators(ann: Ann) -> dict[str, list[Try]]:
    """Nobody here is one, Ann neither."""
    admin = "/v1/admin"
    job, project = ann.running.job_id, ann.running.project_id
    bodies: dict[str, tuple[str, Any]] = {
        "GET /v1/admin/accounts": (f"{admin}/accounts", None),
        "PUT /v1/admin/accounts/{username}/limits": (f"{admin}/accounts/ann/limits", {}),
        "GET /v1/admin/projects": (f"{admin}/projects", None),
        "POST /v1/admin/grants": (f"{admin}/grants", {"username": "mallory", "amount": "5"}),
        "POST /v1/admin/refunds": (f"{admin}/refunds", {"projectId": ann.done}),
        "GET /v1/admin/workers": (f"{admin}/workers", None),
        "POST /v1/admin/workers": (f"{admin}/workers", {"worker": "w1", "action": "pause"}),
        "POST /v1/admin/jobs/{jobId}/requeue": (f"{admin}/jobs/{job}/requeue", {}),
        "POST /v1/admin/projects/{projectId}/cancel": (f"{admin}/projects/{project}/cancel", {}),
        "GET /v1/admin/bans": (f"{admin}/bans", None),
        "POST /v1/admin/bans": (f"{admin}/bans", {"kind": "account", "target": "ann"}),
        "GET /v1/admin/actions": (f"{admin}/actions", None),
        "GET /v1/admin/activity": (f"{admin}/activity", None),
        "GET /v1/admin/health": (f"{admin}/health", None),
        "GET /v1/admin/audit": (f"{admin}/audit", None),
    }
    return {name: [Try(path, 403, 401, 403, body)] for name, (path, body) in bodies.items()}


def webhooks_of(ann: Ann) -> dict[str, list[Try]]:
    one, sent = f"/v1/webhooks/{ann.webhook}", f"/deliveries/{ann.done}-1/redeliver"
    new = {"url": "http://127.0.0.1:9/never"}
    return {
        "GET /v1/webhooks": personal("/v1/webhooks"),
        "POST /v1/webhooks": personal("/v1/webhooks", new, 201),
        "GET /v1/webhooks/{webhookId}": foreign(one),
        "POST /v1/webhooks/{webhookId}/enable": foreign(f"{one}/enable", body={}),
        "GET /v1/webhooks/{webhookId}/deliveries": foreign(f"{one}/deliveries"),
        "POST /v1/webhooks/{webhookId}/deliveries/{deliveryId}/redeliver": foreign(
            one + sent, body={}
        ),
        "DELETE /v1/webhooks/{webhookId}": foreign(one),
    }


def removals(ann: Ann) -> dict[str, list[Try]]:
    """Ann may, but what runs has to be canceled first; what is done is still needed here."""
    done, running = f"/v1/projects/{ann.done}", f"/v1/projects/{ann.running.project_id}"
    of_done, of_running = f"jobs/{ann.done_job}", f"jobs/{ann.running.job_id}"
    return {
        "DELETE /v1/projects/{projectId}": [
            Try(done, 404, 401, None),
            *foreign(running, owner=400),
        ],
        "DELETE /v1/projects/{projectId}/jobs/{jobId}": [
            Try(f"{done}/{of_done}", 404, 401, None),
            *foreign(f"{running}/{of_running}", owner=400),
        ],
        "GET /v1/projects/{projectId}/jobs/{jobId}/thumbnail": [
            Try(f"{done}/{of_done}/thumbnail", 404, 401, None),  # a link to what is no picture
            *foreign(f"{running}/{of_running}/thumbnail", owner=404),
        ],
    }


def entries(ann: Ann) -> dict[str, list[Try]]:
    """What to try at each endpoint."""
    wallet = "0x" + "a" * 40
    of_running = f"jobId={ann.running.project_id}"
    upload = f"/v1/image/uploadUrl?imageId=X&{of_running}&type=startingImage"
    media = f"{of_running}&id={ann.running.job_id}"
    login = {"walletAddress": Person(ann.grid, "ann").address, "signature": "0x" + "1" * 130}
    return {
        "GET /v1/account/me": personal("/v1/account/me"),
        "GET /v1/account/balance": personal("/v1/account/balance"),
        "GET /v2/account/balance": personal("/v2/account/balance"),
        "GET /v3/account/balance": personal("/v3/account/balance"),
        "GET /v4/account/balance": personal("/v4/account/balance"),
        "GET /v1/account/keys": personal("/v1/account/keys"),
        "POST /v1/account/keys": personal("/v1/account/keys", {"name": "k"}, 201),
        "DELETE /v1/account/keys/{keyId}": foreign(f"/v1/account/keys/{ann.spare_key['id']}"),
        **for_administrators(ann),
        "GET /v1/subscriptions/status": personal("/v1/subscriptions/status"),
        "GET /api/v1/models/list": public("/api/v1/models/list"),
        "GET /api/v2/models/tiers": public("/api/v2/models/tiers"),
        "GET /api/v1/size-presets/network/{network}/model/{model}": public(
            "/api/v1/size-presets/network/fast/model/pattern-v1"
        ),
        "GET /api/v1/status/network/{network}/models": public("/api/v1/status/network/fast/models"),
        "GET /v1/loras/comfy": public("/v1/loras/comfy"),
        **estimates(),
        "GET /v1/image/uploadUrl": [Try(upload, 409, 401, 409)],
        "GET /v1/image/downloadUrl": files_of(ann),
        "GET /v1/media/uploadUrl": [
            Try(f"/v1/media/uploadUrl?{of_running}&type=referenceAudio", 409, 401, 409)
        ],
        "GET /v1/media/downloadUrl": foreign(f"/v1/media/downloadUrl?{media}&type=preview"),
        "GET /v1/assets/capabilities": personal("/v1/assets/capabilities"),
        "GET /healthz": public("/healthz"),
        "GET /readyz": public("/readyz"),
        "GET /metrics": [Try("/metrics", 403, 401, 403)],
        **webhooks_of(ann),
        "GET /v1/transactions/list": personal(
            f"/v1/transactions/list?address={Person(ann.grid, 'ann').address}"
        ),
        "GET /v4/account/rewards": personal("/v4/account/rewards"),
        "POST /v3/account/reward/claim": personal("/v3/account/reward/claim", {"claims": ["x"]}),
        "GET /v2/wallet/balance": personal(f"/v2/wallet/balance?walletAddress={wallet}"),
        "GET /v1/leaderboard/": public("/v1/leaderboard/"),
        "GET /v1/announcements/active": personal("/v1/announcements/active"),
        "POST /v1/announcements/{id}/dismiss": personal("/v1/announcements/A/dismiss", {}),
        **elsewhere(),
        "POST /v1/account/device-id": personal("/v1/account/device-id", {"deviceId": "d"}),
        "GET /v1/projects/{projectId}": foreign(f"/v1/projects/{ann.done}"),
        "GET /v2/projects/{projectId}": foreign(f"/v2/projects/{ann.done}")
        + foreign(f"/v2/projects/{ann.running.project_id}"),
        **removals(ann),
        "GET /api/v1/artist/projects/active": personal("/api/v1/artist/projects/active"),
        "GET /api/v1/artist/projects/sync": personal("/api/v1/artist/projects/sync")
        + personal("/api/v1/artist/projects/sync?appId=ann's app"),
        "POST /v1/account/nonce": public("/v1/account/nonce", body={"walletAddress": wallet}),
        "POST /v1/account/create": public("/v1/account/create", 400, {"username": "ann"}),
        "POST /v1/account/login": public("/v1/account/login", 403, login),
        "POST /v1/account/refresh-token": public(
            "/v1/account/refresh-token", 401, {"refreshToken": ann.tokens["token"]}
        ),
        "POST /v1/account/username/validate": public(
            "/v1/account/username/validate", 400, {"username": "ANN"}
        ),
        "POST /v1/account/logout": personal("/v1/account/logout"),
        "GET /blobs/{key}": [
            Try(f"/blobs/inputs/x/{ann.unsent}/cnImage", 403, 403, 403),
            Try(f"/blobs/results/{ann.done}/{ann.done_job}-1.png", 403, 403, 403),
        ],
        "PUT /blobs/{key}": [Try(f"/blobs/results/{ann.done}/{ann.done_job}-1.png", 403, 403, 403)],
        "GET /v1/worker": public("/v1/worker", 400),
        "GET /v1/projects/{projectId}/events": [
            *foreign(f"/v1/projects/{ann.done}/events"),
            Try(f"/v1/projects/{ann.running.project_id}/events", 404, 401, None),  # has no end yet
        ],
        "GET /v1/jobs/list": personal("/v1/jobs/list?role=artist&state=completed&limit=50")
        + foreign(f"/v1/jobs/list?role=artist&address={Person(ann.grid, 'ann').address}", 403),
        "GET /v1/loras/personal": personal("/v1/loras/personal"),
        "GET /v1/loras/personal/catalog": personal("/v1/loras/personal/catalog"),
        "GET /v1/projects": personal("/v1/projects"),
        "GET /v1/explain/{id}": [
            *foreign(f"/v1/explain/{ann.done}"),
            *foreign(f"/v1/explain/{ann.running.project_id}"),
            *foreign(f"/v1/explain/{ann.running.job_id}"),
        ],
        "GET /v1/account/sign-in": public("/v1/account/sign-in"),
        "POST /v1/account/sign-in-links": personal("/v1/account/sign-in-links", {}, 201),
        "POST /v1/account/sign-in-links/use": public(
            "/v1/account/sign-in-links/use", 403, {"secret": "guessed"}
        ),
        **openai(ann),
        "GET /studio/{file}": public("/studio/mark.svg"),
        "GET /favicon.ico": public("/favicon.ico"),
        "GET /": public("/"),
        "GET /openapi.json": public("/openapi.json"),
        "GET /docs": public("/docs"),
        "GET /docs/api": public("/docs/api"),
        "GET /docs/socket": public("/docs/socket"),
        "GET /docs/style.css": public("/docs/style.css"),
    }


def openai(ann: Ann) -> dict[str, list[Try]]:
    """Ann's projects are pictures, so she has no videos either; empty requests are refused."""
    base, one = "/openai/v1", f"/openai/v1/videos/{ann.running.project_id}"
    return {
        f"GET {base}/models": personal(f"{base}/models"),
        f"GET {base}/models/{{model}}": personal(f"{base}/models/pattern-v1"),
        f"POST {base}/images/generations": personal(f"{base}/images/generations", {}, 400),
        f"POST {base}/images/edits": personal(f"{base}/images/edits", {}, 400),
        f"POST {base}/audio/speech": personal(f"{base}/audio/speech", {}, 400),
        f"POST {base}/videos": personal(f"{base}/videos", {}, 400),
        f"GET {base}/videos": personal(f"{base}/videos"),
        f"GET {base}/videos/{{video}}": foreign(one, owner=404),
        f"GET {base}/videos/{{video}}/content": foreign(f"{one}/content", owner=404),
        f"DELETE {base}/videos/{{video}}": foreign(one, owner=404),
    }


def elsewhere() -> dict[str, list[Try]]:
    """What other grids have and this one has not."""
    nothing = {
        *("POST /v1/assets/prepare", "POST /v1/assets/{id}/finalize", "POST /v1/assets/{id}/bind"),
        *("DELETE /v1/assets/{id}", "POST /v1/loras/personal", "GET /v1/loras/personal/{id}"),
        *("DELETE /v1/loras/personal/{id}", "POST /v1/replay/records"),
        "GET /v1/replay/records/{id}",
    }
    return {
        "GET /v1/assets": personal("/v1/assets"),
        "GET /v1/replay/records": personal("/v1/replay/records"),
        **{one: [Try(one.split()[1].format(id="A"), 404, 401, 404)] for one in nothing},
    }


def estimates() -> dict[str, list[Try]]:
    """The price of a picture in all spellings of its path."""
    names = "tokenType network model imageCount stepCount previewCount cnEnabled denoise width "
    values = ["spark", "fast", "pattern-v1", "1", "4", "0", "0", "0", "64", "64", "0", "_", "0"]
    names += "height guidance sampler contextImages"
    made = {}
    for version in ("v1", "v2", "v3"):
        for count in (8, 10, 13):
            path = f"/api/{version}/job/estimate"
            template = "/".join(f"{{{name}}}" for name in names.split()[:count])
            made[f"GET {path}/{template}"] = public("/".join([path, *values[:count]]))
    video = "/api/v1/job-video/estimate"
    named = "{tokenType}/{model}/{width}/{height}/{frames}/{fps}"
    asked = "spark/wan_v2.2-14b-fp8_t2v_lightx2v/640/640/81/16"
    made[f"GET {video}/{named}"] = public(f"{video}/{asked}")
    made[f"GET {video}/{named}/{{steps}}/{{numberOfMedia}}"] = public(f"{video}/{asked}/4/1")
    audio = "/api/v1/job-audio/estimate"
    named = "{tokenType}/{model}/{duration}/{steps}/{numberOfMedia}"
    made[f"GET {audio}/{named}"] = public(f"{audio}/spark/dreamlet-music-v1/10/8/1")
    return made


SAME_FOR_ALL_BUT = {"POST /v1/account/nonce"}
"""Public endpoints whose answers are never the same twice."""


# ── the people ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def routers(monkeypatch: pytest.MonkeyPatch) -> list[web.Application]:
    """Applications that servers build during the test."""
    built: list[web.Application] = []
    original = application.application

    def build(*parts: Any) -> web.Application:
        built.append(original(*parts))
        return built[-1]

    monkeypatch.setattr(server_app, "application", build)
    return built


async def put_input(grid: Grid, key: str, project: str, role: str) -> None:
    asked = f"/v1/image/uploadUrl?imageId=X&jobId={project}&type={role}"
    url = (await grid.data(asked, key=key))["uploadUrl"]
    async with grid.http.put(url, data=INPUT) as answer:
        assert answer.status == 200


@pytest.fixture
async def ann(make_grid: MakeGrid, routers: list[web.Application]) -> AsyncIterator[Ann]:
    """Ann, with a finished project, a running one, an unsent upload, keys and a session."""
    del routers
    async with make_grid() as grid:
        tokens = await member(grid, "ann")
        token = tokens["token"]
        _, made = await grid.call("POST", "/v1/account/keys", key=token, json={"name": "ann's"})
        spare = await grid.call("POST", "/v1/account/keys", key=token, json={"name": "spare"})
        key = made["data"]["key"]
        never = {"url": "http://127.0.0.1:9/never"}
        _, hook = await grid.call("POST", "/v1/webhooks", key=key, json=never)
        app, worker = await grid.app("ann's app", key=key), await grid.worker()
        done = await app.request(positivePrompt=SECRET_PROMPT)
        done_job = await worker.assigned()
        await worker.finish(done_job)
        await app.wait_state("jobCompleted")
        project = new_id()
        await put_input(grid, key, project, "startingImage")
        wish = {"hasStartingImage": True, "strength": 0.5, "previews": 1}
        await app.request(project, positivePrompt=SECRET_PROMPT, **wish)
        running = await worker.assigned()
        await worker.start(running)
        await worker.upload_preview(running)
        await worker.progress(running, 1, preview_ready=True)
        await app.wait_for("jobProgress")
        someone = Ann(grid, key, app, worker, done, done_job.job_id, running)
        someone.spare_key, someone.tokens = spare[1]["data"], tokens
        someone.webhook = hook["data"]["id"]
        await put_input(grid, key, someone.unsent, "cnImage")
        yield someone


async def nothing_of_hers_changed(ann: Ann) -> None:
    """Her projects go on and end well, her inputs are whole, her balance is what she spent."""
    grid = ann.grid
    fetch = f"/v1/image/downloadUrl?jobId={ann.unsent}&type=cnImage"
    url = (await grid.data(fetch, key=ann.key))["downloadUrl"]
    async with grid.http.get(url) as answer:
        assert await answer.read() == INPUT
    assert (await grid.get("/v1/account/me", key=ann.spare_key["key"]))[0] == 200
    assert (await grid.get("/v1/account/me", key=ann.tokens["token"]))[0] == 200
    assert len((await grid.data("/v1/account/keys", key=ann.key))["keys"]) == 2
    await ann.worker.finish(ann.running)
    await ann.app.wait_state("jobCompleted", jobID=ann.running.project_id)
    assert (await grid.record(ann.running.project_id, key=ann.key))["status"] == "completed"
    paid = sum(
        float(record["costActual"]["costInToken"])
        for record in [
            await grid.record(project, key=ann.key)
            for project in (ann.done, ann.running.project_id)
        ]
    )
    balance = await grid.spark(ann.key)
    assert float(balance["net"]) == pytest.approx(1000 - paid)
    assert float(balance["debit"]) == 0


# ── endpoints ────────────────────────────────────────────────────────────────────────────────────


def endpoints(application: web.Application) -> set[str]:
    """Method and path of everything that the server answers."""
    return {
        f"{route.method} {route.resource.canonical}"
        for route in application.router.routes()
        if route.resource is not None and route.method not in ("HEAD", "*")
    }


async def test_every_endpoint_has_an_entry(ann: Ann, routers: list[web.Application]) -> None:
    assert endpoints(routers[-1]) == set(entries(ann))


async def ask(grid: Grid, endpoint: str, one: Try, key: str) -> tuple[int, str]:
    """Status and text of an answer; the time of asking, which some tell, left out."""
    headers = {"api-key": key} if key else {}
    method, url = endpoint.split(maxsplit=1)[0], grid.url + one.path
    async with grid.http.request(method, url, headers=headers, json=one.body) as answer:
        return answer.status, re.sub(r'"time":"[^"]*"', "", await answer.text())


def leaks(ann: Ann, one: Try, told: str) -> set[str]:
    """What an answer tells of Ann that was not in the question."""
    asked = f"{one.path} {json.dumps(one.body)}".lower()  # ids come back in capitals
    return {secret for secret in ann.secrets if secret in told and secret.lower() not in asked}


async def test_no_endpoint_shows_or_changes_anything_of_somebody_else(ann: Ann) -> None:
    grid = ann.grid
    mallory = await grid.account("mallory")
    for endpoint, tries in entries(ann).items():
        for one in tries:
            status, told = await ask(grid, endpoint, one, mallory)
            assert (endpoint, one.path, status) == (endpoint, one.path, one.stranger), told
            assert leaks(ann, one, told) == set(), endpoint
    await nothing_of_hers_changed(ann)


async def test_no_endpoint_shows_or_changes_anything_for_nobody(ann: Ann) -> None:
    for endpoint, tries in entries(ann).items():
        for one in tries:
            for key in ("", "dgk_" + "x" * 43, ann.spare_key["prefix"], ann.tokens["refreshToken"]):
                status, told = await ask(ann.grid, endpoint, one, key)
                assert (endpoint, one.path, status) == (endpoint, one.path, one.anonymous), told
                assert leaks(ann, one, told) == set(), endpoint
    await nothing_of_hers_changed(ann)


async def test_what_is_public_is_the_same_for_all(ann: Ann) -> None:
    mallory = await ann.grid.account("mallory")
    for endpoint, tries in entries(ann).items():
        for one in tries:
            if one.anonymous == one.stranger == 200 and endpoint not in SAME_FOR_ALL_BUT:
                told = [await ask(ann.grid, endpoint, one, key) for key in ("", mallory, ann.key)]
                assert told[0] == told[1] == told[2], endpoint


async def test_the_owner_gets_all_of_it(ann: Ann) -> None:
    """Else the requests of the strangers would prove nothing."""
    table = entries(ann)
    last = "POST /v1/account/logout"
    for endpoint in [*(name for name in table if name != last), last]:
        for one in table[endpoint]:
            if one.owner is not None:
                status, told = await ask(ann.grid, endpoint, one, ann.tokens["token"])
                assert (endpoint, one.path, status) == (endpoint, one.path, one.owner), told
    assert (await ann.grid.get("/v1/account/me", key=ann.tokens["token"]))[0] == 401


# ── links ────────────────────────────────────────────────────────────────────────────────────────


async def links_of(ann: Ann) -> dict[str, str]:
    """Every kind of link that a server gives, each for the method that stands before it."""
    grid = ann.grid
    ask_result = f"/v1/image/downloadUrl?jobId={ann.done}&imageId={ann.done_job}&type=complete"
    ask_input = f"/v1/image/downloadUrl?jobId={ann.unsent}&type=cnImage"
    ask_upload = f"/v1/image/uploadUrl?imageId=X&jobId={ann.unsent}&type=startingImage"
    assert ann.running.preview is not None
    return {
        "GET result": (await grid.data(ask_result, key=ann.key))["downloadUrl"],
        "GET input": (await grid.data(ask_input, key=ann.key))["downloadUrl"],
        "GET input of a worker": ann.running.inputs[0].url,
        "PUT input": (await grid.data(ask_upload, key=ann.key))["uploadUrl"],
        "PUT result": ann.running.output.url,
        "PUT preview": ann.running.preview.url,
    }


async def test_no_link_can_be_turned_into_another(ann: Ann) -> None:
    links = await links_of(ann)
    for name, url in links.items():
        allowed = {"GET", "HEAD"} if name.startswith("GET") else {"PUT"}
        for method in {"GET", "HEAD", "PUT"} - allowed:
            async with ann.grid.http.request(method, url, data=b"evil") as answer:
                assert answer.status == 403, (name, method)
        for method in ("POST", "DELETE", "PATCH"):
            async with ann.grid.http.request(method, url, data=b"evil") as answer:
                assert answer.status in (404, 405), (name, method)
        for other in links.values():
            if urlsplit(other).path == urlsplit(url).path:
                continue
            swapped = urlsplit(other)._replace(query=urlsplit(url).query).geturl()
            for method in ("GET", "PUT"):
                async with ann.grid.http.request(method, swapped, data=b"evil") as answer:
                    assert answer.status == 403, (name, other)
    await nothing_of_hers_changed(ann)


async def test_every_link_ends(ann: Ann) -> None:
    links = await links_of(ann)
    ann.grid.clock.advance(ann.grid.config.render_url_s + 1)
    for name, url in links.items():
        async with ann.grid.http.request(name.split()[0], url, data=None) as answer:
            assert (name, answer.status) == (name, 403)
            assert "expired" in await answer.text()


# ── messages of apps ─────────────────────────────────────────────────────────────────────────────


def test_every_message_of_an_app_has_a_test() -> None:
    tree = ast.parse(inspect.getsource(app_sockets))
    handled = {
        ast.unparse(case.pattern)
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncFunctionDef) and node.name == "_on_frame"
        for case in ast.walk(node)
        if isinstance(case, ast.match_case)
    }
    assert handled == {
        "socket.JobError.message_type",
        "JobRequest.message_type",
        "socket.CHANGE_NETWORK",
        "socket.ChatRequest.message_type",
        "socket.SET_SUBSCRIPTIONS",
        "_",
    }


async def test_no_message_shows_or_changes_anything_of_somebody_else(ann: Ann) -> None:
    grid = ann.grid
    key = await grid.account("mallory")
    mallory = await grid.app("ann's app", key=key)
    for project in (ann.running.project_id, ann.done, ann.unsent):
        await mallory.send("jobError", {"jobID": project, **CANCELED})
        await mallory.send("jobError", {"jobID": project.lower(), **CANCELED})
        wish = job_request(project, positivePrompt=SECRET_PROMPT, hasStartingImage=True)
        await mallory.send("jobRequest", wish | {"network": "fast"})
        refusal = await mallory.wait_for("jobError", jobID=project)
        assert refusal["error"] in (4005, 4002), refusal
        await mallory.send("llmJobRequest", {"jobID": project, "model": "any"})
        await mallory.wait_for("llmJobError", jobID=project)
    await mallory.send("changeNetwork", "relaxed")
    names = [f"account.{ann.key}", "ann's app", ann.done, "*", "jobState", "jobResult"]
    await mallory.send("setSocketEventSubscriptions", {"subscribe": names})
    await mallory.fence()
    before = len(mallory.frames)
    await nothing_of_hers_changed(ann)
    await mallory.fence()
    heard = json.dumps([frame.payload for frame in mallory.frames[before:]])
    assert not {secret for secret in ann.secrets - {"ann's app", ann.done} if secret in heard}
    assert mallory.frames[0]["activeProjects"] == []
    assert mallory.frames[0]["unclaimedCompletedProjects"] == []
    assert (await grid.spark(key))["net"] == "1000.000000"


async def test_a_second_app_of_a_stranger_replaces_nobody(ann: Ann) -> None:
    await ann.grid.app("ann's app", key=await ann.grid.account("mallory"))
    await ann.app.fence()


# ── workers ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_worker_of_a_stranger_reads_and_ends_no_job_that_it_was_not_given(ann: Ann) -> None:
    grid, job = ann.grid, ann.running
    key = await grid.account("mallory")
    held = (RunningJob(job_id=job.job_id, attempt=job.attempt),)
    robber = await grid.worker(
        "robber",
        key=key,
        worker_id=ann.worker.hello.worker_id,
        running=held,
        models=("pattern-v1",),
    )
    told = await robber.expect(Cancel)
    assert told.job_id == job.job_id, "it learns nothing but that this is not its own"
    for attempt in (job.attempt, 0, 2):
        await robber.send(Started(job_id=job.job_id, attempt=attempt))
        await robber.send(Released(job_id=job.job_id, attempt=attempt))
        await robber.send(finished(job.job_id, attempt, PNG))
        assert not (await robber.expect(Settled)).accepted
        failed = Failed(job_id=job.job_id, attempt=attempt, error="x", message="x", retryable=False)
        await robber.send(failed)
        assert not (await robber.expect(Settled)).accepted
    await robber.progress(job, 3)
    await robber.fence()
    assert "jobProgress 3/4" not in ann.app.told(job.project_id)
    await nothing_of_hers_changed(ann)


@pytest.mark.parametrize("network", ["fast", "relaxed"])
async def test_what_a_worker_is_given_names_nobody(ann: Ann, network: Network) -> None:
    grid = ann.grid
    helper = await grid.worker("helper", key=await grid.account("mallory"), network=network)
    project = await ann.app.request(network=network)
    given = await helper.assigned()
    assert given.project_id == project
    told = repr(given)
    assert "ann" not in told
    assert ann.key not in told


# ── credentials that end ─────────────────────────────────────────────────────────────────────────


async def test_what_a_session_opened_ends_with_it(ann: Ann) -> None:
    """Else somebody who took a token could listen on after its owner has logged out."""
    grid, token = ann.grid, ann.tokens["token"]
    taken = await grid.app("taken", key=token)
    watched = grid.url + f"/v1/projects/{ann.running.project_id}/events"
    async with grid.http.get(watched, headers={"Authorization": token}) as stream:
        await stream.content.readline()
        assert (await grid.call("POST", "/v1/account/logout", key=token))[0] == 200
        assert await taken.closed() == 4021
        with contextlib.suppress(aiohttp.ClientPayloadError):  # how a cut connection looks
            await stream.read()
    await ann.app.fence()


async def test_an_event_stream_ends_with_the_key_that_opened_it(ann: Ann) -> None:
    grid, spare = ann.grid, ann.spare_key
    watched = grid.url + f"/v1/projects/{ann.running.project_id}/events"
    async with grid.http.get(watched, headers={"api-key": spare["key"]}) as stream:
        await stream.content.readline()
        path = f"/v1/account/keys/{spare['id']}"
        assert (await grid.call("DELETE", path, key=ann.key))[0] == 200
        with contextlib.suppress(aiohttp.ClientPayloadError):
            await stream.read()
    await ann.app.fence()
