"""The pattern engine: the same picture from the same words, at any size, whatever is installed."""

import io
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from dreamgrid.engines.base import Artifact, Step
from dreamgrid.engines.pattern import ENGINE, MODEL, PREVIEW_SIDE
from dreamgrid.errors import EngineError, ModelNotAvailable, RenderCanceled, UnreadableMedia
from dreamgrid.protocol.params import CONTENT_TYPES, STARTING_IMAGE, ImageFormat
from dreamgrid.protocol.renders import ImageRender


def render(**changes: object) -> ImageRender:
    defaults: dict[str, object] = {
        "model": MODEL,
        "prompt": "a lighthouse",
        "width": 64,
        "height": 48,
        "steps": 4,
        "guidance": 5.0,
        "seed": 7,
    }
    return ImageRender(**(defaults | changes))  # type: ignore[arg-type]


def paint(job: ImageRender, **inputs: bytes) -> Artifact:
    return ENGINE.create(1).generate(job, inputs, lambda _: None)


def opened(artifact: Artifact) -> Image.Image:
    image = Image.open(io.BytesIO(artifact.data))
    image.load()
    return image


@given(width=st.integers(1, 300), height=st.integers(1, 300), steps=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_every_size_gives_a_readable_png_of_that_size(width: int, height: int, steps: int) -> None:
    artifact = paint(render(width=width, height=height, steps=steps))
    image = opened(artifact)
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (width, height))
    assert (artifact.content_type, artifact.steps) == ("image/png", steps)


@given(prompt=st.text(max_size=50), seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_the_same_words_and_seed_give_the_same_bytes(prompt: str, seed: int, steps: int) -> None:
    job = render(prompt=prompt, seed=seed, steps=steps)
    other_steps = render(prompt=prompt, seed=seed, steps=steps + 1)
    assert paint(job).data == paint(job).data == paint(other_steps).data


@pytest.mark.parametrize("change", [{"prompt": "a boat"}, {"seed": 8}, {"negative_prompt": "fog"}])
def test_another_prompt_or_seed_gives_another_picture(change: dict[str, object]) -> None:
    assert paint(render()).data != paint(render(**change)).data


def test_each_step_is_told_once_and_shows_more_of_the_picture() -> None:
    told: list[tuple[int, int]] = []
    previews: list[bytes] = []

    def on_step(step: Step) -> None:
        told.append((step.step, step.step_count))
        assert step.preview is not None
        previews.append(step.preview())

    ENGINE.create(1).generate(render(width=600, height=300), {}, on_step)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert len(set(previews)) == 4
    for preview in previews:
        with Image.open(io.BytesIO(preview)) as image:
            assert (image.format, max(image.size)) == ("JPEG", PREVIEW_SIDE)


def test_it_stops_at_the_step_that_is_canceled_and_stays_usable() -> None:
    engine = ENGINE.create(1)
    seen: list[int] = []

    def on_step(step: Step) -> None:
        seen.append(step.step)
        if step.step == 2:
            raise RenderCanceled("stop")

    with pytest.raises(RenderCanceled):
        engine.generate(render(), {}, on_step)
    assert seen == [1, 2]
    assert engine.generate(render(), {}, lambda _: None).steps == 4


@pytest.mark.parametrize("output_format", ["jpg", "webp"])
def test_other_file_types_are_written_where_pillow_is_installed(
    output_format: ImageFormat,
) -> None:
    artifact = paint(render(output_format=output_format))
    assert artifact.content_type == CONTENT_TYPES[output_format]
    assert Image.MIME[opened(artifact).format or ""] == artifact.content_type


def test_strength_blends_the_starting_image_with_the_pattern() -> None:
    white = io.BytesIO()
    Image.new("RGB", (10, 10), "white").save(white, "PNG")
    pattern = opened(paint(render()))
    kept = opened(paint(render(strength=0.0), startingImage=white.getvalue()))
    half = opened(paint(render(strength=0.5), startingImage=white.getvalue()))
    gone = opened(paint(render(strength=1.0), startingImage=white.getvalue()))
    assert kept.getcolors() == [(64 * 48, (255, 255, 255))]
    assert ImageChops.difference(gone, pattern).getbbox() is None
    assert ImageChops.lighter(half, pattern).tobytes() == half.tobytes() != gone.tobytes()


def test_a_broken_starting_image_is_refused_before_any_step() -> None:
    steps: list[Step] = []
    job = render(strength=0.5)
    with pytest.raises(UnreadableMedia, match="send a PNG, JPEG, WebP or GIF"):
        ENGINE.create(1).generate(job, {STARTING_IMAGE: b"not an image"}, steps.append)
    assert steps == []


@pytest.mark.parametrize(("width", "height"), [(0, 10), (10, -1), (10_000, 10_000)])
def test_impossible_sizes_are_refused(width: int, height: int) -> None:
    with pytest.raises(EngineError, match="is no size"):
        paint(render(width=width, height=height))


def test_it_serves_only_its_own_model() -> None:
    engine = ENGINE.create(1)
    engine.load(MODEL)
    assert ENGINE.models() == (MODEL,)
    with pytest.raises(ModelNotAvailable, match="not flux1-schnell"):
        engine.load("flux1-schnell")


WITHOUT_PILLOW = f"""
import sys
sys.modules["PIL"] = None
from dreamgrid.engines.pattern import ENGINE
from dreamgrid.errors import ModelNotAvailable
from dreamgrid.protocol.renders import ImageRender

def paint(inputs, **kwargs):
    steps = []
    job = ImageRender(model="{MODEL}", prompt="", width=9, height=9, steps=2, guidance=1, seed=1,
                      **kwargs)
    artifact = ENGINE.create(1).generate(job, inputs, steps.append)
    assert [step.preview for step in steps] == [None, None]
    return artifact

assert paint({{}}).data.startswith(b"\\x89PNG")
for inputs, kwargs in (({{}}, dict(output_format="jpg")), ({{"{STARTING_IMAGE}": b""}}, {{}})):
    try:
        paint(inputs, **kwargs)
    except ModelNotAvailable as error:
        assert "pip install" in str(error)
    else:
        raise SystemExit("not refused")
assert "numpy" not in sys.modules
"""


def test_without_pillow_it_writes_png_and_refuses_the_rest_clearly() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PILLOW], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
