"""What an app asks for: one struct per kind of media, from the SDK call to the server.

A field that is None means "the model's default". The server resolves params against the catalogue
into one render per job (`dreamgrid.protocol.renders`), in which everything is decided.
"""

from typing import Literal

import msgspec

Network = Literal["fast", "relaxed"]
TokenType = Literal["spark", "sogni"]
Media = Literal["image", "video", "audio"]
ImageFormat = Literal["png", "jpg", "webp"]
VideoFormat = Literal["mp4", "webm", "mov"]
AudioFormat = Literal["mp3", "flac", "wav"]
OutputFormat = ImageFormat | VideoFormat | AudioFormat

NETWORKS: tuple[Network, ...] = ("fast", "relaxed")
TOKEN_TYPES: tuple[TokenType, ...] = ("spark", "sogni")

OUTPUT_FORMATS: dict[Media, tuple[OutputFormat, ...]] = {
    "image": ("png", "jpg", "webp"),
    "video": ("mp4", "webm", "mov"),
    "audio": ("mp3", "flac", "wav"),
}
"""File types of results by kind of media; the first one is what a request without any means."""

CONTENT_TYPES: dict[OutputFormat, str] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "wav": "audio/wav",
}

MAX_SEED = 2**32 - 1

STARTING_IMAGE = "startingImage"
"""The asset role of the picture that image to image begins with."""

INPAINT = "inpaint"
"""The ControlNet that paints in a part of a picture: its image is white there, and else black."""

MAX_INPUT_BYTES = 20 * 1024 * 1024
"""Largest input picture: what every server of this protocol takes (`rest.md` section 3)."""

MAX_MEDIA_INPUT_BYTES = 100 * 1024 * 1024
"""Largest input sound or video: what every server of this protocol takes."""

MAX_INPUT_PIXELS = 40_000_000
"""Largest input picture once decoded: 160 MB in memory."""


class Lora(msgspec.Struct, frozen=True, kw_only=True):
    """A LoRA to apply: its catalogue id, and how strongly. A negative strength inverts it."""

    id: str
    strength: float = 1.0


class ControlNet(msgspec.Struct, frozen=True, kw_only=True):
    """A ControlNet to steer by.

    Attributes:
        name: Which kind, such as `canny`, `depth` or `openpose`.
        strength: 0 ignores it, 1 obeys it. None: the engine's default.
        mode: What wins when it and the prompt disagree. None: `balanced`.
        start: Share of the steps after which it sets in, 0..1. None: 0.
        end: Share of the steps after which it lets go, 0..1. None: 1.
        preprocess: The image is a plain picture that the engine must turn into a map first.
    """

    name: str
    strength: float | None = None
    mode: Literal["balanced", "prompt_priority", "cn_priority"] | None = None
    start: float | None = None
    end: float | None = None
    preprocess: bool = False


class Params(msgspec.Struct, frozen=True, kw_only=True):
    """What all kinds of media have in common.

    Attributes:
        model: Catalogue id of the model.
        prompt: What to show or play; for speech, what to say.
        negative_prompt: What to avoid.
        style_prompt: Appended to the prompt.
        count: How many results; each becomes one job.
        steps: Denoising steps. None: the model's default.
        guidance: Strength of the prompt (classifier-free guidance). None: the model's default.
        seed: Seed of the first result, 0..2**32-1; the others get random seeds. None: random.
        assets: Roles of the inputs that were uploaded for this project, such as `startingImage`.
        sampler: Name or alias of the sampler. None: the model's default.
        scheduler: Name or alias of the noise schedule. None: the model's default.
        loras: LoRAs to apply, in this order.
        control_net: A ControlNet to steer by.
        output_format: File type of the result. None: the model's first.
        disable_safety: Deliver what the content filter objects to.
        network: Worker pool. None: the connection's.
        workers: Only these may render it: names of workers, names of their owners, or worker ids.
        preferred_workers: These are asked first.
        skip_workers: These never get it.
        token_type: Currency to pay with. None: the server's default.
    """

    model: str
    prompt: str = ""
    negative_prompt: str = ""
    style_prompt: str = ""
    count: int = 1
    steps: int | None = None
    guidance: float | None = None
    seed: int | None = None
    assets: tuple[str, ...] = ()
    sampler: str | None = None
    scheduler: str | None = None
    loras: tuple[Lora, ...] = ()
    control_net: ControlNet | None = None
    output_format: OutputFormat | None = None
    disable_safety: bool = False
    network: Network | None = None
    workers: tuple[str, ...] = ()
    preferred_workers: tuple[str, ...] = ()
    skip_workers: tuple[str, ...] = ()
    token_type: TokenType | None = None


class ImageParams(Params, frozen=True, kw_only=True):
    """A request for `count` pictures.

    Attributes:
        width: Pixels; given together with `height`. None: the preset's or the model's size.
        height: Pixels.
        size_preset: Id of one of the model's size presets.
        strength: With a starting image: how much to change it, 0 keeps it, 1 ignores it.
        vae: Name of the VAE, where the model offers a choice.
        previews: How many previews to send while each picture is made.
    """

    width: int | None = None
    height: int | None = None
    size_preset: str | None = None
    strength: float | None = None
    vae: str | None = None
    previews: int = 0


class VideoParams(Params, frozen=True, kw_only=True):
    """A request for `count` videos. Times are in seconds of the input or of the result.

    Attributes:
        width: Pixels; given together with `height`. None: the preset's or the model's size.
        height: Pixels.
        size_preset: Id of one of the model's size presets.
        frames: How many frames to render. None: the model's default.
        fps: Frames per second of the file. None: the model's default.
        shift: Time shift of the noise schedule.
        teacache_threshold: How much a step may differ from the last one to be skipped, 0..1.
        identity_guidance: How closely to follow the voice of a reference.
        detailer_strength: How much a detailing ControlNet adds, 0..1.
        outpaint_position: Where the reference lies in the larger picture.
        upscale_resolution: Of an upscaler: pixels of the result's shorter side.
        detail_preference: Of an upscaler: what to do where the source shows little, such as
            `stable` or `sharper`.
        processing_speed: Of an upscaler: such as `stable` or `faster`.
        first_frame_strength: How closely to follow the first image, 0..1.
        last_frame_strength: How closely to follow the last image, 0..1.
        audio_start_s: Where in the reference sound to begin.
        audio_duration_s: How much of it to use.
        video_start_s: Where in the reference video to begin.
        points: Points on the subject, `(x, y)` in pixels of the reference video's first frame.
        keyframes: Frame index of each key frame image, in the order of their slots.
        trim_end_frame: Leave the last frame out, so that clips can be joined.
        generate_audio: Make a sound track as well.
    """

    width: int | None = None
    height: int | None = None
    size_preset: str | None = None
    frames: int | None = None
    fps: float | None = None
    shift: float | None = None
    teacache_threshold: float | None = None
    identity_guidance: float | None = None
    detailer_strength: float | None = None
    outpaint_position: str | None = None
    upscale_resolution: float | None = None
    detail_preference: str | None = None
    processing_speed: str | None = None
    first_frame_strength: float | None = None
    last_frame_strength: float | None = None
    audio_start_s: float | None = None
    audio_duration_s: float | None = None
    video_start_s: float | None = None
    points: tuple[tuple[float, float], ...] = ()
    keyframes: tuple[int, ...] = ()
    trim_end_frame: bool | None = None
    generate_audio: bool | None = None


class AudioParams(Params, frozen=True, kw_only=True):
    """A request for `count` pieces of music or speech.

    Attributes:
        duration_s: Length of the result in seconds. None: the model's default.
        bpm: Tempo in beats per minute.
        time_signature: Beats per bar, as `"4"` or `"3"`.
        language: Language of lyrics or speech, as `en`.
        lyrics: What to sing.
        key_scale: Key and scale, as `C major`.
        composer_mode: Let the model plan the piece first.
        prompt_strength: How closely the plan follows the prompt.
        creativity: How freely the plan is drawn.
        shift: Time shift of the noise schedule.
        speaker: Name of a voice.
        instruct: How to speak, in words.
        reference_text: What is said in the reference sound.
    """

    duration_s: float | None = None
    bpm: float | None = None
    time_signature: str | None = None
    language: str | None = None
    lyrics: str | None = None
    key_scale: str | None = None
    composer_mode: bool | None = None
    prompt_strength: float | None = None
    creativity: float | None = None
    shift: float | None = None
    speaker: str | None = None
    instruct: str | None = None
    reference_text: str | None = None


AnyParams = ImageParams | VideoParams | AudioParams

VIDEO_SETTINGS = (
    "shift",
    "teacache_threshold",
    "identity_guidance",
    "detailer_strength",
    "outpaint_position",
    "upscale_resolution",
    "detail_preference",
    "processing_speed",
    "first_frame_strength",
    "last_frame_strength",
    "audio_start_s",
    "audio_duration_s",
    "video_start_s",
    "trim_end_frame",
    "generate_audio",
)
"""Fields of `VideoParams` that a tier limits each by itself, under the same name everywhere."""

AUDIO_SETTINGS = (
    "duration_s",
    "bpm",
    "time_signature",
    "language",
    "key_scale",
    "composer_mode",
    "prompt_strength",
    "creativity",
    "shift",
    "speaker",
    "instruct",
    "reference_text",
)
"""The same for `AudioParams`."""
