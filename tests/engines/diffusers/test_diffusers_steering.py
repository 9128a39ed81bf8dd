"""LoRAs, masks and ControlNets, with tiny random weights."""

import gc
import io
import weakref
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("peft", reason="needs torch and more: make diffusers")
pytest.importorskip("diffusers", reason="needs torch and more: make diffusers")

import safetensors.torch
import torch

from dreamgrid.engines.diffusers.family import families
from dreamgrid.engines.diffusers.maps import map_of
from dreamgrid.engines.diffusers.memory import Plan
from dreamgrid.errors import (
    ModelNotAvailable,
)
from dreamgrid.protocol.params import ControlNet, Lora
from tests.engines.diffusers import tiny
from tests.engines.diffusers.conftest import STEERED, control_net_of
from tests.engines.diffusers.wishes import (
    FLUX,
    SD,
    XL,
    Engines,
    mask_of_the_right_half,
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
