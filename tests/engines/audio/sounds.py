"""Reading sound files again, with FFmpeg's decoders, and sounds to measure."""

import io
from dataclasses import dataclass

import av
import numpy as np

from dreamgrid.engines.convolution import Floats


@dataclass(frozen=True, kw_only=True)
class Sound:
    """A decoded file: `(channels, frames)`, full scale at 1, and its tags."""

    samples: Floats
    sample_rate: int
    codec: str
    tags: dict[str, str]

    @property
    def duration_s(self) -> float:
        return float(self.samples.shape[1] / self.sample_rate)


def decoded(data: bytes) -> Sound:
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.audio[0]
        layout = stream.codec_context.layout.name
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=stream.rate)
        parts = [
            part.to_ndarray()
            for frame in container.decode(audio=0)
            for part in resampler.resample(frame)
        ]
        return Sound(
            samples=np.concatenate(parts, axis=1),
            sample_rate=stream.rate,
            codec=stream.codec_context.name,
            tags=dict(container.metadata),
        )


def sine(hertz: float, seconds: float, sample_rate: int = 44_100, level: float = 0.5) -> Floats:
    """One channel, `(1, frames)`."""
    times = np.arange(round(seconds * sample_rate)) / sample_rate
    wave = level * np.sin(2 * np.pi * hertz * times)
    return wave.astype(np.float32)[np.newaxis]
