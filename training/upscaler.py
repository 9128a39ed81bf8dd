"""Trains dreamlet's upscaler: a small network that makes pictures four times as wide and high.

Its pictures come in pairs. The large ones are things on plain grounds and in places, and leaves of
random color, texture and outline lying over each other, which stand for everything that is no
emoji. The small ones are made smaller by different filters; a part of them the painter has painted
over, so that the upscaler sees what painted edges look like beside what they should be.

Stops after `--minutes` and goes on where it was when called again, like `train.py`.
"""

import argparse
import math
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor, nn

from captions import Thing, load_things, with_article
from dreamgrid.engines.dreamlet import WEIGHTS
from dreamgrid.engines.dreamlet import pictures as engine_pictures
from dreamgrid.engines.dreamlet.networks import Networks
from dreamgrid.engines.dreamlet.sampler import draw_noise, sample
from muon import Muon
from scene_words import PLAIN_COLORS
from scenes import SCENERY_PAINTERS, varied, vertical_gradient

SCALE = 4
LARGE_PX = 256
SMALL_PX = LARGE_PX // SCALE
PATCH_PX = 24  # of the small pictures; what one sample shows
HELD_OUT_EVERY = 20  # every 20th thing is for measuring only

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class UpscalerShape:
    """Sizes of the network: a result depends on the pixels up to `layers + 2` away."""

    channels: int = 48
    layers: int = 10


class Upscaler(nn.Module):
    """Plain convolutions at the small size, unfolded once at the end.

    What they add is added to the picture with every pixel repeated, so that the network only has
    to know what is finer than its input. There is no normalisation: each pixel depends on its
    surroundings alone, and tiles with enough of those fit together without a seam.
    """

    def __init__(self, shape: UpscalerShape) -> None:
        super().__init__()
        self.shape = shape
        layers: list[nn.Module] = [nn.Conv2d(3, shape.channels, 3, padding=1)]
        for _ in range(shape.layers):
            layers += [nn.PReLU(shape.channels), _near_identity(shape.channels)]
        layers += [nn.PReLU(shape.channels)]
        self.body = nn.Sequential(*layers)
        self.out = nn.Conv2d(shape.channels, 3 * SCALE**2, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, small: Tensor) -> Tensor:
        """small [B, 3, H, W] in -1..1 -> [B, 3, 4 H, 4 W]."""
        repeated = small.repeat_interleave(SCALE**2, dim=1)
        return functional.pixel_shuffle(self.out(self.body(small)) + repeated, SCALE)


def _near_identity(channels: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels, channels, 3, padding=1)
    with torch.no_grad():
        layer.weight.mul_(0.3)
        layer.weight[:, :, 1, 1] += torch.eye(channels)
    return layer


# ---------------------------------------------------------------------------------------------
# Large pictures


def draw_ground(source: random.Random) -> Image.Image:
    """White, a color that fades, or a place."""
    roll = source.random()
    if roll < 0.45:
        return Image.new("RGB", (LARGE_PX, LARGE_PX), "white")
    if roll < 0.75:
        color = varied(source.choice(list(PLAIN_COLORS.values())), source, 12)
        other = tuple(round(part * source.uniform(0.85, 1)) for part in color)
        picture = vertical_gradient(color, other)
    else:
        picture = source.choice(list(SCENERY_PAINTERS.values()))(source)
    return picture.resize((LARGE_PX, LARGE_PX), Image.Resampling.BICUBIC)


def draw_thing(thing: Thing, source: random.Random, *, on_white: bool = False) -> Image.Image:
    """A thing about as large as the painter paints it."""
    with Image.open(thing.picture) as opened:
        sprite = opened.convert("RGBA")
    sprite = sprite.crop(sprite.getchannel("A").getbbox())
    side = LARGE_PX * source.uniform(0.7, 0.97) / max(sprite.size)
    size = (max(1, round(sprite.width * side)), max(1, round(sprite.height * side)))
    sprite = sprite.resize(size, Image.Resampling.LANCZOS)
    ground = Image.new("RGB", (LARGE_PX, LARGE_PX), "white") if on_white else draw_ground(source)
    shift = source.randint(-6, 6), source.randint(-6, 6)
    place = (
        (LARGE_PX - size[0]) // 2 + shift[0],
        (LARGE_PX - size[1]) // 2 + shift[1],
    )
    ground.paste(sprite, place, sprite)
    return ground


def draw_leaves(source: random.Random) -> Image.Image:
    """Leaves of any size over each other: outlines, corners, stripes and grain of any color."""
    wide = LARGE_PX * 2  # drawn twice as large, so that outlines are smooth
    generator = np.random.default_rng(source.randrange(1 << 31))
    picture = Image.new("RGB", (wide, wide), varied((128, 128, 128), source, 120))
    for _ in range(source.randint(25, 110)):
        radius = min(wide / 2.5, 6 / (source.random() ** 0.8 + 0.012))
        x, y, turn = source.uniform(0, wide), source.uniform(0, wide), source.uniform(0, 7)
        corners = source.choice([2, 3, 4, 4, 5, 40])
        reach = [radius * source.uniform(0.7, 1.3) for _ in range(corners)]
        outline = [
            (
                x + reach[n] * math.cos(turn + math.tau * n / corners),
                y + reach[n] * math.sin(turn + math.tau * n / corners),
            )
            for n in range(corners)
        ]
        color = varied((128, 128, 128), source, 127)
        if corners == 2:
            ImageDraw.Draw(picture).line(outline, fill=color, width=source.randint(1, 9))
            continue
        left, top = (round(min(point[axis] for point in outline)) for axis in (0, 1))
        side = 1 + round(max(max(px - left, py - top) for px, py in outline))
        mask = Image.new("L", (side, side))
        ImageDraw.Draw(mask).polygon([(px - left, py - top) for px, py in outline], fill=255)
        picture.paste(_texture(color, side, source, generator), (left, top), mask)
    return picture.resize((LARGE_PX, LARGE_PX), Image.Resampling.LANCZOS)


def _texture(
    color: tuple[int, int, int], side: int, source: random.Random, generator: np.random.Generator
) -> Image.Image:
    levels = np.empty((side, side, 3))
    levels[:] = color
    kind = source.random()
    if kind < 0.25:
        levels += generator.normal(0, source.uniform(4, 18), (side, side, 1))
    elif kind < 0.4:
        angle, length = source.uniform(0, math.pi), source.uniform(8, 60)
        rows, columns = np.mgrid[:side, :side]
        wave = np.sin((rows * math.sin(angle) + columns * math.cos(angle)) * math.tau / length)
        levels += wave[:, :, None] * source.uniform(10, 50)
    elif kind < 0.6:
        levels += np.linspace(-1, 1, side)[:, None, None] * source.uniform(10, 90)
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


# ---------------------------------------------------------------------------------------------
# Pairs


def make_small(large: Image.Image, source: random.Random) -> Image.Image:
    """The picture at a quarter of its sides, by a filter drawn at random."""
    if source.random() < 0.3:
        large = large.filter(ImageFilter.GaussianBlur(source.uniform(0.4, 2.2)))
    how = source.choice(
        [
            Image.Resampling.BOX,
            Image.Resampling.BICUBIC,
            Image.Resampling.LANCZOS,
            Image.Resampling.LANCZOS,
            Image.Resampling.HAMMING,
        ]
    )
    return large.resize((SMALL_PX, SMALL_PX), how)


class Overpainter:
    """Lets the painter paint over small pictures, which leaves its hand and hardly moves edges."""

    def __init__(self) -> None:
        self.networks = Networks(WEIGHTS, 1)

    def paint(self, small: Image.Image, caption: str, seed: int, strength: float) -> Image.Image:
        """The picture after the last `strength` of twenty steps."""
        painted = sample(
            self.networks.paint,
            self.networks.encode(caption, ""),
            noise=draw_noise(seed, SMALL_PX, SMALL_PX),
            steps=20,
            guidance=2.0,
            start=engine_pictures.to_floats(small),
            strength=strength,
            on_prediction=lambda *_: None,
        )
        return engine_pictures.from_floats(painted)


@dataclass
class Pairs:
    """Small and large pictures, uint8 [N, side, side, 3]."""

    small: Pixels
    large: Pixels

    @classmethod
    def of(cls, pairs: Iterator[tuple[Image.Image, Image.Image]]) -> "Pairs":
        """All pairs of an iterator."""
        small, large = zip(
            *((np.asarray(one), np.asarray(other)) for one, other in pairs), strict=True
        )
        return cls(np.stack(small), np.stack(large))


def plain_pairs(
    things: list[Thing], leaves: int, seed: int
) -> Iterator[tuple[Image.Image, Image.Image]]:
    """Every thing once, and leaves."""
    source = random.Random(seed)
    for thing in things:
        large = draw_thing(thing, source)
        yield make_small(large, source), large
    for _ in range(leaves):
        large = draw_leaves(source)
        yield make_small(large, source), large


def painted_pairs(things: list[Thing], seed: int) -> Iterator[tuple[Image.Image, Image.Image]]:
    """Things on white, painted over at the small size."""
    source, painter = random.Random(seed), Overpainter()
    for thing in things:
        large = draw_thing(thing, source, on_white=source.random() < 0.7)
        small = large.resize((SMALL_PX, SMALL_PX), Image.Resampling.LANCZOS)
        caption, strength = with_article(thing.label), source.choice([0.1, 0.15, 0.2, 0.3])
        yield painter.paint(small, caption, source.randrange(1 << 30), strength), large


def build_pairs(packages: Path, run: Path) -> Pairs:
    """Everything to learn from; made once (some minutes) and kept in the run's folder."""
    file = run / "upscaler_pairs.npz"
    if not file.exists():
        things = load_things(packages)
        learned = [thing for index, thing in enumerate(things) if index % HELD_OUT_EVERY]
        known = [thing for thing in learned if thing.is_popular]
        pairs = Pairs.of(
            pair
            for part in (
                plain_pairs(learned * 2, leaves=600, seed=1),
                painted_pairs(known, seed=2),
            )
            for pair in part
        )
        np.savez(file, small=pairs.small, large=pairs.large)
    with np.load(file) as kept:
        return Pairs(kept["small"], kept["large"])


def draw_batch(pairs: Pairs, size: int, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Patches of random pairs, mirrored and turned at random: [B, 3, 24, 24] and [B, 3, 96, 96]."""
    small, large = [], []
    for index in generator.integers(len(pairs.small), size=size):
        y, x = generator.integers(SMALL_PX - PATCH_PX + 1, size=2)
        turn, mirror = int(generator.integers(4)), bool(generator.integers(2))
        for kept, picture, factor in (
            (small, pairs.small[index], 1),
            (large, pairs.large[index], SCALE),
        ):
            patch = picture[
                y * factor : (y + PATCH_PX) * factor, x * factor : (x + PATCH_PX) * factor
            ]
            patch = np.rot90(patch, turn)
            kept.append(patch[:, ::-1] if mirror else patch)
    return to_batch(small), to_batch(large)


def to_batch(pictures: list[Pixels]) -> Tensor:
    """uint8 [H, W, 3] to float32 [B, 3, H, W] in -1..1."""
    stacked = torch.from_numpy(np.ascontiguousarray(np.stack(pictures))).permute(0, 3, 1, 2)
    return stacked.contiguous(memory_format=torch.channels_last).float() / 127.5 - 1


# ---------------------------------------------------------------------------------------------
# Training


def outline_loss(made: Tensor, right: Tensor) -> Tensor:
    """Mean error of the pixels, and of the steps from each to its neighbours, which are edges."""
    margin = SCALE * 3  # what lies outside the patch is unknown there
    error = (made - right)[:, :, margin:-margin, margin:-margin]
    across, down = error.diff(dim=3), error.diff(dim=2)
    smooth = (error.square() + 1e-5).sqrt().mean()
    return smooth + 0.5 * (across.abs().mean() + down.abs().mean())


class UpscalerTrainer:
    """The state of a run: network, its moving average, optimisers, time used."""

    def __init__(self, shape: UpscalerShape, peak_rate: float) -> None:
        self.network = Upscaler(shape).to(memory_format=torch.channels_last)
        self.average = Upscaler(shape)
        self.average.load_state_dict(self.network.state_dict())
        hidden = [layer.weight for layer in self.network.body[1:] if isinstance(layer, nn.Conv2d)]
        inside = {id(weight) for weight in hidden}
        others = [weight for weight in self.network.parameters() if id(weight) not in inside]
        self.optimizers = [
            Muon(hidden, peak_rate, weight_decay=0.0),
            torch.optim.AdamW(others, peak_rate, betas=(0.9, 0.99), weight_decay=0.0),
        ]
        self.peak_rate, self.steps, self.seconds = peak_rate, 0, 0.0

    def step(self, small: Tensor, large: Tensor, progress: float) -> float:
        """One update at the given share (0..1) of the schedule; returns the loss."""
        decay = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.peak_rate * min(1.0, (self.steps + 1) / 100) * (decay + 0.01)
        loss = outline_loss(self.network(small), large)
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        keep = min(0.995, (self.steps + 1) / (self.steps + 20))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.average.parameters()), list(self.network.parameters()), 1 - keep
            )
        self.steps += 1
        return loss.item()

    def save(self, path: Path) -> None:
        """Writes a checkpoint; a crash while writing leaves the old one."""
        partial = path.with_suffix(".partial")
        torch.save(
            {
                "shape": self.network.shape.__dict__,
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                "counters": (self.steps, self.seconds),
            },
            partial,
        )
        os.replace(partial, path)

    def load(self, path: Path) -> None:
        """Continues from a checkpoint."""
        saved = torch.load(path, weights_only=True)
        self.network.load_state_dict(saved["network"])
        self.average.load_state_dict(saved["average"])
        if "optimizers" not in saved:  # made by from_weights.py
            return
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.steps, self.seconds = saved["counters"]


def load_upscaler(path: Path) -> Upscaler:
    """The averaged upscaler of a checkpoint."""
    saved = torch.load(path, weights_only=True)
    upscaler = Upscaler(UpscalerShape(**saved["shape"]))
    upscaler.load_state_dict(saved["average"])
    return upscaler.eval()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packages", type=Path, required=True, help="a node_modules folder")
    parser.add_argument("--run", type=Path, required=True, help="folder for the results")
    parser.add_argument("--minutes", type=float, default=10, help="stop after this long")
    parser.add_argument("--total-minutes", type=float, default=40, help="length of the schedule")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="at the peak")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help="faster after a minute")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    arguments.run.mkdir(parents=True, exist_ok=True)
    trainer = UpscalerTrainer(UpscalerShape(), arguments.learning_rate)
    checkpoint = arguments.run / "upscaler.pt"
    if checkpoint.exists():
        trainer.load(checkpoint)
    parameters = sum(weight.numel() for weight in trainer.network.parameters())
    print(f"{parameters / 1e6:.2f} M parameters, from step {trainer.steps}", flush=True)
    pairs = build_pairs(arguments.packages, arguments.run)
    print(f"{len(pairs.small)} pairs", flush=True)
    if arguments.compile:
        trainer.network.compile()
    generator = np.random.default_rng(1 + trainer.steps)
    started, used_before, losses = time.monotonic(), trainer.seconds, []
    saved_at, done = started, False
    while not done:
        batch = draw_batch(pairs, arguments.batch_size, generator)
        losses.append(trainer.step(*batch, trainer.seconds / (arguments.total_minutes * 60)))
        now = time.monotonic()
        trainer.seconds = used_before + now - started
        if trainer.steps % 200 == 0:
            mean = sum(losses) / len(losses)
            print(f"step {trainer.steps}, {trainer.seconds:.0f} s, loss {mean:.4f}", flush=True)
            losses.clear()
        done = now - started >= arguments.minutes * 60
        done = done or trainer.seconds >= arguments.total_minutes * 60
        if done or now - saved_at >= 120:
            trainer.save(checkpoint)
            saved_at = now


if __name__ == "__main__":
    main()
