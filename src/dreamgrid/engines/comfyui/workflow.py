"""A ComfyUI workflow as a model: the exported graph, and the file that says what goes where.

The graph is what ComfyUI's menu "Export (API)" writes, untouched. Beside it lies a TOML file, the
*mapping*: which models the workflow serves, which input of which node takes the prompt, the seed
and so on, and which node's file is the result. Everything here is pure.

A place is written `node.input`; a node is named by its id or by its title in ComfyUI, as long as
only one node bears it.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from dreamgrid.engines.comfyui.steering import (
    Control,
    ControlNetPlaces,
)
from dreamgrid.engines.comfyui.versions import each_models
from dreamgrid.errors import ConfigError
from dreamgrid.protocol.renders import AudioRender, ImageRender, VideoRender

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
        control: What the input `cnImage` is: a `mask` that is white where to paint, or what a
            ControlNet reads (`net`). Left out: there is no such input.
        control_net: Where a ControlNet goes.
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
    control: Control = ""
    control_net: ControlNetPlaces | None = None
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
        control: What its input `cnImage` is.
        control_net: Where a ControlNet goes; None: nowhere.
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
    control: Control = ""
    control_net: ControlNetPlaces | None = None
    since: Mapping[str, str] = field(default_factory=dict)

    @property
    def jobs(self) -> tuple[frozenset[str], Control]:
        """Which jobs it is for: the roles of their inputs, and what `cnImage` is."""
        return frozenset(self.inputs), self.control


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
        setting: tuple(place_of(graph, text) for text in _texts(places))
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
            model: tuple((place_of(graph, text), pattern) for text, pattern in weights.items())
            for model, weights in models.items()
        },
        settings=settings,
        inputs={role: place_of(graph, text) for role, text in mapping.inputs.items()},
        samplers=mapping.samplers,
        schedulers=mapping.schedulers,
        lora_model=_output(graph, mapping.loras.model) if mapping.loras else None,
        lora_clip=_output(graph, mapping.loras.clip) if mapping.loras else None,
        progress=tuple(progress),
        multiple=mapping.multiple,
        control=mapping.control,
        control_net=_checked(graph, mapping.control_net),
        since=since,
    )


def _checked(graph: Graph, net: ControlNetPlaces | None) -> ControlNetPlaces | None:
    for text in (net.file, net.strength, net.start, net.end) if net else ():
        place_of(graph, text)
    return net


def _texts(places: str | list[str]) -> Iterator[str]:
    yield from [places] if isinstance(places, str) else places


def place_of(graph: Graph, text: str) -> Place:
    """The place that a mapping names.

    Raises:
        ConfigError: The graph has no such input, or it comes from another node.
    """
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
