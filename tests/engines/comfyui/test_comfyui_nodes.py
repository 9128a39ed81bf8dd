"""The workflows that come with dreamgrid against what ComfyUI says of its own nodes."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from dreamgrid.engines.comfyui import OWN_WORKFLOWS
from dreamgrid.engines.comfyui.binding import bind
from dreamgrid.engines.comfyui.offers import Offer, offers_of
from dreamgrid.engines.comfyui.workflow import read_workflow, read_workflows
from dreamgrid.errors import ModelNotAvailable
from dreamgrid.protocol.params import ControlNet
from dreamgrid.protocol.renders import AudioRender, ImageRender, VideoRender

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


def picture(model: str, **changes: object) -> ImageRender:
    settings: dict[str, object] = {
        "model": model,
        "prompt": "a fox",
        "steps": 8,
        "guidance": 1,
        "seed": 3,
        "width": 640,
        "height": 512,
        "strength": 0.7,
    }
    return ImageRender(**(settings | changes))  # type: ignore[arg-type]


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


INPAINTING = [path.name for path in sorted(OWN_WORKFLOWS.glob("*-mask.toml"))]


@pytest.mark.parametrize("mapping", INPAINTING)
def test_a_mask_is_as_large_as_the_picture_and_what_is_black_in_it_stays(mapping: str) -> None:
    model = next(iter(read_workflow(OWN_WORKFLOWS / mapping).models))
    wish = picture(model, control_net=ControlNet(name="inpaint"))
    graph = bound(mapping, wish, {"startingImage": "fox.png", "cnImage": "hole.png"})
    scaled, mask = graph["scaled"]["inputs"], graph["mask_scaled"]["inputs"]
    assert (scaled["width"], scaled["height"]) == (mask["width"], mask["height"]) == (640, 512)
    assert (graph["image"]["inputs"]["image"], graph["mask"]["inputs"]["image"]) == (
        "fox.png",
        "hole.png",
    )
    assert graph["sampler"]["inputs"]["denoise"] == 0.7
    assert graph["sampler"]["inputs"]["latent_image"] == ["masked", 0]
    assert graph["joined"]["inputs"]["destination"] == ["scaled", 0]
    assert graph["save"]["inputs"]["images"] == ["joined", 0]


NETS = ["sd15-net.toml", "sd15-net-image.toml", "sdxl-net.toml", "sdxl-net-image.toml"]


@pytest.mark.parametrize("mapping", NETS)
def test_a_control_net_steers_as_strongly_and_as_long_as_asked(mapping: str) -> None:
    workflow = read_workflow(OWN_WORKFLOWS / mapping)
    model = next(iter(workflow.models))
    net = ControlNet(name="canny", strength=0.4, start=0.1, end=0.8)
    roles = dict.fromkeys(workflow.inputs, "fox.png") | {"cnImage": "edges.png"}
    offer = Offer(model=model, workflow=workflow, weights={}, control_nets={"canny": "edges.pth"})
    graph = bind(offer, picture(model, control_net=net), roles)
    assert graph["net"]["inputs"]["control_net_name"] == "edges.pth"
    steered = graph["steered"]["inputs"]
    assert (steered["strength"], steered["start_percent"], steered["end_percent"]) == (
        0.4,
        0.1,
        0.8,
    )
    assert graph["seen"]["inputs"]["image"] == "edges.png"
    assert graph["seen_scaled"]["inputs"]["width"] == 640
    assert graph["sampler"]["inputs"]["positive"] == ["steered", 0]
    assert bind(offer, picture(model, control_net=ControlNet(name="canny")), roles)["steered"][
        "inputs"
    ] == steered | {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (ControlNet(name="depth"), "no ControlNet depth"),
        (ControlNet(name="canny", mode="cn_priority"), "have no cn_priority"),
        (ControlNet(name="canny", preprocess=True), "no map for canny"),
        (ControlNet(name="inpaint"), "takes no ControlNet"),
    ],
)
def test_what_a_control_net_cannot_do_is_left_to_others(net: ControlNet, reason: str) -> None:
    workflow = read_workflow(OWN_WORKFLOWS / "sd15-net.toml")
    offer = Offer(model="sd-v1-5", workflow=workflow, weights={}, control_nets={"canny": "e.pth"})
    with pytest.raises(ModelNotAvailable, match=reason):
        bind(offer, picture("sd-v1-5", control_net=net), {"cnImage": "edges.png"})


def test_a_mask_counts_for_all_of_the_steps_or_is_left_to_others() -> None:
    wish = picture("sd-v1-5", control_net=ControlNet(name="inpaint", end=0.5))
    files = {"startingImage": "fox.png", "cnImage": "hole.png"}
    with pytest.raises(ModelNotAvailable, match="for all of the steps"):
        bound("checkpoint-mask.toml", wish, files)


def test_control_nets_are_offered_where_their_files_are() -> None:
    workflows, _ = read_workflows(OWN_WORKFLOWS)
    classes: dict[str, Any] = {kind: {"input": {"required": {}}} for kind in NODES}
    classes["CheckpointLoaderSimple"] = listing("ckpt_name", "v1-5-pruned.safetensors")
    for nets, kinds in (
        (("x.pth",), {"", "mask"}),
        (("a/control_v11p_sd15_canny.pth",), {"", "mask", "net"}),
    ):
        classes["ControlNetLoader"] = listing("control_net_name", *nets)
        offers, _ = offers_of(workflows, classes)
        mine = [offer for offer in offers if offer.model == "sd-v1-5"]
        assert {offer.workflow.control for offer in mine} == kinds
    assert {tuple(offer.control_nets) for offer in mine} == {(), ("canny",)}


def listing(name: str, *files: str) -> dict[str, Any]:
    return {"input": {"required": {name: [list(files)]}}}


def test_a_last_picture_ends_a_video_as_strongly_as_asked() -> None:
    wish = video("ltx2-19b-fp8_i2v", first_frame_strength=0.6, last_frame_strength=0.3)
    files = {"referenceImage": "fox.png", "referenceImageEnd": "den.png"}
    graph = bound("ltx2-two-images.toml", wish, files)
    assert graph["begun"]["inputs"]["strength"] == 0.6
    ended = graph["ended"]["inputs"]
    assert (ended["strength"], ended["frame_idx"], ended["latent"]) == (0.3, -1, ["begun", 0])
    assert graph["last_image"]["inputs"]["image"] == "den.png"
    assert graph["decoded"]["inputs"]["samples"] == ["cropped", 2], "without what was added"
    alone = bound("ltx2-last-image.toml", wish, {"referenceImageEnd": "den.png"})
    assert alone["ended"]["inputs"]["latent"] == ["frames", 0]


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
