"""Video files from frames, by PyAV (FFmpeg's encoders): H.264 in mp4 and mov, VP9 in webm.

Frames are encoded as they come, so a long video needs no more memory than a short one. Files hold
8-bit 4:2:0 in BT.709 with limited range, say so in their colour tags, and are the same bit for bit
for the same frames.
"""

import json
import tempfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream
from numpy.typing import NDArray

from dreamgrid.errors import EngineError
from dreamgrid.protocol.params import OUTPUT_FORMATS, OutputFormat

Pixels = NDArray[np.uint8]

_TITLE_CHARS = 200
_KEY_FRAME_S = 2  # players can jump to a point at most this far away

# One thread: with more, the bytes would depend on the machine, and the others belong to the model.
# No macroblock tree: where a row is no multiple of 128 pixels, x264 reads memory for it that nobody
# wrote, and the same frames give another file once in a while. Without it 21 looks as 18 with it.
_H264 = {"preset": "veryfast", "crf": "21", "threads": "1", "x264-params": "mbtree=0"}
_VP9 = {
    "crf": "24",
    "b": "0",
    "deadline": "realtime",
    "cpu-used": "6",
    "row-mt": "0",
    "threads": "1",
}
_ENCODERS = {
    "mp4": ("libx264", _H264, {"movflags": "+faststart+use_metadata_tags"}),
    "mov": ("libx264", _H264, {"movflags": "+faststart"}),
    "webm": ("libvpx-vp9", _VP9, {}),
}


def check_format(output_format: OutputFormat, width: int, height: int) -> None:
    """Refuses before any work what `VideoFile` could not write.

    Raises:
        EngineError: It is no video file, or a side is odd: two pixels share a colour.
    """
    if output_format not in OUTPUT_FORMATS["video"]:
        raise EngineError(f"{output_format} is no video file: use mp4, webm or mov")
    if width % 2 or height % 2:
        raise EngineError(f"{width}x{height}: sides of a video are even")


class VideoFile:
    """A video that is being written; use it in a `with` block and take `data` afterwards."""

    def __init__(
        self,
        width: int,
        height: int,
        fps: float,
        output_format: OutputFormat,
        *,
        title: str = "",
        settings: Mapping[str, object] | None = None,
    ) -> None:
        """Begins a file.

        Args:
            width: Pixels, even.
            height: Pixels, even.
            fps: Frames per second.
            output_format: `mp4`, `mov` or `webm`.
            title: The title tag, cut after 200 characters.
            settings: What the video was made with; the comment tag, as JSON.

        Raises:
            EngineError: See `check_format`.
        """
        check_format(output_format, width, height)
        encoder, options, muxing = _ENCODERS[output_format]
        # On disk, because the index of an mp4 moves to its front by reading the file again.
        self._folder = tempfile.TemporaryDirectory(prefix="dreamgrid-")
        self._path = Path(self._folder.name) / "video"
        self._data = b""
        # "bitexact" leaves out versions and random ids, which would differ from run to run.
        self._container = av.open(
            str(self._path),
            "w",
            format=output_format,
            options=muxing | {"fflags": "+bitexact"},
        )
        self._container.metadata.update(_tags(title, settings))
        rate = Fraction(fps).limit_denominator(1001)
        self._stream = cast(
            VideoStream, self._container.add_stream(encoder, rate=rate, options=options)
        )
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.gop_size = max(1, round(_KEY_FRAME_S * fps))
        context.color_range = ColorRange.MPEG
        context.colorspace = Colorspace.ITU709
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        self._frames = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._folder:
            if kind is None:
                self._container.mux(self._stream.encode(None))
            self._container.close()
            if kind is None:
                self._data = self._path.read_bytes()

    @property
    def data(self) -> bytes:
        """The whole file, once the `with` block has ended without an error."""
        return self._data

    def add(self, pixels: Pixels) -> None:
        """Appends a frame, RGB `(height, width, 3)`."""
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame = frame.reformat(
            format="yuv420p",
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            dst_colorspace=Colorspace.ITU709,
        )
        frame.pts = self._frames
        self._frames += 1
        self._container.mux(self._stream.encode(frame))


def _tags(title: str, settings: Mapping[str, object] | None) -> dict[str, str]:
    tags = {"title": " ".join(title.split())[:_TITLE_CHARS]}
    if settings:
        tags["comment"] = json.dumps(settings, ensure_ascii=False)
    return {name: text.encode(errors="replace").decode() for name, text in tags.items() if text}
