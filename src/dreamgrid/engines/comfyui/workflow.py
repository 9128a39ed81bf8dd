"""A ComfyUI workflow as a model: the exported graph, and the file that says what goes where.

The graph is what ComfyUI's menu "Export (API)" writes, untouched. Beside it lies a TOML file, the
*mapping*: which models the workflow serves, which input of which node takes the prompt, the seed
and so on, and which node's file is the result. Everything here is pure.

A place is written `node.input`; a node is named by its id or by its title in ComfyUI, as long as
only one node bears it.
"""

import copy
import fnmatch
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from dreamgrid.engines.comfyui.versions import each_models, too_old
from dreamgrid.errors import ConfigError, EngineError, ModelNotAvailable
from dreamgrid.protocol.params import Lora
from dreamgrid.protocol.renders import AnyRender, AudioRender, ImageRender, VideoRender

Graph = dict[str, Any]
"""A workflow in the API format: node id to `{class_type, inputs}`. An input is a value, or
`[node id, output index]`."""

NodeInfo = Mapping[str, Any]
"""What ComfyUI says of its node classes: the answer of `/object_info`."""

HALF_STEPS = "half_steps"
"""A setting that no render has: half of the steps, for workflows with two samplers in a row."""

WHOLE_SIDES = {"whole_width": "width", "whole_height": "height"}
"""Settings that no render has: its sides, rounded up to what the workflow's `multiple` says."""

SETTINGS = frozenset(
    {
        name
        for kind in (ImageRender, VideoRender, AudioRender)
        for name in kind.__struct_fields__
        if name not in {"model", "loras", "control_net", "assets", "previews", "output_format"}
    }
    | {HALF_STEPS, *WHOLE_SIDES}
)
"""What a mapping can put somewhere: the fields of renders, by their names there."""

_LORA_NODE = "LoraLoader"
_NAMED = ("sampler", "scheduler")  # settings of which a ComfyUI has those that it lists


class LoraPlace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Between which outputs and their readers LoRAs are inserted, as `node.output index`."""

    model: str
    clip: str


class MappingFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The mapping file.

    Attributes:
        workflow: File name of the exported graph, beside this file.
        result: The node whose file is the result.
        models: Catalogue id to the weights that it needs: a place that names a file, and a
            pattern of file names such as `z_image_turbo*.safetensors`. Or the name of another
            mapping file: it serves the same models with other inputs.
        settings: Setting to the place or places that take it; see `SETTINGS`.
        inputs: Asset role, such as `startingImage`, to the place that takes the file. The workflow
            serves jobs that bring exactly these.
        samplers: The grid's name of a sampler to ComfyUI's, where they differ.
        schedulers: Likewise for noise schedules.
        loras: Where LoRAs go. None: jobs with LoRAs are refused.
        progress: The nodes that report steps, in the order in which they run. Empty: those whose
            inputs take the steps.
        multiple: What the settings `whole_width` and `whole_height` are multiples of, in pixels.
        since: The first version of ComfyUI that can run it, such as `0.8.0`, or a table with one
            for each model. Left out: any.
    """

    workflow: str
    result: str
    models: dict[str, dict[str, str]] | str
    settings: dict[str, str | list[str]]
    inputs: dict[str, str] = {}
    samplers: dict[str, str] = {}
    schedulers: dict[str, str] = {}
    loras: LoraPlace | None = None
    progress: list[str] = []
    multiple: int = 1
    since: str | dict[str, str] = ""


@dataclass(frozen=True, kw_only=True)
class Place:
    """An input of a node."""

    node: str
    input: str


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """A graph with its mapping, every place resolved to a node's id.

    Attributes:
        name: Stem of the mapping's file, for messages.
        graph: The exported graph.
        result: Id of the node whose file is the result.
        models: Catalogue id to place and file pattern of its weights.
        settings: Setting to its places.
        inputs: Asset role to its place.
        samplers: The grid's names to ComfyUI's.
        schedulers: The grid's names to ComfyUI's.
        lora_model: Output that LoRAs change, as `(node, index)`. None: no LoRAs.
        lora_clip: The text encoder's output, likewise.
        progress: Ids of the nodes that report steps, in order.
        multiple: What `whole_width` and `whole_height` are multiples of.
        since: Catalogue id to the first version of ComfyUI that can run it, where one is known.
    """

    name: str
    graph: Graph
    result: str
    models: Mapping[str, tuple[tuple[Place, str], ...]]
    settings: Mapping[str, tuple[Place, ...]]
    inputs: Mapping[str, Place]
    samplers: Mapping[str, str]
    schedulers: Mapping[str, str]
    lora_model: tuple[str, int] | None
    lora_clip: tuple[str, int] | None
    progress: tuple[str, ...]
    multiple: int = 1
    since: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A model that a workflow serves with what a ComfyUI has.

    Attributes:
        model: Catalogue id.
        workflow: How it is made.
        weights: The file chosen for each place.
        lora_files: Every LoRA file that ComfyUI lists.
        names: The samplers and noise schedules that ComfyUI lists, by setting.
    """

    model: str
    workflow: Workflow
    weights: Mapping[Place, str]
    lora_files: tuple[str, ...] = ()
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


def read_workflows(folder: Path) -> tuple[list[Workflow], list[ConfigError]]:
    """Every workflow of a folder, in the order of their names, and what is wrong with others."""
    workflows: list[Workflow] = []
    errors: list[ConfigError] = []
    for path in sorted(folder.glob("*.toml")):
        try:
            workflows.append(read_workflow(path))
        except ConfigError as error:
            errors.append(error)
    return workflows, errors


def read_workflow(path: Path) -> Workflow:
    """Reads a mapping and its graph.

    Args:
        path: The TOML file.

    Raises:
        ConfigError: One of them is missing, broken, or names what the graph does not have.
    """
    mapping = _read_mapping(path)
    models, since = mapping.models, mapping.since
    if isinstance(models, str):
        other = _read_mapping(path.parent / models)
        models, since = other.models, since or other.since
    if isinstance(models, str):
        raise ConfigError(f"{path}: the models of {mapping.models} are those of a third file")
    beside = path.parent / mapping.workflow
    try:
        graph = read_graph(beside)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path}: its workflow {mapping.workflow}: {error}") from error
    try:
        return _resolved(path.stem, mapping, models, each_models(since, models), graph)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def read_graph(path: Path) -> Graph:
    """Reads an exported workflow.

    Raises:
        ConfigError: It is in another format.
        OSError: It cannot be read.
        msgspec.DecodeError: It is no JSON.
    """
    graph = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    if not all(isinstance(node, dict) and "class_type" in node for node in graph.values()):
        raise ConfigError(
            f"{path} is not in ComfyUI's API format: export it with 'Export (API)', which the "
            "menu 'Workflow' shows"
        )
    return graph


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
    offers: dict[tuple[str, frozenset[str]], Offer] = {}
    lacks: list[Lack] = []
    for workflow in workflows:
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
            if reason:
                lacks.append(Lack(model=model, workflow=workflow.name, reason=reason))
                continue
            offer = Offer(
                model=model,
                workflow=workflow,
                weights=chosen,
                lora_files=_listed(nodes, _LORA_NODE, "lora_name"),
                names={
                    setting: _choices(workflow, nodes, places[0])
                    for setting, places in workflow.settings.items()
                    if setting in _NAMED
                },
            )
            offers.setdefault((model, frozenset(workflow.inputs)), offer)
    return list(offers.values()), lacks


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
    if render.control_net is not None:
        raise ModelNotAvailable(f"this worker's workflow for {render.model} takes no ControlNet")
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
            "class_type": _LORA_NODE,
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
    named = [file for file in offer.lora_files if PurePosixPath(_slashed(file)).stem == lora.id]
    if not named:
        raise ModelNotAvailable(f"the LoRA {lora.id[:64]} is not installed on this worker")
    return min(named, key=lambda file: (len(file), file))


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
    path = _slashed(file).casefold()
    return fnmatch.fnmatchcase(PurePosixPath(path).name, pattern.casefold())


def _slashed(file: str) -> str:
    return file.replace("\\", "/")  # as ComfyUI on Windows lists its subfolders


def _read_mapping(path: Path) -> MappingFile:
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), MappingFile)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _resolved(
    name: str,
    mapping: MappingFile,
    models: dict[str, dict[str, str]],
    since: Mapping[str, str],
    graph: Graph,
) -> Workflow:
    unknown = sorted(set(mapping.settings) - SETTINGS)
    if unknown:
        known = ", ".join(sorted(SETTINGS))
        raise ConfigError(f"settings.{unknown[0]} is none that jobs have: use {known}")
    settings = {
        setting: tuple(_place(graph, text) for text in _texts(places))
        for setting, places in mapping.settings.items()
    }
    progress = [_node(graph, text) for text in mapping.progress]
    if not progress:
        progress = list(dict.fromkeys(place.node for place in settings.get("steps", ())))
    return Workflow(
        name=name,
        graph=graph,
        result=_node(graph, mapping.result),
        models={
            model: tuple((_place(graph, text), pattern) for text, pattern in weights.items())
            for model, weights in models.items()
        },
        settings=settings,
        inputs={role: _place(graph, text) for role, text in mapping.inputs.items()},
        samplers=mapping.samplers,
        schedulers=mapping.schedulers,
        lora_model=_output(graph, mapping.loras.model) if mapping.loras else None,
        lora_clip=_output(graph, mapping.loras.clip) if mapping.loras else None,
        progress=tuple(progress),
        multiple=mapping.multiple,
        since=since,
    )


def _texts(places: str | list[str]) -> Iterator[str]:
    yield from [places] if isinstance(places, str) else places


def _place(graph: Graph, text: str) -> Place:
    node, dot, name = text.rpartition(".")
    if not dot:
        raise ConfigError(f"'{text}' is no place: write node.input, such as 3.seed")
    place = Place(node=_node(graph, node), input=name)
    inputs = graph[place.node].get("inputs", {})
    if name not in inputs:
        offered = ", ".join(sorted(inputs)) or "none"
        raise ConfigError(f"node '{node}' has no input '{name}'; its inputs: {offered}")
    if isinstance(inputs[name], list):
        raise ConfigError(f"'{text}' comes from another node: name a place that holds a value")
    return place


def _output(graph: Graph, text: str) -> tuple[str, int]:
    node, dot, index = text.rpartition(".")
    if not dot or not index.isdecimal():
        raise ConfigError(f"'{text}' is no output: write node.index, such as 4.0")
    return _node(graph, node), int(index)


def _node(graph: Graph, text: str) -> str:
    if text in graph:
        return text
    titled = [
        node for node, described in graph.items() if described.get("_meta", {}).get("title") == text
    ]
    if len(titled) == 1:
        return titled[0]
    if titled:
        raise ConfigError(f"{len(titled)} nodes are titled '{text}': use an id, {titled[0]}")
    raise ConfigError(f"the workflow has no node '{text}'")
