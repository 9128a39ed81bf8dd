"""Paints the contact sheet of videos: fixed prompts, one seed, nothing chosen by hand.

python training/videos.py docs/models/dreamlet-video.jpg
"""

import argparse
import io
from collections.abc import Iterator
from pathlib import Path

import av
from PIL import Image

from dreamgrid.engines.dreamlet import MODEL, WEIGHTS
from dreamgrid.engines.dreamlet.engine import DreamletEngine
from dreamgrid.engines.dreamlet.video.engine import VideoEngine
from dreamgrid.engines.dreamlet.video.ids import FROM_IMAGES, FROM_TEXT
from dreamgrid.protocol.renders import ImageRender, VideoRender

SEED = 1
SIDE_PX = 480
SHOWN_PX = 112
SHOWN_FRAMES = (0, 4, 8, 12, 16, 20, 24, 28, 32)
QUALITY = 85

SHEET_PROMPTS = (
    "a cat",
    "a sailboat on the sea, pan left",
    "a castle, zoom in",
    "a police car, rotate right",
    "a red apple, orbit left",
    "a sunflower turns into a castle",
    "a rose on a blue background, then a rose on a yellow background",
)
FIRST, LAST, BETWEEN = "a strawberry", "a penguin", "a sunflower"
"""The last row leads from a picture of the first one to a picture of the second."""


def paint(prompt: str) -> bytes:
    """A picture file by dreamlet-v1."""
    engine = DreamletEngine(WEIGHTS)
    render = ImageRender(
        model=MODEL, prompt=prompt, width=SIDE_PX, height=SIDE_PX, steps=20, guidance=3, seed=SEED
    )
    return engine.generate(render, {}, lambda step: None).data


def frames(engine: VideoEngine, prompt: str, inputs: dict[str, bytes]) -> Iterator[Image.Image]:
    """The shown frames of a video with the catalogue's default settings."""
    render = VideoRender(
        model=FROM_IMAGES if inputs else FROM_TEXT,
        prompt=prompt,
        width=SIDE_PX,
        height=SIDE_PX,
        frames=SHOWN_FRAMES[-1] + 1,
        fps=16,
        motion_fps=16,
        steps=12,
        guidance=2,
        shift=1,
        seed=SEED,
    )
    data = engine.generate(render, inputs, lambda step: None).data
    with av.open(io.BytesIO(data), "r") as video:
        for index, frame in enumerate(video.decode(video=0)):
            if index in SHOWN_FRAMES:
                yield frame.to_image()


def main() -> None:
    """Writes the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    out: Path = parser.parse_args().out
    engine = VideoEngine(WEIGHTS)
    rows = [(prompt, {}) for prompt in SHEET_PROMPTS]
    rows.append((BETWEEN, {"referenceImage": paint(FIRST), "referenceImageEnd": paint(LAST)}))
    sheet = Image.new("RGB", (SHOWN_PX * len(SHOWN_FRAMES), SHOWN_PX * len(rows)))
    for row, (prompt, inputs) in enumerate(rows):
        for column, frame in enumerate(frames(engine, prompt, inputs)):
            small = frame.resize((SHOWN_PX, SHOWN_PX), Image.Resampling.LANCZOS)
            sheet.paste(small, (column * SHOWN_PX, row * SHOWN_PX))
        print(prompt, flush=True)
    sheet.save(out, quality=QUALITY, optimize=True)


if __name__ == "__main__":
    main()
