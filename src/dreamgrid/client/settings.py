"""Every setting of a project, written down once: what `create`, `generate` and the estimates take.

`create_image(**settings: Unpack[ImageSettings])` gives type checkers and editors the names and
types; `takes` gives the same to `help()` and notebooks, with a line about each.
"""

import difflib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Required, TypeAlias, TypedDict, TypeVar, get_type_hints

from dreamgrid.client.inputs import ImageSource, MediaSource
from dreamgrid.protocol.params import Lora, Media, Network, OutputFormat, TokenType

Loras: TypeAlias = Mapping[str, float] | Sequence[str | Lora]
"""LoRAs by id, in order: `{"warm-light": 0.8}`, or a list of ids or of `Lora`."""


@dataclass(frozen=True, kw_only=True)
class ControlNet:
    """A ControlNet to steer by.

    Attributes:
        name: Which kind, such as `canny`, `depth` or `openpose`.
        image: What to steer by; see `starting_image` for what it may be.
        strength: 0 ignores it, 1 obeys it. None: the model's default.
        mode: What wins when it and the prompt disagree. None: `balanced`.
        start: Share of the steps after which it sets in, 0..1. None: 0.
        end: Share of the steps after which it lets go, 0..1. None: 1.
        preprocess: The image is a plain picture that must be turned into a map first.
    """

    name: str
    image: ImageSource | None = None
    strength: float | None = None
    mode: Literal["balanced", "prompt_priority", "cn_priority"] | None = None
    start: float | None = None
    end: float | None = None
    preprocess: bool = False


class _Common(TypedDict, total=False):
    """What all kinds of media have.

    Attributes:
        model: Id of a model; see `available_models` and `get_supported_models()`.
        prompt: What to show or play; for speech, what to say.
        negative_prompt: What to avoid.
        style_prompt: Appended to the prompt.
        count: How many results; 1 unless you say otherwise.
        steps: Denoising steps; more is slower and finer. Default: the model's.
        guidance: How closely to follow the prompt. Default: the model's.
        seed: Seed of the first result, 0 to 2**32-1; the others get random ones. The same seed
            makes the same result. Default: random.
        sampler: One of the model's samplers. Default: the model's.
        scheduler: One of the model's noise schedules. Default: the model's.
        loras: LoRAs with their strengths: `{"warm-light": 0.8}`, or a list of ids.
        control_net: A `ControlNet` to steer by.
        output_format: `png`, `jpg`, `webp`; `mp4`, `webm`, `mov`; `mp3`, `flac`, `wav`. Default:
            the model's first.
        network: Worker pool for this project, `fast` or `relaxed`. Default: the client's.
        workers: Only these may render it: names of workers, names of their owners, or worker ids.
            Ones that the grid does not know are refused at once. Default: all may.
        preferred_workers: These are asked first, the others when these are busy for a while.
        skip_workers: These never get it.
        token_type: Currency to pay with, `spark` or `sogni`. Default: the server's.
        disable_safety: Deliver what the content filter objects to.
        max_cost: Most that it may cost, in `token_type` (spark unless you say otherwise). The
            server's estimate is asked for first, and `CostLimitExceeded` raised when it is higher;
            nothing is uploaded or charged then.
        project_id: A UUID of your own. Creating a project with the same settings again under one
            id makes it once, and from its first inputs. Default: a fresh one.
    """

    model: Required[str]
    prompt: str
    negative_prompt: str
    style_prompt: str
    count: int
    steps: int | None
    guidance: float | None
    seed: int | None
    sampler: str | None
    scheduler: str | None
    loras: Loras | None
    control_net: ControlNet | None
    output_format: OutputFormat | None
    network: Network | None
    workers: Sequence[str] | None
    preferred_workers: Sequence[str] | None
    skip_workers: Sequence[str] | None
    token_type: TokenType | None
    disable_safety: bool
    max_cost: Decimal | float | None
    project_id: str | None


class _Framed(TypedDict, total=False):
    """What pictures and videos have.

    Attributes:
        width: Pixels, given together with `height`. Default: the model's size.
        height: Pixels.
        size_preset: Instead of both: one of `get_size_presets(model)`.
        context_images: Pictures to take things from, in order.
    """

    width: int | None
    height: int | None
    size_preset: str | None
    context_images: Sequence[ImageSource] | None


class _Timed(TypedDict, total=False):
    """What videos and sound have.

    Attributes:
        duration_s: Length in seconds. Videos: as near as the model's groups of frames allow.
            Default: the model's.
        reference_audio: A sound to follow, or a list of up to three for models that take several:
            a path, bytes, or an open binary file; MP3, M4A, WAV, FLAC, OGG or WebM, at most
            100 MiB.
        shift: Time shift of the noise schedule. Default: the model's.
    """

    duration_s: float | None
    reference_audio: MediaSource | Sequence[MediaSource] | None
    shift: float | None


class _ImageOnly(TypedDict, total=False):
    """What only pictures have.

    Attributes:
        starting_image: A picture to begin with: a path, the URL of a result or upload of yours,
            bytes, an open binary file or a Pillow image; PNG, JPEG, WebP or GIF of at most 20 MiB.
            True: you have uploaded it already, with `upload_url()` and the same `project_id`. So it
            is for all inputs.
        strength: How much to change the starting image: 0 keeps it, 1 ignores it. Default: the
            server's.
        previews: How many previews to send while each picture is made; see `Previewed`.
        vae: Name of the VAE, where the model offers a choice.
    """

    starting_image: ImageSource | None
    strength: float | None
    previews: int
    vae: str | None


class _VideoOnly(TypedDict, total=False):
    """What only videos have. Times are in seconds.

    Attributes:
        frames: Instead of `duration_s`: how many frames to render.
        fps: Frames per second of the file. Default: the model's.
        reference_image: The first frame, or what to show.
        reference_image_end: The last frame.
        reference_video: A video to follow or to change, or a list of up to three; MP4, MOV or WebM.
        reference_mask: Which part of the reference video to change.
        reference_audio_identity: A voice to copy.
        identity_guidance: How closely to follow that voice.
        keyframes: Pictures at places in the video: `{0: "a.png", 48: "b.png"}`, by frame.
        teacache_threshold: How much a step may differ from the last one to be skipped, 0..1.
        detailer_strength: How much a detailing ControlNet adds, 0..1.
        outpaint_position: Where the reference lies in the larger picture.
        first_frame_strength: How closely to follow the first image, 0..1.
        last_frame_strength: How closely to follow the last image, 0..1.
        audio_start_s: Where in the reference sound to begin.
        audio_duration_s: How much of it to use.
        video_start_s: Where in the reference video to begin.
        points: Points on the subject, `(x, y)` in pixels of the reference video's first frame.
        upscale_resolution: Of an upscaler: pixels of the result's shorter side.
        detail_preference: Of an upscaler: what to do where the source shows little, such as
            `stable` or `sharper`.
        processing_speed: Of an upscaler: such as `stable` or `faster`.
        trim_end_frame: Leave the last frame out, so that clips can be joined.
        generate_audio: Make a sound track as well.
    """

    frames: int | None
    fps: float | None
    reference_image: ImageSource | None
    reference_image_end: ImageSource | None
    reference_video: MediaSource | Sequence[MediaSource] | None
    reference_mask: ImageSource | None
    reference_audio_identity: MediaSource | None
    identity_guidance: float | None
    keyframes: Mapping[int, ImageSource] | None
    teacache_threshold: float | None
    detailer_strength: float | None
    outpaint_position: str | None
    first_frame_strength: float | None
    last_frame_strength: float | None
    audio_start_s: float | None
    audio_duration_s: float | None
    video_start_s: float | None
    points: Sequence[tuple[float, float]] | None
    upscale_resolution: float | None
    detail_preference: str | None
    processing_speed: str | None
    trim_end_frame: bool | None
    generate_audio: bool | None


class _AudioOnly(TypedDict, total=False):
    """What only music and speech have.

    Attributes:
        bpm: Tempo in beats per minute.
        time_signature: Beats per bar, as `"4"` or `"3"`.
        language: Language of lyrics or speech, as `en`.
        lyrics: What to sing.
        key_scale: Key and scale, as `C major`.
        composer_mode: Let the model plan the piece first.
        prompt_strength: How closely the plan follows the prompt.
        creativity: How freely the plan is drawn.
        speaker: Name of a voice.
        instruct: How to speak, in words.
        reference_text: What is said in the reference sound.
    """

    bpm: float | None
    time_signature: str | None
    language: str | None
    lyrics: str | None
    key_scale: str | None
    composer_mode: bool | None
    prompt_strength: float | None
    creativity: float | None
    speaker: str | None
    instruct: str | None
    reference_text: str | None


class ImageSettings(_Common, _Framed, _ImageOnly, total=False):
    """What `create_image()` takes."""


class VideoSettings(_Common, _Framed, _Timed, _VideoOnly, total=False):
    """What `create_video()` takes."""


class AudioSettings(_Common, _Timed, _AudioOnly, total=False):
    """What `create_audio()` takes."""


class Settings(_Common, _Framed, _Timed, _ImageOnly, _VideoOnly, _AudioOnly, total=False):
    """What `create()` takes: settings of all kinds of media; the model decides which are right."""


_PARTS: dict[type, tuple[type, ...]] = {
    ImageSettings: (_Common, _Framed, _ImageOnly),
    VideoSettings: (_Common, _Framed, _Timed, _VideoOnly),
    AudioSettings: (_Common, _Timed, _AudioOnly),
    Settings: (_Common, _Framed, _Timed, _ImageOnly, _VideoOnly, _AudioOnly),
}

NAMES: dict[Media, frozenset[str]] = {
    "image": frozenset(ImageSettings.__annotations__),
    "video": frozenset(VideoSettings.__annotations__),
    "audio": frozenset(AudioSettings.__annotations__),
}
"""Settings of each kind of media."""

_ALL = frozenset(Settings.__annotations__)

_DEFAULTS = {
    "model": inspect.Parameter.empty,
    "prompt": "",
    "negative_prompt": "",
    "style_prompt": "",
    "count": 1,
    "previews": 0,
    "disable_safety": False,
}
"""What a setting that is left out means; None, which leaves it to the model, for all others."""

F = TypeVar("F", bound=Callable[..., Any])


def takes(kind: type) -> Callable[[F], F]:
    """Shows the settings of `kind` one by one in a method's signature and help."""
    hints = get_type_hints(kind)  # without `Required`

    def explain(method: F) -> F:
        signature = inspect.signature(method)
        own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        settings = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=hints[name],
                default=_DEFAULTS.get(name),
            )
            for name in hints
        ]
        shown = signature.replace(parameters=[*own, *settings])
        method.__signature__ = shown  # type: ignore[attr-defined]
        method.__doc__ = f"{inspect.cleandoc(method.__doc__ or '')}\n\nSettings:\n{_lines(kind)}\n"
        return method

    return explain


def check_names(settings: Mapping[str, object]) -> None:
    """Every setting exists.

    Raises:
        TypeError: One does not, as for any other function.
    """
    for name in settings:
        if name not in _ALL:
            close = difflib.get_close_matches(name, _ALL, n=1)
            hint = f": did you mean '{close[0]}'?" if close else ""
            raise TypeError(f"there is no setting '{name}'{hint}")
    if not isinstance(settings.get("model"), str):
        raise TypeError("the setting 'model' is missing: give the id of a model")


def _lines(kind: type) -> str:
    """The lines about each setting, as the classes above have them."""
    parts = []
    for part in _PARTS[kind]:
        _, _, attributes = inspect.cleandoc(part.__doc__ or "").partition("Attributes:\n")
        parts.append(re.sub(r"\s+$", "", attributes))
    return "\n".join(parts)
