"""The workflows that come with dreamgrid against what ComfyUI says of its own nodes."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from dreamgrid.engines.comfyui import OWN_WORKFLOWS
from dreamgrid.engines.comfyui.workflow import Offer, bind, read_workflow
from dreamgrid.protocol.renders import AudioRender, VideoRender

NODES = tomllib.loads((Path(__file__).parent / "known_nodes.toml").read_text("utf-8"))
VALUES: dict[str, tuple[type, ...]] = {
    "INT": (int,),
    "FLOAT": (int, float),
    "STRING": (str,),
    "COMBO": (str,),
    "BOOLEAN": (bool,),
}


def inputs_of(kind: str) -> dict[str, str]:
    return dict(one.split(":") for one in NODES[kind]["inputs"].split())


@pytest.mark.parametrize("name", sorted(path.name for path in OWN_WORKFLOWS.glob("*.json")))
def test_a_workflow_uses_nodes_as_comfyui_has_them(name: str) -> None:
    graph: dict[str, Any] = json.loads((OWN_WORKFLOWS / name).read_text("utf-8"))
    for node, described in graph.items():
        kind, given = described["class_type"], described["inputs"]
        known = inputs_of(kind)
        needed = {one for one, what in known.items() if not what.endswith("?")}
        assert needed <= set(given) <= set(known), (node, kind)
        for one, value in given.items():
            what = known[one].rstrip("?")
            if what in VALUES:
                assert isinstance(value, VALUES[what]), (node, one)
                continue
            source, index = value
            made = NODES[graph[source]["class_type"]]["outputs"].split()
            assert made[index] == what, (node, one)


def bound(mapping: str, render: Any, files: dict[str, str] | None = None) -> dict[str, Any]:
    workflow = read_workflow(OWN_WORKFLOWS / mapping)
    assert render.model in workflow.models
    return bind(Offer(model=render.model, workflow=workflow, weights={}), render, files or {})


def video(model: str, **changes: object) -> VideoRender:
    settings: dict[str, object] = {
        "model": model,
        "prompt": "a fox",
        "steps": 8,
        "guidance": 1,
        "seed": 3,
        "width": 1280,
        "height": 720,
        "frames": 121,
        "fps": 24,
        "motion_fps": 24,
    }
    return VideoRender(**(settings | changes))  # type: ignore[arg-type]


def test_sides_that_a_model_cannot_have_are_rendered_larger_and_cut() -> None:
    graph = bound("ltx2.toml", video("ltx2-19b-fp8_t2v"))
    frames, cut = graph["frames"]["inputs"], graph["cut"]["inputs"]
    assert (frames["width"], frames["height"]) == (1280, 736)
    assert (cut["width"], cut["height"]) == (1280, 720)
    assert graph["silence"]["inputs"]["frames_number"] == frames["length"] == 121


def test_a_first_picture_counts_as_much_as_asked() -> None:
    wish = video("ltx23-22b-fp8_i2v_distilled", first_frame_strength=0.6)
    graph = bound("ltx2-image.toml", wish, {"referenceImage": "fox.png"})
    assert graph["begun"]["inputs"]["strength"] == 0.6
    assert graph["image"]["inputs"]["image"] == "fox.png"


def test_music_is_told_all_that_was_asked_for() -> None:
    wish = AudioRender(
        model="ace_step_1.5_turbo",
        prompt="calm piano",
        steps=8,
        guidance=1,
        seed=5,
        duration_s=20,
        bpm=90,
        key_scale="D minor",
        time_signature="3",
        lyrics="la la",
    )
    graph = bound("ace-step.toml", wish)
    song = graph["song"]["inputs"]
    assert (song["tags"], song["lyrics"], song["bpm"]) == ("calm piano", "la la", 90)
    assert (song["keyscale"], song["timesignature"]) == ("D minor", "3")
    assert song["duration"] == graph["latent"]["inputs"]["seconds"] == 20
    assert song["seed"] == graph["sampler"]["inputs"]["seed"] == 5
