"""Captioned training pictures, composed anew for every batch.

A *sprite* is one thing on a transparent ground, a *background* one procedural scenery; both are
rendered once into banks. A picture is then a background window with one or two sprites on it, in
any place, size and tint, and its caption says what is there. Everything is a handful of batched
torch operations, so that training never waits for pictures.
"""

import argparse
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from PIL import Image, ImageDraw
from torch import Tensor

from captions import EMPHASES, Emphasis, Thing, draw_caption, draw_name, load_things, with_article
from scene_words import COLOR_NAMES, PLAIN_COLORS, SCENERY_PHRASES, TINT_HUES

SPRITE_SIZES_PX = (64, 36)  # two levels, so that a small sprite is not aliased
BACKGROUND_SIZE_PX = 96
CANVAS_PX = 64
WIDE_CANVASES_PX = ((64, 96), (96, 64))  # height, width

Color = tuple[int, int, int]


# ---------------------------------------------------------------------------------------------
# Sceneries. Each draws one random 96 x 96 picture with Pillow.

SIZE = BACKGROUND_SIZE_PX


def vertical_gradient(top: Color, bottom: Color) -> Image.Image:
    """A picture that fades from `top` to `bottom`."""
    weight = np.linspace(0, 1, SIZE)[:, None, None]
    rows = np.array(top) * (1 - weight) + np.array(bottom) * weight
    return Image.fromarray(rows.repeat(SIZE, axis=1).clip(0, 255).astype(np.uint8))


def with_ground(
    picture: Image.Image, source: random.Random, horizon: float, color: Color, roughness: float
) -> Image.Image:
    """Fills everything below a (rough) horizon, given as a share of the height."""
    points = [
        (x, SIZE * horizon + source.uniform(-roughness, roughness)) for x in range(0, SIZE + 12, 12)
    ]
    ImageDraw.Draw(picture).polygon([(0, SIZE), *points, (SIZE + 12, SIZE)], fill=color)
    return picture


def with_texture(picture: Image.Image, source: random.Random, strength: int) -> Image.Image:
    """Adds soft blotches of brightness."""
    generator = np.random.default_rng(source.randrange(1 << 31))
    coarse = Image.fromarray(generator.integers(0, 255, (14, 14)).astype(np.uint8))
    blotches = np.asarray(coarse.resize(picture.size, Image.Resampling.BICUBIC)).astype(np.int16)
    textured = np.asarray(picture).astype(np.int16) + (blotches[..., None] - 128) * strength // 128
    return Image.fromarray(textured.clip(0, 255).astype(np.uint8))


def varied(color: Color, source: random.Random, spread: int = 14) -> Color:
    """The color, a little different each time."""
    red, green, blue = (max(0, min(255, part + source.randint(-spread, spread))) for part in color)
    return red, green, blue


def day_sky(source: random.Random) -> Image.Image:
    return vertical_gradient(varied((120, 180, 245), source), varied((215, 235, 255), source))


def draw_beach(source: random.Random) -> Image.Image:
    horizon = source.uniform(0.4, 0.5)
    picture = with_ground(day_sky(source), source, horizon, varied((55, 145, 205), source), 0.5)
    sand = varied((238, 214, 160), source)
    return with_texture(with_ground(picture, source, horizon + 0.16, sand, 2), source, 12)


def draw_sea(source: random.Random) -> Image.Image:
    horizon = source.uniform(0.4, 0.55)
    picture = with_ground(day_sky(source), source, horizon, varied((40, 110, 180), source), 1)
    draw = ImageDraw.Draw(picture)
    for _ in range(24):
        x, y = source.uniform(0, SIZE), source.uniform(SIZE * horizon, SIZE)
        draw.line([x, y, x + source.uniform(4, 14), y], fill=(110, 170, 220))
    return with_texture(picture, source, 12)


def draw_underwater(source: random.Random) -> Image.Image:
    picture = vertical_gradient(varied((60, 170, 220), source), varied((5, 50, 110), source))
    draw = ImageDraw.Draw(picture)
    for _ in range(14):
        x, y, r = source.uniform(0, SIZE), source.uniform(0, SIZE), source.uniform(1, 3)
        draw.ellipse([x - r, y - r, x + r, y + r], outline=(190, 230, 250))
    return with_texture(picture, source, 20)


def draw_meadow(source: random.Random) -> Image.Image:
    green = varied((110, 185, 80), source)
    picture = with_ground(day_sky(source), source, source.uniform(0.45, 0.6), green, 3)
    draw = ImageDraw.Draw(picture)
    for _ in range(30):
        x, y = source.uniform(0, SIZE), source.uniform(SIZE * 0.65, SIZE)
        draw.line([x, y, x, y - 3], fill=varied((80, 160, 60), source))
    return with_texture(picture, source, 16)


def draw_forest(source: random.Random) -> Image.Image:
    picture = with_ground(day_sky(source), source, 0.62, varied((75, 120, 60), source), 3)
    draw = ImageDraw.Draw(picture)
    for _ in range(14):
        x, height = source.uniform(0, SIZE), source.uniform(28, 56)
        green = (source.randint(20, 60), source.randint(80, 125), source.randint(40, 60))
        draw.polygon([(x, 64 - height), (x - 10, 66), (x + 10, 66)], fill=green)
    return with_texture(picture, source, 12)


def draw_night(source: random.Random) -> Image.Image:
    sky = vertical_gradient(varied((10, 14, 50), source, 8), varied((40, 40, 100), source))
    picture = with_ground(sky, source, source.uniform(0.68, 0.78), (25, 30, 45), 3)
    draw = ImageDraw.Draw(picture)
    for _ in range(32):
        x, y, r = source.uniform(0, SIZE), source.uniform(0, 62), source.uniform(0.3, 0.8)
        draw.ellipse([x - r, y - r, x + r, y + r], fill=(255, 255, 220))
    return picture


def draw_space(source: random.Random) -> Image.Image:
    picture = vertical_gradient((5, 5, 20), varied((20, 8, 40), source, 8))
    draw = ImageDraw.Draw(picture)
    for _ in range(56):
        x, y, r = source.uniform(0, SIZE), source.uniform(0, SIZE), source.uniform(0.3, 1.1)
        draw.ellipse([x - r, y - r, x + r, y + r], fill=(255, 255, 255))
    return with_texture(picture, source, 30)


def draw_sunset(source: random.Random) -> Image.Image:
    picture = vertical_gradient(varied((250, 115, 70), source), varied((255, 205, 125), source))
    x = source.uniform(25, 71)
    ImageDraw.Draw(picture).ellipse([x - 13, 38, x + 13, 64], fill=(255, 235, 150))
    return with_ground(picture, source, 0.65, varied((110, 60, 65), source), 2)


def draw_desert(source: random.Random) -> Image.Image:
    sand = varied((225, 180, 110), source)
    return with_texture(with_ground(day_sky(source), source, 0.58, sand, 6), source, 12)


def draw_snow(source: random.Random) -> Image.Image:
    sky = vertical_gradient(varied((175, 200, 228), source), (225, 235, 245))
    picture = with_ground(sky, source, source.uniform(0.5, 0.62), (248, 250, 255), 3)
    draw = ImageDraw.Draw(picture)
    for _ in range(30):
        x, y = source.uniform(0, SIZE), source.uniform(0, SIZE)
        draw.ellipse([x - 0.8, y - 0.8, x + 0.8, y + 0.8], fill=(255, 255, 255))
    return picture


def draw_city(source: random.Random) -> Image.Image:
    picture = with_ground(day_sky(source), source, 0.73, (120, 120, 125), 0)
    draw, x = ImageDraw.Draw(picture), 0.0
    while x < SIZE:
        width, height, grey = source.uniform(9, 18), source.uniform(22, 58), source.randint(90, 175)
        draw.rectangle([x, 70 - height, x + width, 70], fill=(grey, grey, grey + 15))
        for y in range(int(70 - height) + 3, 66, 5):
            draw.rectangle([x + 3, y, x + width - 3, y + 1], fill=(grey + 45, grey + 45, grey + 30))
        x += width + 1
    return picture


def draw_mountains(source: random.Random) -> Image.Image:
    picture = day_sky(source)
    draw = ImageDraw.Draw(picture)
    for _ in range(4):
        x, height = source.uniform(0, SIZE), source.uniform(32, 58)
        top = 70 - height
        rock = varied((120, 130, 150), source)
        draw.polygon([(x, top), (x - 32, 70), (x + 32, 70)], fill=rock)
        draw.polygon([(x, top), (x - 8, top + 13), (x + 8, top + 13)], fill=(250, 250, 255))
    return with_ground(picture, source, 0.7, varied((110, 160, 90), source), 2)


def draw_room(source: random.Random) -> Image.Image:
    wall = vertical_gradient(varied((235, 215, 190), source), varied((225, 200, 175), source))
    picture = with_ground(
        wall, source, source.uniform(0.66, 0.76), varied((165, 115, 75), source), 0
    )
    x = source.choice([source.uniform(4, 22), source.uniform(60, 74)])
    ImageDraw.Draw(picture).rectangle(
        [x, 12, x + 20, 36], fill=(190, 225, 250), outline=(250, 250, 250), width=2
    )
    return with_texture(picture, source, 8)


def draw_road(source: random.Random) -> Image.Image:
    picture = with_ground(day_sky(source), source, 0.55, varied((110, 170, 90), source), 2)
    picture = with_ground(picture, source, 0.67, varied((90, 90, 95), source, 8), 0)
    draw = ImageDraw.Draw(picture)
    for x in range(source.randint(-10, 0), SIZE, 20):
        draw.rectangle([x, 84, x + 10, 86], fill=(245, 245, 240))
    return picture


def draw_clouds(source: random.Random) -> Image.Image:
    picture = day_sky(source)
    draw = ImageDraw.Draw(picture)
    for _ in range(5):
        x, y = source.uniform(0, SIZE), source.uniform(8, SIZE - 8)
        for _ in range(6):
            dx, dy, r = source.uniform(-12, 12), source.uniform(-3, 3), source.uniform(4, 8)
            draw.ellipse([x + dx - r, y + dy - r, x + dx + r, y + dy + r], fill=(252, 253, 255))
    return picture


def draw_fire(source: random.Random) -> Image.Image:
    picture = vertical_gradient(varied((90, 20, 10), source), varied((220, 80, 20), source))
    draw = ImageDraw.Draw(picture)
    for color in ((235, 90, 25), (250, 150, 40), (255, 215, 90)):
        reach = {90: 70, 150: 50, 215: 28}[color[1]]
        for x in range(-6, SIZE + 6, 9):
            tip = SIZE - source.uniform(reach * 0.5, reach)
            draw.polygon([(x, SIZE), (x + source.uniform(2, 10), tip), (x + 13, SIZE)], fill=color)
    return with_texture(picture, source, 16)


SCENERY_PAINTERS: dict[str, Callable[[random.Random], Image.Image]] = {
    "beach": draw_beach,
    "sea": draw_sea,
    "underwater": draw_underwater,
    "meadow": draw_meadow,
    "forest": draw_forest,
    "night": draw_night,
    "space": draw_space,
    "sunset": draw_sunset,
    "desert": draw_desert,
    "snow": draw_snow,
    "city": draw_city,
    "mountains": draw_mountains,
    "room": draw_room,
    "road": draw_road,
    "sky": draw_clouds,
    "fire": draw_fire,
}


# ---------------------------------------------------------------------------------------------
# Banks


@dataclass(frozen=True)
class Banks:
    """Everything that pictures are composed of, as uint8 tensors."""

    things: list[Thing]
    sprites: dict[int, Tensor]  # size in px -> [things, 4, size, size], premultiplied RGBA
    backgrounds: dict[str, Tensor]  # scenery -> [variants, 3, 96, 96]


def read_sprite(file: Path, size_px: int) -> np.ndarray:
    """A picture as premultiplied RGBA, uint8 [4, size, size], its drawn part filling the square."""
    with Image.open(file) as opened:
        picture = opened.convert("RGBA")
    picture = picture.crop(picture.getchannel("A").getbbox())
    side = max(picture.size)
    square = Image.new("RGBA", (side, side))
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    # "RGBa" is Pillow's premultiplied mode: resizing it leaves no dark or light fringe.
    small = square.convert("RGBa").resize((size_px, size_px), Image.Resampling.LANCZOS)
    return np.frombuffer(small.tobytes(), np.uint8).reshape(size_px, size_px, 4).transpose(2, 0, 1)


def build_banks(packages: Path, variants: int = 48, seed: int = 1) -> Banks:
    """Reads all sprites and draws `variants` of every scenery; some ten seconds."""
    things = load_things(packages)
    sprites = {
        size: torch.from_numpy(np.stack([read_sprite(thing.picture, size) for thing in things]))
        for size in SPRITE_SIZES_PX
    }
    source = random.Random(seed)
    backgrounds = {
        name: torch.from_numpy(
            np.stack([np.asarray(paint(source)).transpose(2, 0, 1) for _ in range(variants)])
        )
        for name, paint in SCENERY_PAINTERS.items()
    }
    return Banks(things, sprites, backgrounds)


# ---------------------------------------------------------------------------------------------
# Composition


@dataclass
class SpritePlan:
    """Where one sprite goes. Centers and size are shares of the shorter canvas side."""

    thing: int
    center_x: float  # from the canvas center
    center_y: float
    size: float
    flipped: bool
    tint: str  # a color name or ""


@dataclass
class PicturePlan:
    """One picture before it is drawn, and its caption."""

    caption: str
    scenery: str  # a scenery, a plain color, or "white"
    sprites: list[SpritePlan]


def tint(sprites: Tensor, colors: list[str]) -> Tensor:
    """Gives premultiplied RGBA sprites [B, 4, H, W] (0..1) the hue of the named colors."""
    rgb, alpha = sprites[:, :3], sprites[:, 3:]
    value = rgb.amax(1, keepdim=True)
    chroma = value - rgb.amin(1, keepdim=True)
    saturation = chroma / value.clamp(min=1e-3)
    tinted = []
    for index, color in enumerate(colors):
        if not color:
            tinted.append(rgb[index])
        elif color in TINT_HUES:
            # HSV to RGB for full saturation and value, per channel.
            offsets = torch.tensor([0.0, 4.0, 2.0])
            wheel = ((TINT_HUES[color] * 6 + offsets) % 6 - 3).abs() - 1
            pure = wheel.clamp(0, 1)[:, None, None]
            strength = (saturation[index] * 0.5 + 0.45).clamp(max=1)
            tinted.append(value[index] * (1 - strength * (1 - pure)))
        else:
            grey = rgb[index].mean(0, keepdim=True).expand(3, -1, -1)
            gain, lift = {"black": (0.35, 0.0), "white": (0.35, 0.65), "grey": (0.7, 0.1)}[color]
            tinted.append(grey * gain + alpha[index] * lift)
    return torch.cat([torch.stack(tinted), alpha], dim=1)


class Composer:
    """Draws plans and pictures at random; owns its random state.

    Args:
        banks: Sprites and backgrounds.
        seed: Of all that it draws.
        emphasis: What is shown how often.
    """

    def __init__(self, banks: Banks, seed: int, emphasis: Emphasis = EMPHASES["broad"]) -> None:
        self.banks = banks
        self.random = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.weights = [emphasis.weight_of(thing) for thing in banks.things]
        self.plain_share, self.tint_share = emphasis.plain_share, emphasis.tint_share

    def plan(self, height_px: int = CANVAS_PX, width_px: int = CANVAS_PX) -> PicturePlan:
        """Decides what one picture shows: one thing on a plain ground, or a scene."""
        source = self.random
        if source.random() < self.plain_share:
            return self._plan_plain()
        return self._plan_scene(width_px / min(height_px, width_px))

    def _plan_plain(self) -> PicturePlan:
        source = self.random
        thing = self._draw_thing()
        # White things are left to the scenes: on a white ground they would vanish.
        color = (
            source.choice([*TINT_HUES, "black", "grey"])
            if source.random() < self.tint_share
            else ""
        )
        caption = draw_caption(self.banks.things[thing], source, color)
        scenery = "white"
        if source.random() < 0.2:
            scenery = source.choice(list(PLAIN_COLORS))
            phrase = source.choice(
                ["on a {} background", "{} background", "on {}", "in front of {}"]
            )
            caption += source.choice([" ", ", "]) + phrase.format(scenery)
        elif source.random() < 0.1:
            caption += source.choice([" on a white background", ", white background", ", isolated"])
        shift = 0.03
        sprite = SpritePlan(
            thing,
            source.uniform(-shift, shift),
            source.uniform(-shift, shift),
            source.uniform(0.78, 0.97),
            self._flips(thing),
            color,
        )
        return PicturePlan(caption, scenery, [sprite])

    def _plan_scene(self, relative_width: float) -> PicturePlan:
        source = self.random
        scenery = source.choice(list(SCENERY_PHRASES))
        phrase = source.choice(SCENERY_PHRASES[scenery])
        count = 1 if source.random() < 0.72 else 2
        if count == 2 and source.random() < 0.4:
            scenery, phrase = "white", ""
        sprites, names = [], []
        for position in range(count):
            thing = self._draw_thing()
            color = source.choice(COLOR_NAMES) if source.random() < 0.15 else ""
            name = draw_name(self.banks.things[thing], source)
            name = f"{color} {name}" if color else name
            names.append(with_article(name) if source.random() < 0.7 else name)
            if count == 1:
                size = source.uniform(0.55, 0.85)
                center_x = source.uniform(-0.1, 0.1) * relative_width
            else:
                size = source.uniform(0.42, 0.54)
                center_x = (position - 0.5) * 0.5 * relative_width + source.uniform(-0.03, 0.03)
            center_y = source.uniform(0.0, 0.14)
            sprites.append(SpritePlan(thing, center_x, center_y, size, self._flips(thing), color))
        joined = source.choice([" and ", " and ", ", ", " next to "]).join(names)
        return PicturePlan(f"{joined} {phrase}".strip(), scenery, sprites)

    def _draw_thing(self) -> int:
        return self.random.choices(range(len(self.banks.things)), self.weights)[0]

    def _flips(self, thing: int) -> bool:
        # Letters, clocks and maps are wrong when mirrored; living things and food never are.
        return self.banks.things[thing].group in (1, 3, 4) and self.random.random() < 0.3

    @torch.no_grad()
    def draw(self, plans: list[PicturePlan], height_px: int, width_px: int) -> Tensor:
        """Draws the plans: float32 [B, 3, height, width] in -1..1."""
        canvas = self._draw_backgrounds(plans, height_px, width_px)
        for layer in range(2):
            chosen = [index for index, plan in enumerate(plans) if len(plan.sprites) > layer]
            if chosen:
                sprites = [plans[index].sprites[layer] for index in chosen]
                drawn = self._draw_sprites(sprites, height_px, width_px)
                canvas[chosen] = canvas[chosen] * (1 - drawn[:, 3:]) + drawn[:, :3]
        return canvas.clamp(0, 1) * 2 - 1

    def _draw_backgrounds(self, plans: list[PicturePlan], height_px: int, width_px: int) -> Tensor:
        source, longest = self.random, max(height_px, width_px)
        windows, transforms, indices = [], [], []
        canvas = torch.ones(len(plans), 3, height_px, width_px)
        for index, plan in enumerate(plans):
            if plan.scenery in SCENERY_PHRASES:
                bank = self.banks.backgrounds[plan.scenery]
                windows.append(bank[source.randrange(len(bank))])
                zoom = source.uniform(0.8, 1.0)
                scale_x, scale_y = zoom * width_px / longest, zoom * height_px / longest
                mirror = source.choice([-1.0, 1.0])
                shift_x = source.uniform(-1, 1) * (1 - scale_x)
                shift_y = source.uniform(-0.5, 0.5) * (1 - scale_y)
                transforms.append([[mirror * scale_x, 0, shift_x], [0, scale_y, shift_y]])
                indices.append(index)
            elif plan.scenery in PLAIN_COLORS:
                color = torch.tensor(varied(PLAIN_COLORS[plan.scenery], source, 10)) / 255
                shade = torch.linspace(1.0, source.uniform(0.88, 1.0), height_px)
                canvas[index] = color[:, None, None] * shade[None, :, None]
        if windows:
            theta = torch.tensor(transforms)
            grid = functional.affine_grid(
                theta, [len(windows), 3, height_px, width_px], align_corners=False
            )
            canvas[indices] = functional.grid_sample(
                torch.stack(windows).float() / 255, grid, align_corners=False, padding_mode="border"
            )
        return canvas

    def _draw_sprites(self, sprites: list[SpritePlan], height_px: int, width_px: int) -> Tensor:
        shortest = min(height_px, width_px)
        drawn = torch.zeros(len(sprites), 4, height_px, width_px)
        for level in SPRITE_SIZES_PX:
            small = level == min(SPRITE_SIZES_PX)
            chosen = [
                index
                for index, sprite in enumerate(sprites)
                if (sprite.size * shortest <= min(SPRITE_SIZES_PX)) == small
            ]
            if not chosen:
                continue
            picked = [sprites[index] for index in chosen]
            pictures = self.banks.sprites[level][[sprite.thing for sprite in picked]].float() / 255
            if any(sprite.tint for sprite in picked):
                pictures = tint(pictures, [sprite.tint for sprite in picked])
            # The grid maps canvas coordinates (-1..1) to sprite coordinates (-1..1).
            transforms = []
            for sprite in picked:
                stretch_x = width_px / (sprite.size * shortest)
                stretch_y = height_px / (sprite.size * shortest)
                mirror = -1.0 if sprite.flipped else 1.0
                shift_x = -2 * sprite.center_x / sprite.size
                shift_y = -2 * sprite.center_y / sprite.size
                transforms.append(
                    [[mirror * stretch_x, 0, mirror * shift_x], [0, stretch_y, shift_y]]
                )
            grid = functional.affine_grid(
                torch.tensor(transforms), [len(picked), 4, height_px, width_px], align_corners=False
            )
            drawn[chosen] = functional.grid_sample(pictures, grid, align_corners=False)
        return drawn


def compose_batches(
    composer: Composer, batch_size: int, wide_share: float
) -> Iterator[tuple[Tensor, list[str]]]:
    """Endless batches of pictures and captions; a share of the batches is 3:2 or 2:3."""
    while True:
        height_px = width_px = CANVAS_PX
        if composer.random.random() < wide_share:
            height_px, width_px = composer.random.choice(WIDE_CANVASES_PX)
        plans = [composer.plan(height_px, width_px) for _ in range(batch_size)]
        yield composer.draw(plans, height_px, width_px), [plan.caption for plan in plans]


def to_picture(pixels: Tensor) -> Image.Image:
    """[3, H, W] in -1..1 as a Pillow picture."""
    rounded = ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(rounded.permute(1, 2, 0).numpy())


def make_grid(pictures: list[Image.Image], columns: int, enlarge: int = 2) -> Image.Image:
    """Pictures of one size side by side with thin white gaps."""
    width, height = pictures[0].width * enlarge, pictures[0].height * enlarge
    rows = -(-len(pictures) // columns)
    grid = Image.new("RGB", (columns * (width + 2), rows * (height + 2)), "white")
    for index, picture in enumerate(pictures):
        enlarged = picture.resize((width, height), Image.Resampling.BICUBIC)
        grid.paste(enlarged, (index % columns * (width + 2), index // columns * (height + 2)))
    return grid


def main() -> None:
    """Writes a grid of composed pictures and prints their captions, to judge them by eye."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packages", type=Path, required=True, help="a node_modules folder")
    parser.add_argument("--output", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--count", type=int, default=96)
    arguments = parser.parse_args()
    composer = Composer(build_banks(arguments.packages, variants=8), seed=0)
    pictures, captions = next(compose_batches(composer, arguments.count, 0.0))
    make_grid([to_picture(pixels) for pixels in pictures], columns=12).save(arguments.output)
    print("\n".join(captions))


if __name__ == "__main__":
    main()
