"""The engine with its shipped weights, through the contract that workers use."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dreamgrid.engines.base import Step
from dreamgrid.engines.dreamlet import ENGINE, MODEL, WEIGHTS
from dreamgrid.engines.dreamlet.engine import DreamletEngine, canvas_size
from dreamgrid.engines.dreamlet.ids import ENHANCER, UPSCALER
from dreamgrid.engines.dreamlet.networks import Networks
from dreamgrid.engines.dreamlet.sampler import draw_noise
from dreamgrid.errors import (
    EngineError,
    ModelNotAvailable,
    RenderCanceled,
    RenderRefused,
    UnreadableMedia,
)
from dreamgrid.protocol.params import ImageFormat
from tests.engines.dreamlet.helpers import (
    Paint,
    encode_picture,
    ignore,
    open_picture,
    read_settings,
    render_of,
)

GREY_SQUARE = encode_picture(Image.new("RGB", (64, 64), (128, 128, 128)))


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(open_picture(data)).astype(np.float64)


def difference(one: bytes, other: bytes) -> float:
    """Mean distance of two pictures in levels of 0..255."""
    return float(np.abs(pixels(one) - pixels(other)).mean())


def painted_size(data: bytes) -> bytes:
    """A picture at the size that is painted; what is larger, previews leave to Lanczos."""
    return encode_picture(open_picture(data).resize((64, 64), Image.Resampling.BOX))


# Determinism ---------------------------------------------------------------------------------


def test_the_same_render_gives_the_same_file_bit_for_bit(paint: Paint) -> None:
    first = paint(seed=11)
    paint(seed=12, prompt="something else", width=96)
    assert paint(seed=11).data == first.data


@pytest.mark.parametrize("threads", [2, 3])
def test_the_number_of_threads_does_not_change_the_picture(paint: Paint, threads: int) -> None:
    other = DreamletEngine(WEIGHTS, threads=threads)
    assert other.generate(render_of(), {}, ignore).data == paint().data


@pytest.mark.parametrize("threads", [1, 2])
def test_pictures_of_several_jobs_in_one_pass_are_those_of_one_by_one(threads: int) -> None:
    networks = Networks(WEIGHTS, threads)
    prompts = ("a red apple", "a castle on a hill at night, with stars above it", "", "two cats")
    noisy = np.stack([draw_noise(seed, 64, 64) for seed in range(len(prompts))])
    levels = np.array([1.0, 0.7, 0.4, 0.1], np.float32)
    together = networks.paint(noisy, levels, networks.encode(*prompts))
    for job, prompt in enumerate(prompts):
        alone = slice(job, job + 1)
        painted = networks.paint(noisy[alone], levels[alone], networks.encode(prompt))
        # Far below what an 8-bit pixel can show; processors may round sums of a batch differently.
        np.testing.assert_allclose(together[alone], painted, rtol=0, atol=1e-4)


def test_another_seed_gives_another_picture(paint: Paint) -> None:
    assert difference(paint(seed=1).data, paint(seed=2).data) > 3


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_the_first_and_the_last_seed_work(paint: Paint, seed: int) -> None:
    assert paint(seed=seed, steps=1).data


# Steps ---------------------------------------------------------------------------------------


def test_every_step_is_told_and_the_last_preview_shows_the_result(paint: Paint) -> None:
    steps: list[Step] = []
    previews: list[bytes] = []

    def on_step(step: Step) -> None:
        if steps and step.step == steps[-1].step:
            return  # a sign of life
        steps.append(step)
        assert step.preview is not None
        previews.append(step.preview())

    artifact = paint(on_step=on_step, steps=6, width=128, height=128)
    assert [(step.step, step.step_count) for step in steps] == [(n, 6) for n in range(1, 7)]
    assert artifact.steps == 6
    result = painted_size(artifact.data)
    distances = [difference(painted_size(preview), result) for preview in previews]
    assert distances[-1] < 4  # what JPEG costs
    assert distances[0] > 2 * distances[-1]


def test_a_job_is_canceled_between_two_steps_and_the_engine_stays_usable(paint: Paint) -> None:
    before = paint()
    seen = 0

    def cancel_at_third(step: Step) -> None:
        nonlocal seen
        seen = step.step
        if step.step == 3:
            raise RenderCanceled("stop")

    with pytest.raises(RenderCanceled):
        paint(on_step=cancel_at_third)
    assert seen == 3
    assert paint().data == before.data


# What the settings do ------------------------------------------------------------------------


def test_a_negative_prompt_changes_the_picture(paint: Paint) -> None:
    assert difference(paint().data, paint(negative_prompt="red").data) > 3


def test_a_negative_prompt_does_nothing_without_guidance(paint: Paint) -> None:
    one, other = paint(guidance=1.0), paint(guidance=1.0, negative_prompt="red")
    np.testing.assert_array_equal(pixels(one.data), pixels(other.data))


def test_an_empty_prompt_paints_something(paint: Paint) -> None:
    assert pixels(paint(prompt="").data).std() > 5


@pytest.mark.parametrize(
    ("asked", "canvas"),
    [
        ((512, 512), (64, 64)),
        ((64, 64), (64, 64)),
        ((768, 512), (96, 64)),
        ((512, 768), (64, 96)),
        ((1024, 576), (112, 64)),
        ((520, 512), (64, 64)),
        ((4096, 1), (128, 64)),
    ],
)
def test_the_canvas_of_a_starting_image_follows_the_proportions(
    asked: tuple[int, int], canvas: tuple[int, int]
) -> None:
    assert canvas_size(*asked) == canvas


@pytest.mark.parametrize("size", [(64, 64), (512, 512), (200, 120), (72, 1000), (1, 1)])
def test_the_result_has_exactly_the_size_asked_for(paint: Paint, size: tuple[int, int]) -> None:
    artifact = paint(width=size[0], height=size[1], steps=2)
    assert open_picture(artifact.data).size == size


def test_a_wide_picture_is_the_square_one_with_its_ground_continued(paint: Paint) -> None:
    wide = pixels(paint(width=96).data)
    np.testing.assert_array_equal(wide[:, 16:-16], pixels(paint().data))
    np.testing.assert_array_equal(wide[:, :16], wide[:, 16:17].repeat(16, axis=1))


def test_previews_have_the_proportions_of_the_result(paint: Paint) -> None:
    sizes: list[tuple[int, int]] = []

    def on_step(step: Step) -> None:
        if step.preview is not None:  # else it is a sign of life
            sizes.append(open_picture(step.preview()).size)

    paint(width=64, height=128, steps=1, on_step=on_step)
    paint(width=64, height=128, steps=2, start=GREY_SQUARE, strength=0.5, on_step=on_step)
    assert sizes == [(64, 128), (64, 128)]


@pytest.mark.parametrize(
    ("file_format", "content_type", "kind"),
    [("png", "image/png", "PNG"), ("jpg", "image/jpeg", "JPEG"), ("webp", "image/webp", "WEBP")],
)
def test_the_file_is_of_the_type_asked_for(
    paint: Paint, file_format: ImageFormat, content_type: str, kind: str, tmp_path: Path
) -> None:
    artifact = paint(output_format=file_format, steps=2)
    assert artifact.content_type == content_type
    file = tmp_path / "picture"
    file.write_bytes(artifact.data)
    with Image.open(file) as picture:
        assert picture.format == kind


def test_the_file_says_how_to_paint_it_again(paint: Paint) -> None:
    settings = read_settings(paint(prompt="a cat", seed=77, steps=3).data)
    assert settings == {
        "model": MODEL,
        "prompt": "a cat",
        "negative_prompt": "",
        "width": 64,
        "height": 64,
        "steps": 3,
        "guidance": 2.0,
        "seed": 77,
    }


# Image to image ------------------------------------------------------------------------------


def test_strength_zero_returns_the_starting_image_fitted_to_the_size(paint: Paint) -> None:
    start = Image.linear_gradient("L").convert("RGB").resize((300, 200))
    artifact = paint(start=encode_picture(start), strength=0.0, width=90, height=60)
    assert artifact.steps == 0
    expected = encode_picture(start.resize((90, 60), Image.Resampling.LANCZOS))
    assert difference(artifact.data, expected) < 1


def test_more_strength_moves_further_from_the_starting_image(paint: Paint) -> None:
    start = paint(prompt="a banana", seed=5, steps=20).data
    moved = [
        difference(start, paint(start=start, strength=strength, steps=20).data)
        for strength in (0.1, 0.5, 0.9)
    ]
    assert moved[0] < moved[1] < moved[2]


def test_full_strength_forgets_the_starting_image(paint: Paint) -> None:
    np.testing.assert_array_equal(
        pixels(paint(start=GREY_SQUARE, strength=1.0).data), pixels(paint().data)
    )


def test_only_the_steps_that_the_strength_leaves_are_done_and_told(paint: Paint) -> None:
    counts: list[int] = []
    artifact = paint(
        start=GREY_SQUARE,
        strength=0.25,
        steps=8,
        on_step=lambda step: counts.append(step.step_count),
    )
    assert counts == [2, 2]
    assert artifact.steps == 2


def test_a_broken_starting_image_is_refused_before_any_step(paint: Paint) -> None:
    steps: list[Step] = []
    with pytest.raises(UnreadableMedia):
        paint(start=b"no picture", strength=0.5, on_step=steps.append)
    assert steps == []


# What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"width": 0},
        {"height": -8},
        {"width": 100_000},
        {"steps": 0},
        {"steps": 10_000},
        {"guidance": float("nan")},
        {"guidance": float("inf")},
        {"strength": 1.5},
        {"strength": float("nan")},
    ],
)
def test_settings_out_of_all_bounds_are_refused(paint: Paint, settings: dict[str, float]) -> None:
    with pytest.raises(EngineError):
        paint(**settings)


def test_a_seed_out_of_bounds_is_refused(paint: Paint) -> None:
    with pytest.raises(EngineError, match="seed"):
        paint(seed=2**32)


def test_other_models_are_refused(engine: DreamletEngine) -> None:
    with pytest.raises(ModelNotAvailable, match="sdxl"):
        engine.load("sdxl")


def test_broken_weights_are_told_apart_from_a_broken_job(tmp_path: Path) -> None:
    for file in WEIGHTS.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ModelNotAvailable) as refused:
        DreamletEngine(tmp_path).load(MODEL)
    for_the_user, for_the_owner = str(refused.value).split("\n", 1)
    assert for_the_user == "this worker cannot load the weights of dreamlet"
    assert str(tmp_path) in for_the_owner
    assert "reinstall" in for_the_owner


# The plug-in ---------------------------------------------------------------------------------


def test_the_plug_in_serves_dreamlet_here() -> None:
    assert ENGINE.models() == (MODEL, ENHANCER, UPSCALER)


def test_importing_the_plug_in_loads_nothing_heavy() -> None:
    program = (
        "import sys; from dreamgrid.engines.dreamlet import ENGINE; ENGINE.models(); "
        "print([name for name in ('numpy', 'onnxruntime', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_the_weights_stay_small() -> None:
    assert sum(file.stat().st_size for file in WEIGHTS.iterdir()) < 40_000_000


# The content filter --------------------------------------------------------------------------


def test_a_harmless_picture_is_not_objected_to(paint: Paint) -> None:
    assert paint().sensitive == ()


def test_a_prompt_for_nudity_is_objected_to(paint: Paint) -> None:
    assert "prompt" in paint(prompt="a nude man", steps=2).sensitive


def test_avoiding_nudity_is_no_objection(paint: Paint) -> None:
    assert paint(negative_prompt="nude, nsfw", steps=2).sensitive == ()


def test_a_refused_prompt_costs_no_step(paint: Paint) -> None:
    steps: list[Step] = []
    with pytest.raises(RenderRefused):
        paint(prompt="a naked child", on_step=steps.append)
    assert steps == []
