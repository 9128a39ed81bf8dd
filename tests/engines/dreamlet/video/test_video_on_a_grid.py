"""Videos on a real grid: an SDK, a server, and a worker with its engine in a child process."""

import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("av")
pytest.importorskip("onnxruntime")
pytest.importorskip("PIL")

import av
from PIL import Image

import dreamgrid
from dreamgrid.engines.dreamlet.video.ids import FROM_IMAGES, FROM_TEXT
from tests.cli.processes import Grid, running

SMALL: dict[str, Any] = {"frames": 9, "steps": 4, "fps": 16}
PATIENCE_S = 90


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    data = tmp_path_factory.mktemp("grid") / "data"
    with running("up", "--json", "--port", "0", data=data) as one:
        yield one


@pytest.fixture
async def client(grid: Grid) -> AsyncIterator[dreamgrid.AsyncClient]:
    async with dreamgrid.AsyncClient(grid.ready["url"], grid.ready["api_key"]) as client:
        yield client


async def test_a_video_is_made_from_words(client: dreamgrid.AsyncClient) -> None:
    project = await client.projects.create_video(
        model=FROM_TEXT, prompt="a red apple", width=640, height=480, **SMALL
    )
    story = [event async for event in project.events()]
    (video,) = await project.wait(timeout_s=PATIENCE_S)
    with av.open(io.BytesIO(await video.read()), "r") as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (640, 480)
        assert stream.average_rate == 16
        assert len(list(container.decode(stream))) == 9
        assert container.duration == 9 * 1_000_000 // 16
    steps = [event.step for event in story if isinstance(event, dreamgrid.Progressed)]
    assert steps == sorted(set(steps))
    assert len(steps) > 4


async def test_a_video_is_made_from_a_picture(
    client: dreamgrid.AsyncClient, tmp_path: Path
) -> None:
    picture = tmp_path / "green.png"
    Image.new("RGB", (200, 300), "#40a040").save(picture)
    project = await client.projects.create_video(
        model=FROM_IMAGES, prompt="a frog", reference_image=picture, output_format="webm", **SMALL
    )
    (video,) = await project.wait(timeout_s=PATIENCE_S)
    with av.open(io.BytesIO(await video.read()), "r") as container:
        first = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert list(first.mean(axis=(0, 1))) == pytest.approx([64, 160, 64], abs=8)


async def test_what_the_content_filter_objects_to_is_withheld_unless_it_is_off(
    client: dreamgrid.AsyncClient,
) -> None:
    for off in (False, True):
        project = await client.projects.create_video(
            model=FROM_TEXT, prompt="a nude man", disable_safety=off, **SMALL
        )
        videos = await project.wait(timeout_s=PATIENCE_S)
        assert len(videos) == off


async def test_what_is_never_made_fails_at_once_and_says_why(client: dreamgrid.AsyncClient) -> None:
    project = await client.projects.create_video(
        model=FROM_TEXT, prompt="a naked child", disable_safety=True, **SMALL
    )
    story = [event async for event in project.events()]
    (failed,) = [event for event in story if isinstance(event, dreamgrid.JobFailed)]
    assert "never made" in failed.message
    assert not any(isinstance(event, dreamgrid.Progressed) for event in story)


async def test_a_video_is_canceled_in_the_middle(client: dreamgrid.AsyncClient) -> None:
    project = await client.projects.create_video(
        model=FROM_TEXT, prompt="a cat", frames=321, steps=30
    )
    async for event in project.events():
        if isinstance(event, dreamgrid.Progressed):
            break
    await project.cancel()
    with pytest.raises(dreamgrid.ProjectCanceled):
        await project.wait(timeout_s=PATIENCE_S)
    following = await client.projects.create_video(model=FROM_TEXT, prompt="a cat", **SMALL)
    assert len(await following.wait(timeout_s=PATIENCE_S)) == 1
