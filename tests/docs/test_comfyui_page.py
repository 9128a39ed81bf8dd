"""docs/comfyui.md: its example works, and what it lists is what there is."""

import re
from pathlib import Path

from dreamgrid.engines import comfyui
from dreamgrid.engines.comfyui.binding import bind
from dreamgrid.engines.comfyui.offers import offers_of
from dreamgrid.engines.comfyui.workflow import read_workflow, read_workflows
from dreamgrid.protocol.renders import ImageRender

PAGE = Path(__file__).parents[2] / "docs" / "comfyui.md"
BLOCK = re.compile(r"^```(json|toml)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_example_of_an_own_workflow_serves_its_model(tmp_path: Path) -> None:
    for kind, text in BLOCK.findall(PAGE.read_text("utf-8")):
        (tmp_path / f"lighthouse.{kind}").write_text(text)
    workflow = read_workflow(tmp_path / "lighthouse.toml")
    listed = {"CheckpointLoaderSimple": {"ckpt_name": [["sub/LighthouseXL_v3.safetensors"]]}}
    kinds = {node["class_type"] for node in workflow.graph.values()}
    nodes = {kind: {"input": {"required": listed.get(kind, {})}} for kind in kinds}
    (offer,), lacks = offers_of([workflow], nodes)
    assert lacks == []
    render = ImageRender(
        model="my-lighthouse-xl",
        prompt="a lighthouse",
        negative_prompt="fog",
        steps=3,
        guidance=5,
        seed=11,
        width=640,
        height=512,
    )
    graph = bind(offer, render, {})
    assert graph["4"]["inputs"]["ckpt_name"] == "sub/LighthouseXL_v3.safetensors"
    assert graph["3"]["inputs"]["seed"] == 11
    assert graph["3"]["inputs"]["cfg"] == 5
    assert graph["7"]["inputs"]["text"] == "fog"
    assert (graph["5"]["inputs"]["width"], graph["5"]["inputs"]["height"]) == (640, 512)


def test_the_page_lists_every_model_of_the_workflows_that_come_along() -> None:
    page = PAGE.read_text("utf-8")
    table = page[page.index("| family |") : page.index("The patterns of file names")]
    told = set(re.findall(r"`([^`]+)`", table))
    workflows, _ = read_workflows(comfyui.OWN_WORKFLOWS)
    served = {model for workflow in workflows for model in workflow.models}
    mappings = {f"{workflow.name}.toml" for workflow in workflows}
    assert served == told - mappings


def test_the_page_tells_the_variables_and_their_defaults() -> None:
    page = PAGE.read_text("utf-8")
    assert f"| `{comfyui.URL_VARIABLE}` | `{comfyui.DEFAULT_URL}` |" in page
    assert f"| `{comfyui.WORKFLOWS_VARIABLE}` | `~/.config/dreamgrid/comfyui` |" in page
