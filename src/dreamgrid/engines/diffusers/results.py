"""What a pipeline gave back, as the file that was asked for, judged by the content filter."""

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from dreamgrid.engines import audio_file, picture_file
from dreamgrid.engines.base import Artifact
from dreamgrid.engines.convolution import Floats
from dreamgrid.engines.finishing import check_size, recipe_of, video_of
from dreamgrid.engines.safety import ContentFilter, judged_frames
from dreamgrid.engines.video_file import Sound
from dreamgrid.protocol.params import CONTENT_TYPES
from dreamgrid.protocol.renders import AnyRender, AudioRender, ImageRender, VideoRender


def artifact_of(
    render: AnyRender,
    made: Any,
    steps: int,
    rate_hz: int,
    judge: ContentFilter,
    finish: Callable[[Image.Image], Image.Image],
) -> Artifact:
    """The finished file of a job.

    Args:
        render: What was asked for.
        made: The output of a pipeline: `images`, `audios`, or `frames` and perhaps `audio`.
        steps: Steps performed.
        rate_hz: Samples per second of the model's sound; 0 for pictures.
        judge: The content filter.
        finish: What is still to be done to a picture.

    Raises:
        EngineError: It has another size than was asked for.
    """
    seen: list[Image.Image] = []
    match render:
        case ImageRender():
            check_size(render, *made.images[0].size)
            picture = finish(made.images[0]).convert("RGB")
            seen = [picture]
            data = picture_file.encode(picture, render.output_format, recipe_of(render))
        case VideoRender():
            frames = _middle(np.asarray(made.frames[0]), render.width, render.height)
            frames = np.rint(frames.clip(0, 1) * 255).astype(np.uint8)
            check_size(render, frames.shape[2], frames.shape[1])
            count = len(frames)
            seen = [Image.fromarray(frames[n]) for n in sorted(judged_frames(count))]
            data = video_of(render, frames, render.motion_fps, _sound_with(render, made, rate_hz))
        case AudioRender():
            data = _sound(render, made, rate_hz)
    return Artifact(
        data=data,
        content_type=CONTENT_TYPES[render.output_format],
        steps=steps,
        sensitive=judge.objections(render.prompt, seen),
    )


def _middle(frames: Floats, width: int, height: int) -> Floats:
    """What the result needs of frames that may be larger; smaller ones stay as they are."""
    left, top = (max(0, more) // 2 for more in (frames.shape[2] - width, frames.shape[1] - height))
    return frames[:, top : top + height, left : left + width]


def _sound_with(render: VideoRender, made: Any, rate_hz: int) -> Sound | None:
    """The sound that a model made with its frames, unless it is not wanted."""
    audio = getattr(made, "audio", None)
    if audio is None or render.generate_audio is False:
        return None
    return Sound(samples=audio[0].float().cpu().numpy(), rate_hz=rate_hz)


def _sound(render: AudioRender, made: Any, rate_hz: int) -> bytes:
    samples = made.audios[0].float().cpu().numpy()
    if samples.shape[0] == 1:
        samples = np.repeat(samples, 2, axis=0)
    return audio_file.encode(
        samples.astype(np.float32),
        rate_hz,
        render.output_format,
        title=render.prompt,
        settings=recipe_of(render),
    )
