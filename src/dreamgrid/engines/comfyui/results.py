"""What ComfyUI wrote, as the file that was asked for, judged by the content filter."""

import io
from collections.abc import Iterator
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from PIL import Image

from dreamgrid.engines import audio_file, picture_file
from dreamgrid.engines.base import Artifact
from dreamgrid.engines.finishing import SAME_RATE, check_size, recipe_of, video_of
from dreamgrid.engines.safety import ContentFilter, judged_frames
from dreamgrid.engines.video_file import Pixels, Sound
from dreamgrid.errors import EngineError
from dreamgrid.protocol.params import CONTENT_TYPES
from dreamgrid.protocol.renders import AnyRender, AudioRender, ImageRender, VideoRender

PREVIEW_SIDE_PX = 512
_SIZE_ADVICE = "the mapping's width and height must lead to the size of the result"


def artifact_of(render: AnyRender, data: bytes, steps: int, judge: ContentFilter) -> Artifact:
    """The finished file of a job.

    Args:
        render: What was asked for.
        data: The file that the workflow wrote.
        steps: Steps performed.
        judge: The content filter.

    Raises:
        EngineError: It is no file of the kind or size that was asked for.
    """
    try:
        match render:
            case ImageRender():
                encoded, seen = _picture(render, data)
            case VideoRender():
                encoded, seen = _video(render, data)
            case AudioRender():
                encoded, seen = _sound(render, data), []
    except (OSError, av.FFmpegError) as error:
        raise EngineError(
            f"the render made no readable file\nthe workflow's result: {error}"
        ) from error
    return Artifact(
        data=encoded,
        content_type=CONTENT_TYPES[render.output_format],
        steps=steps,
        sensitive=judge.objections(render.prompt, seen),
    )


def small_jpeg(data: bytes) -> bytes:
    """A preview as ComfyUI sent it, in at most `PREVIEW_SIDE_PX` pixels a side."""
    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as picture:
        small = picture.convert("RGB")
    small.thumbnail((PREVIEW_SIDE_PX, PREVIEW_SIDE_PX))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    return out.getvalue()


def _picture(render: ImageRender, data: bytes) -> tuple[bytes, list[Image.Image]]:
    with Image.open(io.BytesIO(data)) as opened:
        picture = opened.convert("RGB")
    check_size(render, *picture.size, _SIZE_ADVICE)
    return picture_file.encode(picture, render.output_format, recipe_of(render)), [picture]


def _video(render: VideoRender, data: bytes) -> tuple[bytes, list[Image.Image]]:
    """The video as it is when it is what was asked for, else encoded anew."""
    frames = sum(1 for _ in _frames(data))
    wanted = judged_frames(frames) if frames > 1 else frozenset({0})
    seen = [Image.fromarray(frame) for n, frame in enumerate(_frames(data)) if n in wanted]
    if not seen:
        raise EngineError("the render made a video without frames")
    check_size(render, *seen[0].size, _SIZE_ADVICE)
    with _opened(data) as container:
        kinds = container.format.name.split(",")
        sounds = bool(container.streams.audio)
        fps = float(container.streams.video[0].average_rate or render.motion_fps)
    same_rate = abs(fps - render.fps) < SAME_RATE
    unwanted = sounds and render.generate_audio is False
    as_asked = render.output_format in kinds and same_rate
    if as_asked and not render.trim_end_frame and not unwanted:
        return data, seen
    if fps > render.fps and not same_rate:
        raise EngineError(
            f"the render has {fps:g} frames per second instead of {render.fps:g}\n"
            "the mapping's fps or motion_fps must lead to the node that writes the video"
        )
    sound = _heard(data) if sounds and not unwanted else None
    return video_of(render, _frames(data), fps, sound), seen


def _frames(data: bytes) -> Iterator[Pixels]:
    with _opened(data) as container:
        for frame in container.decode(video=0):
            yield cast(Pixels, frame.to_ndarray(format="rgb24"))


def _opened(data: bytes) -> InputContainer:
    return cast(InputContainer, av.open(io.BytesIO(data)))


def _sound(render: AudioRender, data: bytes) -> bytes:
    heard = _heard(data)
    return audio_file.encode(
        heard.samples,
        heard.rate_hz,
        render.output_format,
        title=render.prompt,
        settings=recipe_of(render),
    )


def _heard(data: bytes) -> Sound:
    """The sound of a file, in stereo."""
    with _opened(data) as container:
        stream = container.streams.audio[0]
        rate = stream.rate
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=rate)
        parts = [
            part.to_ndarray()
            for frame in container.decode(stream)
            for part in resampler.resample(frame)
        ]
    return Sound(samples=np.concatenate(parts, axis=1).astype(np.float32), rate_hz=rate)
