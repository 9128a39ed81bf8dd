"""What the worker and the engine's child process say to each other over two pipes.

A frame is its length in 4 bytes, big endian, and one msgpack value with a `type`. Renders are
numbered from 1 upwards. The child takes them in order, and may have several at once: what waits
there needs no way through the pipe when its turn comes, and several of a kind may share a pass.
Errors cross as the name of their class and their message.
"""

import struct
from collections.abc import Mapping
from typing import cast

import msgspec

from dreamgrid.engines.safety import PICTURE_THRESHOLD
from dreamgrid.errors import (
    DreamgridError,
    EngineError,
    ModelNotAvailable,
    OutOfMemory,
    RenderCanceled,
    RenderRefused,
    UnreadableMedia,
)
from dreamgrid.protocol.renders import AnyRender
from dreamgrid.protocol.worker import Objection

HEADER = struct.Struct(">I")

MAX_FRAME_BYTES = 512 * 1024 * 1024
"""A longer frame means that something else wrote into the pipe; results are far smaller."""

ERRORS: tuple[type[DreamgridError], ...] = (
    ModelNotAvailable,
    OutOfMemory,
    RenderCanceled,
    RenderRefused,
    UnreadableMedia,
    EngineError,  # last: the base of most others
)
"""The errors that an engine may end a render with; anything else becomes an `EngineError`."""


class ToChild(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all frames from the worker to the child."""


class Setup(ToChild, tag="setup", frozen=True, kw_only=True):
    """First frame: what the child will be asked for.

    Attributes:
        engines: Model id to the `module:attribute` of each `EngineSpec` that serves it, in the
            order in which they are asked.
        threads: CPU threads that an engine may use.
        filter_threshold: Score from which the content filter objects to a picture.
        sound_font: SoundFont with which music is played. Empty: our own instruments.
        early: Models to load at once, unless a job has come by then.
        folder: Where engines keep what they find out about this machine. Empty: nowhere.
        quiet_s: How long nothing must have come before they find out more. 0: they never do.
        mates_within_s: How long a render that may share its pass waits for others: those of a
            project come together.
        environment: Variables of its process, beside the worker's own.
    """

    engines: Mapping[str, tuple[str, ...]]
    threads: int
    filter_threshold: float = PICTURE_THRESHOLD
    sound_font: str = ""
    early: tuple[str, ...] = ()
    folder: str = ""
    quiet_s: float = 0.0
    mates_within_s: float = 0.03
    environment: dict[str, str] = {}


class Render(ToChild, tag="render", frozen=True, kw_only=True):
    """Make this.

    Attributes:
        previews: How many previews to compute on the way.
        upcoming: Models of the jobs that wait for their turn outside.
        alone: In a pass of its own: the process died when it shared one.
        engines: References of the engines to ask, in order. Empty: those that the setup names.
    """

    number: int
    render: AnyRender
    inputs: dict[str, bytes]
    previews: int = 0
    upcoming: tuple[str, ...] = ()
    alone: bool = False
    engines: tuple[str, ...] = ()


class Stop(ToChild, tag="stop", frozen=True, kw_only=True):
    """End this render before its next step.

    It still answers with `Rendered` or `Failure`, and at once where its turn has not come.
    """

    number: int


class FromChild(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all frames from the child to the worker."""


class Ready(FromChild, tag="ready", frozen=True, kw_only=True):
    """The child took its setup and waits for renders."""


class Begun(FromChild, tag="begun", frozen=True, kw_only=True):
    """Its turn has come: its model is loaded, if that is needed."""

    number: int


class Loaded(FromChild, tag="loaded", frozen=True, kw_only=True):
    """The model is loaded and inference begins.

    Attributes:
        together: How many renders share its pass.
        kept: Models that are in memory now, as far as engines tell.
    """

    number: int
    together: int = 1
    kept: tuple[str, ...] = ()


class Stepped(FromChild, tag="stepped", frozen=True, kw_only=True):
    """A step is done; `preview` is a JPEG when one was due."""

    number: int
    step: int
    step_count: int
    preview: bytes | None = None


class Rendered(FromChild, tag="rendered", frozen=True, kw_only=True):
    """The file is finished; all but `render_s` is as in `Artifact`.

    Attributes:
        render_s: Seconds since `Loaded`, divided by how many shared the pass.
    """

    number: int
    data: bytes
    content_type: str
    steps: int
    render_s: float
    sensitive: tuple[Objection, ...] = ()
    last_frame: bytes | None = None


class Failure(FromChild, tag="failure", frozen=True, kw_only=True):
    """The render ended with an error; the child lives and takes the next one."""

    number: int
    error: str
    message: str


AnyToChild = Setup | Render | Stop
AnyFromChild = Ready | Begun | Loaded | Stepped | Rendered | Failure

_encoder = msgspec.msgpack.Encoder()
_to_child = msgspec.msgpack.Decoder(AnyToChild)
_from_child = msgspec.msgpack.Decoder(AnyFromChild)


def encode(message: ToChild | FromChild) -> bytes:
    """A whole frame, length included."""
    body = _encoder.encode(message)
    return HEADER.pack(len(body)) + body


def decode_to_child(body: bytes) -> AnyToChild:
    """The message in a frame from the worker; raises `msgspec.MsgspecError`."""
    return cast(AnyToChild, _to_child.decode(body))


def decode_from_child(body: bytes) -> AnyFromChild:
    """The message in a frame from the child; raises `msgspec.MsgspecError`."""
    return cast(AnyFromChild, _from_child.decode(body))


def error_from(failure: Failure) -> DreamgridError:
    """The error that a `Failure` stands for."""
    kind = next((kind for kind in ERRORS if kind.__name__ == failure.error), EngineError)
    return kind(failure.message)


def preview_due(step: int, step_count: int, previews: int) -> bool:
    """Whether a preview belongs after this step.

    At most `previews` of them, evenly spaced; never after the last step, since the result follows.
    """
    if step >= step_count:
        return False
    return step * (previews + 1) // step_count > (step - 1) * (previews + 1) // step_count
