"""A first mapping for an exported workflow: what its nodes let one guess. Pure.

What a value means is told by the name of the input that holds it, which nodes share widely: `seed`,
`steps`, `cfg`. Which text is the prompt and which one is to be avoided is found by following the
sampler's `positive` and `negative` upstream.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from dreamgrid.engines.comfyui.workflow import HALF_STEPS, Graph
from dreamgrid.errors import ConfigError

_BY_NAME = {
    "seed": "seed",
    "noise_seed": "seed",
    "steps": "steps",
    "cfg": "guidance",
    "guidance": "guidance",
    "sampler_name": "sampler",
    "scheduler": "scheduler",
    "width": "width",
    "height": "height",
    "length": "frames",
    "frames_number": "frames",
    "fps": "motion_fps",
    "frame_rate": "motion_fps",
    "shift": "shift",
    "seconds": "duration_s",
    "duration": "duration_s",
    "lyrics": "lyrics",
    "bpm": "bpm",
    "timesignature": "time_signature",
    "keyscale": "key_scale",
    "language": "language",
}
"""Names of inputs to the setting that they most likely take."""

_TEXTS = ("text", "prompt", "tags")
"""Names of inputs that hold a prompt."""

_FILES = (".safetensors", ".ckpt", ".gguf", ".sft", ".pt", ".pth", ".bin", ".onnx")

_RESULTS = {
    "video": ("SaveVideo", "SaveWEBM", "VHS_VideoCombine"),
    "audio": ("SaveAudio", "SaveAudioMP3", "SaveAudioOpus", "PreviewAudio"),
    "image": ("SaveImage", "PreviewImage"),
}
"""Media to the nodes that write it, those first that are meant for keeping."""

_LOADERS = {"LoadImage": "image", "LoadAudio": "audio", "LoadVideo": "file"}
"""Nodes that read a file of the job, and the input that names it."""

_SIDES = ("positive", "negative")


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A mapping as it is proposed.

    Attributes:
        result: The node whose file is the result.
        media: What that is: `image`, `video` or `audio`.
        files: Places that name files, to what they name.
        settings: Setting to its places.
        inputs: Asset role to its place.
        own_files: Nodes for whose file no role was left: it is always the one that they name.
        loras: Outputs of a model and its text encoder, between which and their readers LoRAs go;
            empty: none was found.
        titles: Node to what its owner calls it, for remarks.
    """

    result: str
    media: str
    files: Mapping[str, str]
    settings: Mapping[str, list[str]]
    inputs: Mapping[str, str]
    own_files: tuple[str, ...] = ()
    loras: Mapping[str, str] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)

    def toml(self, workflow: str, model: str) -> str:
        """The mapping file.

        Args:
            workflow: File name of the exported graph, beside it.
            model: Catalogue id that it serves.
        """
        lines = [
            f"# {model}, proposed by 'dreamgrid work map'; what may stand here: docs/comfyui.md",
            f"workflow = {_text(workflow)}",
            f"result = {_text(self.result)}  # {self.title(self.result)}",
            "",
            f"[models.{_text(model)}]",
            *(f"{_text(place)} = {_text(file)}" for place, file in self.files.items()),
            "",
            "[settings]",
            *(f"{name} = {_places(to)}{self._of(to)}" for name, to in self.settings.items()),
        ]
        for title, table in (("inputs", self.inputs), ("loras", self.loras)):
            if table:
                lines += ["", f"[{title}]", *(f"{key} = {_text(to)}" for key, to in table.items())]
        return "\n".join([*lines, ""])

    def _of(self, places: list[str]) -> str:
        nodes = dict.fromkeys(self.title(place.rpartition(".")[0]) for place in places)
        return f"  # {', '.join(nodes)}"

    def title(self, node: str) -> str:
        """What the owner calls a node, in one line that can be shown and stand in a comment."""
        line = " ".join(self.titles.get(node, node).split())
        return "".join(character for character in line if character.isprintable())


def draft(graph: Graph) -> Draft:
    """Proposes a mapping.

    Raises:
        ConfigError: No node of the graph writes a file that dreamgrid knows.
    """
    result, media = _result(graph)
    settings: dict[str, list[str]] = {}
    prompt, negative = (_prompts(graph, side) for side in _SIDES)
    negative = [place for place in negative if place not in prompt]  # of Flux both are one
    if not prompt:
        others = (text for text in _texts(graph, graph) if text not in negative)
        prompt = [text for text in [next(others, None)] if text]
    if prompt:
        settings["prompt"] = prompt
    if negative:
        settings["negative_prompt"] = negative
    for node, name, _ in _values(graph):
        setting = _BY_NAME.get(name)
        if setting is not None and _is_meant(graph, node, setting):
            settings.setdefault(setting, []).append(f"{node}.{name}")
    if _is_split(graph):
        halves = _two_halves(graph)
        settings |= halves
        if not halves:
            settings.pop("steps", None)  # other counts would not fit where the split is
    inputs, own_files = _inputs(graph, media)
    return Draft(
        result=result,
        media=media,
        files=_files(graph),
        settings=settings,
        inputs=inputs,
        own_files=own_files,
        loras=_loras(graph),
        titles={node: _named(described) for node, described in graph.items()},
    )


def _result(graph: Graph) -> tuple[str, str]:
    for media, kinds in _RESULTS.items():
        for kind in kinds:
            for node, described in graph.items():
                if described["class_type"] == kind:
                    return node, media
    kinds_there = ", ".join(sorted({described["class_type"] for described in graph.values()}))
    raise ConfigError(
        f"no node saves a picture, a video or a sound: add SaveImage, SaveVideo or SaveAudio in "
        f"ComfyUI and export again; there are {kinds_there}"
    )


def _values(graph: Graph) -> Iterator[tuple[str, str, Any]]:
    """Nodes, names of their inputs, and the values that these hold."""
    for node, described in graph.items():
        for name, value in described.get("inputs", {}).items():
            if not isinstance(value, list) and "." not in name:
                yield node, name, value


def _is_split(graph: Graph) -> bool:
    """Whether two samplers share the steps."""
    return any(name == "start_at_step" and value for _, name, value in _values(graph))


def _two_halves(graph: Graph) -> dict[str, list[str]]:
    """Where the second of two samplers in a row begins, if that is after half of the steps."""
    ends = [(node, value) for node, name, value in _values(graph) if name == "end_at_step"]
    starts = [(node, value) for node, name, value in _values(graph) if name == "start_at_step"]
    for first, end in ends:
        steps = graph[first]["inputs"].get("steps")
        for second, start in starts:
            if end == start and first != second and end * 2 == steps:
                return {HALF_STEPS: [f"{first}.end_at_step", f"{second}.start_at_step"]}
    return {}


def _is_meant(graph: Graph, node: str, setting: str) -> bool:
    """Whether a width is that of the result, and not of something on its way."""
    if setting not in ("width", "height"):
        return True
    kind = graph[node]["class_type"]
    if "Empty" in kind or kind.endswith("ToVideo"):
        return True
    empty = any(
        "Empty" in one["class_type"] or one["class_type"].endswith("ToVideo")
        for one in graph.values()
    )
    return not empty and kind == "ImageScale"


def _prompts(graph: Graph, side: str) -> list[str]:
    """The texts that reach what samplers read under a name."""
    links = (described.get("inputs", {}).get(side) for described in graph.values())
    found = (_text_above(graph, link, side, set()) for link in links if isinstance(link, list))
    return list(dict.fromkeys(place for place in found if place is not None))


def _text_above(graph: Graph, link: list[Any], side: str, seen: set[str]) -> str | None:
    node = str(link[0])
    if node in seen or node not in graph:
        return None
    seen.add(node)
    described = graph[node]
    own = next(_texts(graph, [node]), None)
    if own is not None:
        return own
    inputs = described.get("inputs", {})
    names = [side] if side in inputs else list(inputs)  # a node with both sides keeps them apart
    for name in names:
        if isinstance(inputs[name], list):
            found = _text_above(graph, inputs[name], side, seen)
            if found is not None:
                return found
    return None


def _texts(graph: Graph, nodes: Any) -> Iterator[str]:
    for node in nodes:
        inputs = graph[node].get("inputs", {})
        yield from (f"{node}.{name}" for name in _TEXTS if isinstance(inputs.get(name), str))


def _files(graph: Graph) -> dict[str, str]:
    """Places that name weights, to the names of the files without their folders."""
    found = {}
    for node, name, value in _values(graph):
        if isinstance(value, str) and value.casefold().endswith(_FILES):
            found[f"{node}.{name}"] = PurePosixPath(value.replace("\\", "/")).name
    return found


def _inputs(graph: Graph, media: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Roles to their places, and the nodes for which none was left."""
    own_files: list[str] = []
    roles: dict[str, str] = {}
    shown = {"image": ["startingImage"], "video": ["referenceImage", "referenceImageEnd"]}
    pictures = shown.get(media, [])
    free = [*pictures, *(f"contextImage{slot}" for slot in range(1, 17))]
    loaders = {"LoadAudio": "referenceAudio", "LoadVideo": "referenceVideo"}
    for node, described in graph.items():
        kind = described["class_type"]
        if kind not in _LOADERS:
            continue
        role = loaders.get(kind) or next((one for one in free if one not in roles), None)
        if role is None or role in roles:
            own_files.append(node)
        else:
            roles[role] = f"{node}.{_LOADERS[kind]}"
    return roles, tuple(own_files)


def _loras(graph: Graph) -> dict[str, str]:
    kinds = {described["class_type"]: node for node, described in graph.items()}
    loaders = [described["class_type"] for described in graph.values()]
    if loaders.count("CheckpointLoaderSimple") > 1:
        return {}  # a base and a refiner: which one a LoRA is for, its owner knows
    if "CheckpointLoaderSimple" in kinds:
        node = kinds["CheckpointLoaderSimple"]
        return {"model": f"{node}.0", "clip": f"{node}.1"}
    model = kinds.get("UNETLoader")
    clip = kinds.get("CLIPLoader") or kinds.get("DualCLIPLoader")
    alone = loaders.count("UNETLoader") == 1
    return {"model": f"{model}.0", "clip": f"{clip}.0"} if model and clip and alone else {}


def _named(described: Mapping[str, Any]) -> str:
    return str(described.get("_meta", {}).get("title") or described["class_type"])


def _text(value: str) -> str:
    """A TOML string."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML wants it so


def _places(places: list[str]) -> str:
    return _text(places[0]) if len(places) == 1 else f"[{', '.join(map(_text, places))}]"
