"""Our workflows against the ComfyUI at `DREAMGRID_TEST_COMFYUI_URL`.

What it has weights for is rendered, as small as it goes: random weights do as well as any. Without
weights the workflows are only checked. Not collected where no address is given.
"""

import io
import os
import uuid
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from dreamgrid.engines import comfyui
from dreamgrid.engines.base import Engine, Step
from dreamgrid.engines.comfyui import OWN_WORKFLOWS
from dreamgrid.engines.comfyui.offers import Offer, offers_of
from dreamgrid.engines.comfyui.versions import is_older
from dreamgrid.engines.comfyui.workflow import read_workflow, read_workflows
from dreamgrid.errors import OutOfMemory, RenderCanceled
from dreamgrid.protocol.params import ControlNet, Lora
from dreamgrid.protocol.renders import AnyRender, AudioRender, ImageRender, VideoRender
from tests.engines.comfyui.test_comfyui_protocol import asked

REAL_URL = os.environ["DREAMGRID_TEST_COMFYUI_URL"]
VERSION = asked(REAL_URL, "/system_stats")[1]["system"]["comfyui_version"]
NODES = asked(REAL_URL, "/object_info")[1]
OFFERS = {
    f"{offer.workflow.name}:{offer.model}": offer
    for offer in offers_of(read_workflows(OWN_WORKFLOWS)[0], NODES, VERSION)[0]
    if not offer.workflow.control  # those with masks and ControlNets are only checked
}
WITH_LORAS = [name for name, offer in OFFERS.items() if offer.workflow.lora_model]
SIDE_PX = 64
FRAMES = 5
TIMEOUT_S = 1800  # on a CPU, with encoders of real size
HUGE_GRAPH = """{
  "empty": {"class_type": "EmptyImage",
            "inputs": {"width": 16384, "height": 16384, "batch_size": 4096, "color": 255}},
  "save": {"class_type": "SaveImage",
           "inputs": {"images": ["empty", 0], "filename_prefix": "dreamgrid/test"}}
}"""


@pytest.fixture(autouse=True)
def real(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(comfyui.URL_VARIABLE, REAL_URL)
    monkeypatch.setenv(comfyui.WORKFLOWS_VARIABLE, str(tmp_path))


def loaded(model: str) -> Engine:
    engine = comfyui.ENGINE.create(1)
    engine.load(model)
    return engine


def small(offer: Offer, **changes: object) -> AnyRender:
    """A job of a few steps that no cache has seen before."""
    settings: dict[str, Any] = {
        "model": offer.model,
        "prompt": "a fox",
        "steps": 2,
        "guidance": 2.0,
        "seed": uuid.uuid4().int % 2**31,
        "sampler": "euler",
        "scheduler": "simple",
    }
    sides = {"width": SIDE_PX, "height": SIDE_PX}
    kind = offer.workflow.graph[offer.workflow.result]["class_type"]
    if kind == "SaveAudio":
        return AudioRender(**(settings | {"duration_s": 10} | changes))
    if kind == "SaveVideo":
        times = {"frames": FRAMES, "fps": 16, "motion_fps": 16}
        return VideoRender(**(settings | sides | times | changes))
    if offer.workflow.control:
        net = "inpaint" if offer.workflow.control == "mask" else next(iter(offer.control_nets))
        settings["control_net"] = ControlNet(name=net)
    strength = {"strength": 0.6} if "strength" in offer.workflow.settings else {}
    return ImageRender(**(settings | sides | strength | changes))


def pictures(offer: Offer) -> dict[str, bytes]:
    out = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(out, "PNG")
    return dict.fromkeys(offer.workflow.inputs, out.getvalue())


def nothing(step: Step) -> None:
    """A worker that only wants the result."""


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("name", OFFERS)
def test_what_there_are_weights_for_is_rendered(name: str) -> None:
    offer = OFFERS[name]
    steps: list[int] = []
    previews: list[Image.Image] = []

    def on_step(step: Step) -> None:
        steps.append(step.step)
        if step.preview is not None:
            previews.append(Image.open(io.BytesIO(step.preview())))

    render = small(offer)
    made = loaded(offer.model).generate(render, pictures(offer), on_step)
    assert sorted(set(steps)) in ([1, 2], [0, 1, 2])
    assert made.steps == 2
    if isinstance(render, ImageRender):
        assert Image.open(io.BytesIO(made.data)).size == (SIDE_PX, SIDE_PX)
        assert previews
    elif isinstance(render, VideoRender):
        with av.open(io.BytesIO(made.data), "r") as video:
            sizes = [(frame.width, frame.height) for frame in video.decode(video=0)]
        assert sizes == [(SIDE_PX, SIDE_PX)] * FRAMES
    if folder := os.environ.get("DREAMGRID_TEST_COMFYUI_RESULTS"):
        ending = made.content_type.partition("/")[2]
        Path(folder, f"{name.replace(':', '-')}.{ending}").write_bytes(made.data)


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("name", list(OFFERS)[:1])
def test_a_cancel_stops_it_between_two_steps(name: str) -> None:
    offer = OFFERS[name]

    def on_step(step: Step) -> None:
        if step.step == 1:
            raise RenderCanceled("enough")

    engine = loaded(offer.model)
    with pytest.raises(RenderCanceled):
        engine.generate(small(offer, steps=1000), pictures(offer), on_step)
    made = engine.generate(small(offer, steps=1), pictures(offer), nothing)
    assert made.steps == 1  # it did not wait for the others


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("name", WITH_LORAS[:1])
def test_a_lora_changes_the_picture(name: str) -> None:
    offer = OFFERS[name]
    if not offer.lora_files:
        pytest.skip("this ComfyUI has no LoRA")
    engine, render = loaded(offer.model), small(offer)
    plain = engine.generate(render, pictures(offer), nothing)
    lora = Lora(id=Path(offer.lora_files[0]).stem, strength=2)
    wish = small(offer, seed=render.seed, loras=(lora,))
    assert engine.generate(wish, pictures(offer), nothing).data != plain.data


def test_too_little_memory_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "huge.json").write_text(HUGE_GRAPH)
    (tmp_path / "huge.toml").write_text(
        'workflow = "huge.json"\nresult = "save"\nmodels = {"huge-v1" = {}}\nsettings = {}\n'
    )
    offer = Offer(model="huge-v1", workflow=read_workflow(tmp_path / "huge.toml"), weights={})
    with pytest.raises(OutOfMemory, match="does not fit"):
        loaded("huge-v1").generate(small(offer), {}, nothing)


@pytest.mark.parametrize("mapping", sorted(path.stem for path in OWN_WORKFLOWS.glob("*.toml")))
def test_a_workflow_is_refused_only_for_want_of_its_files(mapping: str) -> None:
    """Or this ComfyUI is older than the workflow says that it must be."""
    workflow = read_workflow(OWN_WORKFLOWS / f"{mapping}.toml")
    old_for = [model for model, since in workflow.since.items() if is_older(VERSION, since)]
    status, answer = asked(REAL_URL, "/prompt", {"prompt": workflow.graph, "client_id": "x"})
    assert status == 400, "a workflow without its files should not have run"
    if len(old_for) == len(workflow.models):
        return
    assert answer["error"]["type"] == "prompt_outputs_failed_validation"
    weights = {place for places in workflow.models.values() for place, _ in places}
    files = {(place.node, place.input) for place in [*weights, *workflow.inputs.values()]}
    if workflow.control_net:
        net, _, name = workflow.control_net.file.rpartition(".")
        files.add((net, name))
    found = {
        (node, fault["extra_info"]["input_name"])
        for node, described in answer["node_errors"].items()
        for fault in described["errors"]
    }
    assert found <= files
