"""The OpenAPI document and the pages: they say what the server does, all of it and nothing else."""

import asyncio
import json
import re
from html.parser import HTMLParser
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from aiohttp import web

from dreamgrid.protocol import job_request, socket, socket_messages
from dreamgrid.protocol.codec import Message
from dreamgrid.server import app as server_app
from dreamgrid.server import application, docstrings
from dreamgrid.server.endpoint import Endpoints
from tests.support.grid import Grid

PAGES = ("/docs", "/docs/api", "/docs/socket")


async def document_of(grid: Grid) -> dict[str, Any]:
    status, found = await grid.get("/openapi.json", key="")
    assert status == 200
    assert isinstance(found, dict)
    return found


async def html_of(grid: Grid, path: str) -> str:
    async with grid.http.get(grid.url + path, headers={"Accept": "text/html,*/*"}) as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        return await answer.text()


# ── the document ─────────────────────────────────────────────────────────────────────────────────


async def test_every_route_is_in_the_document_and_every_path_is_a_route(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[web.Application] = []
    original = application.application

    def build(*parts: Any) -> web.Application:
        built.append(original(*parts))
        return built[-1]

    monkeypatch.setattr(server_app, "application", build)
    await grid.restart()
    routed = {
        (route.method, re.sub(r"{(\w+):[^{}]*}", r"{\1}", route.resource.canonical))
        for route in built[0].router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    paths = (await document_of(grid))["paths"]
    documented = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert documented == routed


async def test_every_operation_says_what_it_is_for(grid: Grid) -> None:
    document = await document_of(grid)
    subjects = {tag["name"] for tag in document["tags"]}
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    names = [one["operationId"] for one in operations]
    assert len(names) == len(set(names))
    for one in operations:
        assert one["summary"], one["operationId"]
        assert set(one["tags"]) <= subjects
        assert any(status < "400" for status in one["responses"]), one["operationId"]
        assert all(answer["description"] for answer in one["responses"].values())


async def test_every_parameter_and_reference_leads_somewhere(grid: Grid) -> None:
    document = await document_of(grid)
    for name in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)):
        assert name in document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for operation in methods.values():
            declared = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)}", path)), path


async def test_who_may_call_what_is_told(grid: Grid) -> None:
    paths = (await document_of(grid))["paths"]
    for path, methods in paths.items():
        operation = methods.get("get")
        if operation is None or "{" in path:
            continue
        async with grid.http.get(grid.url + path) as answer:  # not all of them answer with JSON
            assert (answer.status == 401) == bool(operation["security"]), path
        assert ("401" in operation["responses"]) == bool(operation["security"]), path


async def test_attributes_of_a_docstring_describe_the_fields(grid: Grid) -> None:
    document = await document_of(grid)
    parameters = document["paths"]["/v1/image/uploadUrl"]["get"]["parameters"]
    by_name = {one["name"]: one for one in parameters}
    assert "any UUID" in by_name["jobId"]["description"]
    assert by_name["jobId"]["required"]
    assert not by_name["contentType"]["required"]
    assert "contextImage16" in by_name["type"]["schema"]["enum"]


def test_docstrings_are_taken_apart() -> None:
    told = docstrings.read(
        """One line
        and its end.

        More of it.

        Attributes:
            size: How large,
                in pixels.
            name: What: it is called.

        Raises:
            ValueError: Never.
        """
    )
    assert told.summary == "One line and its end."
    assert told.text == "One line and its end.\n\nMore of it."
    assert told.attributes == {"size": "How large, in pixels.", "name": "What: it is called."}
    assert docstrings.read(None) == docstrings.Docstring()


def test_a_handler_that_asks_for_the_unknown_is_refused_at_once() -> None:
    api = Endpoints("Test", "A test.")

    async def wants(wishes: int) -> None:
        del wishes

    with pytest.raises(AssertionError, match="wishes"):
        api.get("/wish")(wants)


# ── pages ────────────────────────────────────────────────────────────────────────────────────────


class Page(HTMLParser):
    """Collects what a page holds and where it leads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        self.attributes |= set(given)
        self.links += [given[name] for name in ("href", "src") if name in given]
        self.ids += [given["id"]] if "id" in given else []


@pytest.mark.parametrize("path", PAGES)
async def test_pages_need_no_script_and_nothing_from_elsewhere(grid: Grid, path: str) -> None:
    async with grid.http.get(grid.url + path, headers={"Accept": "text/html"}) as answer:
        policy = answer.headers["Content-Security-Policy"]
        page = Page(await answer.text())
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not page.tags & {"script", "style", "iframe", "img"}
    assert not {name for name in page.attributes if name.startswith("on") or name == "style"}
    assert all(link.startswith(("/", "#")) for link in page.links)
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


async def test_every_link_of_the_pages_leads_to_an_answer(grid: Grid) -> None:
    links = {link for path in PAGES for link in Page(await html_of(grid, path)).links}
    for link in sorted(link for link in links if link.startswith("/")):
        async with grid.http.get(grid.url + link) as answer:
            assert answer.status == 200, link


async def test_the_api_page_shows_every_operation_and_type(grid: Grid) -> None:
    document, page = await document_of(grid), Page(await html_of(grid, "/docs/api"))
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    assert {one["operationId"] for one in operations} <= set(page.ids)
    assert sum(name.startswith("type-") for name in page.ids) == len(
        document["components"]["schemas"]
    )


async def test_the_front_page_is_for_people_and_its_json_for_programs(grid: Grid) -> None:
    assert "dreamgrid" in await html_of(grid, "/")
    status, body = await grid.get("/", key="")
    assert (status, body["name"], body["openapi"]) == (200, "dreamgrid", "/openapi.json")


# ── socket messages ──────────────────────────────────────────────────────────────────────────────

TABLE = (*socket_messages.FROM_APPS, *socket_messages.TO_APPS)


def test_no_message_of_the_socket_is_left_out() -> None:
    kinds = {
        kind
        for module in (socket, job_request)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Message) and kind is not Message
    }
    assert kinds <= {message.payload for message in TABLE}


@pytest.mark.parametrize("message", TABLE, ids=lambda one: f"{one.direction} {one.type}")
def test_examples_are_what_their_messages_look_like(
    message: socket_messages.SocketMessage,
) -> None:
    assert message.examples
    for example in message.examples:
        again = msgspec.json.decode(msgspec.json.encode(example), type=message.payload)
        assert again is not None


async def test_the_socket_page_shows_every_message(grid: Grid) -> None:
    text = await html_of(grid, "/docs/socket")
    assert all(message.type in text for message in TABLE)
    assert "last_seed" not in text  # wire spellings, not ours
    assert "lastSeed" in text


# ── what aiohttp refuses by itself ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", 400),
        (b"GET http://[::1 HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01", 400),
        (b"POST /v1/account/nonce HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", 400),
        (
            b"POST /v1/account/nonce HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"zz\r\n",
            400,
        ),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: wonders\r\n\r\n", 417),
        (b"PROPFIND / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
    ],
)
async def test_what_is_no_sound_request_is_told_so_in_json(
    grid: Grid, sent: bytes, status: int
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", grid.config.port)
    writer.write(sent)
    async with asyncio.timeout(60):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    told = json.loads(body)
    assert head.split(b"\r\n")[0].split()[1] == str(status).encode()
    assert (told["status"], told["errorCode"]) == ("error", status)
    assert told["message"]


async def test_a_body_that_waits_for_leave_gets_it(grid: Grid) -> None:
    status, body = await grid.call("POST", "/v1/account/keys", json={"name": "a"}, expect100=True)
    assert (status, body["status"]) == (201, "success")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/v1/account/me", "GET, HEAD"),
        ("GET", "/v1/account/nonce", "POST"),
        ("PUT", "/v1/account/keys", "GET, HEAD, POST"),
        ("DELETE", "/blobs/x", "GET, HEAD, PUT"),
        ("DELETE", "/blobs/a%3Fb%0Ac", "GET, HEAD, PUT"),
        ("DELETE", "/v1/assets/capabilities", "GET, HEAD"),
        ("DELETE", "/v1/assets/prepare", "POST"),
        ("DELETE", "/v1/loras/personal/catalog", "GET, HEAD"),
        ("PUT", "/v1/loras/personal/catalogue", "DELETE, GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(
    grid: Grid, method: str, path: str, allowed: str
) -> None:
    async with grid.http.request(method, grid.url + path) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, allowed)
        assert (await answer.json())["errorCode"] == 405


# ── answers ──────────────────────────────────────────────────────────────────────────────────────


def conforms(document: dict[str, Any], path: str, body: Any) -> None:
    """Fails unless `body` is what the document says that GET answers at `path`."""
    content = document["paths"][path]["get"]["responses"]["200"]["content"]
    schema = content["application/json"]["schema"] | {"components": document["components"]}
    jsonschema_rs.validator_for(schema).validate(body)


async def test_answers_about_real_projects_are_as_the_document_says(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    done = await app.request(appSource="shop", numberOfImages=1)
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted", jobID=done)
    open_ = await app.request(numberOfImages=2)
    await worker.start(await worker.assigned())
    await app.wait_state("jobStarted", jobID=open_)
    document = await document_of(grid)
    for template, path in {
        "/v1/projects/{projectId}": f"/v1/projects/{done}",
        "/v2/projects/{projectId}": f"/v2/projects/{open_}",
        "/v1/jobs/list": "/v1/jobs/list",
        "/api/v1/artist/projects/active": "/api/v1/artist/projects/active",
        "/api/v1/artist/projects/sync": "/api/v1/artist/projects/sync",
        "/v1/transactions/list": "/v1/transactions/list",
        "/api/v2/models/tiers": "/api/v2/models/tiers",
        "/v1/loras/comfy": "/v1/loras/comfy",
    }.items():
        status, body = await grid.get(path)
        assert status == 200, body
        conforms(document, template, body)
    with pytest.raises(jsonschema_rs.ValidationError):
        conforms(document, "/v1/jobs/list", {"status": "success", "data": {"jobs": [{}]}})
