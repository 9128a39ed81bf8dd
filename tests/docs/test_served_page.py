"""docs/served.md tells of every model of the catalogue which engine serves it, or why none does."""

import re
from pathlib import Path

from dreamgrid.engines.comfyui import OWN_WORKFLOWS
from dreamgrid.engines.comfyui.workflow import read_workflows
from dreamgrid.engines.diffusers.family import families
from dreamgrid.server.catalog import Catalog

PAGE = (Path(__file__).parents[2] / "docs" / "served.md").read_text("utf-8")
ROW = re.compile(r"^\| (`[^|]+) \|([^|]*)\|([^|]*)\|([^|]*)\|$", re.MULTILINE)

TOLD = {
    model: (diffusers.strip() == "yes", comfyui.strip() == "yes", remark.strip())
    for models, diffusers, comfyui, remark in ROW.findall(PAGE)
    for model in re.findall("`([^`]+)`", models)
}


def test_every_model_of_the_catalogue_is_told_once() -> None:
    named = re.findall("`([^`]+)`", "".join(models for models, *_ in ROW.findall(PAGE)))
    assert len(named) == len(TOLD)
    assert set(TOLD) == {model.id for model in Catalog.load().models()}


def test_it_is_told_which_engine_serves_it() -> None:
    by_diffusers = {model for family in families() for model in family.weights}
    workflows, _ = read_workflows(OWN_WORKFLOWS)
    by_comfyui = {model for workflow in workflows for model in workflow.models}
    assert {model for model, (yes, _, _) in TOLD.items() if yes} == by_diffusers
    assert {model for model, (_, yes, _) in TOLD.items() if yes} == by_comfyui


def test_where_none_serves_it_there_is_a_reason() -> None:
    assert all(remark for *served, remark in TOLD.values() if not any(served))
