"""Draws what dreamlet-voice-v1 says: `python -m benchmarks.voice_picture FILE.png`.

One fixed text, nothing chosen by hand: how loud it is over time, and its spectrogram below, with a
line for each second.
"""

import io
import sys

import av
import numpy as np
from PIL import Image, ImageDraw

from benchmarks.music_picture import SPECTRUM, TITLE, WIDTH, spectrum
from dreamgrid.engines.convolution import Floats
from dreamgrid.engines.voice import MODEL
from dreamgrid.engines.voice.engine import VoiceEngine
from dreamgrid.protocol.renders import AudioRender

TEXT = "The quick brown fox jumps over the lazy dog. Is it five past three? Yes, it is!"
LOUDNESS = 60


def spoken() -> tuple[Floats, int]:
    """The samples, `(1, frames)`, and how many there are in a second."""
    render = AudioRender(
        model=MODEL,
        prompt=TEXT,
        steps=1,
        guidance=1.0,
        seed=1,
        duration_s=30,
        output_format="wav",
    )
    data = VoiceEngine(threads=1).generate(render, {}, lambda _: None).data
    with av.open(io.BytesIO(data), "r") as file:
        stream = file.streams.audio[0]
        parts = [frame.to_ndarray() for frame in file.decode(stream)]
        return np.concatenate(parts, axis=1).astype(np.float32) / np.float32(32768), stream.rate


def main() -> None:
    sound, rate = spoken()
    sheet = Image.new("RGB", (WIDTH, TITLE + LOUDNESS + SPECTRUM), (24, 24, 24))
    draw = ImageDraw.Draw(sheet)
    seconds = sound.shape[1] / rate
    draw.text((4, 2), f'"{TEXT}" ({seconds:.1f} s)')
    peaks = [np.abs(part).max() for part in np.array_split(sound[0], WIDTH)]
    for x, peak in enumerate(peaks):
        half = float(peak) * LOUDNESS / 2
        middle = TITLE + LOUDNESS / 2
        draw.line((x, middle - half, x, middle + half), fill=(96, 160, 255))
    sheet.paste(spectrum(sound, rate, 1024), (0, TITLE + LOUDNESS))
    for second in range(1, int(seconds) + 1):
        x = round(second / seconds * WIDTH)
        draw.line((x, TITLE, x, TITLE + 6), fill=(200, 200, 200))
    sheet.quantize(64).save(sys.argv[1], optimize=True)


if __name__ == "__main__":
    main()
