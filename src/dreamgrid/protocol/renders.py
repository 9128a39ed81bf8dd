"""One result to make, everything decided: what a worker is assigned and an engine receives.

On the wire to the worker and in the store a render names its kind in `media`. Settings that the
model does not have, or chooses itself, are None.
"""

import msgspec

from dreamgrid.protocol.params import ControlNet, Lora, OutputFormat


class Render(msgspec.Struct, frozen=True, kw_only=True, tag_field="media"):
    """What all kinds of media have in common.

    Attributes:
        model: Catalogue id of the model.
        prompt: What to show, play or say, style included.
        negative_prompt: What to avoid; empty for nothing.
        steps: Denoising steps.
        guidance: Strength of the prompt.
        seed: 0..2**32-1. The same render gives the same result, bit for bit, on the same machine.
        sampler: Alias of the sampler, or None when the model has no choice.
        scheduler: Alias of the noise schedule, or None when the model has no choice.
        loras: LoRAs to apply, in this order.
        control_net: A ControlNet to steer by; its picture is the input `cnImage`.
        assets: Roles of the inputs that come with it.
        previews: How many previews the app wants while it is made; pictures only.
    """

    model: str
    prompt: str
    negative_prompt: str = ""
    steps: int
    guidance: float
    seed: int
    sampler: str | None = None
    scheduler: str | None = None
    loras: tuple[Lora, ...] = ()
    control_net: ControlNet | None = None
    assets: tuple[str, ...] = ()
    previews: int = 0


class ImageRender(Render, frozen=True, kw_only=True, tag="image"):
    """One picture.

    Attributes:
        width: Pixels of the result.
        height: Pixels of the result.
        strength: With a starting image: how much to change it, 0..1. None: no starting image.
        vae: Name of the VAE, or None when the model has no choice.
        output_format: File type of the result.
    """

    width: int
    height: int
    strength: float | None = None
    vae: str | None = None
    output_format: OutputFormat = "png"


class VideoRender(Render, frozen=True, kw_only=True, tag="video"):
    """One video. Fields mean what they mean in `VideoParams`.

    Attributes:
        width: Pixels of the result.
        height: Pixels of the result.
        frames: Frames to render.
        fps: Frames per second of the file.
        motion_fps: Frames per second of the motion: what `frames` counts. When `fps` is higher,
            the frames between are made up after rendering.
    """

    width: int
    height: int
    frames: int
    fps: float
    motion_fps: float
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
    output_format: OutputFormat = "mp4"


class AudioRender(Render, frozen=True, kw_only=True, tag="audio"):
    """One piece of music or speech. Fields mean what they mean in `AudioParams`.

    Attributes:
        duration_s: Length of the result in seconds; a limit for speech, which is as long as its
            text.
    """

    duration_s: float
    bpm: float | None = None
    time_signature: str | None = None
    language: str | None = None
    lyrics: str = ""
    key_scale: str | None = None
    composer_mode: bool | None = None
    prompt_strength: float | None = None
    creativity: float | None = None
    shift: float | None = None
    speaker: str | None = None
    instruct: str | None = None
    reference_text: str | None = None
    output_format: OutputFormat = "mp3"


AnyRender = ImageRender | VideoRender | AudioRender
