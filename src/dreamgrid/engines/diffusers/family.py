"""Families of models as data: which pipeline makes what, and which argument takes which setting."""

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from dreamgrid.errors import ModelNotAvailable
from dreamgrid.protocol.params import INPAINT, ControlNet
from dreamgrid.protocol.renders import AnyRender, ImageRender

FOLDER = Path(__file__).parent / "families"
_SAMPLERS = "samplers"

_OF_NET = "control_net."

_ONE_STEP = 1.000_001
"""Pipelines fail when a strength leaves them less than a step, and round down."""

Result = Literal["image", "video", "audio"]


class Net(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ControlNet.

    Attributes:
        repository: On Hugging Face.
        from_picture: How its map is made from a plain picture: `edges`, or `itself` where a picture
            is what it reads. Empty: that takes a network of its own, which is not here.
        arguments: Further arguments for the pipeline.
    """

    repository: str
    from_picture: Literal["", "edges", "itself"] = ""
    arguments: dict[str, Any] = {}


class Mode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a pipeline does what a ControlNet's `mode` asks for.

    Attributes:
        strength: Factor for its strength.
        arguments: Further arguments for the pipeline.
    """

    strength: float = 1.0
    arguments: dict[str, Any] = {}


class SingleFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file looks like that holds a whole model of a family.

    Attributes:
        name: What the family is called.
        marks: Names that are in such a file, with how their shapes begin; 0: any number.
    """

    name: str
    marks: dict[str, tuple[int, ...]]


class Moment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where in a video a picture is seen.

    Attributes:
        index: Place among the latents, 0 the first; -1: the last.
        strength: Field of a render that says how much the video keeps of it, 0..1.
    """

    index: int
    strength: str


class Task(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way to make something.

    Attributes:
        pipeline: Class of diffusers.
        arguments: Field of a render to the pipeline's argument; `control_net.` begins the names of
            those of its ControlNet, and `pixels` is how many the result has.
        inputs: Asset role to the argument that takes its picture; several roles with one argument
            become a list. The task is for jobs that bring exactly these.
        control: What the input `cnImage` is: a `mask` that says where to paint, or what a `net`
            reads.
        modes: What its ControlNet can do beside `balanced`.
        moments: Asset role to where its picture is seen, for pipelines that take pictures at any
            place of a video.
        models: Catalogue ids that it is for; empty: all of the family.
    """

    pipeline: str
    arguments: dict[str, str]
    inputs: dict[str, str] = {}
    control: Literal["", "mask", "net"] = ""
    modes: dict[str, Mode] = {}
    moments: dict[str, Moment] = {}
    models: tuple[str, ...] = ()


class Size(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How large a model is, in billions of parameters.

    Attributes:
        whole: All of its parts: text encoders, networks, decoder.
        largest: The largest of its parts, which is its network.
        networks: How many networks of that size it has.
    """

    whole: float
    largest: float
    networks: int = 1

    @property
    def others(self) -> float:
        """All parts that are no network."""
        return self.whole - self.networks * self.largest


class Texts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the prompts of several jobs are encoded for one pass: see `texts`.

    Attributes:
        encoded: Arguments of the pipeline for what its `encode_prompt` gives back, in that order;
            empty for what the pipeline works out itself.
        encoded_negative: The same for the negative prompt, where it takes a call of its own.
        arguments: Further arguments of `encode_prompt`.
        guided_above: The guidance from which on there is a negative prompt.
        lengths_of: How many tokens make a length that may differ within a pass: what is encoded is
            as long as its text, up to so many. 0: it is always as long.
    """

    encoded: tuple[str, ...]
    encoded_negative: tuple[str, ...] = ()
    arguments: dict[str, Any] = {}
    guided_above: float = 1.0
    lengths_of: int = 0


class Family(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Models with the same pipelines.

    Attributes:
        sampling: Section of `samplers.toml`; `none`: the pipeline samples as it likes.
        dtype: Number format on a GPU, a name in torch; on a CPU everything is float32.
        vae_dtype: Another one for the decoder; empty: the same.
        result: What comes out.
        without: Samplers that these pipelines cannot use, because they set the noise levels.
        weights: Catalogue id to the repository on Hugging Face whose weights it means.
        size: How large these models are.
        sizes: Catalogue id to a size of its own.
        eight_bits: Catalogue ids that mean weights in 8 bits: where memory is short, their networks
            are kept so, and compute in `dtype`. The others promise more and are never rounded.
        tasks: What can be made.
        texts: How jobs from text alone share a pass. None: they do not.
        arguments: Further arguments for all of its pipelines.
        scheduler: Settings of its scheduler that differ from those that come with the weights.
        sigmas: Noise levels that a distilled model was trained with, from the first step on; other
            numbers of steps get levels between them. Empty: the scheduler chooses.
        multiple: Sides of what is rendered are multiples of so many pixels; what the result does
            not need of them is cut off.
        net_class: Class of diffusers of their ControlNets.
        control_nets: ControlNets by their names in the grid.
        single_file: How its models look in one file; None: they are not read from one.
        packages: What its pipelines import beside what the extra brings.
    """

    sampling: Literal["diffusion", "flow", "none"]
    dtype: Literal["float16", "bfloat16"]
    vae_dtype: Literal["", "float32"] = ""
    result: Result = "image"
    without: tuple[str, ...] = ()
    weights: dict[str, str]
    size: Size
    sizes: dict[str, Size] = {}
    eight_bits: tuple[str, ...] = ()
    tasks: tuple[Task, ...]
    texts: Texts | None = None
    net_class: str = ""
    control_nets: dict[str, Net] = {}
    single_file: SingleFile | None = None
    packages: tuple[str, ...] = ()
    arguments: dict[str, Any] = {}
    scheduler: dict[str, Any] = {}
    sigmas: tuple[float, ...] = ()
    multiple: int = 1

    def tasks_of(self, model: str) -> tuple[Task, ...]:
        """What can be made with one of its models."""
        return tuple(task for task in self.tasks if not task.models or model in task.models)

    def task(self, model: str, roles: frozenset[str], net: ControlNet | None) -> Task | None:
        """The task for jobs with exactly these inputs, and this ControlNet."""
        control = _control_of(net)
        fitting = (task for task in self.tasks_of(model) if task.control == control)
        return next((task for task in fitting if set(task.inputs) == roles), None)

    def sigmas_of(self, steps: int) -> list[float]:
        """Noise levels for so many steps; empty: the scheduler chooses."""
        if not self.sigmas:
            return []
        known = (*self.sigmas, 0.0)
        places = [step * (len(known) - 1) / steps for step in range(steps)]
        return [_between(known, place) for place in places]


class Sampler(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sampler as diffusers has it.

    Attributes:
        kind: Class of diffusers.
        options: Settings of it.
        steps_of: Class whose noise levels it takes over, where its own cannot be chosen.
    """

    kind: str = msgspec.field(name="class")
    options: dict[str, Any] = {}
    steps_of: str = ""


class Sampling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Samplers and noise schedules of a way of sampling, by their names in the grid."""

    samplers: dict[str, Sampler]
    schedules: dict[str, dict[str, Any]]


@cache
def families() -> tuple[Family, ...]:
    """Everything that comes along."""
    return tuple(
        msgspec.convert(_toml(path), Family)
        for path in sorted(FOLDER.glob("*.toml"))
        if path.stem != _SAMPLERS
    )


@cache
def samplings() -> Mapping[str, Sampling]:
    """Ways of sampling by their names in families."""
    return msgspec.convert(_toml(FOLDER / f"{_SAMPLERS}.toml"), dict[str, Sampling])


def settings_of(task: Task, render: AnyRender) -> dict[str, Any]:
    """The arguments of a pipeline that a render decides; what it leaves open is left out.

    Raises:
        ModelNotAvailable: No pipeline lets its ControlNet win or lose in the way asked for.
    """
    mode = _mode_of(task, render.control_net)
    settings: dict[str, Any] = {
        field: getattr(render, field, None)
        for field in task.arguments
        if not field.startswith(_OF_NET)
    }
    if "pixels" in settings and isinstance(render, ImageRender):
        settings["pixels"] = render.width * render.height
    if settings.get("strength") is not None:
        settings["strength"] = max(settings["strength"], _ONE_STEP / render.steps)
    if render.control_net is not None:
        settings |= _net_settings(render.control_net, mode)
    found = {argument: settings.get(field) for field, argument in task.arguments.items()}
    return {name: value for name, value in found.items() if value is not None} | mode.arguments


def check_sampler(family: Family, render: AnyRender) -> None:
    """Refuses a sampler or a noise schedule that these pipelines do not have.

    Raises:
        ModelNotAvailable: Another worker, or another engine, may have it.
    """
    sampler, schedule = render.sampler, render.scheduler
    if sampler in family.without:
        raise ModelNotAvailable(f"this worker cannot use the sampler {sampler} here")
    if family.sampling == "none":
        return
    known = samplings()[family.sampling]
    if sampler and sampler not in known.samplers:
        raise ModelNotAvailable(f"this worker cannot use the sampler {sampler}")
    if schedule and schedule not in known.schedules:
        raise ModelNotAvailable(f"this worker cannot use the schedule {schedule}")


def _between(known: Sequence[float], place: float) -> float:
    """A value between two neighbours."""
    before = int(place)
    after = min(before + 1, len(known) - 1)
    return known[before] + (known[after] - known[before]) * (place - before)


def _net_settings(net: ControlNet, mode: Mode) -> dict[str, Any]:
    strength = (1.0 if net.strength is None else net.strength) * mode.strength
    settings = {"strength": strength, "start": net.start, "end": net.end}
    return {f"{_OF_NET}{name}": value for name, value in settings.items()}


def _mode_of(task: Task, net: ControlNet | None) -> Mode:
    if task.control != "net" or net is None or net.mode in (None, "balanced"):
        return Mode()
    mode = task.modes.get(net.mode)
    if mode is None:
        raise ModelNotAvailable(f"this worker's ControlNets here have no {net.mode}")
    return mode


def _control_of(net: ControlNet | None) -> str:
    if net is None:
        return ""
    return "mask" if net.name == INPAINT else "net"


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))
