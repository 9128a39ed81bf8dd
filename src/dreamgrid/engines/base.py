"""The contract between a worker and whatever turns a prompt into a file.

An engine runs in a child process of the worker, one job at a time, so blocking code is fine and a
crash ends one job. The worker finds engines through the entry point group `dreamgrid.engines`; each
entry point names an `EngineSpec`, which is cheap to import and says what the engine can serve here
before anything heavy is loaded.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from dreamgrid.engines.machine import Machine
from dreamgrid.protocol.renders import AnyRender
from dreamgrid.protocol.worker import Objection


@dataclass(frozen=True, kw_only=True)
class Step:
    """One denoising step is done, or a sign of life while the next one takes long.

    Attributes:
        step: Steps done so far, 0..`step_count`. The same number as before only says that the
            render goes on, and is a chance to be canceled.
        step_count: Steps in all.
        preview: Renders a small JPEG of the picture as it stands; only called when someone wants
            it, and only during the callback. None when the engine cannot.
    """

    step: int
    step_count: int
    preview: Callable[[], bytes] | None = None


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A finished file.

    Attributes:
        data: The encoded file.
        content_type: Its media type, such as `image/png`.
        steps: Steps performed.
        sensitive: What a content filter objects to: `image`, `prompt`. Empty: nothing, or the
            engine has no filter.
        last_frame: The last frame of a video as a PNG file, so that a next video can begin with
            it. None: no video, or the engine does not give it.
    """

    data: bytes
    content_type: str
    steps: int
    sensitive: tuple[Objection, ...] = ()
    last_frame: bytes | None = None


OnStep = Callable[[Step], None]
"""Called after every step, and at will in between. Raises `RenderCanceled` when the job should
stop; engines let it propagate, free what the job held, and stay usable."""


class Engine(Protocol):
    """Renders jobs of the models that it serves on one device, one job at a time.

    The first line of an error's message is for the app's user: no path, no URL, no words of
    another library. Further lines are for the worker's owner.
    """

    def load(self, model: str) -> None:
        """Makes `model` ready; returns at once if it already is.

        Raises:
            ModelNotAvailable: It cannot be served here; the message says what is missing.
            OutOfMemory: It does not fit.
        """

    def generate(self, render: AnyRender, inputs: Mapping[str, bytes], on_step: OnStep) -> Artifact:
        """Renders one job with a loaded model.

        Args:
            render: What to make, everything decided.
            inputs: The job's input files as uploaded, by asset role (`startingImage`, ...). Look
                at them before the first step: they come from anybody.
            on_step: Called after every step.

        Raises:
            RenderCanceled: Raised by `on_step` and passed on.
            UnreadableMedia: An input file is broken, too large or of an unknown kind.
            OutOfMemory: This job does not fit on the device.
            EngineError: Anything else that ends this job but not the engine.
        """


@runtime_checkable
class Keeper(Protocol):
    """An engine that keeps several models in memory, and has to choose who leaves."""

    def expect(self, models: Collection[str]) -> None:
        """Says which models the jobs that wait will need, before each `load`."""

    def kept(self) -> Collection[str]:
        """The models that are in memory, ready or nearly so."""


@runtime_checkable
class Selective(Protocol):
    """An engine that knows before a render what it cannot do, where another can make the model."""

    def objection(self, render: AnyRender, roles: Collection[str]) -> str:
        """Why it cannot make this; "" where it can, as far as it can be told.

        Asked only where several engines of a process serve the model, before one of them loads it.

        Args:
            render: What to make.
            roles: Of the inputs that the job brings.
        """


@runtime_checkable
class Yielding(Protocol):
    """An engine whose models lie on a GPU that another engine of its process uses, too."""

    def make_way(self) -> None:
        """Leaves the GPU's memory, because another one begins; its next `load` comes back."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What `Engine.generate` takes, as one of several."""

    render: AnyRender
    inputs: Mapping[str, bytes]
    on_step: OnStep


Unfinished = Callable[[], Artifact]
"""Makes the file of a job whose pixels are there: what is left needs the device no longer, so it
goes on beside the next render. Raises what the job ends with, as `Engine.generate` does."""


@runtime_checkable
class Batcher(Protocol):
    """An engine that renders several jobs in one pass, and finishes their files beside the next."""

    def together(self, render: AnyRender, roles: Collection[str]) -> tuple[str, int]:
        """Which jobs may share a pass with one whose model is loaded.

        Args:
            render: What the job is to make.
            roles: Of its inputs.

        Returns:
            A name that is the same for jobs that may share one, and the most of them, itself
            included. Their files must be those that each would get alone, to the last bit.
        """

    def render_together(self, jobs: Sequence[Job]) -> Sequence[Unfinished]:
        """Renders jobs that may share a pass, with their model loaded; also a single one.

        A job whose `on_step` raises `RenderCanceled` ends, and the others go on. What is raised
        here ends all of them: each is then tried alone.
        """


@runtime_checkable
class Learner(Protocol):
    """An engine that can find out how to be quicker on its machine."""

    def learn(self, busy: Callable[[], bool]) -> None:
        """Uses a moment without jobs. Ends soon after `busy` turns true; it is called again then.

        What it finds may be kept with `engines.remembered`.
        """


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something about this machine that its owner may want to know, in plain words.

    Attributes:
        level: `good`; `note` for what could be better; `problem` for what keeps it from working.
        subject: What it is about, in a word or two.
        text: What was found.
        advice: What to do; empty when nothing is to be done.
    """

    level: Literal["good", "note", "problem"]
    subject: str
    text: str
    advice: str = ""


@dataclass(frozen=True, kw_only=True)
class Prospect:
    """What a machine can do with a model, in plain words.

    Attributes:
        model: Catalogue id.
        state: `ready`: it can be served now. `absent`: it would fit, but its weights are not here.
            `too_large`: it does not fit, whether its weights are here or not. `blocked`: something
            else is in the way, and `advice` says how to remove it.
        text: How it would run, or what is in the way.
        advice: What to do; empty when nothing is to be done.
    """

    model: str
    state: Literal["ready", "absent", "too_large", "blocked"]
    text: str
    advice: str = ""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where weights can be fetched, in the layout of diffusers.

    Attributes:
        repository: `owner/name` on Hugging Face.
        folder: Where the engine looks for them; of a single file, the file itself.
        layout: What the repository holds: a `pipeline` with its parts in folders, one `network`, or
            a `file` of which nothing else is needed.
        file: Path of that file in the repository; empty: the only one with weights.
        variant: Take files of this variant, such as `fp16`, where there are some: they are smaller,
            and the engine uses no more than that. Empty: those without a variant.
        without: Parts of the pipeline that the engine does not load.
    """

    repository: str
    folder: Path
    layout: Literal["pipeline", "network", "file"] = "pipeline"
    file: str = ""
    variant: str = ""
    without: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EngineSpec:
    """What an entry point of group `dreamgrid.engines` names. Importing it must stay cheap.

    Attributes:
        name: Short name of the engine.
        models: Catalogue ids that it can serve on this machine; called once by the worker.
            Returns an empty tuple when something it needs is not installed.
        create: Builds the engine; called in the child process. `threads` is how many CPU threads
            it may use.
        missing: Says what to install when `models` is empty; shown to the worker's owner.
        optional: Most machines go without it, so its owner reads `missing` only on asking.
        limited: Says what the models lack on this machine and what to install for it, or "" for
            nothing; called once by the worker and shown to its owner at the start.
        trial: A render of one of its models that takes about a second and needs no input, by which
            a worker measures itself. None: that model is not measured.
        early: Models that the child process loads at its start, before a job asks: those that take
            little memory, and a fraction of a second.
        examine: Looks closer for `dreamgrid work doctor`, beyond what `missing` and `limited` say.
        prospects: What a machine can do with the models that it knows, also those that `models`
            leaves out; what it says nothing about can be served where `models` names it.
        held: How many jobs to hold at a time on a GPU, by what its engine kept in this folder of
            its worker, and by which of its models are served. More than two only where they are
            short: they are kept from others.
        version: Of what it renders with, as far as that decides how quick it is: another one is
            measured anew. Called once by the worker.
        uses_gpu: It renders on the GPU that its process sees. A worker gives it a process of its
            own on every GPU.
        shares_gpu: Whether it has another program render on a GPU of this machine. Then its models
            belong to the worker of the first GPU, so that one job at a time is on it.
        source: Where weights of a model can be fetched, for `dreamgrid work download`. None: it
            knows no place.
        control_nets: Where the ControlNets of a model can be fetched, by their names in the grid.
        lora_folder: Where it looks for LoRAs, each a file named after its id. None: nowhere.
    """

    name: str
    models: Callable[[], tuple[str, ...]]
    create: Callable[[int], Engine]
    missing: str = field(default="")
    optional: bool = False
    limited: Callable[[], str] = field(default=lambda: "")
    trial: Callable[[str], AnyRender | None] = field(default=lambda _: None)
    early: tuple[str, ...] = ()
    examine: Callable[[], tuple[Finding, ...]] = field(default=lambda: ())
    prospects: Callable[[Machine], tuple[Prospect, ...]] = field(default=lambda _: ())
    held: Callable[[Path, Collection[str]], int] = field(default=lambda _folder, _models: 2)
    version: Callable[[], str] = field(default=lambda: "")
    uses_gpu: bool = False
    shares_gpu: Callable[[], bool] = field(default=lambda: False)
    source: Callable[[str], Source | None] = field(default=lambda _: None)
    control_nets: Callable[[str], Mapping[str, Source]] = field(default=lambda _: {})
    lora_folder: Callable[[], Path | None] = field(default=lambda: None)
