"""Pipelines of diffusers with tiny random weights: the same code paths as with real ones."""

import gc
import io
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import av
import msgspec
import numpy as np
import pytest
from av.container import InputContainer
from PIL import Image

pytest.importorskip("peft", reason="needs torch and more: make diffusers")
pytest.importorskip("diffusers", reason="needs torch and more: make diffusers")

import safetensors.torch
import torch
from diffusers.pipelines.flux import pipeline_flux_kontext
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus

from dreamgrid.engines import diffusers as spec
from dreamgrid.engines.base import Engine, Keeper, Step
from dreamgrid.engines.diffusers.engine import DiffusersEngine
from dreamgrid.engines.diffusers.family import families
from dreamgrid.engines.diffusers.given import Given
from dreamgrid.engines.diffusers.maps import map_of
from dreamgrid.engines.diffusers.memory import Plan
from dreamgrid.engines.diffusers.pipelines import LoadedModel
from dreamgrid.engines.diffusers.results import artifact_of
from dreamgrid.errors import (
    EngineError,
    ModelNotAvailable,
    OutOfMemory,
    RenderCanceled,
    RenderRefused,
    UnreadableMedia,
)
from dreamgrid.protocol.params import ControlNet, Lora
from dreamgrid.protocol.renders import AnyRender, AudioRender, ImageRender, VideoRender
from tests.engines.diffusers import tiny
from tests.engines.diffusers.conftest import STEERED, control_net_of

# Between libraries, about each other: nothing that our code can change.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`FluxPosEmbed` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm`:FutureWarning"),
]

Engines = Callable[[str], Engine]
SD, XL, FLUX, FLUX_2 = "sd-v1-5", "sd_xl_base_1.0", "flux1-dev-fp8", "flux2_dev_fp8"
KONTEXT, MUSIC = "flux1-dev-kontext_fp8_scaled", "ace_step_1.5_xl_turbo"
QWEN_EDIT = "qwen_image_edit_2511_fp8"
SOUNDING, SHOWN = "ltx2-19b-fp8_t2v_distilled", "ltx23-22b-fp8_i2v_distilled"
GUIDED = "ltx23-22b-fp8_t2v_dev"
FROM_TEXT, FROM_PICTURE = "wan_v2.2-14b-fp8_t2v", "wan_v2.2-14b-fp8_i2v"


def render(model: str, **changes: object) -> AnyRender:
    settings: dict[str, object] = {
        "model": model,
        "prompt": "a red fox",
        "steps": 3,
        "guidance": 3.0,
        "seed": 5,
        "sampler": "euler",
        "width": 64,
        "height": 32,
    }
    if model in {SOUNDING, SHOWN, GUIDED}:
        size = {"width": 64, "height": 64, "frames": 9, "fps": 8, "motion_fps": 8}
        return VideoRender(**(settings | size | changes))  # type: ignore[arg-type]
    if model in {FROM_TEXT, FROM_PICTURE}:
        settings |= {"width": 32, "frames": 9, "fps": 16, "motion_fps": 16}
        return VideoRender(**(settings | changes))  # type: ignore[arg-type]
    return ImageRender(**(settings | changes))  # type: ignore[arg-type]


def nothing(step: Step) -> None:
    """A worker that only wants the result."""


def picture(colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (50, 40), colour).save(out, "PNG")
    return out.getvalue()


def inputs_of(model: str) -> dict[str, bytes]:
    if model in {FROM_PICTURE, SHOWN}:
        return {"referenceImage": picture()}
    return {"contextImage1": picture()} if model in {KONTEXT, QWEN_EDIT} else {}


def pixels(data: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def frames_and_rate(data: bytes) -> tuple[int, float]:
    with cast(InputContainer, av.open(io.BytesIO(data))) as container:
        rate = container.streams.video[0].average_rate
        assert rate is not None
        return len(list(container.decode(video=0))), float(rate)


def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures to be changed are brought to these sizes, of which the usual take long on a CPU."""
    monkeypatch.setattr(pipeline_flux_kontext, "PREFERRED_KONTEXT_RESOLUTIONS", [(64, 32)])
    for purpose in ("CONDITION", "VAE"):
        monkeypatch.setattr(pipeline_qwenimage_edit_plus, f"{purpose}_IMAGE_SIZE", 64 * 32)


@pytest.mark.parametrize(
    "model", [model for model in tiny.FAMILIES if model not in {MUSIC, GUIDED}]
)
def test_every_kind_of_pipeline_renders_with_steps_and_previews(
    engines: Engines, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_pictures(monkeypatch)
    told: list[tuple[int, int]] = []
    shown: list[bytes] = []

    def on_step(step: Step) -> None:
        told.append((step.step, step.step_count))
        assert step.preview is not None
        shown.append(step.preview())

    engine = engines(model)
    made = engine.generate(render(model), inputs_of(model), on_step)
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert made.steps == 3
    for data in shown:
        small = Image.open(io.BytesIO(data))
        assert (small.format, max(small.size)) == ("JPEG", 256)
    again = engine.generate(render(model), inputs_of(model), nothing)
    other = engine.generate(render(model, seed=6), inputs_of(model), nothing)
    assert again.data == made.data
    assert other.data != made.data


@pytest.mark.parametrize("model", [SD, XL, FLUX])
def test_a_starting_image_is_changed_as_much_as_asked(engines: Engines, model: str) -> None:
    steps: list[tuple[int, int]] = []
    made = engines(model).generate(
        render(model, steps=4, strength=0.5),
        {"startingImage": picture()},
        lambda step: steps.append((step.step, step.step_count)),
    )
    assert steps == [(1, 2), (2, 2)]
    assert pixels(made.data).shape == (32, 64, 3)


def test_a_video_has_its_frames_and_the_last_picture_counts(engines: Engines) -> None:
    engine = engines(FROM_PICTURE)
    first = engine.generate(render(FROM_PICTURE), inputs_of(FROM_PICTURE), nothing)
    both = engine.generate(
        render(FROM_PICTURE),
        {"referenceImage": picture(), "referenceImageEnd": picture("blue")},
        nothing,
    )
    assert first.data != both.data
    assert frames_and_rate(both.data) == (9, 16)


def sound_of(data: bytes) -> tuple[str, float, float]:
    """Its encoding, its length in seconds, and how loud it is."""
    with cast(InputContainer, av.open(io.BytesIO(data))) as container:
        stream = container.streams.audio[0]
        frames = [frame.to_ndarray() for frame in container.decode(stream)]
        samples = np.concatenate(frames, axis=1)
        return (
            stream.codec_context.name,
            samples.shape[1] / stream.rate,
            float(np.std(samples.astype(np.float32))),
        )


def test_a_video_has_the_sound_that_its_model_made_unless_it_is_not_wanted(
    engines: Engines,
) -> None:
    engine = engines(SOUNDING)
    made = engine.generate(render(SOUNDING, steps=1, trim_end_frame=True), {}, nothing)
    assert frames_and_rate(made.data) == (8, 8)
    codec, length_s, loudness = sound_of(made.data)
    assert codec == "aac"
    assert length_s == pytest.approx(1.0, abs=0.05)  # as long as the frames that are shown
    assert loudness > 1e-4
    silent = engine.generate(render(SOUNDING, steps=1, generate_audio=False), {}, nothing)
    with cast(InputContainer, av.open(io.BytesIO(silent.data))) as container:
        assert not container.streams.audio


def test_what_is_seen_and_heard_is_what_the_pipeline_alone_makes(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Any] = []

    def keep(wish: AnyRender, made: Any, *others: Any) -> Any:
        kept.append(made)
        return artifact_of(wish, made, *others)

    monkeypatch.setattr("dreamgrid.engines.diffusers.engine.artifact_of", keep)
    engine = cast(DiffusersEngine, engines(GUIDED))
    wish = render(GUIDED, steps=2)
    engine.generate(wish, {}, nothing)
    assert isinstance(wish, VideoRender)
    assert engine._model is not None
    alone = engine._model._base(
        prompt=wish.prompt,
        negative_prompt="",
        guidance_scale=wish.guidance,
        num_inference_steps=2,
        width=wish.width,
        height=wish.height,
        num_frames=wish.frames,
        frame_rate=wish.fps,
        generator=torch.Generator().manual_seed(wish.seed),
        output_type="np",
    )
    assert np.array_equal(kept[0].frames, alone.frames)
    assert torch.equal(kept[0].audio, alone.audio)


def test_first_and_last_pictures_count_as_much_as_asked(engines: Engines) -> None:
    engine = engines(SHOWN)
    first, last = {"referenceImage": picture()}, {"referenceImageEnd": picture("blue")}
    made = [
        engine.generate(render(SHOWN, steps=1, **strengths), inputs, nothing).data
        for inputs, strengths in (
            (first, {}),
            (first, {"first_frame_strength": 0.3}),
            (last, {}),
            (first | last, {}),
            (first | last, {"last_frame_strength": 0.3}),
        )
    ]
    assert len(set(made)) == len(made)


def test_what_a_pipeline_cannot_size_is_rendered_larger_and_cut(engines: Engines) -> None:
    made = engines(SHOWN).generate(
        render(SHOWN, steps=1, width=72, height=66), {"referenceImage": picture()}, nothing
    )
    with cast(InputContainer, av.open(io.BytesIO(made.data))) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (72, 66)


@pytest.mark.parametrize("model", [FLUX_2, QWEN_EDIT])
def test_pictures_that_a_model_is_shown_count_one_by_one(
    engines: Engines, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_pictures(monkeypatch)
    engine = engines(model)
    wish = render(model, height=64)  # Flux.2 takes no picture with a shorter side
    shown: dict[str, bytes] = {}
    results = []
    for number, colour in enumerate(["red", "blue", "green"], start=1):
        shown[f"contextImage{number}"] = picture(colour)
        results.append(engine.generate(wish, dict(shown), nothing).data)
    assert len(set(results)) == 3


def test_music_has_its_length_and_tells_its_steps(engines: Engines) -> None:
    told: list[tuple[int, int]] = []

    def on_step(step: Step) -> None:
        assert step.preview is None
        told.append((step.step, step.step_count))

    wish = AudioRender(
        model=MUSIC,
        prompt="a walk by the sea",
        lyrics="a fox",
        steps=4,
        guidance=1.0,
        seed=5,
        duration_s=5.0,
        bpm=90.0,
        key_scale="C major",
        time_signature="4",
        language="en",
        shift=3.0,
        output_format="flac",
    )
    engine = engines(MUSIC)
    made = engine.generate(wish, {}, on_step)
    assert told[-1] == (made.steps, made.steps)
    with cast(InputContainer, av.open(io.BytesIO(made.data))) as container:
        sound = container.streams.audio[0]
        samples = sum(frame.samples for frame in container.decode(sound))
        assert samples / (sound.rate or 1) == pytest.approx(5.0, abs=0.2)
    assert engine.generate(wish, {}, nothing).data == made.data
    other = engine.generate(msgspec.structs.replace(wish, seed=6), {}, nothing)
    assert other.data != made.data


def test_frames_between_are_made_for_a_higher_rate(engines: Engines) -> None:
    made = engines(FROM_TEXT).generate(
        render(FROM_TEXT, fps=32, output_format="webm", trim_end_frame=True), {}, nothing
    )
    assert made.content_type == "video/webm"
    assert frames_and_rate(made.data) == (16, 32)


@pytest.mark.parametrize("sampler", ["heun", "pndm_plms", "dpmpp_2m_sde", "euler_ancestral"])
def test_samplers_with_more_steps_or_of_chance_tell_all_and_repeat(
    engines: Engines, sampler: str
) -> None:
    last: list[Step] = []
    engine = engines(SD)
    first = engine.generate(render(SD, sampler=sampler), {}, last.append)
    assert last[-1].step == last[-1].step_count == first.steps
    assert engine.generate(render(SD, sampler=sampler), {}, nothing).data == first.data


def test_a_cancel_ends_the_pipeline_and_leaves_it_usable(engines: Engines) -> None:
    engine = engines(FLUX)
    before = engine.generate(render(FLUX), {}, nothing)

    def cancel(step: Step) -> None:
        raise RenderCanceled("enough")

    with pytest.raises(RenderCanceled):
        engine.generate(render(FLUX, steps=50), {}, cancel)
    assert engine.generate(render(FLUX), {}, nothing).data == before.data


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`:UserWarning")  # two at once
def test_loras_change_the_picture_by_their_strength_and_are_gone_afterwards(
    engines: Engines, folder: Path
) -> None:
    engine = engines(SD)
    plain = engine.generate(render(SD), {}, nothing)
    write_lora(folder / "loras", "ink")

    def made(*strengths: float) -> bytes:
        loras = tuple(Lora(id="ink", strength=strength) for strength in strengths)
        return engine.generate(render(SD, loras=loras), {}, nothing).data

    strong, weak, opposed = made(1.0), made(0.25), made(1.0, -1.0)
    distance = [
        np.abs(pixels(data).astype(int) - pixels(plain.data)).mean()
        for data in (strong, weak, opposed)
    ]
    assert distance[0] > distance[1] > distance[2]
    assert engine.generate(render(SD), {}, nothing).data == plain.data
    with pytest.raises(ModelNotAvailable, match="LoRA pencil is not installed"):
        engine.generate(render(SD, loras=(Lora(id="pencil"),)), {}, nothing)


@pytest.mark.parametrize("kind", ["broken", "of another model"])
def test_a_lora_that_fails_takes_those_before_it_along(
    engines: Engines, folder: Path, kind: str
) -> None:
    engine = engines(SD)
    plain = engine.generate(render(SD), {}, nothing).data
    write_lora(folder / "loras", "ink")
    bad = folder / "loras" / "bad.safetensors"
    if kind == "broken":
        bad.write_bytes(b"no weights")
    else:
        write_lora(folder / "loras", "bad", width=32)
    good, wrong = Lora(id="ink"), Lora(id="bad")
    with pytest.raises(ModelNotAvailable) as failed:
        engine.generate(render(SD, loras=(good, wrong)), {}, nothing)
    sentence, _, details = str(failed.value).partition("\n")
    assert sentence == f"the LoRA bad does not work with {SD} here"
    assert str(bad) in details
    assert engine.generate(render(SD), {}, nothing).data == plain
    assert engine.generate(render(SD, loras=(good,)), {}, nothing).data != plain


def write_lora(folder: Path, name: str, width: int = 64) -> None:
    torch.manual_seed(1)
    layers = {}
    attention = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1"
    for part in ("to_q", "to_v"):
        layers[f"{attention}.{part}.lora_A.weight"] = torch.randn(4, width)
        layers[f"{attention}.{part}.lora_B.weight"] = torch.randn(width, 4)
    folder.mkdir(exist_ok=True)
    safetensors.torch.save_file(layers, folder / f"{name}.safetensors")


PAINTERS = [
    model
    for family in families()
    for model in set(family.weights) & set(tiny.FAMILIES)
    if any(task.control == "mask" for task in family.tasks)
]


def mask_of_the_right_half() -> bytes:
    out = io.BytesIO()
    mask = Image.new("L", (64, 32))
    mask.paste(255, (32, 0, 64, 32))
    mask.save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("model", PAINTERS)
def test_a_mask_keeps_what_is_black_and_paints_the_rest(engines: Engines, model: str) -> None:
    steps: list[int] = []
    net = ControlNet(name="inpaint", mode="cn_priority")
    made = engines(model).generate(
        render(model, strength=1.0, control_net=net),
        {"startingImage": picture(), "cnImage": mask_of_the_right_half()},
        lambda step: steps.append(step.step),
    )
    changed = np.abs(pixels(made.data).astype(int) - (255, 0, 0)).mean(axis=2)
    assert changed[:, :32].max() == 0
    assert changed[:, 32:].mean() > 20
    assert steps == [1, 2, 3]


def test_a_mask_for_some_of_the_steps_is_left_to_other_workers(engines: Engines) -> None:
    given = {"startingImage": picture(), "cnImage": mask_of_the_right_half()}
    late, short = ControlNet(name="inpaint", start=0.5), ControlNet(name="inpaint", end=0.5)
    for net in (late, short):
        wish = render(SD, strength=1.0, control_net=net)
        with pytest.raises(ModelNotAvailable, match="only in all steps"):
            engines(SD).generate(wish, given, nothing)


STEERING = [(model, name) for model, names in STEERED.items() for name in names[:1]]


@pytest.mark.parametrize(("model", "name"), STEERING)
def test_a_control_net_steers_by_its_strength_and_is_gone_afterwards(
    engines: Engines, model: str, name: str
) -> None:
    engine = engines(model)
    plain = engine.generate(render(model), {}, nothing).data
    given = {"cnImage": mask_of_the_right_half()}

    def made(**changes: Any) -> bytes:
        net = ControlNet(name=name, **changes)
        return engine.generate(render(model, control_net=net), given, nothing).data

    strong, weak = made(), made(strength=0.5)
    assert len({plain, strong, weak}) == 3
    assert made(strength=0.0) not in (strong, weak)
    assert made() == strong
    assert made(mode="prompt_priority") == weak
    assert made(end=0.4) not in (strong, plain)
    assert engine.generate(render(model), {}, nothing).data == plain


@pytest.mark.parametrize("model", [SD, XL, FLUX])
def test_a_control_net_steers_what_begins_with_a_picture(engines: Engines, model: str) -> None:
    engine = engines(model)
    wish = render(model, steps=4, strength=0.5)
    start = {"startingImage": picture()}
    plain = engine.generate(wish, start, nothing)
    steered = msgspec.structs.replace(wish, control_net=ControlNet(name="canny"))
    made = engine.generate(steered, start | {"cnImage": mask_of_the_right_half()}, nothing)
    assert made.steps == plain.steps == 2
    assert made.data != plain.data


def test_a_plain_picture_becomes_edges_for_canny_and_is_refused_for_depth(
    engines: Engines,
) -> None:
    engine = engines(SD)
    given = {"cnImage": mask_of_the_right_half()}
    edges = map_of("canny", control_net_of(SD, "canny"), Image.open(io.BytesIO(given["cnImage"])))
    (column,) = np.flatnonzero(np.asarray(edges).min(axis=(0, 2)) == 255)
    assert column in (31, 32)
    out = io.BytesIO()
    edges.save(out, "PNG")
    made = ControlNet(name="canny", preprocess=True), ControlNet(name="canny")
    by_hand = engine.generate(render(SD, control_net=made[1]), {"cnImage": out.getvalue()}, nothing)
    assert engine.generate(render(SD, control_net=made[0]), given, nothing).data == by_hand.data
    with pytest.raises(ModelNotAvailable, match="the map for the ControlNet depth"):
        engine.generate(
            render(SD, control_net=ControlNet(name="depth", preprocess=True)), given, nothing
        )


def test_one_control_net_is_kept_and_the_next_one_takes_its_place(engines: Engines) -> None:
    engine = engines(SD)
    given = {"cnImage": mask_of_the_right_half()}

    def made(name: str) -> bytes:
        return engine.generate(render(SD, control_net=ControlNet(name=name)), given, nothing).data

    first = made("canny")
    kept = weakref.ref(model_of(engine)._tasks["StableDiffusionControlNetPipeline", "canny"])
    assert kept() is not None
    made("depth")
    gc.collect()
    assert kept() is None
    assert made("canny") == first


def test_what_moves_weights_belongs_to_the_pipeline_that_works(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU that is too small: whoever renders next has to take all parts over."""
    engine = engines(SD)
    model = model_of(engine)
    placed: list[str] = []
    model._put(model._base)
    plan = Plan(name="parts", place=lambda one: placed.append(type(one).__name__))
    monkeypatch.setattr(model, "_plan", plan)
    given = {"cnImage": mask_of_the_right_half()}
    steered = render(SD, control_net=ControlNet(name="canny"))
    for wish, inputs in ((steered, given), (steered, given), (render(SD), {}), (steered, given)):
        engine.generate(wish, inputs, nothing)
    assert placed[-3:] == [
        "StableDiffusionControlNetPipeline",
        "StableDiffusionPipeline",
        "StableDiffusionControlNetPipeline",
    ]


def test_a_picture_that_hardly_changes_takes_one_step(engines: Engines) -> None:
    for share in (0.0, 0.01, 0.1):
        wish = render(SD, steps=7, strength=share)
        assert engines(SD).generate(wish, {"startingImage": picture()}, nothing).steps == 1


def test_pictures_of_another_shape_are_cut_and_not_stretched() -> None:
    tall = Image.new("RGB", (64, 640), "blue")
    tall.paste("red", (0, 304, 64, 336))  # what is left of it: the middle
    out = io.BytesIO()
    tall.save(out, "PNG")
    (family,) = (family for family in families() if SD in family.weights)
    task = family.task(SD, frozenset({"startingImage"}), None)
    assert task is not None
    wish = render(SD, strength=0.5)
    shown = Given.of(task, None, wish, {"startingImage": out.getvalue()}).arguments(task, wish)
    assert np.asarray(shown["image"]).reshape(-1, 3).tolist() == [[255, 0, 0]] * 2048


def test_tasks_share_weights_as_they_are(engines: Engines) -> None:
    """No number format changes, and nothing is kept twice."""
    model = model_of(engines("sd3.5_medium"))
    (family,) = (family for family in families() if "sd3.5_medium" in family.weights)
    transformer = model._base.transformer.to(torch.bfloat16)
    try:
        for task in family.tasks:
            assert model.pipeline(task).transformer is transformer
            assert transformer.dtype == torch.bfloat16
            assert model.pipeline(task).vae is model._base.vae
    finally:
        transformer.to(torch.float32)


def test_what_cannot_be_done_here_is_refused_before_any_work(engines: Engines) -> None:
    engine = engines(FLUX)
    with pytest.raises(ModelNotAvailable, match="cannot use the sampler heun"):
        engine.generate(render(FLUX, sampler="heun"), {}, nothing)
    with pytest.raises(ModelNotAvailable, match="cannot use the sampler no_such"):
        engine.generate(render(FLUX, sampler="no_such"), {}, nothing)
    with pytest.raises(ModelNotAvailable, match="with inputs: contextImage1"):
        engine.generate(render(FLUX), {"contextImage1": picture()}, nothing)
    tile = render(FLUX, control_net=ControlNet(name="tile"))
    with pytest.raises(ModelNotAvailable, match="inputs: none and the ControlNet tile"):
        engine.generate(tile, {}, nothing)
    wins = render(FLUX, control_net=ControlNet(name="canny", mode="cn_priority"))
    with pytest.raises(ModelNotAvailable, match="have no cn_priority"):
        engine.generate(wins, {"cnImage": picture()}, nothing)
    with pytest.raises(UnreadableMedia):
        engine.generate(render(FLUX, strength=0.5), {"startingImage": b"nothing"}, nothing)
    with pytest.raises(RenderRefused):
        engine.generate(render(FLUX, prompt="a nude girl"), {}, nothing)
    with pytest.raises(ModelNotAvailable, match="no weights for other"):
        engine.load("other")
    with pytest.raises(EngineError, match="not loaded"):
        engine.generate(render(SD), {}, nothing)


def test_incomplete_weights_are_told_to_the_owner(folder: Path, engines: Engines) -> None:
    engines(SD)
    broken = folder / "sd3.5_large_turbo"
    broken.mkdir()
    (broken / "model_index.json").write_text('{"_class_name": "StableDiffusion3Pipeline"')
    engine = spec.ENGINE.create(1)
    with pytest.raises(ModelNotAvailable, match="cannot be loaded") as raised:
        engine.load("sd3.5_large_turbo")
    assert str(broken) not in str(raised.value).partition("\n")[0]
    assert str(broken) in str(raised.value)


def model_of(engine: Engine) -> LoadedModel:
    assert isinstance(engine, DiffusersEngine)
    assert engine._model is not None
    return engine._model


def test_an_engine_goes_back_to_a_model_without_reading_it_again(engines: Engines) -> None:
    engines(SD), engines(XL)  # writes their weights
    engine = spec.ENGINE.create(1)
    assert isinstance(engine, DiffusersEngine)
    assert isinstance(engine, Keeper)
    engine.load(SD)
    first, kept = engine.generate(render(SD), {}, nothing).data, engine._model
    engine.load(XL)
    assert engine._model is not kept
    engine.load(SD)
    assert engine._model is kept
    assert engine.generate(render(SD), {}, nothing).data == first


def test_a_job_that_does_not_fit_is_refused_and_the_next_one_made(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engines(XL)
    model = model_of(engine)

    def too_large(*args: object, **options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    with monkeypatch.context() as patch:
        patch.setattr(model._base.unet, "forward", too_large)
        with pytest.raises(OutOfMemory, match="does not fit"):
            engine.generate(render(XL), {}, nothing)
    assert engine.generate(render(XL), {}, nothing).steps == 3


def nowhere(pipeline: Any) -> None:
    """A plan that leaves the weights where they are."""


def test_less_memory_is_tried_before_a_job_is_refused(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engines(XL)
    model = model_of(engine)
    forward = model._base.unet.forward

    def fits_in_parts_only(*args: object, **options: object) -> Any:
        if model.plan != "parts":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return forward(*args, **options)

    monkeypatch.setattr(model._base.unet, "forward", fits_in_parts_only)
    plans = [Plan(name="parts", place=nowhere), Plan(name="layers", place=nowhere)]
    monkeypatch.setattr(model, "_plans", plans)
    assert engine.generate(render(XL), {}, nothing).steps == 3
    assert model.plan == "parts"


def test_a_closed_model_has_left_memory_when_the_rest_is_given_back(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines(SD)  # writes its weights
    engine = spec.ENGINE.create(1)
    engine.load(SD)
    model = model_of(engine)
    model._plans.append(Plan(name="parts", place=lambda one: one.enable_model_cpu_offload()))
    pipeline = weakref.ref(model._base)
    left: list[object] = []

    def look() -> None:
        gc.collect()
        left.append(pipeline())

    monkeypatch.setattr("dreamgrid.engines.diffusers.pipelines.free_memory", look)
    model.close()
    assert left == [None]
