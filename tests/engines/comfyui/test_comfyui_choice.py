"""What a ComfyUI says that it cannot do, so that another engine of its worker does it."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from dreamgrid.engines import comfyui
from dreamgrid.engines.base import Selective, Yielding
from dreamgrid.protocol.params import ControlNet, Lora
from dreamgrid.protocol.renders import ImageRender
from tests.engines.comfyui.stand_in import OBJECT_INFO, StandIn

RENDER = ImageRender(
    model="sd-v1-5", prompt="a fox", steps=2, guidance=6.5, seed=7, width=64, height=32,
    sampler="euler", scheduler="karras",
)  # fmt: skip


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    monkeypatch.setenv(comfyui.WORKFLOWS_VARIABLE, str(tmp_path))
    with StandIn() as comfy:
        monkeypatch.setenv(comfyui.URL_VARIABLE, comfy.url)
        yield comfy


def test_what_it_can_do_it_does_not_object_to(grid: StandIn) -> None:
    engine = comfyui.ENGINE.create(1)
    assert isinstance(engine, Selective)
    assert engine.objection(RENDER, ()) == ""
    assert engine.objection(RENDER, ("startingImage",)) == ""


@pytest.mark.parametrize(
    ("changes", "roles", "objection"),
    [
        ({"model": "unheard-v1"}, (), "no weights for unheard-v1"),
        ({}, ("referenceImage",), "no workflow for sd-v1-5 with these inputs: referenceImage"),
        ({"loras": (Lora(id="nobody"),)}, (), "LoRA nobody is not installed"),
        ({"control_net": ControlNet(name="canny")}, ("cnImage",), "inputs: cnImage"),
        ({"sampler": "unheard"}, (), "no sampler unheard"),
    ],
)
def test_what_it_cannot_do_it_says_before_anything_is_sent(
    grid: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
    roles: tuple[str, ...],
    objection: str,
) -> None:
    samplers = {"sampler_name": ["COMBO", {"options": ["euler"]}]}
    monkeypatch.setitem(OBJECT_INFO, "KSampler", {"input": {"required": samplers}})
    engine = comfyui.ENGINE.create(1)
    assert isinstance(engine, Selective)
    assert objection in engine.objection(msgspec.structs.replace(RENDER, **changes), roles)
    assert grid.graphs == []


def test_one_that_has_gone_away_objects_to_everything(grid: StandIn) -> None:
    engine = comfyui.ENGINE.create(1)
    assert isinstance(engine, Selective)
    assert engine.objection(RENDER, ()) == ""
    grid.stop()
    assert "no ComfyUI answers" in engine.objection(RENDER, ())
    grid.start_again()
    assert engine.objection(RENDER, ()) == ""


def test_it_leaves_the_gpu_once_it_has_rendered_and_only_then(grid: StandIn) -> None:
    grid.gpu_bytes = 5_000
    engine = comfyui.ENGINE.create(1)
    assert isinstance(engine, Yielding)
    engine.make_way()
    assert grid.gpu_bytes == 5_000, "somebody else's models"
    engine.load("sd-v1-5")
    engine.generate(RENDER, {}, lambda _: None)
    engine.make_way()
    assert grid.gpu_bytes == 0
    grid.stop()
    engine.make_way()
    grid.start_again()


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8188", True),
        ("http://localhost", True),
        ("http://0.0.0.0:8188", True),
        ("http://192.0.2.7:8188", False),  # an address that no machine has
        ("off", False),
        (f"http://{'x' * 64}:8188", False),  # a name that no machine has
    ],
)
def test_one_on_this_machine_shares_its_gpu(
    monkeypatch: pytest.MonkeyPatch, url: str, *, here: bool
) -> None:
    monkeypatch.setenv(comfyui.URL_VARIABLE, url)
    assert comfyui.ENGINE.shares_gpu() is here
