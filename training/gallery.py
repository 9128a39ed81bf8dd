"""Draws the gallery of what dreamlet does with pictures: fixed prompts and seeds, none left out.

Each row begins with a picture that dreamlet painted from words alone.
"""

import argparse
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from dreamgrid.engines.dreamlet import ENHANCER, MODEL, UPSCALER
from dreamgrid.engines.dreamlet.engine import DreamletEngine
from dreamgrid.protocol.assets import CONTEXT_IMAGE, CONTROL_NET_IMAGE
from dreamgrid.protocol.params import INPAINT, STARTING_IMAGE, ControlNet
from dreamgrid.protocol.renders import ImageRender

SIDE_PX = 192
SMALL_PX = 48  # of the picture that is made larger again
LABEL_PX = 16
SEED = 1
Cell = tuple[str, Image.Image]


class Painter:
    """The engine, asked in short."""

    def __init__(self, weights: Path) -> None:
        self.engine = DreamletEngine(weights, threads=1)

    def __call__(self, prompt: str, **settings: Any) -> Image.Image:
        """One picture; `start`, `mask` and `like` are pictures that come with it."""
        roles = {"start": STARTING_IMAGE, "mask": CONTROL_NET_IMAGE, "like": f"{CONTEXT_IMAGE}1"}
        given = {role: settings.pop(name) for name, role in roles.items() if name in settings}
        values = {
            "model": MODEL, "prompt": prompt, "width": SIDE_PX, "height": SIDE_PX,
            "steps": 20, "guidance": 3.0, "seed": SEED,
        }  # fmt: skip
        render = ImageRender(**(values | settings))
        inputs = {role: encode(picture) for role, picture in given.items()}
        data = self.engine.generate(render, inputs, lambda _: None).data
        return Image.open(io.BytesIO(data)).convert("RGB")


def encode(picture: Image.Image) -> bytes:
    """The bytes of a PNG."""
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def rows(paint: Painter) -> Iterator[list[Cell]]:
    """Every row of the gallery."""
    yield changed(paint, "a red apple", "a tangerine")
    yield inpainted(paint, "a castle", "a rainbow")
    yield varied(paint, "a butterfly on a blue background", "a butterfly")
    yield refined(paint, "a sunflower")
    yield enlarged(paint, "a cactus")


def changed(paint: Painter, first: str, then: str) -> list[Cell]:
    """Image to image at four strengths."""
    start = paint(first)
    return [
        (first, start),
        *(
            (f"{then}, {strength}", paint(then, start=start, strength=strength))
            for strength in (0.3, 0.6, 0.8, 0.95)
        ),
    ]


def inpainted(paint: Painter, first: str, then: str) -> list[Cell]:
    """A mask, and what two seeds paint inside it."""
    start, mask = paint(first), Image.new("L", (SIDE_PX, SIDE_PX))
    mask.paste(255, (0, 0, SIDE_PX, SIDE_PX // 2))
    net = ControlNet(name=INPAINT)
    wish = {"start": start, "mask": mask, "control_net": net, "strength": 1.0}
    return [
        (first, start),
        ("the mask", mask.convert("RGB")),
        *((f"{then}, seed {seed}", paint(then, seed=seed, **wish)) for seed in (1, 2, 3)),
    ]


def varied(paint: Painter, first: str, then: str) -> list[Cell]:
    """What other seeds paint with a reference, and without."""
    like = paint(first)
    variations = [
        (f"{then} like it, seed {seed}", paint(then, seed=seed, like=like)) for seed in (2, 3)
    ]
    free = [(f"without it, seed {seed}", paint(then, seed=seed)) for seed in (2, 3)]
    return [(first, like), *variations, *free]


def refined(paint: Painter, prompt: str) -> list[Cell]:
    """A blurred picture at the three strengths of enhancing."""
    small = paint(prompt).resize((SMALL_PX * 2, SMALL_PX * 2), Image.Resampling.BOX)
    blurred = small.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
    finer = [
        (name, paint(prompt, model=ENHANCER, start=blurred, strength=strength, steps=8))
        for name, strength in (("light", 0.15), ("medium", 0.35), ("heavy", 0.49))
    ]
    without = paint("", model=ENHANCER, start=blurred, strength=0.49, steps=8)
    return [(f"{prompt}, blurred", blurred), *finer, ("heavy, no prompt", without)]


def enlarged(paint: Painter, prompt: str) -> list[Cell]:
    """A small picture made larger by three filters and by the network."""
    original = paint(prompt)
    small = original.resize((SMALL_PX, SMALL_PX), Image.Resampling.LANCZOS)
    by_filter = [
        (name, small.resize((SIDE_PX, SIDE_PX), how))
        for name, how in (
            (f"{SMALL_PX} pixels", Image.Resampling.NEAREST),
            ("bicubic", Image.Resampling.BICUBIC),
            ("Lanczos", Image.Resampling.LANCZOS),
        )
    ]
    by_network = paint("", model=UPSCALER, start=small, strength=1.0, steps=1)
    return [(prompt, original), *by_filter, ("the network", by_network)]


def draw(cells: list[list[Cell]]) -> Image.Image:
    """Rows of labelled pictures."""
    height = SIDE_PX + LABEL_PX
    sheet = Image.new("RGB", (len(cells[0]) * SIDE_PX, len(cells) * height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for y, row in enumerate(cells):
        for x, (label, picture) in enumerate(row):
            sheet.paste(picture, (x * SIDE_PX, y * height))
            pen.text((x * SIDE_PX + 4, y * height + SIDE_PX), label, "black", font)
    return sheet


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, help="folder of the exported files")
    parser.add_argument("--output", type=Path, required=True, help="JPEG of the gallery")
    arguments = parser.parse_args()
    draw(list(rows(Painter(arguments.weights)))).save(arguments.output, quality=85)


if __name__ == "__main__":
    main()
