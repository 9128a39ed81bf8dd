"""docs/diffusers.md lists what there is."""

import re
from pathlib import Path

from dreamgrid.engines.diffusers.family import families
from dreamgrid.engines.diffusers.weights import MODELS_VARIABLE

PAGE = Path(__file__).parents[2] / "docs" / "diffusers.md"
ROW = re.compile(r"^\| [^|`]+ \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def test_the_page_lists_every_model_and_what_can_be_made_with_it() -> None:
    told = {
        model: [set(re.findall("`([^`]+)`", way)) for way in ways.split(";")]
        for models, ways in ROW.findall(PAGE.read_text("utf-8"))
        for model in re.findall("`([^`]+)`", models)
    }
    there = {
        model: [set(task.inputs) for task in family.tasks]
        for family in families()
        for model in family.weights
    }
    assert told == there


def test_the_page_names_the_folder_of_weights() -> None:
    row = f"| `{MODELS_VARIABLE}` | `~/.local/share/dreamgrid/diffusers` |"
    assert row in PAGE.read_text("utf-8")
