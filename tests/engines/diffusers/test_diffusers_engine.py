"""Pipelines of diffusers with tiny random weights: the same code paths as with real ones."""

import gc
import io
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("peft", reason="needs torch and more: make diffusers")
pytest.importorskip("diffusers", reason="needs torch and more: make diffusers")

import torch
from diffusers.pipelines.flux import pipeline_flux_kontext
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus

from dreamgrid.engines import diffusers as spec
from dreamgrid.engines.base import Keeper, Step
from dreamgrid.engines.diffusers.engine import DiffusersEngine
from dreamgrid.engines.diffusers.family import families
from dreamgrid.engines.diffusers.given import Given
from dreamgrid.engines.diffusers.memory import Plan
from dreamgrid.errors import (
    EngineError,
    ModelNotAvailable,
    OutOfMemory,
    RenderCanceled,
    RenderRefused,
    UnreadableMedia,
)
from dreamgrid.protocol.params import ControlNet
from tests.engines.diffusers import tiny
from tests.engines.diffusers.wishes import (
    FLUX,
    FLUX_2,
    GUIDED,
    MUSIC,
    QWEN_EDIT,
    SD,
    XL,
    Engines,
    inputs_of,
    model_of,
    nothing,
    picture,
    pixels,
    render,
)

# Between libraries, about each other: nothing that our code can change.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`FluxPosEmbed` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm`:FutureWarning"),
]


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
