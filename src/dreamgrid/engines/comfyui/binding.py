"""The graph of one job: its settings, files, LoRAs and ControlNet, put into a workflow. Pure."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from dreamgrid.engines.comfyui.offers import LORA_NODE, Offer, slashed
from dreamgrid.engines.comfyui.steering import check_mask, control_of, values_of
from dreamgrid.engines.comfyui.workflow import (
    HALF_STEPS,
    WHOLE_SIDES,
    Graph,
    Place,
    Workflow,
    place_of,
)
from dreamgrid.errors import EngineError, ModelNotAvailable
from dreamgrid.protocol.params import Lora
from dreamgrid.protocol.renders import AnyRender


def bind(offer: Offer, render: AnyRender, files: Mapping[str, str]) -> Graph:
    """The graph of one job.

    Args:
        offer: How to make it.
        render: What to make.
        files: Asset role to the name under which ComfyUI knows the uploaded file.

    Raises:
        EngineError: The workflow takes no LoRAs.
        ModelNotAvailable: It takes no ControlNet, or a LoRA is not installed in this ComfyUI.
    """
    workflow = offer.workflow
    graph = copy.deepcopy(workflow.graph)
    for place, file in offer.weights.items():
        graph[place.node]["inputs"][place.input] = file
    for role, place in workflow.inputs.items():
        graph[place.node]["inputs"][place.input] = files[role]
    for setting, places in workflow.settings.items():
        value = _value(workflow, render, setting)
        if value is None:
            continue
        for place in places:
            graph[place.node]["inputs"][place.input] = value
    for place, value in _control_values(offer, render).items():
        graph[place.node]["inputs"][place.input] = value
    _insert_loras(graph, offer, render.loras)
    return graph


def objection(offer: Offer, render: AnyRender) -> str:
    """What of a job with the right inputs a workflow cannot do; "" for nothing."""
    try:
        bind(offer, render, dict.fromkeys(offer.workflow.inputs, ""))
    except EngineError as error:
        return str(error)
    for setting, known in offer.names.items():
        name = _value(offer.workflow, render, setting)
        if name is not None and known and name not in known:
            return f"this worker's ComfyUI has no {setting} {name}"
    return ""


def _control_values(offer: Offer, render: AnyRender) -> dict[Place, Any]:
    """What a job's mask or ControlNet puts into a graph beside its picture."""
    workflow, net = offer.workflow, render.control_net
    if workflow.control != control_of(render):
        raise ModelNotAvailable(f"this worker's workflow for {render.model} takes no ControlNet")
    if net is None:
        return {}
    if workflow.control == "mask" or workflow.control_net is None:
        check_mask(net)
        return {}
    values = values_of(workflow.control_net, offer.control_nets, net)
    return {place_of(workflow.graph, text): value for text, value in values.items()}


def _value(workflow: Workflow, render: AnyRender, setting: str) -> object:
    if setting == HALF_STEPS:
        return render.steps // 2
    if setting in WHOLE_SIDES:
        side = getattr(render, WHOLE_SIDES[setting], 0)
        return -(-side // workflow.multiple) * workflow.multiple
    value = getattr(render, setting, None)
    if setting == "sampler" and value is not None:
        return workflow.samplers.get(value, value)
    if setting == "scheduler" and value is not None:
        return workflow.schedulers.get(value, value)
    return value


def _insert_loras(graph: Graph, offer: Offer, loras: Sequence[Lora]) -> None:
    """A chain of loaders, in the order given, between the model and whatever read it."""
    if not loras:
        return
    model, clip = offer.workflow.lora_model, offer.workflow.lora_clip
    if model is None or clip is None:
        raise EngineError(f"this worker's workflow for {offer.model} takes no LoRAs")
    readers = [
        (node["inputs"], name, tuple(value))
        for node in graph.values()
        for name, value in node["inputs"].items()
        if isinstance(value, list) and tuple(value) in {model, clip}
    ]
    last = {model: list(model), clip: list(clip)}
    for number, lora in enumerate(loras):
        node = f"dreamgrid-lora-{number}"
        graph[node] = {
            "class_type": LORA_NODE,
            "inputs": {
                "lora_name": _lora_file(offer, lora),
                "strength_model": lora.strength,
                "strength_clip": lora.strength,
                "model": last[model],
                "clip": last[clip],
            },
        }
        last = {model: [node, 0], clip: [node, 1]}
    for inputs, name, output in readers:
        inputs[name] = last[output]


def _lora_file(offer: Offer, lora: Lora) -> str:
    named = [file for file in offer.lora_files if PurePosixPath(slashed(file)).stem == lora.id]
    if not named:
        raise ModelNotAvailable(f"the LoRA {lora.id[:64]} is not installed on this worker")
    return min(named, key=lambda file: (len(file), file))
