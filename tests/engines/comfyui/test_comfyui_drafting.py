"""Proposed mappings, for the workflows whose true mappings are known: dreamgrid's own."""

import json
import tomllib
from pathlib import Path

import pytest

from dreamgrid.engines.comfyui import OWN_WORKFLOWS
from dreamgrid.engines.comfyui.drafting import draft
from dreamgrid.engines.comfyui.workflow import Graph, read_graph, read_workflow
from dreamgrid.errors import ConfigError

GUESSED = {"prompt", "negative_prompt", "seed", "steps", "guidance", "sampler", "scheduler"}
GUESSED |= {
    "width",
    "height",
    "frames",
    "motion_fps",
    "lyrics",
    "bpm",
    "duration_s",
    "shift",
    "half_steps",
}
BY_HAND = {"ltx2", "ltx2-image", "ltx2-last-image", "ltx2-two-images"} | {"sd15-net", "sdxl-net"}
"""They render larger than asked for, and cut, or scale what a ControlNet reads: which side is which
cannot be guessed."""


@pytest.mark.parametrize("name", sorted(path.stem for path in OWN_WORKFLOWS.glob("*.toml")))
def test_a_proposal_is_what_a_person_wrote(name: str, tmp_path: Path) -> None:
    wanted = read_workflow(OWN_WORKFLOWS / f"{name}.toml")
    found = draft(wanted.graph)
    file = tomllib.loads((OWN_WORKFLOWS / f"{name}.toml").read_text("utf-8"))["workflow"]
    (tmp_path / file).write_bytes((OWN_WORKFLOWS / file).read_bytes())
    (tmp_path / "mine.toml").write_text(found.toml(file, "mine-v1"), "utf-8")
    made = read_workflow(tmp_path / "mine.toml")
    assert made.result == wanted.result
    settings = GUESSED - ({"width", "height"} if name in BY_HAND else set())
    for setting in settings & set(wanted.settings):
        assert set(wanted.settings[setting]) <= set(made.settings[setting]), setting
    assert set(made.inputs.values()) == set(wanted.inputs.values())
    if wanted.lora_model:
        assert (made.lora_model, made.lora_clip) == (wanted.lora_model, wanted.lora_clip)


def test_files_and_titles_of_a_workflow_are_in_its_mapping(tmp_path: Path) -> None:
    graph = read_graph(OWN_WORKFLOWS / "checkpoint.json")
    graph["checkpoint"]["inputs"]["ckpt_name"] = "style\\ink XL.safetensors"
    graph["positive"]["_meta"] = {"title": "What\nto paint"}
    text = draft(graph).toml("checkpoint.json", "ink-xl")
    told = tomllib.loads(text)
    assert told["models"] == {"ink-xl": {"checkpoint.ckpt_name": "ink XL.safetensors"}}
    assert 'prompt = "positive.text"  # What to paint' in text


def test_control_characters_do_no_harm() -> None:
    graph = read_graph(OWN_WORKFLOWS / "checkpoint.json")
    graph["checkpoint"]["inputs"]["ckpt_name"] = "ink\x7f\x00.safetensors"
    graph["positive"]["_meta"] = {"title": "What\x7f to\x00 paint"}
    text = draft(graph).toml("checkpoint.json", "ink-xl")
    told = tomllib.loads(text)
    assert told["models"] == {"ink-xl": {"checkpoint.ckpt_name": "ink\x7f\x00.safetensors"}}
    assert "  # What to paint\n" in text


def test_each_role_is_given_once_and_nodes_without_one_are_told() -> None:
    graph = read_graph(OWN_WORKFLOWS / "checkpoint.json")
    pictures = [f"picture {number}" for number in range(18)]
    for node in pictures:
        graph[node] = {"class_type": "LoadImage", "inputs": {"image": "a.png"}}
    for node in ("sound", "another sound"):
        graph[node] = {"class_type": "LoadAudio", "inputs": {"audio": "a.mp3"}}
    found = draft(graph)
    assert found.inputs["referenceAudio"] == "sound.audio"
    assert found.own_files == ("picture 17", "another sound")
    assert set(found.inputs.values()) == {
        "sound.audio",
        *(f"{node}.image" for node in pictures[:17]),
    }


def base_and_refiner(start: int) -> Graph:
    """Two checkpoints in a row, each with a text encoder of its own, as SDXL's are used."""
    graph = read_graph(OWN_WORKFLOWS / "checkpoint.json")
    half = {"steps": 20, "start_at_step": 0, "end_at_step": start, "noise_seed": 1}
    graph["sampler"] = {"class_type": "KSamplerAdvanced", "inputs": graph["sampler"]["inputs"]}
    del graph["sampler"]["inputs"]["seed"]
    for node in ("checkpoint", "positive", "negative", "sampler"):
        text = (
            json.dumps(graph[node]).replace('["', '["second ').replace("second latent", "sampler")
        )
        graph[f"second {node}"] = json.loads(text)
    graph["sampler"]["inputs"] |= half
    graph["second sampler"]["inputs"] |= half | {"start_at_step": start, "end_at_step": 10000}
    graph["decoded"]["inputs"]["samples"] = ["second sampler", 0]
    return graph


def test_a_refiner_hears_the_prompt_too() -> None:
    found = draft(base_and_refiner(10))
    assert found.settings["prompt"] == ["positive.text", "second positive.text"]
    assert found.settings["negative_prompt"] == ["negative.text", "second negative.text"]
    assert found.settings["steps"] == ["sampler.steps", "second sampler.steps"]
    halves = ["sampler.end_at_step", "second sampler.start_at_step"]
    assert found.settings["half_steps"] == halves
    assert found.loras == {}  # which of the two they would be for is not known


def test_steps_that_are_split_unevenly_stay_as_they_are() -> None:
    settings = draft(base_and_refiner(16)).settings
    assert "steps" not in settings
    assert "half_steps" not in settings


def test_a_workflow_that_saves_nothing_is_refused() -> None:
    graph = read_graph(OWN_WORKFLOWS / "checkpoint.json")
    del graph["save"]
    with pytest.raises(ConfigError, match="no node saves a picture"):
        draft(graph)


def test_links_in_a_circle_end() -> None:
    graph = read_graph(OWN_WORKFLOWS / "checkpoint.json")
    graph["positive"]["inputs"] = {"conditioning": ["positive", 0]}
    settings = draft(graph).settings
    assert "prompt" not in settings
    assert settings["negative_prompt"] == ["negative.text"]
