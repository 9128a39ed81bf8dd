"""What a ComfyUI can make: workflows held against the nodes and files that it has. Pure."""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from dreamgrid.engines.comfyui.steering import Control
from dreamgrid.engines.comfyui.versions import too_old
from dreamgrid.engines.comfyui.workflow import NodeInfo, Place, Workflow, place_of

LORA_NODE = "LoraLoader"
"""What puts a LoRA onto a model, and lists those that are there."""

_NAMED = ("sampler", "scheduler")  # settings of which a ComfyUI has those that it lists


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A model that a workflow serves with what a ComfyUI has.

    Attributes:
        model: Catalogue id.
        workflow: How it is made.
        weights: The file chosen for each place.
        lora_files: Every LoRA file that ComfyUI lists.
        control_nets: The grid's names of the ControlNets that ComfyUI lists, to their files.
        names: The samplers and noise schedules that ComfyUI lists, by setting.
    """

    model: str
    workflow: Workflow
    weights: Mapping[Place, str]
    lora_files: tuple[str, ...] = ()
    control_nets: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Lack:
    """Why a workflow cannot serve a model here.

    Attributes:
        model: Catalogue id.
        workflow: Name of the workflow.
        reason: What is missing, in words for the worker's owner.
    """

    model: str
    workflow: str
    reason: str


def offers_of(
    workflows: Sequence[Workflow], nodes: NodeInfo, version: str = ""
) -> tuple[list[Offer], list[Lack]]:
    """Which models can be served with the node classes and files that a ComfyUI has.

    Args:
        workflows: What could be done; of two that serve one model with the same inputs the first
            one that works counts.
        nodes: The answer of `/object_info`.
        version: ComfyUI's own; empty: unknown.

    Returns:
        The offers, and what is missing for the others.
    """
    offers: dict[tuple[str, tuple[frozenset[str], Control]], Offer] = {}
    lacks: list[Lack] = []
    for workflow in workflows:
        control_nets = _control_nets(workflow, nodes)
        absent = sorted({node["class_type"] for node in workflow.graph.values()} - set(nodes))
        for model, weights in workflow.models.items():
            chosen: dict[Place, str] = {}
            reason = too_old(absent, workflow.since.get(model, ""), version)
            for place, pattern in () if reason else weights:
                files = _choices(workflow, nodes, place)
                found = [file for file in files if matches(file, pattern)]
                if not found:
                    kind = workflow.graph[place.node]["class_type"]
                    reason = f"no file '{pattern}' for {kind} in ComfyUI's model folders"
                    break
                chosen[place] = min(found, key=lambda file: (len(file), file))
            if not reason and workflow.control == "net" and not control_nets:
                reason = "no ControlNet for it in ComfyUI's model folders"
            if reason:
                lacks.append(Lack(model=model, workflow=workflow.name, reason=reason))
                continue
            offer = Offer(
                model=model,
                workflow=workflow,
                weights=chosen,
                lora_files=_listed(nodes, LORA_NODE, "lora_name"),
                control_nets=control_nets,
                names={
                    setting: _choices(workflow, nodes, places[0])
                    for setting, places in workflow.settings.items()
                    if setting in _NAMED
                },
            )
            offers.setdefault((model, workflow.jobs), offer)
    return list(offers.values()), lacks


def _control_nets(workflow: Workflow, nodes: NodeInfo) -> dict[str, str]:
    """The ControlNets that a ComfyUI has for a workflow."""
    places = workflow.control_net
    if places is None:
        return {}
    files = _choices(workflow, nodes, place_of(workflow.graph, places.file))
    found = {
        name: [file for file in files if matches(file, pattern)]
        for name, pattern in places.files.items()
    }
    return {
        name: min(some, key=lambda file: (len(file), file)) for name, some in found.items() if some
    }


def _choices(workflow: Workflow, nodes: NodeInfo, place: Place) -> tuple[str, ...]:
    return _listed(nodes, workflow.graph[place.node]["class_type"], place.input)


def _listed(nodes: NodeInfo, kind: str, name: str) -> tuple[str, ...]:
    """The values that an input of a node class offers; older and newer ComfyUIs differ in form."""
    inputs = nodes.get(kind, {}).get("input", {})
    described = {**inputs.get("optional", {}), **inputs.get("required", {})}.get(name) or [()]
    values = described[0]
    if values == "COMBO" and len(described) > 1:
        values = described[1].get("options", ())
    return tuple(str(value) for value in values) if isinstance(values, list | tuple) else ()


def matches(file: str, pattern: str) -> bool:
    """Whether a file of any subfolder bears a name; upper and lower case are alike."""
    path = slashed(file).casefold()
    return fnmatch.fnmatchcase(PurePosixPath(path).name, pattern.casefold())


def slashed(file: str) -> str:
    """A file's name as ComfyUI lists it, also where it is on Windows and lists subfolders so."""
    return file.replace("\\", "/")
