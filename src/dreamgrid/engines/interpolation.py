"""Frames between frames: a video at a higher rate than its model renders.

FFmpeg's `minterpolate` estimates where each block of 16 pixels moves and draws it on its way
(overlapped block motion compensation), as LGPL code in the same library that encodes videos.
Reference: https://ffmpeg.org/ffmpeg-filters.html#minterpolate
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain, islice, pairwise
from typing import cast

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_MOTION = "mi_mode=mci:mc_mode=obmc:me_mode=bidir:vsbmc=0:scd=none"
_LOOKAHEAD = 2
"""Frames that the filter wants to see after the last one that it draws."""


def interpolated(frames: Iterable[Pixels], fps: float, to_fps: float) -> Iterator[Pixels]:
    """The same motion with more frames, which begins and ends with the same frames.

    Args:
        frames: RGB, height by width by 3, all of one size.
        fps: Their rate.
        to_fps: The rate wanted, at least `fps`.

    Yields:
        `round((count - 1) * to_fps / fps) + 1` frames, those of the input among them wherever the
        rates meet.
    """
    rate, wanted = (Fraction(value).limit_denominator(1001) for value in (fps, to_fps))
    motion: _Motion | None = None
    given = drawn = 0
    for last in frames:
        given += 1
        motion = motion or _Motion(last, rate, wanted)
        for pixels in motion.after(last):
            drawn += 1
            yield pixels
    if motion is None:
        return
    total = round((given - 1) * wanted / rate) + 1
    rest = chain.from_iterable(motion.after(pixels) for pixels in (*[last] * _LOOKAHEAD, None))
    yield from islice(rest, total - drawn)


class _Motion:
    """The filter, which is fed frame by frame."""

    def __init__(self, first: Pixels, rate: Fraction, wanted: Fraction) -> None:
        height, width, _ = first.shape
        self._time_base = 1 / rate
        self._graph = Graph()
        nodes = (
            self._graph.add_buffer(
                width=width,
                height=height,
                format=av.VideoFormat("rgb24"),
                time_base=self._time_base,
            ),
            self._graph.add("minterpolate", f"fps={wanted}:{_MOTION}"),
            self._graph.add("format", "rgb24"),
            self._graph.add("buffersink"),
        )
        for before, after in pairwise(nodes):
            before.link_to(after)
        self._graph.configure()
        self._pushed = 0

    def after(self, pixels: Pixels | None) -> Iterator[Pixels]:
        """Whatever can be drawn now that one more frame is known; None: there are no more."""
        frame = None
        if pixels is not None:
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = self._pushed, self._time_base
            self._pushed += 1
        self._graph.push(frame)
        while True:
            try:
                drawn = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            yield cast(Pixels, cast(av.VideoFrame, drawn).to_ndarray(format="rgb24"))
