"""Sound files from samples: mp3 and flac by PyAV (FFmpeg's encoders), wav by ourselves.

The length is exact to the sample in all three. MP3 frames hold 1,152 samples (576 at low rates), so
its encoder pads at both ends and notes in the LAME header how much; every decoder that reads that
header (FFmpeg, browsers, phones) plays exactly what was given.
"""

import io
import json
import struct
from collections.abc import Mapping

import numpy as np

from dreamgrid.engines.convolution import Floats
from dreamgrid.errors import EngineError, ModelNotAvailable
from dreamgrid.protocol.params import OUTPUT_FORMATS, OutputFormat

try:
    import av
except ImportError:
    _HAS_AV = False
else:
    _HAS_AV = True

MP3_BITS_PER_CHANNEL = 96_000
"""Bits per second and channel of an mp3: transparent for most ears."""

_TITLE_CHARS = 200
_FULL_SCALE = 32767
_STRETCH = 1 << 18  # frames handed to the encoder at once, to save memory
_MPEG2_RATE = 24_000  # up to this sample rate mp3 has fewer bit rates
_MPEG2_BITS = 160_000


def check_format(output_format: OutputFormat) -> None:
    """Refuses before any work what `encode` could not write.

    Raises:
        EngineError: It is no sound file.
        ModelNotAvailable: mp3 and flac need PyAV, and it is not installed.
    """
    if output_format not in OUTPUT_FORMATS["audio"]:
        raise EngineError(f"{output_format} is no sound file: use mp3, flac or wav")
    if output_format != "wav" and not _HAS_AV:
        raise ModelNotAvailable(
            "this worker makes only wav files\n"
            "mp3 and flac need PyAV: pip install -e '.[embedded]' in the clone"
        )


def encode(
    samples: Floats,
    sample_rate: int,
    output_format: OutputFormat,
    *,
    title: str = "",
    settings: Mapping[str, object] | None = None,
) -> bytes:
    """A sound file.

    The same arguments give the same bytes. flac and wav hold 16 bits per sample.

    Args:
        samples: `(channels, frames)`, one or two channels; beyond full scale is clipped.
        sample_rate: Frames per second.
        output_format: `mp3`, `flac` or `wav`.
        title: The title tag, cut after 200 characters.
        settings: What the sound was made with; the comment tag, as JSON.

    Raises:
        EngineError, ModelNotAvailable: See `check_format`.
    """
    check_format(output_format)
    tags = {"title": " ".join(title.split())[:_TITLE_CHARS]}
    if settings:
        tags["comment"] = json.dumps(settings, ensure_ascii=False)
    tags = {name: text.encode(errors="replace").decode() for name, text in tags.items() if text}
    if output_format == "wav":
        return _wav(samples, sample_rate, tags)
    return _by_ffmpeg(samples, sample_rate, output_format, tags)


def _integers(samples: Floats) -> bytes:
    """Interleaved 16-bit samples."""
    scaled = np.rint(np.clip(samples, -1, 1) * _FULL_SCALE)
    return scaled.T.astype("<i2").tobytes()


def _by_ffmpeg(
    samples: Floats, sample_rate: int, output_format: OutputFormat, tags: dict[str, str]
) -> bytes:
    out = io.BytesIO()
    layout = "mono" if samples.shape[0] == 1 else "stereo"
    with av.open(out, "w", format=output_format) as container:
        container.metadata.update(tags)
        if output_format == "mp3":
            stream = container.add_stream("libmp3lame", rate=sample_rate, layout=layout)
            stream.bit_rate = _mp3_bits(samples.shape[0], sample_rate)
            # LAME turns its lower bit rates down; given back before.
            lowered = np.float32(0.97 if stream.bit_rate > _MPEG2_BITS else 0.95)
            stream.options = {"compression_level": "5"}  # finer costs twice the time
        else:
            stream = container.add_stream("flac", rate=sample_rate, layout=layout)
        for start in range(0, samples.shape[1], _STRETCH):
            part = samples[:, start : start + _STRETCH]
            if output_format == "mp3":
                planes = np.clip(part, -1, 1) / lowered
                frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
            else:
                packed = np.frombuffer(_integers(part), "<i2").reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
            frame.sample_rate = sample_rate
            frame.pts = start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def _mp3_bits(channels: int, sample_rate: int) -> int:
    bits = MP3_BITS_PER_CHANNEL * channels
    return min(bits, _MPEG2_BITS) if sample_rate <= _MPEG2_RATE else bits


def _wav(samples: Floats, sample_rate: int, tags: dict[str, str]) -> bytes:
    """RIFF: format, samples, and the tags as a list of `INAM` (title) and `ICMT` (comment)."""
    channels = samples.shape[0]
    layout = struct.pack(
        "<HHIIHH", 1, channels, sample_rate, sample_rate * channels * 2, channels * 2, 16
    )
    named = {"title": b"INAM", "comment": b"ICMT"}
    listed = b"".join(_chunk(named[name], text.encode() + b"\0") for name, text in tags.items())
    chunks = _chunk(b"fmt ", layout) + _chunk(b"data", _integers(samples))
    if listed:
        chunks += _chunk(b"LIST", b"INFO" + listed)
    return _chunk(b"RIFF", b"WAVE" + chunks)


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
