"""Draws what dreamlet-music-v1 composes and plays: `python -m benchmarks.music_picture FILE.png`.

Three fixed prompts, nothing chosen by hand. Above each spectrogram stands the score: bass, chords,
pad, color, melody and drums in their own colors, with bar lines. It also says how long each took.
"""

import sys
import time

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from dreamgrid.engines import loudness
from dreamgrid.engines.convolution import Floats
from dreamgrid.engines.music.band import Band
from dreamgrid.engines.music.composer import Wish, compose
from dreamgrid.engines.music.harmony import Key
from dreamgrid.engines.music.meter import METERS
from dreamgrid.engines.music.score import Score
from dreamgrid.engines.music.style import style_of
from dreamgrid.engines.music.tones import SAMPLE_RATE

PIECES = (
    ("happy pop", "C major", "4", 120.0),
    ("sad piano and strings, a waltz", "A minor", "3", 84.0),
    ("epic cinematic battle", "D minor", "4", 100.0),
)
DURATION_S = 30.0
WIDTH, ROLL, SPECTRUM, TITLE = 900, 150, 150, 16
WINDOW = 4096
COLORS = {
    "lead": (255, 96, 96),
    "chords": (96, 160, 255),
    "pad": (70, 95, 140),
    "bass": (90, 220, 120),
    "color": (240, 200, 80),
}


def played(prompt: str, key: str, meter: str, bpm: float) -> tuple[Score, Floats]:
    wish = Wish(
        key=Key.named(key),
        meter=METERS[meter],
        bpm=bpm,
        duration_s=DURATION_S,
        composed=True,
        order="",
        seed=1,
    )
    rng = np.random.default_rng(1)
    score = compose(style_of(prompt, "", strength=2, creativity=0.85, rng=rng), wish)
    began = time.process_time()
    sound = Band(score, wish.seed).play(lambda _: None)
    sound = loudness.normalized(sound, SAMPLE_RATE)
    print(
        f"{prompt}: {time.process_time() - began:.2f} s of one core, "
        f"{loudness.integrated_lufs(sound, SAMPLE_RATE):.2f} LUFS, "
        f"{loudness.true_peak_dbtp(sound):.2f} dBTP"
    )
    return score, sound


def roll(score: Score) -> Image.Image:
    picture = Image.new("RGB", (WIDTH, ROLL))
    draw = ImageDraw.Draw(picture)

    def x(slot: float) -> float:
        return score.seconds(slot) / DURATION_S * WIDTH

    for bar in range(int(DURATION_S / score.slot_s / score.meter.slots) + 1):
        place = x(bar * score.meter.slots)
        draw.line((place, 0, place, ROLL), fill=(45, 45, 45))
    for part in score.parts:
        for note in part.notes:
            y = ROLL - 30 - 1.8 * (note.pitch - 30)
            left, right = x(note.start), x(note.start + note.length)
            draw.rectangle((left, y, max(left + 1, right - 1), y + 1), fill=COLORS[part.role])
    sounds = sorted({hit.sound for hit in score.hits})
    for hit in score.hits:
        y = ROLL - 4 - 4 * sounds.index(hit.sound)
        shade = round(255 * hit.velocity)
        draw.rectangle((x(hit.start), y, x(hit.start) + 1, y + 2), fill=(shade, shade, shade))
    return picture


def spectrum(sound: Floats, sample_rate: int = SAMPLE_RATE, size: int = WINDOW) -> Image.Image:
    """From 40 Hz to 16 kHz, or to half the sample rate, on a logarithmic scale."""
    mono = sound.mean(axis=0)
    starts = np.linspace(0, mono.size - size - 1, WIDTH).astype(int)
    window = np.hanning(size)
    columns = [np.abs(np.fft.rfft(mono[start : start + size] * window)) for start in starts]
    hz = np.geomspace(40, min(16_000, sample_rate / 2 - 100), SPECTRUM)
    rows = np.stack(columns, axis=1)[(hz * size / sample_rate).astype(int)][::-1]
    level = np.clip((20 * np.log10(rows * (WINDOW / size) + 1e-6) + 10) / 60, 0, 1)
    channels = (level, level**2, 0.45 * np.sqrt(level))
    shades: npt.NDArray[np.uint8] = (np.stack(channels, axis=-1) * 15).astype(np.uint8) * 17
    return Image.fromarray(shades)


def main() -> None:
    sheet = Image.new("RGB", (WIDTH, len(PIECES) * (TITLE + ROLL + SPECTRUM + 4)), (24, 24, 24))
    draw = ImageDraw.Draw(sheet)
    top = 0
    for prompt, key, meter, bpm in PIECES:
        score, sound = played(prompt, key, meter, bpm)
        cast = ", ".join(part.instrument for part in score.parts)
        draw.text((4, top + 2), f'"{prompt}", {key}, {bpm:g} bpm, {meter}/4: {cast}')
        sheet.paste(roll(score), (0, top + TITLE))
        sheet.paste(spectrum(sound), (0, top + TITLE + ROLL))
        top += TITLE + ROLL + SPECTRUM + 4
    sheet.quantize(64).save(sys.argv[1], optimize=True)


if __name__ == "__main__":
    main()
