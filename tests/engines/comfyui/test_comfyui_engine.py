"""Jobs through a ComfyUI: steps, previews, inputs, cancels, failures, restarts."""

import asyncio
import io
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from dreamgrid.engines import comfyui
from dreamgrid.engines.base import Engine, Step
from dreamgrid.engines.comfyui import engine as engine_module
from dreamgrid.errors import (
    EngineError,
    ModelNotAvailable,
    OutOfMemory,
    RenderCanceled,
    RenderRefused,
    UnreadableMedia,
)
from dreamgrid.protocol.params import ControlNet, Lora
from dreamgrid.protocol.renders import ImageRender
from tests.engines.comfyui import stand_in
from tests.engines.comfyui.stand_in import CHECKPOINTS, Job, StandIn

REAL_URL = os.environ.get("DREAMGRID_TEST_COMFYUI_URL", "")
PLAIN_GRAPH = """{
  "empty": {"class_type": "EmptyImage",
            "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 255}},
  "save": {"class_type": "SaveImage",
           "inputs": {"images": ["empty", 0], "filename_prefix": "dreamgrid/test"}}
}"""
OWNERS_GRAPH = {
    "e": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8}},
    "s": {"class_type": "KSampler", "inputs": {"steps": 1, "latent_image": ["e", 0]}},
    "o": {"class_type": "SaveImage", "inputs": {"images": ["s", 0]}},
}
PLAIN_MAPPING = """
workflow = "plain.json"
result = "save"
models = {"plain-v1" = {}}
settings = {width = "empty.width", height = "empty.height"}
"""


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    """A stand-in that this machine's worker would find."""
    monkeypatch.setenv(comfyui.WORKFLOWS_VARIABLE, str(tmp_path))
    with StandIn() as comfy:
        monkeypatch.setenv(comfyui.URL_VARIABLE, comfy.url)
        yield comfy


@pytest.fixture(params=["stand-in", *(["real"] if REAL_URL else [])])
def address(request: pytest.FixtureRequest, grid: StandIn, monkeypatch: pytest.MonkeyPatch) -> str:
    """The stand-in, and the real ComfyUI where one is at hand."""
    url = REAL_URL if request.param == "real" else grid.url
    monkeypatch.setenv(comfyui.URL_VARIABLE, url)
    return url


def loaded(model: str = "sd-v1-5") -> Engine:
    engine = comfyui.ENGINE.create(1)
    engine.load(model)
    return engine


def render(model: str = "sd-v1-5", **changes: object) -> ImageRender:
    settings: dict[str, object] = {
        "model": model,
        "prompt": "a fox",
        "negative_prompt": "rain",
        "steps": 4,
        "guidance": 6.5,
        "seed": 77,
        "sampler": "euler",
        "scheduler": "karras",
        "width": 64,
        "height": 32,
    }
    return ImageRender(**(settings | changes))  # type: ignore[arg-type]


def nothing(step: Step) -> None:
    """A worker that only wants the result."""


def red_picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (50, 50), "red").save(out, "JPEG")
    return out.getvalue()


def test_a_job_reports_its_steps_with_previews_and_gives_the_picture(grid: StandIn) -> None:
    steps: list[tuple[int, int]] = []
    sizes = []

    def on_step(step: Step) -> None:
        if step.preview is not None:
            steps.append((step.step, step.step_count))
            sizes.append(Image.open(io.BytesIO(step.preview())).size)

    made = loaded().generate(render(output_format="webp"), {}, on_step)
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert sizes == [(512, 256)] * 4
    picture = Image.open(io.BytesIO(made.data))
    assert (picture.format, picture.size, made.content_type) == ("WEBP", (64, 32), "image/webp")
    assert made.steps == 4


def test_previews_of_older_comfyuis_arrive_as_well(grid: StandIn) -> None:
    grid.with_metadata = False
    seen = []
    loaded().generate(render(), {}, lambda step: seen.append(step.preview is not None))
    assert any(seen)


def test_every_setting_reaches_its_node(grid: StandIn) -> None:
    loaded().generate(render(), {}, nothing)
    (graph,) = grid.graphs
    sampler = graph["sampler"]["inputs"]
    assert sampler["seed"] == 77
    assert sampler["steps"] == 4
    assert sampler["cfg"] == 6.5
    assert sampler["sampler_name"] == "euler"
    assert sampler["scheduler"] == "karras"
    assert graph["positive"]["inputs"]["text"] == "a fox"
    assert graph["negative"]["inputs"]["text"] == "rain"
    assert graph["latent"]["inputs"] == {"width": 64, "height": 32, "batch_size": 1}
    assert graph["checkpoint"]["inputs"]["ckpt_name"] == CHECKPOINTS[0]


def test_a_starting_image_takes_the_workflow_that_begins_with_one(grid: StandIn) -> None:
    made = loaded().generate(render(strength=0.4), {"startingImage": red_picture()}, nothing)
    (graph,) = grid.graphs
    assert graph["sampler"]["inputs"]["denoise"] == 0.4
    pixel = Image.open(io.BytesIO(made.data)).getpixel((32, 16))
    assert isinstance(pixel, tuple)
    assert pixel[0] > 240


def test_loras_become_a_chain_in_their_order(grid: StandIn) -> None:
    loras = (Lora(id="ink", strength=0.5), Lora(id="ink", strength=-1))
    loaded().generate(render(loras=loras), {}, nothing)
    (graph,) = grid.graphs
    first, second = graph["dreamgrid-lora-0"]["inputs"], graph["dreamgrid-lora-1"]["inputs"]
    assert (first["lora_name"], first["strength_model"]) == ("style/ink.safetensors", 0.5)
    assert (first["model"], first["clip"]) == (["checkpoint", 0], ["checkpoint", 1])
    assert second["model"] == ["dreamgrid-lora-0", 0]
    assert graph["sampler"]["inputs"]["model"] == ["dreamgrid-lora-1", 0]
    assert graph["positive"]["inputs"]["clip"] == ["dreamgrid-lora-1", 1]


@pytest.mark.usefixtures("grid")
def test_what_no_workflow_can_do_is_refused() -> None:
    engine = loaded()
    with pytest.raises(ModelNotAvailable, match="LoRA pencil is not installed"):
        engine.generate(render(loras=(Lora(id="pencil"),)), {}, nothing)
    with pytest.raises(ModelNotAvailable, match="no workflow for sd-v1-5 with these inputs"):
        engine.generate(render(), {"cnImage": red_picture()}, nothing)
    with pytest.raises(ModelNotAvailable, match="and the ControlNet canny"):
        engine.generate(render(control_net=ControlNet(name="canny")), {}, nothing)
    with pytest.raises(UnreadableMedia):
        engine.generate(render(strength=0.5), {"startingImage": b"no picture"}, nothing)
    with pytest.raises(ModelNotAvailable, match="sdxl"):
        engine.load("sdxl")


def test_the_content_filter_is_asked_first(grid: StandIn) -> None:
    with pytest.raises(RenderRefused):
        loaded().generate(render(prompt="a nude girl"), {}, nothing)
    assert grid.graphs == []


def test_a_cancel_interrupts_comfyui_between_steps(grid: StandIn) -> None:
    def on_step(step: Step) -> None:
        if step.step == 2:
            raise RenderCanceled("enough")

    engine = loaded()
    with pytest.raises(RenderCanceled):
        engine.generate(render(steps=1000), {}, on_step)
    made = engine.generate(render(), {}, nothing)  # it would wait for ever behind the first one
    assert made.steps == 4


def test_a_cancel_is_heard_while_a_step_takes_long(
    grid: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "SIGN_OF_LIFE_S", 0.01)
    stuck = grid.event()

    async def wait(step: int) -> None:
        await stuck.wait()

    grid.step_gate = wait

    def on_step(step: Step) -> None:
        assert step.step == 0
        raise RenderCanceled("enough")

    with pytest.raises(RenderCanceled):
        loaded().generate(render(), {}, on_step)
    grid.release(stuck)


def test_running_out_of_memory_is_told_as_such(grid: StandIn) -> None:
    grid.failure = ("torch.OutOfMemoryError", "Allocation on device 0 would exceed memory")
    with pytest.raises(OutOfMemory, match="does not fit") as raised:
        loaded().generate(render(), {}, nothing)
    assert "KSampler" not in str(raised.value).partition("\n")[0]


def test_a_failing_node_is_told_to_the_owner_only(grid: StandIn) -> None:
    grid.failure = ("ValueError", "/srv/secret.py is broken")
    with pytest.raises(EngineError) as raised:
        loaded().generate(render(), {}, nothing)
    user, _, owner = str(raised.value).partition("\n")
    assert user == "the render failed"
    assert "secret.py" in owner


def test_a_file_that_vanished_makes_the_model_unavailable(
    grid: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = loaded()
    needed = stand_in.OBJECT_INFO["CheckpointLoaderSimple"]["input"]["required"]
    monkeypatch.setitem(needed, "ckpt_name", [[], {}])
    with pytest.raises(ModelNotAvailable, match="no longer offers what this model needs"):
        engine.generate(render(), {}, nothing)


def test_a_file_that_was_exchanged_is_found_by_the_next_job(
    grid: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = loaded()
    needed = stand_in.OBJECT_INFO["CheckpointLoaderSimple"]["input"]["required"]
    monkeypatch.setitem(needed, "ckpt_name", [["v1-5-newer.safetensors"], {}])
    with pytest.raises(ModelNotAvailable):
        engine.generate(render(), {}, nothing)
    engine.load("sd-v1-5")
    engine.generate(render(), {}, nothing)
    assert grid.graphs[-1]["checkpoint"]["inputs"]["ckpt_name"] == "v1-5-newer.safetensors"


def test_a_restart_in_the_middle_only_starts_the_job_again(grid: StandIn) -> None:
    first = True

    def on_step(step: Step) -> None:
        nonlocal first
        if step.step == 2 and first:
            first = False
            grid.stop()
            threading.Timer(0.2, grid.start_again).start()

    made = loaded().generate(render(), {}, on_step)
    assert made.steps == 4
    assert len(grid.graphs) == 2


def test_a_comfyui_that_stays_away_gives_the_job_back(
    grid: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "BACK_WITHIN_S", 0.05)
    monkeypatch.setattr(engine_module, "_RETRY_S", 0.01)
    engine = loaded()
    grid.stop()
    with pytest.raises(ModelNotAvailable, match="did not come back"):
        engine.generate(render(), {}, nothing)
    assert comfyui.ENGINE.models() == ()
    with pytest.raises(ModelNotAvailable, match="does not answer"):
        comfyui.ENGINE.create(1).load("sd-v1-5")
    grid.start_again()


def test_a_job_behind_the_owners_own_work_goes_elsewhere(
    grid: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "SIGN_OF_LIFE_S", 0.01)
    monkeypatch.setattr(engine_module, "BEGIN_WITHIN_S", 0.05)
    busy = grid.event()

    async def wait(step: int) -> None:
        await busy.wait()

    grid.step_gate = wait
    grid.queue_up(Job("owners", "somebody", OWNERS_GRAPH))
    with pytest.raises(ModelNotAvailable, match="busy with other work"):
        loaded().generate(render(), {}, nothing)
    grid.release(busy)


def test_a_workflow_that_takes_no_steps_tells_its_own(grid: StandIn, tmp_path: Path) -> None:
    graph = {
        "e": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8}},
        "k": {"class_type": "KSampler", "inputs": {"steps": 8, "latent_image": ["e", 0]}},
        "s": {"class_type": "SaveImage", "inputs": {"images": ["k", 0], "filename_prefix": "x"}},
    }
    (tmp_path / "own.json").write_text(json.dumps(graph))
    (tmp_path / "own.toml").write_text(
        'workflow = "own.json"\nresult = "s"\nprogress = ["k"]\nmodels = {"own-v1" = {}}\n'
        'settings = {width = "e.width", height = "e.height"}\n'
    )
    told: list[tuple[int, int]] = []
    made = loaded("own-v1").generate(
        render("own-v1", steps=20), {}, lambda step: told.append((step.step, step.step_count))
    )
    assert [one for one in told if one[0]] == [(step, 8) for step in range(1, 9)]
    assert made.steps == 8


def test_an_owners_workflow_needs_only_its_mapping(address: str, tmp_path: Path) -> None:
    (tmp_path / "plain.json").write_text(PLAIN_GRAPH)
    (tmp_path / "plain.toml").write_text(PLAIN_MAPPING)
    assert "plain-v1" in comfyui.ENGINE.models()
    engine = loaded("plain-v1")
    made = engine.generate(render("plain-v1", width=40, height=24), {}, nothing)
    assert Image.open(io.BytesIO(made.data)).size == (40, 24)
    again = engine.generate(render("plain-v1", width=40, height=24), {}, nothing)
    assert again.data == made.data  # ComfyUI answers the second one from its cache


def test_a_result_of_another_size_is_an_error(address: str, tmp_path: Path) -> None:
    (tmp_path / "plain.json").write_text(PLAIN_GRAPH)
    (tmp_path / "plain.toml").write_text(PLAIN_MAPPING.replace(', height = "empty.height"', ""))
    with pytest.raises(EngineError, match="40x8 pixels instead of 40x24"):
        loaded("plain-v1").generate(render("plain-v1", width=40, height=24), {}, nothing)


def test_a_result_is_waited_for_until_the_history_knows_it(
    grid: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ComfyUI tells of success first, and may then take its time to put models away."""
    monkeypatch.setattr(engine_module, "SIGN_OF_LIFE_S", 0.01)

    async def until_asked_in_vain() -> None:
        grid.asked = grid.event()
        await grid.asked.wait()

    grid.end_gate = until_asked_in_vain
    assert loaded().generate(render(), {}, nothing).steps == 4


def test_an_end_while_the_socket_was_down_is_read_from_the_history(
    grid: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "SIGN_OF_LIFE_S", 0.01)
    grid.failure = ("ValueError", "too late")
    hung_up, deaf = threading.Event(), grid.event()

    async def wait(step: int) -> None:
        await deaf.wait()

    grid.step_gate = wait

    def on_step(step: Step) -> None:
        if not hung_up.is_set():
            hung_up.set()
            grid.deaf = True
            grid.hang_up()
            grid.release(deaf)

    with pytest.raises(EngineError, match="the render failed") as raised:
        loaded().generate(render(), {}, on_step)
    assert "too late" in str(raised.value)


def test_a_job_that_the_owner_stops_is_told_as_such(grid: StandIn) -> None:
    def on_step(step: Step) -> None:
        if step.step == 1:
            grid.interrupt_all()

    with pytest.raises(EngineError, match="owner stopped this job"):
        loaded().generate(render(steps=1000), {}, on_step)


def test_a_cancel_leaves_the_owners_own_work_alone(
    grid: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "SIGN_OF_LIFE_S", 0.01)
    busy = grid.event()

    async def wait(step: int) -> None:
        await busy.wait()

    grid.step_gate = wait
    grid.queue_up(Job("owners", "somebody", OWNERS_GRAPH))

    def on_step(step: Step) -> None:
        raise RenderCanceled("enough")

    with pytest.raises(RenderCanceled):
        loaded().generate(render(), {}, on_step)
    assert grid.interrupts == []
    grid.release(busy)


def test_a_file_that_vanished_later_makes_the_model_unavailable(grid: StandIn) -> None:
    grid.failure = ("FileNotFoundError", "Model in folder 'checkpoints' not found")
    with pytest.raises(ModelNotAvailable, match="no longer offers what this model needs"):
        loaded().generate(render(), {}, nothing)


def test_a_comfyui_that_is_too_old_is_told_as_such(grid: StandIn) -> None:
    grid.version = "0.3.44"
    assert comfyui.ENGINE.models() == ()
    assert comfyui.ENGINE.examine is not None
    (found,) = comfyui.ENGINE.examine()
    assert found.level == "problem"
    assert "it is 0.3.44, 0.3.45 is needed" in found.text
    grid.version = "0.3.64"
    assert "sd-v1-5" in comfyui.ENGINE.models()


def test_only_an_owner_who_asked_for_it_hears_that_none_answers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as taken:  # bound but not listening, so that nobody answers
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setattr(comfyui, "DEFAULT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.delenv(comfyui.URL_VARIABLE)
        assert comfyui.ENGINE.models() == ()
        assert caplog.messages == []
        monkeypatch.setenv(comfyui.URL_VARIABLE, comfyui.DEFAULT_URL)
        assert comfyui.ENGINE.models() == ()
        assert "no ComfyUI answers at http://127.0.0.1" in caplog.text


def test_nothing_is_looked_for_when_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(comfyui.URL_VARIABLE, comfyui.OFF)
    assert comfyui.ENGINE.models() == ()


async def test_the_engine_leaves_a_running_loop_alone(grid: StandIn) -> None:
    made = await asyncio.to_thread(lambda: loaded().generate(render(), {}, nothing))
    assert made.steps == 4
