"""Proposed mappings, for the workflows whose true mappings are known: dreamgrid's own."""

import tomllib
from pathlib import Path

import pytest

from dreamgrid.engines.comfyui import OWN_WORKFLOWS
from dreamgrid.engines.comfyui.drafting import draft
from dreamgrid.engines.comfyui.workflow import read_graph, read_workflow
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
BY_HAND = {"ltx2", "ltx2-image"}
"""They render larger than asked for, and cut: which side is which cannot be guessed."""


@pytest.mark.parametrize("name", sorted(path.stem for path in OWN_WORKFLOWS.glob("*.toml")))
def test_a_proposal_is_what_a_person_wrote(name: str, tmp_path: Path) -> None:
    wanted = read_workflow(OWN_WORKFLOWS / f"{name}.toml")
    found = draft(wanted.graph)
    (tmp_path / f"{name}.json").write_bytes((OWN_WORKFLOWS / f"{name}.json").read_bytes())
    (tmp_path / "mine.toml").write_text(found.toml(f"{name}.json", "mine-v1"), "utf-8")
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
