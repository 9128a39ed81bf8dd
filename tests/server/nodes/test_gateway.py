"""A node that does not coordinate answers as the one that does."""

import asyncio
import io
import json
import random
import socket
from contextlib import suppress
from typing import Any

import aiohappyeyeballs
import aiohttp
import pytest

from dreamgrid.protocol.socket import CLOSE_AUTHENTICATION, CLOSE_REPLACED
from dreamgrid.protocol.worker import WORKER_PATH, Cancel
from dreamgrid.server.addresses import Networks
from dreamgrid.server.application import MAX_BODY_BYTES
from dreamgrid.server.config import Rate
from dreamgrid.server.nodes import gateway as gateway_module
from dreamgrid.server.nodes.gateway import Gateway
from dreamgrid.server.relays import HEADER
from dreamgrid.server.routes import health
from dreamgrid.server.services import Services
from tests.server.nodes.conftest import MakeNode
from tests.support.grid import Grid
from tests.support.wire import PATIENCE_S, PNG

ONCE = Rate(0.001, burst=1)


@pytest.fixture
async def coordinator(make_node: MakeNode) -> Grid:
    return await make_node()


@pytest.fixture
async def gateway(coordinator: Grid, make_node: MakeNode) -> Grid:
    found = await make_node()
    assert found.key == coordinator.key, "all nodes share the key of whoever started the grid"
    return found


SAID_ANEW = {"date", "expires"}


async def asked(
    grid: Grid, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> tuple[int, dict[str, str], bytes]:
    async with grid.http.request(
        method,
        grid.url + path,
        data=None if body is None else io.BytesIO(body),
        allow_redirects=False,
        headers={"api-key": grid.key, "Host": "grid.example"} | headers,
    ) as answer:
        kept = {
            name.lower(): text
            for name, text in answer.headers.items()
            if name.lower() not in SAID_ANEW
        }
        return answer.status, kept, await answer.read()


async def test_every_node_tells_its_own_metrics_to_who_may_read_them(
    coordinator: Grid, gateway: Grid
) -> None:
    app = await gateway.app()
    texts = [(await asked(grid, "GET", "/metrics", None, {})) for grid in (coordinator, gateway)]
    (decides, here), (relays, there) = ((text.decode(), status) for status, _, text in texts)
    assert (here, there) == (200, 200)
    assert "dreamgrid_coordinates 1.0" in decides
    assert "dreamgrid_waiting_jobs" in decides
    assert "dreamgrid_coordinates 0.0" in relays
    assert "dreamgrid_relayed_sockets 1.0" in relays
    assert "process_resident_memory_bytes" in relays
    assert "dreamgrid_waiting_jobs" not in relays, "or sums over all nodes would be wrong"
    strange = await asked(gateway, "GET", "/metrics", None, {"api-key": "nobody"})
    assert strange[0] == 401
    await app.leave()


async def test_a_node_tells_its_own_metrics_however_long_those_of_the_coordinator_are(
    coordinator: Grid, gateway: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = []

    def long(services: Services) -> tuple[bytes, str]:
        rendered.append(services)
        return b"#" * (gateway_module.MAX_WHOLE_BYTES + 1), "text/plain"

    monkeypatch.setattr(health, "exposed", long)
    status, _, told = await asked(gateway, "GET", "/metrics", None, {})
    assert (status, b"dreamgrid_coordinates 0.0" in told) == (200, True)
    assert not rendered, "a coordinator only says whether the caller may know them"
    assert (await asked(coordinator, "GET", "/metrics", None, {}))[2].startswith(b"#")
    assert len(rendered) == 1


REQUESTS: list[tuple[str, str, bytes | None, dict[str, str]]] = [
    ("GET", "/v4/account/balance", None, {}),
    ("GET", "/v4/account/balance", None, {"api-key": "dgk_wrong"}),
    ("HEAD", "/v4/account/balance", None, {}),
    ("HEAD", "/metrics", None, {}),
    ("GET", "/metrics", None, {"api-key": "dgk_wrong"}),
    ("GET", "/v4/account/balance", None, {"Origin": "https://app.example"}),
    (
        *("OPTIONS", "/v4/account/balance", None),
        {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"},
    ),
    ("GET", "/", None, {"Accept": "text/html"}),
    ("GET", "/healthz", None, {}),
    ("GET", "/docs/api", None, {"Accept-Encoding": "gzip"}),
    ("GET", "/nowhere/%2e%2E/a%20b?q=%C3%A9&q=+", None, {}),
    ("POST", "/v1/account/keys", b'{"name": 7}', {}),
    ("POST", "/v1/account/keys", b"x" * 1_100_000, {}),
    ("DELETE", "/v1/projects/00000000-0000-4000-8000-000000000000", None, {}),
    ("PUT", "/v4/account/balance", None, {}),
    ("GET", WORKER_PATH, None, {}),
]


async def test_every_answer_is_that_of_the_coordinator(coordinator: Grid, gateway: Grid) -> None:
    for request in REQUESTS:
        assert await asked(gateway, *request) == await asked(coordinator, *request), request[:2]


async def test_a_project_lives_through_gateways_only(
    coordinator: Grid, gateway: Grid, make_node: MakeNode
) -> None:
    other = await make_node()
    app, worker = await gateway.app(), await other.worker()
    project = await app.request()
    job = await worker.assigned()
    await worker.start(job)
    await worker.progress(job, 1)
    await app.wait_for("jobProgress", jobID=project)
    await worker.finish(job)
    result = await app.wait_for("jobResult", jobID=project)
    async with gateway.http.get(result["resultUrl"]) as file:
        assert await file.read() == PNG
    record = await other.record(project)
    assert record["id"] == project
    assert (await coordinator.record(project))["id"] == project


async def test_a_stream_of_events_flows_through(coordinator: Grid, gateway: Grid) -> None:
    app, worker = await coordinator.app(), await coordinator.worker()
    project = await app.request()
    job = await worker.assigned()
    url = f"{gateway.url}/v1/projects/{project}/events"
    async with gateway.http.get(url, headers={"api-key": gateway.key}) as stream:
        assert stream.content_type == "text/event-stream"
        lines: list[str] = []
        async with asyncio.timeout(PATIENCE_S):
            while "data" not in "".join(lines):
                lines.append((await stream.content.readline()).decode())
        await worker.fail(job, retryable=False)
        async with asyncio.timeout(PATIENCE_S):
            rest = (await stream.read()).decode()
    assert "failed" in rest


async def test_close_codes_pass_in_both_directions(coordinator: Grid, gateway: Grid) -> None:
    wrong = await gateway.socket("dgk_wrong")
    assert await wrong.closed() == CLOSE_AUTHENTICATION
    first = await gateway.app("one")
    await coordinator.app("one")
    assert await first.closed() == CLOSE_REPLACED


async def test_a_ping_is_answered_by_the_other_end(gateway: Grid) -> None:
    app = await gateway.app()
    await app.ws.ping(b"here?")
    await app.fence()
    assert not app.ws.closed


@pytest.mark.parametrize("orderly", [True, False])
async def test_the_coordinator_hears_how_a_worker_went_away(
    coordinator: Grid, make_node: MakeNode, monkeypatch: pytest.MonkeyPatch, orderly: bool
) -> None:
    from dreamgrid.server.rendering import Rendering

    told: asyncio.Queue[bool] = asyncio.Queue()
    original = Rendering.worker_left

    def left(self: Rendering, worker: object, *, abruptly: bool) -> None:
        told.put_nowait(abruptly)
        original(self, worker, abruptly=abruptly)  # type: ignore[arg-type]

    monkeypatch.setattr(Rendering, "worker_left", left)
    gateway = await make_node()
    worker = await gateway.worker()
    await (worker.leave() if orderly else worker.drop())
    async with asyncio.timeout(PATIENCE_S):
        assert await told.get() is not orderly


async def test_limits_count_whoever_asks_and_not_the_node_between(make_node: MakeNode) -> None:
    settings = {"stranger_requests": ONCE, "trusted_proxies": ("127.0.0.1",)}
    await make_node(**settings)
    gateway = await make_node(**settings)

    async def status(caller: str, **headers: str) -> int:
        given = {"X-Forwarded-For": caller} | headers
        async with gateway.http.get(f"{gateway.url}/v1/models", headers=given) as answer:
            return answer.status

    free = await status("203.0.113.1")
    assert free != 429
    assert await status("203.0.113.1") == 429
    assert await status("203.0.113.2") == free
    forged = {HEADER: "guess 203.0.113.9"}
    assert await status("203.0.113.1", **forged) == 429


async def test_a_forged_header_means_nothing_to_the_coordinator(make_node: MakeNode) -> None:
    coordinator = await make_node(stranger_requests=ONCE)
    statuses = []
    for number in range(3):
        forged = {HEADER: f"guess 203.0.113.{number}"}
        async with coordinator.http.get(f"{coordinator.url}/v1/models", headers=forged) as answer:
            statuses.append(answer.status)
    assert statuses[1:] == [429, 429]


async def test_without_a_coordinator_requests_are_refused_clearly(
    coordinator: Grid, make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dreamgrid.server.nodes import lease

    gateway = await make_node()
    monkeypatch.setattr(gateway_module, "HOLD_S", 0.2)

    async def never(self: lease.Lease) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(lease.Lease, "_try", never)
    await asyncio.sleep(0)
    await coordinator.stop()
    for method, path in (("GET", "/v4/account/balance"), ("POST", "/v1/account/keys")):
        async with gateway.http.request(method, gateway.url + path) as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) > 0
            assert "no node" in json.loads(await answer.read())["message"]
    async with gateway.http.get(f"{gateway.url}/healthz") as answer:
        assert answer.status == 200, "the node itself is well"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await gateway.socket()
    assert refused.value.status == 503


async def test_a_relay_that_ends_already_may_be_ended_again() -> None:
    gateway = Gateway("secret", "10.0.0.5:8771", Networks(()), 1)

    async def relayed() -> None:
        async with asyncio.timeout(None) as relay:
            with gateway._while_it_coordinates(relay):
                await asyncio.Event().wait()

    task = asyncio.create_task(relayed())
    await asyncio.sleep(0)
    gateway.point("10.0.0.5:8771")
    await asyncio.sleep(0)  # its time is up, and it has not noticed
    gateway.point("10.0.0.6:8771")
    gateway.close()
    with pytest.raises(TimeoutError):
        await task


async def test_what_could_not_be_sent_in_time_is_sent_again_whatever_it_is(
    coordinator: Grid, make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_module, "CONNECT_S", 0.5)
    gateway = await make_node()
    assert coordinator.config.node is not None
    port = coordinator.config.node.host_and_port[1]
    original, tried = aiohappyeyeballs.start_connection, 0

    async def connect(addr_infos: list[Any], **named: Any) -> socket.socket:
        nonlocal tried
        if addr_infos[0][4][1] == port:
            tried += 1
            if tried == 1:
                await asyncio.Event().wait()  # as where a machine is off
        return await original(addr_infos, **named)

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", connect)
    status, said = await gateway.call("POST", "/v1/account/keys", json={"name": "once"})
    assert status < 300, said
    names = [key["name"] for key in (await coordinator.data("/v1/account/keys"))["keys"]]
    assert names.count("once") == 1
    assert tried > 1


async def test_pictures_of_any_size_are_edited_through_a_gateway_and_who_hangs_up_cancels(
    coordinator: Grid, gateway: Grid
) -> None:
    pillow = pytest.importorskip("PIL.Image")
    picture = io.BytesIO()
    side_px = 700
    noise = random.Random(1).randbytes(side_px * side_px * 3)  # which no file makes smaller
    pillow.frombytes("RGB", (side_px, side_px), noise).save(picture, "PNG")
    assert len(picture.getvalue()) > MAX_BODY_BYTES
    worker = await coordinator.worker(models=("dreamlet-v1",))
    form = aiohttp.FormData({"model": "dreamlet-v1", "prompt": "a red apple"})
    form.add_field("image", io.BytesIO(picture.getvalue()), filename="noise.png")
    headers = {"Authorization": f"Bearer {gateway.key}"}
    url = f"{gateway.url}/openai/v1/images/edits"
    asked = asyncio.ensure_future(gateway.http.post(url, data=form, headers=headers))
    job = await worker.assigned()
    (given,) = job.inputs
    async with coordinator.http.get(given.url) as answer:
        whole = await answer.read() == picture.getvalue()
        assert whole
    asked.cancel()
    with suppress(asyncio.CancelledError):
        await asked
    assert (await worker.expect(Cancel)).job_id == job.job_id


async def test_a_gateway_refuses_in_openais_words_where_they_are_spoken(gateway: Grid) -> None:
    url = f"{gateway.url}/openai/v1/images/generations"
    body = io.BytesIO(b"x" * (MAX_BODY_BYTES + 1))
    async with gateway.http.post(url, data=body) as answer:
        assert answer.status == 413
        assert (await answer.json())["error"]["type"] == "invalid_request_error"
