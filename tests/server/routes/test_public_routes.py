"""The catalogue and the estimates over HTTP, with the paths that real clients were seen to ask."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.params import ImageParams
from dreamgrid.protocol.rest_estimates import ImageEstimatePath
from dreamgrid.server import pricing
from dreamgrid.server.catalog import Catalog
from dreamgrid.server.clock import system_clock
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.http import add_cors_headers, cors_middleware, errors_middleware, parameters
from dreamgrid.server.routes import catalog as catalog_routes
from dreamgrid.server.routes import estimates
from dreamgrid.server.services import Services

Client = TestClient[web.Request, web.Application]


class TwoWorkers:
    """Stands for the connected workers."""

    def counts(self, network: str) -> dict[str, int]:
        return {"dreamlet-v1": 2, "pattern-v1": 1} if network == "fast" else {}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    services = SimpleNamespace(
        config=ServerConfig(data_dir=tmp_path),
        catalog=Catalog.load(),
        workers=TwoWorkers(),
        clock=system_clock,
    )
    app = web.Application(middlewares=[cors_middleware, errors_middleware])
    app.on_response_prepare.append(add_cors_headers)
    for module in (catalog_routes, estimates):
        app.add_routes(module.routes(cast(Services, services)))
    async with TestClient(TestServer(app)) as opened:
        yield opened


async def get(client: Client, path: str, status: int = 200) -> Any:
    async with client.get(path) as response:
        assert response.status == status, await response.text()
        assert response.content_type == "application/json"
        return await response.json()


async def refusal(client: Client, path: str, status: int) -> str:
    body = await get(client, path, status)
    assert body["status"] == "error"
    assert isinstance(body["errorCode"], int)
    return cast(str, body["message"])


# ── catalogue ────────────────────────────────────────────────────────────────────────────────────


async def test_models_are_listed_bare_with_the_wire_fields_and_what_they_take(
    client: Client,
) -> None:
    first, *others = await get(client, "/api/v1/models/list")
    assert first == {
        "id": "dreamlet-v1",
        "name": "Dreamlet",
        "SID": 1001,
        "tier": "dreamlet",
        "media": "image",
        "inputs": ["startingImage", "contextImage1", "cnImage"],
        "controlNets": ["inpaint"],
        "outputFormats": ["png", "jpg", "webp"],
        "size": {
            "width": 512,
            "height": 512,
            "min": 64,
            "max": 2048,
            "step": 8,
            "maxPixels": 4194304,
        },
    }
    assert all({"id", "name", "SID", "tier", "media"} <= set(model) for model in others)
    assert {model["media"] for model in others} == {"image", "video", "audio"}


async def test_tiers_are_an_object_by_id(client: Client) -> None:
    tiers = await get(client, "/api/v2/models/tiers")
    assert tiers["dreamlet"]["steps"] == {"min": 1, "max": 50, "default": 20}
    assert tiers["dreamlet"]["guidance"]["default"] == 2.0
    assert tiers["dreamlet"]["sampler"] == {"allowed": ["Euler"], "default": "Euler"}


@pytest.mark.parametrize("network", ["fast", "relaxed"])
async def test_size_presets_have_every_field(client: Client, network: str) -> None:
    presets = await get(client, f"/api/v1/size-presets/network/{network}/model/dreamlet-v1")
    assert presets[0] == {
        "label": "Square",
        "id": "square",
        "width": 512,
        "height": 512,
        "ratio": "1:1",
        "aspect": "1",
    }
    assert len(presets) >= 4


async def test_presets_of_an_unknown_model_or_network_are_refused(client: Client) -> None:
    path = "/api/v1/size-presets/network"
    assert "there is no model" in await refusal(client, f"{path}/fast/model/none", 404)
    assert "use fast or relaxed" in await refusal(client, f"{path}/slow/model/dreamlet-v1", 400)


async def test_worker_counts_are_by_short_number_as_text(client: Client) -> None:
    fast = await get(client, "/api/v1/status/network/fast/models")
    assert fast == {"1001": 2, "1002": 1}
    assert await get(client, "/api/v1/status/network/relaxed/models") == {}
    await refusal(client, "/api/v1/status/network/slow/models", 400)


# ── estimates ────────────────────────────────────────────────────────────────────────────────────


def spark(answer: Any) -> str:
    return cast(str, answer["quote"]["project"]["costInSpark"])


async def test_an_estimate_has_all_that_clients_read(client: Client) -> None:
    answer = await get(client, "/api/v2/job/estimate/sogni/fast/dreamlet-v1/2/20/1/0/0/512/512")
    project = answer["quote"]["project"]
    assert {name: project[name] for name in sorted(project)} == {
        "calculatedStepCount": 40,
        "costInRenderSec": "1.000000",
        "costInSogni": "0.160000",
        "costInSpark": "0.200000",
        "costInToken": "0.160000",
        "costInUSD": "0.001000",
    }
    assert answer["request"]["name"] == "Dreamlet"
    assert answer["request"]["time"].endswith("Z")
    assert "benchmark" not in answer


@pytest.mark.parametrize(
    "path",
    [
        "v2/job/estimate/spark/fast/dreamlet-v1/1/20/0/0/0",
        "v2/job/estimate/spark/fast/dreamlet-v1/1/20/0/0/0/0/0",
        "v1/job/estimate/spark/fast/dreamlet-v1/1/20/0/0/0/512/512",
        "v2/job/estimate/spark/fast/dreamlet-v1/1/20/0/false/0/512/512",
        "v2/job/estimate/spark/fast/dreamlet-v1/1/20.0/0/0/0.0/512.0/512",
        "v2/job/estimate/spark/fast/dreamlet-v1/1/0/0/0/0/0/0",
        "v3/job/estimate/spark/fast/dreamlet-v1/1/20/0/0/0/0/0/0/_/0",
        "v3/job/estimate/spark/fast/dreamlet-v1/1/20/0/0/0/0/0/2.5/Euler/0?outputFormat=jpg",
        "v3/job/estimate/spark/fast/dreamlet-v1/1/20/0/0/0/512/512/2.5/euler/0?billingMode=tokens",
    ],
)
async def test_every_spelling_of_the_same_request_costs_the_same(client: Client, path: str) -> None:
    assert spark(await get(client, f"/api/{path}")) == "0.100000"


@pytest.mark.parametrize("denoise", ["0.35", "0.35000000000000003", "0.349999999999999978"])
async def test_floats_of_clients_make_no_difference(client: Client, denoise: str) -> None:
    path = f"/api/v2/job/estimate/spark/fast/dreamlet-v1/1/20/0/0/{denoise}/0/0"
    answer = await get(client, path)
    assert answer["quote"]["job"]["calculatedStepCount"] == 7
    assert spark(answer) == "0.035000"


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("spark/fast/no-such-model-1/1/4/0/0/0/512/512", 404, "no model 'no-such-model-1'"),
        ("gold/fast/dreamlet-v1/1/4/0/0/0/512/512", 400, "'gold'; use spark or sogni"),
        ("spark/slow/dreamlet-v1/1/4/0/0/0/512/512", 400, "'slow'; use fast or relaxed"),
        ("spark/fast/dreamlet-v1/1/4/0/0/0/512", 404, "/docs/api"),
        ("spark/fast/dreamlet-v1/1", 404, "/docs/api"),
        ("spark/fast/dreamlet-v1/x/4/0/0/0/512/512", 400, "'imageCount': Expected `int`"),
        ("spark/fast/dreamlet-v1/1.5/4/0/0/0/512/512", 400, "'imageCount'"),
        ("spark/fast/dreamlet-v1/1_0/4/0/0/0/512/512", 400, "'imageCount'"),
        ("spark/fast/dreamlet-v1/0/4/0/0/0/512/512", 400, "count 0 is not allowed"),
        (f"spark/fast/dreamlet-v1/{'9' * 3000}/4/0/0/0/512/512", 400, "'imageCount'"),
        ("spark/fast/dreamlet-v1/1/-4/0/0/0/512/512", 400, "'stepCount': Expected `int` >= 0"),
        ("spark/fast/dreamlet-v1/1/4/0/2/0/512/512", 400, "'cnEnabled': Expected `bool`"),
        ("spark/fast/pattern-v1/1/4/0/1/0/512/512", 400, "does not take the input 'cnImage'"),
        ("spark/fast/dreamlet-v1/1/4/0/0/nan/512/512", 400, "'denoise'"),
        ("spark/fast/dreamlet-v1/1/4/0/0/inf/512/512", 400, "'denoise'"),
        ("spark/fast/dreamlet-v1/1/4/0/0/1e999/512/512", 400, "'denoise'"),
        ("spark/fast/dreamlet-v1/1/4/0/0/2/512/512", 400, "'denoise': Expected `float` <= 1"),
        ("spark/fast/dreamlet-v1/1/4/0/0/0/512/0", 400, "together"),
        ("spark/fast/dreamlet-v1/1/4/0/0/0/4096/4096", 400, "width 4096"),
        ("spark/fast/dreamlet-v1/1/4/0/0/0/0/0/0/heun/0", 400, "sampler 'heun'"),
        ("spark/fast/pattern-v1/1/4/0/0/0/0/0/0/_/1", 400, "contextImage1"),
        (
            "spark/fast/dreamlet-v1/1/4/0/0/0/0/0/0/_/99",
            400,
            "'contextImages': Expected `int` <= 16",
        ),
        ("spark/fast/dreamlet-v1/1/4/0/0/0/0/0/nan/_/0", 400, "'guidance'"),
    ],
)
async def test_garbage_is_refused_by_name(
    client: Client, path: str, status: int, message: str
) -> None:
    assert message in await refusal(client, f"/api/v3/job/estimate/{path}", status)


junk = st.one_of(
    st.text(st.characters(exclude_characters="/?#", exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(["0", "1", "-1", "1e5", "nan", "true", "²", "0x10", "1_0", "", " 1"]),
)


NAMES = [field.encode_name for field in msgspec.structs.fields(ImageEstimatePath)]


@given(st.dictionaries(st.sampled_from(NAMES), junk, max_size=4))
def test_no_segment_makes_a_mistake_of_the_server(changes: dict[str, str]) -> None:
    sound = ["spark", "fast", "dreamlet-v1", "1", "4", "0", "0", "0", "0", "0", "0", "_", "0"]
    asked = dict(zip(NAMES, sound, strict=True)) | changes
    params, refused = attempt(asked)
    assert (params is None) == bool(refused)
    if params is not None:
        catalog = Catalog.load()
        try:
            renders = catalog.resolve(params, ServerConfig(data_dir=Path()), lambda: 1)
        except InvalidRequest:
            return
        assert pricing.quote(catalog.model(params.model), renders).project_micros("spark") > 0


def attempt(asked: dict[str, str]) -> tuple[ImageParams | None, str]:
    try:
        return estimates.params_of(parameters("path", asked, ImageEstimatePath)), ""
    except InvalidRequest as error:
        return None, str(error)


async def test_the_answer_is_plain_json_without_a_wrapper(client: Client) -> None:
    async with client.get("/api/v2/job/estimate/spark/fast/pattern-v1/1/8/0/0/0") as response:
        assert set(json.loads(await response.text())) == {
            "request",
            "rate",
            "quote",
            "validSeconds",
        }
