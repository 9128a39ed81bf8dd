"""Pictures from pictures on a real grid: an SDK, a server, and a worker with its engine."""

import io
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("PIL")

from PIL import Image, ImageDraw

import dreamgrid
from dreamgrid.engines.dreamlet import ENHANCER, MODEL, UPSCALER
from tests.cli.processes import Grid, running

PATIENCE_S = 90
SIDES: dict[str, Any] = {"width": 128, "height": 128}


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    data = tmp_path_factory.mktemp("grid") / "data"
    with running("up", "--json", "--port", "0", data=data) as one:
        yield one


@pytest.fixture
async def client(grid: Grid) -> AsyncIterator[dreamgrid.AsyncClient]:
    async with dreamgrid.AsyncClient(grid.ready["url"], grid.ready["api_key"]) as client:
        yield client


@pytest.fixture(scope="module")
def ball() -> Image.Image:
    """A blue ball on yellow ground."""
    picture = Image.new("RGB", (128, 128), (250, 220, 60))
    ImageDraw.Draw(picture).ellipse((30, 30, 98, 98), fill=(40, 60, 200))
    return picture


async def made(client: dreamgrid.AsyncClient, **settings: Any) -> Image.Image:
    """The only picture of a project."""
    project = await client.projects.create_image(**{"model": MODEL, "steps": 4, **settings})
    (image,) = await project.wait(timeout_s=PATIENCE_S)
    with Image.open(io.BytesIO(await image.read())) as picture:
        return picture.convert("RGB")


def distance(one: Image.Image, other: Image.Image) -> float:
    levels = [np.asarray(picture).astype(np.float64) for picture in (one, other)]
    return float(np.abs(levels[0] - levels[1]).mean())


async def test_a_part_is_painted_anew(client: dreamgrid.AsyncClient, ball: Image.Image) -> None:
    mask = Image.new("L", ball.size)
    mask.paste(255, (64, 0, 128, 128))
    net = dreamgrid.ControlNet(name="inpaint", image=mask, mode="cn_priority")
    painted = await made(
        client, prompt="a red apple", starting_image=ball, strength=1.0, control_net=net, **SIDES
    )
    left, right = (0, 0, 64, 128), (64, 0, 128, 128)
    assert distance(painted.crop(left), ball.crop(left)) == 0
    assert distance(painted.crop(right), ball.crop(right)) > 10


async def test_a_mask_without_a_picture_is_refused_by_the_server(
    client: dreamgrid.AsyncClient, ball: Image.Image
) -> None:
    net = dreamgrid.ControlNet(name="inpaint", image=ball)
    with pytest.raises(dreamgrid.errors.MissingAsset, match="startingImage"):
        await made(client, prompt="a red apple", control_net=net)


async def test_a_variation_is_nearer_to_its_reference(
    client: dreamgrid.AsyncClient, ball: Image.Image
) -> None:
    free = await made(client, prompt="a ball", seed=1, **SIDES)
    alike = await made(client, prompt="a ball", seed=1, context_images=[ball], **SIDES)
    assert distance(alike, ball) < 0.8 * distance(free, ball)


async def test_a_picture_is_enhanced_by_the_model_that_is_there_for_it(
    client: dreamgrid.AsyncClient,
) -> None:
    project = await client.projects.create_image(
        model=MODEL, prompt="a red apple", steps=4, output_format="png", **SIDES
    )
    (image,) = await project.wait(timeout_s=PATIENCE_S)
    for strength in ("light", "heavy"):
        finer = await image.enhance(strength)
        assert finer.params.model == ENHANCER
        with Image.open(io.BytesIO(await finer.read())) as picture:
            assert picture.size == (128, 128)


async def test_a_picture_is_made_larger(client: dreamgrid.AsyncClient, ball: Image.Image) -> None:
    wide = ball.crop((0, 30, 128, 98))  # more than one tile when doubled twice
    large = await made(
        client, model=UPSCALER, prompt="", starting_image=wide, steps=1, width=1024, height=544
    )
    assert large.size == (1024, 544)
    assert distance(large.resize(wide.size, Image.Resampling.BOX), wide) < 2


async def test_what_a_model_does_not_know_is_refused(
    client: dreamgrid.AsyncClient, ball: Image.Image
) -> None:
    net = dreamgrid.ControlNet(name="canny", image=ball)
    with pytest.raises(dreamgrid.errors.InvalidRequest, match="canny"):
        await made(client, prompt="x", starting_image=ball, control_net=net)
    with pytest.raises(dreamgrid.errors.MissingAsset, match="starting_image"):
        await made(client, model=ENHANCER, prompt="an apple")
