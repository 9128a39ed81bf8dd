"""Signed links over HTTP: who gets which, and that nobody reaches what belongs to another."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from dreamgrid.errors import NotFound
from dreamgrid.server.auth import Account
from dreamgrid.server.blobs.keys import preview_key, result_key
from dreamgrid.server.blobs.local import LocalBlobs
from dreamgrid.server.bus.memory import MemoryBus
from dreamgrid.server.clock import system_clock
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.http import (
    ACCOUNT,
    Handler,
    add_cors_headers,
    cors_middleware,
    errors_middleware,
)
from dreamgrid.server.known_workers import KnownWorkers
from dreamgrid.server.open_projects import OpenProjects
from dreamgrid.server.routes import images, media
from dreamgrid.server.rules import Rules
from dreamgrid.server.services import Services
from dreamgrid.server.store.sqlite import SqliteStore
from dreamgrid.server.uploads import Uploads
from dreamgrid.server.workers import Workers

Client = TestClient[web.Request, web.Application]

PROJECT, JOB = (str(uuid.UUID(int=number)).upper() for number in (0xABC, 0xDEF))
PNG = b"\x89PNG\r\n\x1a\npicture"


class Projects:
    """Stands for the owner of projects: one project of alice with one finished job."""

    async def owner(self, project_id: str) -> str | None:
        return "ALICE" if project_id == PROJECT else None

    async def result_key(
        self, account: Account, project_id: str, job_id: str, *, preview: bool
    ) -> str:
        if (account.id, project_id, job_id) != ("ALICE", PROJECT, JOB):
            raise NotFound("no such file")
        return preview_key(PROJECT, JOB, 1) if preview else result_key(PROJECT, JOB, 1, "png")


@web.middleware
async def by_name(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The credential is simply the account's name."""
    name = request.headers.get("api-key")
    if name:
        request[ACCOUNT] = Account(id=name.upper(), username=name)
    return await handler(request)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    config = ServerConfig(data_dir=tmp_path, max_image_bytes=1000)
    blobs = LocalBlobs(tmp_path)
    store, workers = SqliteStore(tmp_path / "unused.sqlite"), Workers()
    rules, known = Rules(store.admin), KnownWorkers(60, store, workers, system_clock)
    open_projects = OpenProjects(config, blobs, MemoryBus(), workers, system_clock, rules, known)
    services = SimpleNamespace(
        config=config,
        blobs=blobs,
        uploads=Uploads(config, blobs, open_projects, system_clock),
        projects=Projects(),
        origin=lambda request: f"http://{request.host}",
    )
    app = web.Application(middlewares=[cors_middleware, errors_middleware, by_name])
    app.on_response_prepare.append(add_cors_headers)
    for subject in (images.routes, media.routes):
        app.add_routes(subject(cast(Services, services)))
    app.add_routes(blobs.routes())
    async with TestClient(TestServer(app)) as opened:
        yield opened


async def ask(client: Client, path: str, *, name: str | None = "alice", **query: str) -> Any:
    headers = {"api-key": name} if name else {}
    async with client.get(path, params=query, headers=headers) as response:
        return response.status, await response.json()


async def upload_url(client: Client, **query: str) -> str:
    asked = {"jobId": PROJECT, "type": "startingImage", "imageId": str(uuid.uuid4()), **query}
    status, body = await ask(client, "/v1/image/uploadUrl", **asked)
    assert status == 200, body
    assert body["status"] == "success"
    return cast(str, body["data"]["uploadUrl"])


async def download_url(client: Client, *, name: str = "alice", **query: str) -> tuple[int, Any]:
    asked = {"jobId": PROJECT, "imageId": JOB, "type": "complete", **query}
    status, body = await ask(client, "/v1/image/downloadUrl", name=name, **asked)
    return status, body["data"]["downloadUrl"] if status == 200 else body["message"]


async def put(client: Client, url: str, data: bytes = PNG, kind: str = "image/x-any") -> int:
    headers = {"Content-Type": kind}
    async with client.session.put(url, data=data, headers=headers) as response:
        return response.status


async def test_an_input_goes_up_and_comes_down_again(client: Client) -> None:
    url = await upload_url(client, contentType="image/png")
    assert await put(client, url, kind="image/png") == 200
    status, link = await download_url(client, type="startingImage", imageId=str(uuid.uuid4()))
    assert status == 200
    async with client.session.get(link) as response:
        assert await response.read() == PNG
        assert response.content_type == "image/png"


async def test_the_content_type_is_pinned_when_the_app_names_it(client: Client) -> None:
    url = await upload_url(client, contentType="image/jpeg")
    assert await put(client, url, kind="image/png") == 403
    for unset in ("undefined", ""):
        url = await upload_url(client, contentType=unset)
        assert await put(client, url, kind="application/x-anything") == 200


async def test_a_picture_may_be_as_large_as_configured(client: Client) -> None:
    url = await upload_url(client)
    assert await put(client, url, b"x" * 1000) == 200
    assert await put(client, url, b"x" * 1001) == 413


async def test_lower_case_ids_mean_the_same_project(client: Client) -> None:
    assert await put(client, await upload_url(client, jobId=PROJECT.lower())) == 200
    assert (await download_url(client, type="startingImage"))[0] == 200


@pytest.mark.parametrize(("role", "last"), [("complete", f"{JOB}-1.png"), ("preview", "1.jpg")])
async def test_results_and_previews_have_links(
    client: Client, tmp_path: Path, role: str, last: str
) -> None:
    assert (await download_url(client, type=role))[0] == 404  # nothing is there yet
    folder = tmp_path / "blobs" / ("results" if role == "complete" else "previews") / PROJECT
    folder.mkdir(parents=True)
    (folder / f"{JOB}-{last.removeprefix(JOB + '-')}").write_bytes(PNG)
    status, link = await download_url(client, type=role, contentType="image/png")
    assert status == 200
    assert link.split("?")[0].endswith(last)


@pytest.mark.parametrize("role", ["complete", "preview", "startingImage", "contextImage1"])
async def test_nobody_gets_a_link_to_what_belongs_to_another(client: Client, role: str) -> None:
    assert await put(client, await upload_url(client)) == 200
    assert (await download_url(client, name="mallory", type=role))[0] == 404


async def test_nobody_uploads_into_the_project_of_another(client: Client) -> None:
    query = {"jobId": PROJECT, "type": "startingImage"}
    status, body = await ask(client, "/v1/image/uploadUrl", name="mallory", **query)
    assert status == 409
    assert body["status"] == "error"


async def test_the_same_free_id_holds_separate_inputs_for_each_account(client: Client) -> None:
    free = str(uuid.uuid4())
    assert await put(client, await upload_url(client, jobId=free)) == 200
    found = await download_url(client, jobId=free, type="startingImage")
    assert found[0] == 200
    other = await download_url(client, name="mallory", jobId=free, type="startingImage")
    assert other[0] == 404


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"jobId": "../../etc"}, "is no id"),
        ({"jobId": "x" * 5000}, "is no id"),
        ({"jobId": ""}, "'jobId' is missing"),
        ({"type": ""}, "'type' is missing"),
        ({"type": "../x"}, "is no role"),
        ({"type": "complete"}, "is no role"),
        ({"type": "referenceAudio"}, "is no role"),
        ({"type": "contextImage17"}, "is no role"),
        ({"contentType": "text/html"}, "'text/html' is not accepted: use image/jpeg"),
        ({"contentType": "image/png\r\nX: y"}, "is not accepted"),
    ],
)
async def test_a_wrong_upload_is_refused_by_name(
    client: Client, changes: dict[str, str], message: str
) -> None:
    query = {"jobId": PROJECT, "type": "startingImage", **changes}
    status, body = await ask(client, "/v1/image/uploadUrl", **query)
    assert status == 400
    assert message in body["message"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"imageId": "1"}, 400),
        ({"imageId": ""}, 400),
        ({"imageId": str(uuid.uuid4())}, 404),
        ({"jobId": str(uuid.uuid4())}, 404),
        ({"type": "startingImage"}, 404),
        ({"type": "everything"}, 400),
    ],
)
async def test_a_wrong_download_is_refused(
    client: Client, changes: dict[str, str], status: int
) -> None:
    assert (await download_url(client, **changes))[0] == status


@pytest.mark.parametrize(
    "path", ["/v1/image/uploadUrl", "/v1/image/downloadUrl", "/v1/assets/capabilities"]
)
async def test_without_a_credential_there_are_no_links(client: Client, path: str) -> None:
    status, body = await ask(client, path, name=None, jobId=PROJECT, type="startingImage")
    assert status == 401
    assert "api-key" in body["message"]


async def test_saved_uploads_are_off(client: Client) -> None:
    assert await ask(client, "/v1/assets/capabilities") == (
        200,
        {"status": "success", "data": {"enabled": False}},
    )
