"""Mapping files, and what they lead to with the nodes and files of a ComfyUI."""

import json
from pathlib import Path
from typing import Any

import pytest

from dreamgrid.engines import comfyui
from dreamgrid.engines.comfyui.binding import bind
from dreamgrid.engines.comfyui.offers import Offer, offers_of
from dreamgrid.engines.comfyui.workflow import Workflow, read_workflow, read_workflows
from dreamgrid.errors import ConfigError
from dreamgrid.protocol.renders import ImageRender, VideoRender
from dreamgrid.server.catalog import Catalog

GRAPH: dict[str, Any] = {
    "1": {
        "class_type": "CheckpointLoaderSimple",
        "inputs": {"ckpt_name": "x.safetensors"},
        "_meta": {"title": "Load Checkpoint"},
    },
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["1", 1]}},
    "3": {
        "class_type": "KSampler",
        "inputs": {"seed": 0, "steps": 20, "sampler_name": "euler", "model": ["1", 0]},
    },
    "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}, "_meta": {"title": "Save"}},
    "5": {"class_type": "Note", "inputs": {}, "_meta": {"title": "twice"}},
    "6": {"class_type": "Note", "inputs": {}, "_meta": {"title": "twice"}},
}
MAPPING = """
workflow = "graph.json"
result = "Save"

[models]
"mine" = { "Load Checkpoint.ckpt_name" = "Mine*.safetensors" }

[settings]
prompt = "2.text"
seed = "3.seed"
steps = "3.steps"
sampler = "3.sampler_name"

[samplers]
dpm_pp = "dpmpp_2m"
"""


def written(folder: Path, mapping: str = MAPPING, graph: object = GRAPH) -> Path:
    (folder / "graph.json").write_text(json.dumps(graph))
    path = folder / "mine.toml"
    path.write_text(mapping)
    return path


def nodes(*checkpoints: str, without: str = "") -> dict[str, Any]:
    described: dict[str, Any] = {
        node["class_type"]: {"input": {"required": {}}} for node in GRAPH.values()
    }
    described["CheckpointLoaderSimple"] = {"input": {"required": {"ckpt_name": [checkpoints]}}}
    return {kind: info for kind, info in described.items() if kind != without}


def render(**changes: object) -> ImageRender:
    settings: dict[str, object] = {
        "model": "mine",
        "prompt": "a fox",
        "steps": 9,
        "seed": 5,
        "guidance": 1,
    }
    return ImageRender(**({"width": 8, "height": 8} | settings | changes))  # type: ignore[arg-type]


def offered(workflow: Workflow, *checkpoints: str) -> Offer:
    (offer,), lacks = offers_of([workflow], nodes(*checkpoints))
    assert lacks == []
    return offer


def test_nodes_are_named_by_their_id_or_by_their_title(tmp_path: Path) -> None:
    workflow = read_workflow(written(tmp_path))
    assert workflow.result == "4"
    assert workflow.progress == ("3",)
    graph = bind(offered(workflow, "mine-v2.safetensors"), render(sampler="dpm_pp"), {})
    assert graph["1"]["inputs"]["ckpt_name"] == "mine-v2.safetensors"
    assert graph["2"]["inputs"]["text"] == "a fox"
    assert graph["3"]["inputs"]["sampler_name"] == "dpmpp_2m"
    assert graph["3"]["inputs"]["steps"] == 9
    assert workflow.graph["3"]["inputs"]["steps"] == 20


def test_what_a_job_leaves_open_stays_as_the_workflow_has_it(tmp_path: Path) -> None:
    workflow = read_workflow(written(tmp_path))
    graph = bind(offered(workflow, "mine.safetensors"), render(), {})
    assert graph["3"]["inputs"]["sampler_name"] == "euler"


def test_files_are_found_in_any_folder_whatever_their_case(tmp_path: Path) -> None:
    workflow = read_workflow(written(tmp_path))
    names = ("other.safetensors", "sd\\MINE-long-name.safetensors", "sd\\Mine.SafeTensors")
    assert list(offered(workflow, *names).weights.values()) == ["sd\\Mine.SafeTensors"]


def test_what_is_missing_is_told_in_words(tmp_path: Path) -> None:
    workflow = read_workflow(written(tmp_path))
    _, (no_file,) = offers_of([workflow], nodes("other.safetensors"))
    assert no_file.reason == (
        "no file 'Mine*.safetensors' for CheckpointLoaderSimple in ComfyUI's model folders"
    )
    _, (no_node,) = offers_of([workflow], nodes("mine.safetensors", without="KSampler"))
    assert no_node.reason == "ComfyUI has no node KSampler: update it, or install the nodes"


def test_a_workflow_is_offered_only_by_a_comfyui_that_is_new_enough(tmp_path: Path) -> None:
    newer = MAPPING.replace('result = "Save"', 'result = "Save"\nsince = "0.10.0"')
    workflow = read_workflow(written(tmp_path, newer))
    have = nodes("mine.safetensors")
    for version in ("0.10.0", "v0.10.1", "1.0", ""):
        offers, lacks = offers_of([workflow], have, version)
        assert ([offer.model for offer in offers], lacks) == (["mine"], [])
    offers, (too_old,) = offers_of([workflow], have, "0.9.12")
    assert offers == []
    assert too_old.reason == "ComfyUI 0.9.12 is too old: update it to 0.10.0 or a later one"
    lacking = nodes("mine.safetensors", without="KSampler")
    _, (unknown,) = offers_of([workflow], lacking)
    assert unknown.reason == "ComfyUI has no node KSampler: update it to 0.10.0 or a later one"
    _, (absent,) = offers_of([workflow], lacking, "0.10.0")
    assert absent.reason == "ComfyUI has no node KSampler: update it, or install the nodes"


def test_a_version_stands_for_the_models_of_other_mappings_too(tmp_path: Path) -> None:
    newer = MAPPING.replace('result = "Save"', 'result = "Save"\nsince = { mine = "0.10.0" }')
    written(tmp_path, newer)
    other = tmp_path / "other.toml"
    other.write_text(MAPPING.partition("[models]")[0] + 'models = "mine.toml"\nsettings = {}\n')
    assert read_workflow(other).since == {"mine": "0.10.0"}
    written(tmp_path, newer.replace("mine = ", "yours = "))
    with pytest.raises(ConfigError, match="yours is no model of this mapping"):
        read_workflow(other)


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ('result = "Save"', 'result = "Sink"', "has no node 'Sink'"),
        ('result = "Save"', 'result = "twice"', "2 nodes are titled 'twice': use an id, 5"),
        ('"2.text"', '"2.words"', "node '2' has no input 'words'; its inputs: clip, text"),
        ('"2.text"', '"text"', "'text' is no place: write node.input"),
        ('"2.text"', '"2.clip"', "'2.clip' comes from another node"),
        ("seed =", "sed =", "settings.sed is none that jobs have: use audio_duration_s, audio"),
        ("[settings]", "[setting]", "unknown field `setting`"),
        ('"graph.json"', '"gone.json"', "its workflow gone.json: .*No such file"),
        ("[samplers]", "[loras]\nmodel = '1'\nclip = '1.1'\n[samplers]", "'1' is no output"),
        ("[models]", "[models", "line 5"),
    ],
)
def test_a_mistake_in_a_mapping_is_told_with_the_file(
    tmp_path: Path, before: str, after: str, complaint: str
) -> None:
    path = written(tmp_path, MAPPING.replace(before, after, 1))
    with pytest.raises(ConfigError, match=complaint) as raised:
        read_workflow(path)
    assert str(path) in str(raised.value)


def test_a_workflow_saved_for_the_editor_is_told_apart(tmp_path: Path) -> None:
    path = written(tmp_path, graph={"nodes": [], "links": []})
    with pytest.raises(ConfigError, match="export it with 'Export \\(API\\)'"):
        read_workflow(path)


def test_a_broken_mapping_does_not_hide_the_others(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "broken.toml").write_text("workflow = 1")
    workflows, errors = read_workflows(tmp_path)
    assert [workflow.name for workflow in workflows] == ["mine"]
    assert len(errors) == 1


def test_every_workflow_of_dreamgrid_can_be_read_and_serves_models_of_the_catalogue() -> None:
    workflows, errors = read_workflows(comfyui.OWN_WORKFLOWS)
    assert errors == []
    known = {model.id for model in Catalog.load().models()}
    for workflow in workflows:
        assert workflow.models, workflow.name
        assert set(workflow.models) <= known, workflow.name


def test_two_samplers_in_a_row_share_the_steps() -> None:
    workflow = read_workflow(comfyui.OWN_WORKFLOWS / "wan22.toml")
    model = next(iter(workflow.models))
    offer = Offer(model=model, workflow=workflow, weights={})
    asked = VideoRender(
        model=model,
        prompt="a walk",
        steps=5,
        guidance=1,
        seed=1,
        width=640,
        height=480,
        frames=81,
        fps=32,
        motion_fps=16,
    )
    graph = bind(offer, asked, {})
    first, second = graph["first"]["inputs"], graph["second"]["inputs"]
    assert (first["steps"], first["end_at_step"], second["start_at_step"]) == (5, 2, 2)
    assert graph["latent"]["inputs"]["length"] == 81
    assert graph["video"]["inputs"]["fps"] == 16
