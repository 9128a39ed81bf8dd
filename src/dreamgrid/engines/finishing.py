"""The last steps of engines that wrap another program: size, file, and how it was made."""

from collections.abc import Iterable

from dreamgrid.engines.interpolation import Pixels, interpolated
from dreamgrid.engines.video_file import Sound, VideoFile
from dreamgrid.errors import EngineError
from dreamgrid.protocol.renders import AnyRender, ImageRender, VideoRender

SAME_RATE = 0.01
"""Frames per second by which two rates may differ and still be one."""

_TOLD = ("model", "prompt", "negative_prompt", "width", "height", "steps", "guidance", "seed")


def recipe_of(render: AnyRender) -> dict[str, str | int | float]:
    """What a reader of the file needs to make it again."""
    return {name: getattr(render, name) for name in _TOLD if hasattr(render, name)}


def check_size(
    render: ImageRender | VideoRender, width: int, height: int, advice: str = ""
) -> None:
    """Refuses a result of another size.

    Args:
        render: What was asked for.
        width: Pixels of the result.
        height: Pixels of the result.
        advice: What the worker's owner can do; further lines of the error.

    Raises:
        EngineError: It has another size.
    """
    if (width, height) != (render.width, render.height):
        found = f"the render has {width}x{height} pixels instead of {render.width}x{render.height}"
        raise EngineError("\n".join(filter(None, (found, advice))))


def video_of(
    render: VideoRender, frames: Iterable[Pixels], fps: float, sound: Sound | None = None
) -> bytes:
    """The file of a video, with the frames between where fewer were rendered than are shown.

    Args:
        render: What was asked for.
        frames: RGB, height by width by 3, of the size asked for.
        fps: Their rate; at most the one asked for.
        sound: What is heard with them; None: nothing.
    """
    shown = frames if render.fps - fps < SAME_RATE else interpolated(frames, fps, render.fps)
    with VideoFile(
        render.width,
        render.height,
        render.fps,
        render.output_format,
        title=render.prompt,
        settings=recipe_of(render),
        sound=sound,
    ) as file:
        last: Pixels | None = None
        for frame in shown:  # one behind, because the last one may be unwanted
            if last is not None:
                file.add(last)
            last = frame
        if last is not None and not render.trim_end_frame:
            file.add(last)
    return file.data
