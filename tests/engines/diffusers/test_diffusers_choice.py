"""What weights for diffusers cannot do, told before a job so that another engine does it."""

from collections.abc import Callable

import msgspec
import pytest

from dreamgrid.engines.base import Engine, Selective, Yielding
from dreamgrid.protocol.params import ControlNet, Lora
from dreamgrid.protocol.renders import ImageRender

pytest.importorskip("torch")
pytest.importorskip("diffusers")

RENDER = ImageRender(
    model="sd-v1-5", prompt="a fox", steps=2, guidance=6.5, seed=7, width=64, height=64,
    sampler="euler", scheduler="karras",
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "roles", "objection"),
    [
        ({}, (), ""),
        ({}, ("startingImage",), ""),
        ({"control_net": ControlNet(name="inpaint")}, ("startingImage", "cnImage"), ""),
        ({"model": "unheard-v1"}, (), "no weights for unheard-v1"),
        ({}, ("referenceImage",), "with inputs: referenceImage"),
        ({"loras": (Lora(id="nobody"),)}, (), "LoRA nobody is not installed"),
        ({"control_net": ControlNet(name="unheard")}, ("cnImage",), "no ControlNet unheard"),
        ({"sampler": "unheard"}, (), "cannot use the sampler unheard"),
        ({"scheduler": "unheard"}, (), "cannot use the schedule unheard"),
    ],
)
def test_what_it_cannot_do_it_says_before_anything_is_loaded(
    engines: Callable[[str], Engine],
    changes: dict[str, object],
    roles: tuple[str, ...],
    objection: str,
) -> None:
    engine = engines("sd-v1-5")
    assert isinstance(engine, Selective)
    said = engine.objection(msgspec.structs.replace(RENDER, **changes), roles)
    assert objection in said if objection else said == ""


def test_after_making_way_its_next_load_comes_back(engines: Callable[[str], Engine]) -> None:
    engine = engines("sd-v1-5")
    assert isinstance(engine, Yielding)
    render = msgspec.structs.replace(RENDER, sampler=None, scheduler=None)
    before = engine.generate(render, {}, lambda _: None).data
    engine.make_way()
    engine.load("sd-v1-5")
    assert engine.generate(render, {}, lambda _: None).data == before
