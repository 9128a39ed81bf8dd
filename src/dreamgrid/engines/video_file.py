"""Video files from frames, by PyAV (FFmpeg's encoders): H.264 in mp4 and mov, VP9 in webm.

A sound track becomes AAC, in webm Opus. It begins with the first frame and ends with the last.

Frames are encoded as they come, so a long video needs no more memory than a short one. Files hold
8-bit 4:2:0 in BT.709 with limited range, say so in their colour tags, and are the same bit for bit
for the same frames.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream
from numpy.typing import NDArray

from dreamgrid.engines.convolution import Floats
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
_SOUND_ENCODERS = {"mp4": "aac", "mov": "aac", "webm": "libopus"}
_SOUND_RATE_HZ = 48_000  # the one rate that both encoders and all players know
_SOUND_BITS = 192_000  # per second, of both channels together


@dataclass(frozen=True, kw_only=True)
class Sound:
    """What is heard with a video.

    Attributes:
        samples: `(channels, count)`, one or two channels; beyond full scale is clipped. What is
            missing at the end is silence, what is too much is cut off.
        rate_hz: Samples per second.
    """

    samples: Floats
    rate_hz: int


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
        sound: Sound | None = None,
    ) -> None:
        """Begins a file.

        Args:
            width: Pixels, even.
            height: Pixels, even.
            fps: Frames per second.
            output_format: `mp4`, `mov` or `webm`.
            title: The title tag, cut after 200 characters.
            settings: What the video was made with; the comment tag, as JSON.
            sound: What is heard with it. None: there is no sound track.

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
        self._rate = Fraction(fps).limit_denominator(1001)
        self._stream = cast(
            VideoStream, self._container.add_stream(encoder, rate=self._rate, options=options)
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
        self._track = None if sound is None else _Track(self._container, output_format, sound)

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
                if self._track is not None:
                    self._track.end()
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
        if self._track is not None:
            self._track.go_on(until_s=self._frames / self._rate)


class _Track:
    """The sound of a file, written beside its frames, so that players need not jump."""

    def __init__(self, container: OutputContainer, output_format: str, sound: Sound) -> None:
        self._container = container
        self._stream = cast(
            AudioStream,
            container.add_stream(
                _SOUND_ENCODERS[output_format], rate=_SOUND_RATE_HZ, layout="stereo"
            ),
        )
        self._stream.bit_rate = _SOUND_BITS
        self._samples = _stereo(sound)
        self._written = 0

    def go_on(self, *, until_s: Fraction) -> None:
        """Writes up to a time."""
        end = round(until_s * _SOUND_RATE_HZ)
        part = self._samples[:, self._written : end]
        silent = end - self._written - part.shape[1]
        planes = np.ascontiguousarray(np.pad(part, ((0, 0), (0, silent))))
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout="stereo")
        frame.sample_rate = _SOUND_RATE_HZ
        frame.pts = self._written
        self._container.mux(self._stream.encode(frame))
        self._written = end

    def end(self) -> None:
        """Writes what the encoder holds back still."""
        self._container.mux(self._stream.encode(None))


def _stereo(sound: Sound) -> Floats:
    """Its samples at the rate of the file, two channels."""
    samples = np.clip(np.atleast_2d(sound.samples), -1, 1).astype(np.float32)
    both = np.ascontiguousarray(np.broadcast_to(samples, (2, samples.shape[1])))
    if sound.rate_hz == _SOUND_RATE_HZ or not both.size:
        return both
    frame = av.AudioFrame.from_ndarray(both, format="fltp", layout="stereo")
    frame.sample_rate = sound.rate_hz
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=_SOUND_RATE_HZ)
    parts = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([part.to_ndarray() for part in parts], axis=1)


def _tags(title: str, settings: Mapping[str, object] | None) -> dict[str, str]:
    tags = {"title": " ".join(title.split())[:_TITLE_CHARS]}
    if settings:
        tags["comment"] = json.dumps(settings, ensure_ascii=False)
    return {name: text.encode(errors="replace").decode() for name, text in tags.items() if text}
