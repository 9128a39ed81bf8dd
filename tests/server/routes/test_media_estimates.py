"""Prices of video and sound, and the LoRAs of a catalogue, over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.server.conftest import MakeGrid
from tests.server.test_resolve_media import LORAS, MODELS, TIERS
from tests.support.grid import Grid

VIDEO = "/api/v1/job-video/estimate/spark/film-v1"
AUDIO = "/api/v1/job-audio/estimate/sogni/song-v1"


@pytest.fixture
async def media_grid(make_grid: MakeGrid, tmp_path: Path) -> AsyncIterator[Grid]:
    file = tmp_path / "media.json"
    file.write_bytes(msgspec.json.encode({"models": MODELS, "tiers": TIERS, "loras": LORAS}))
    async with make_grid(catalog_files=(file,)) as grid:
        yield grid


async def bare(grid: Grid, path: str) -> Any:
    status, answer = await grid.get(path, key="")
    assert status == 200, answer
    return answer


def cost(answer: Any, unit: str = "Spark") -> float:
    return float(answer["quote"]["project"][f"costIn{unit}"])


async def test_a_video_costs_more_with_every_frame_pixel_step_and_copy(media_grid: Grid) -> None:
    base = cost(await bare(media_grid, f"{VIDEO}/640/640/81/16"))
    assert base > 0
    assert cost(await bare(media_grid, f"{VIDEO}/640/640/161/16")) > base
    assert cost(await bare(media_grid, f"{VIDEO}/960/640/81/16")) == pytest.approx(base * 1.5)
    assert cost(await bare(media_grid, f"{VIDEO}/640/640/81/16/8/1")) == pytest.approx(base * 2)
    assert cost(await bare(media_grid, f"{VIDEO}/640/640/81/16/0/2")) == pytest.approx(base * 2)


async def test_what_clients_add_to_a_video_estimate_is_understood(media_grid: Grid) -> None:
    asked = (
        "network=fast&billingMode=tokens&hasVideoInput=1&sourceWidth=640&sourceHeight=480"
        "&referenceImageCount=1&referenceVideoCount=1&referenceVideoDurationSeconds=2.5"
        "&keyframeCount=2&fpsHint=undefined"
    )
    plain = await bare(media_grid, f"{VIDEO}/640/640/81/16/4/1")
    full = await bare(media_grid, f"{VIDEO}/640/640/81/16/4/1?{asked}")
    assert cost(full) == cost(plain)
    assert full["request"]["frames"] == 81


async def test_zero_leaves_a_videos_size_and_frames_to_the_model(media_grid: Grid) -> None:
    chosen = await bare(media_grid, f"{VIDEO}/0/0/0/0")
    assert {name: chosen["request"][name] for name in ("width", "height", "frames", "fps")} == {
        "width": 640,
        "height": 640,
        "frames": 81,
        "fps": 16,
    }


async def test_sound_costs_by_its_seconds_even_if_the_model_needs_a_text(media_grid: Grid) -> None:
    half = await bare(media_grid, f"{AUDIO}/30/8/1")
    whole = await bare(media_grid, f"{AUDIO}/60/8/1?network=fast")
    assert cost(whole, "Token") == pytest.approx(2 * cost(half, "Token"))
    assert cost(half, "Token") == cost(half, "Sogni")
    assert cost(await bare(media_grid, f"{AUDIO}/30/8/2"), "Token") == cost(whole, "Token")


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        (f"{VIDEO}/640/640/81", 404, "/docs/api"),
        (f"{VIDEO}/640/640/x/16", 400, "'frames'"),
        (f"{VIDEO}/640/640/81/17", 400, "fps"),
        (f"{VIDEO}/40/640/81/16", 400, "width"),
        (f"{VIDEO}/640/640/81/16/0/99", 400, "99"),
        (f"{VIDEO}/640/640/81/16?network=slow", 400, "use fast or relaxed"),
        (f"{AUDIO}/9999/8/1", 400, "duration"),
        (f"{AUDIO}/nan/8/1", 400, "'duration'"),
        ("/api/v1/job-audio/estimate/spark/film-v1/30/8/1", 400, "film-v1"),
        ("/api/v1/job-video/estimate/spark/dreamlet-v1/512/512/81/16", 400, "dreamlet-v1"),
        ("/api/v1/job-video/estimate/spark/none/512/512/81/16", 404, "no model"),
        ("/api/v1/job-llm/estimate/spark/none/1/1", 404, "/docs/api"),
    ],
)
async def test_a_wrong_media_estimate_is_refused_by_name(
    media_grid: Grid, path: str, status: int, message: str
) -> None:
    answered, body = await media_grid.get(path, key="")
    assert (answered, body["status"]) == (status, "error"), body
    assert message in body["message"]


async def test_loras_have_every_field_that_clients_read(media_grid: Grid) -> None:
    found = await media_grid.data("/v1/loras/comfy?modelId=film-v1", key="")
    (lora,) = found["loras"]
    assert lora == {
        "loraId": "warm",
        "slug": "warm",
        "name": "Warm",
        "description": "",
        "relatedLoraIds": [],
        "modelIds": ["film-v1"],
        "ui": {
            "min": -2,
            "max": 2,
            "default": 1,
            "step": 0.1,
            "category": "style",
            "nsfw": False,
            "sexual": False,
        },
    }
    assert found["models"] == ["film-v1"]
    assert found["constraints"] == {"maxPerRequest": 8, "minStrength": -100, "maxStrength": 100}


async def test_loras_are_asked_for_by_model(media_grid: Grid) -> None:
    path = "/v1/loras/comfy?modelId="
    assert len((await media_grid.data(f"{path}film-v1", key=""))["loras"]) == 1
    assert (await media_grid.data(f"{path}song-v1", key=""))["loras"] == []
    everything = (await media_grid.data(f"{path}undefined", key=""))["loras"]
    assert len(everything) == len((await media_grid.data("/v1/loras/comfy", key=""))["loras"]) > 1
