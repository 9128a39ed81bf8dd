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
        model: [set(task.inputs) for task in family.tasks_of(model)]
        for family in families()
        for model in family.weights
    }
    assert told == there


def test_the_page_lists_every_control_net() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|$", PAGE.read_text("utf-8"), re.M
    )
    columns = ["sd-v1-5", "sd_xl_base_1.0", "flux1-dev-fp8", "sd3.5_large_fp8_scaled"]
    told = {
        model: {row[0]: row[place].strip(" `") for row in rows if row[place].strip()}
        for place, model in enumerate(columns, start=1)
    }
    there = {
        model: {name: net.repository for name, net in family.control_nets.items()}
        for family in families()
        for model in columns
        if model in family.weights
    }
    assert told == there
    assert sum(bool(family.control_nets) for family in families()) == len(columns)


def test_the_page_names_the_folder_of_weights() -> None:
    row = f"| `{MODELS_VARIABLE}` | `~/.local/share/dreamgrid/diffusers` |"
    assert row in PAGE.read_text("utf-8")
