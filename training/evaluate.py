"""Measures dreamlet's exported weights with the very engine that workers run.

`grid` writes pictures of fixed prompts with fixed seeds, failures included. `accuracy` compares
what the engine paints with composed pictures. `speed` times the engine.
"""

import argparse
import io
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import torch
import torch.nn.functional as functional
from PIL import Image
from torch import Tensor

from captions import Thing, with_article
from dreamgrid.engines.dreamlet import ENHANCER, MODEL, UPSCALER
from dreamgrid.engines.dreamlet.engine import DreamletEngine
from dreamgrid.engines.dreamlet.pictures import to_floats
from dreamgrid.protocol.params import STARTING_IMAGE
from dreamgrid.protocol.renders import ImageRender
from scene_words import PLAIN_COLORS, SCENERY_PHRASES, TINT_HUES
from scenes import CANVAS_PX, Banks, Composer, PicturePlan, SpritePlan, build_banks, make_grid
from unseen_words import UNSEEN_WORDS

STEPS, GUIDANCE = 20, 3.0
PLACES = ("white", *PLAIN_COLORS, *SCENERY_PHRASES)
Paint = Callable[[str, int], Tensor]  # prompt and seed to a picture in -1..1
GROUP_NAMES = {
    0: "faces and hearts", 1: "people", 3: "animals and plants", 4: "food", 5: "travel and weather",
    6: "activities", 7: "objects", 8: "symbols",
}  # fmt: skip

GRID_PROMPTS = (
    # things alone
    "a red apple", "a banana", "a strawberry", "a hamburger", "a slice of pizza", "sushi",
    "a cupcake", "a cup of coffee", "a cat", "a dog", "a tiger", "an elephant",
    "an octopus", "a butterfly", "a penguin", "a rose", "a sunflower", "a cactus",
    "a palm tree", "a rocket", "a police car", "a sailboat", "a castle", "a house",
    "the full moon", "a rainbow", "a guitar", "a camera", "a robot", "a ghost",
    "an astronaut", "a wizard", "a red heart", "a crown", "a soccer ball", "a teddy bear",
    # colors
    "a blue rabbit", "a green car", "a purple cat", "a yellow elephant", "a pink dragon",
    "a black horse",
    # places
    "a cat on a blue background", "a penguin in the snow", "a taxi in the city",
    "a sailboat on the sea", "a rocket in space", "a fox in the forest",
    "a camel in the desert", "a dog on the beach", "an owl at night", "a cow in a meadow",
    "a fish under water", "a dragon in flames",
    # two things
    "a dog and a cat", "a banana and a rose", "an apple next to a pear",
    "a pizza and a beer", "a car and a bicycle on the road", "a tree and a house in the snow",
    # words that never stood in a caption, and prompts beyond its reach
    "a puppy playing in the garden", "citrus fruit", "spaceship to mars",
    "a delicious dessert", "a scary monster", "a portrait of an old king",
)  # fmt: skip


def render(
    engine: DreamletEngine,
    prompt: str,
    seed: int,
    inputs: Mapping[str, bytes] = MappingProxyType({}),
    **settings: object,
) -> Image.Image:
    """One picture, at the size the network paints unless the settings say another."""
    values = {
        "model": MODEL, "prompt": prompt, "width": CANVAS_PX, "height": CANVAS_PX,
        "steps": STEPS, "guidance": GUIDANCE, "seed": seed,
    }  # fmt: skip
    artifact = engine.generate(ImageRender(**(values | settings)), inputs, lambda _: None)
    return Image.open(io.BytesIO(artifact.data))


def describe(pictures: Tensor) -> Tensor:
    """[B, 3, 64, 64] in -1..1 to unit vectors of 16 x 16 colors; a white ground counts nothing."""
    colors = functional.avg_pool2d(pictures - 1, 4).flatten(1)
    return functional.normalize(colors, dim=1)


def describe_border(pictures: Tensor) -> Tensor:
    """The colors of the outermost eight pixels, averaged over 4 x 4."""
    colors = functional.avg_pool2d(pictures, 4)
    inside = torch.zeros(16, 16, dtype=torch.bool)
    inside[2:-2, 2:-2] = True
    return colors[:, :, ~inside].flatten(1)


class Judge:
    """Says what a picture shows by the most similar composed picture; learns nothing itself.

    Simple on purpose: whatever it recognises resembles the right picture cell by cell, and its own
    share of errors on fresh composed pictures is printed beside every result.
    """

    def __init__(self, banks: Banks) -> None:
        self.composer = Composer(banks, seed=1000)
        self.things = banks.things
        views = [
            SpritePlan(0, 0.0, 0.0, size, flipped, "")
            for size in (0.78, 0.87, 0.96)
            for flipped in (False, True)
        ]
        every_thing = range(len(self.things))
        self.views = torch.stack(
            [
                describe(self._alone([replace(view, thing=index) for index in every_thing]))
                for view in views
            ]
        )
        self.borders: list[Tensor] = []
        for place in PLACES:
            plans = [PicturePlan("", place, []) for _ in range(60)]
            self.borders.append(describe_border(self.composer.draw(plans, CANVAS_PX, CANVAS_PX)))

    def _alone(self, sprites: list[SpritePlan]) -> Tensor:
        plans = [PicturePlan("", "white", [sprite]) for sprite in sprites]
        return self.composer.draw(plans, CANVAS_PX, CANVAS_PX)

    def rank_things(self, picture: Tensor) -> list[int]:
        """Things from most to least similar; for a picture on white."""
        similarity = (self.views @ describe(picture[None])[0]).amax(0)
        return similarity.argsort(descending=True).tolist()

    def rank_places(self, picture: Tensor) -> list[str]:
        """Places from most to least similar, by the border."""
        border = describe_border(picture[None])
        distances = [torch.cdist(border, known).min().item() for known in self.borders]
        return [place for _, place in sorted(zip(distances, PLACES, strict=True))]

    def rank_tints(self, picture: Tensor, thing: int) -> list[str]:
        """Colors from most to least likely for a known thing on white."""
        tinted = self._alone([SpritePlan(thing, 0, 0, 0.87, False, color) for color in TINT_HUES])
        known = [mean_color(one) for one in tinted]
        distances = [(mean_color(picture) - color).norm().item() for color in known]
        return [color for _, color in sorted(zip(distances, TINT_HUES, strict=True))]


def mean_color(picture: Tensor) -> Tensor:
    """Mean color [3] of what is not white in a picture [3, H, W]."""
    drawn = picture.amin(0) < 0.6
    return picture[:, drawn].mean(1) if drawn.any() else torch.ones(3)


def right_things(things: Sequence[Thing], name: str) -> set[int]:
    """Things that a name fits: several pictures may be called "a cat" or "a heart"."""
    return {index for index, thing in enumerate(things) if name in (*thing.names, *thing.keywords)}


class Hits:
    """Counts per name how often the first, and one of the first five answers, was right."""

    def __init__(self) -> None:
        self._results: defaultdict[str, list[tuple[bool, bool]]] = defaultdict(list)

    def note(self, name: str, ranked: Sequence[object], right: Collection[object]) -> None:
        """One more answer of the judge."""
        among_five = any(one in right for one in ranked[:5])
        self._results[name].append((ranked[0] in right, among_five))

    def print(self) -> None:
        """Rows of a Markdown table: name, count, right at once, among the first five."""
        for name, results in self._results.items():
            first, five = (sum(column) / len(results) for column in zip(*results, strict=True))
            print(f"| {name} | {len(results)} | {first:.0%} | {five:.0%} |")


def examine_judge(judge: Judge, hits: Hits, source: random.Random) -> None:
    """Asks the judge about fresh composed pictures, whose answers are known."""
    composer = Composer(judge.composer.banks, seed=2000)

    def compose(thing: int, place: str, height: float, size: float) -> Tensor:
        plan = PicturePlan("", place, [SpritePlan(thing, 0.02, height, size, False, "")])
        return composer.draw([plan], CANVAS_PX, CANVAS_PX)[0]

    for index in source.sample(range(len(judge.things)), 300):
        picture = compose(index, "white", -0.02, source.uniform(0.78, 0.96))
        right = right_things(judge.things, judge.things[index].label) | {index}
        hits.note("the judge itself, things", judge.rank_things(picture), right)
    for place in PLACES * 6:
        picture = compose(source.randrange(len(judge.things)), place, 0.07, 0.7)
        hits.note("the judge itself, grounds", judge.rank_places(picture), [place])


def measure_things(judge: Judge, hits: Hits, paint: Paint, chosen: Sequence[int]) -> None:
    """Paints things alone by their labels."""
    for seed, index in enumerate(chosen):
        thing = judge.things[index]
        ranked = judge.rank_things(paint(with_article(thing.label), seed))
        right = right_things(judge.things, thing.label) | {index}
        hits.note("popular things" if thing.is_popular else "other things", ranked, right)
        if thing.in_focus:
            hits.note("things in focus", ranked, right)
        if thing.is_popular:
            hits.note(f"popular: {GROUP_NAMES[thing.group]}", ranked, right)


def measure_unseen_words(judge: Judge, hits: Hits, paint: Paint) -> None:
    """Paints words that no caption had; only the text encoder knows what is like them."""
    captions = {
        word
        for thing in judge.things
        for name in (*thing.names, *thing.keywords)
        for word in name.split()
    }
    if seen := captions & set(UNSEEN_WORDS):
        raise SystemExit(f"these words stand in captions: {', '.join(sorted(seen))}")
    for seed, (word, labels) in enumerate(UNSEEN_WORDS.items()):
        right = {index for index, thing in enumerate(judge.things) if thing.label in labels}
        ranked = judge.rank_things(paint(with_article(word), seed))
        hits.note("words that stand in no caption", ranked, right)


def measure_surroundings(
    judge: Judge, hits: Hits, paint: Paint, shown: Sequence[int], source: random.Random
) -> None:
    """Paints some of the shown things on plain grounds, in places, and in colors."""
    for color in PLAIN_COLORS:
        for seed in range(3):
            name = with_article(judge.things[source.choice(shown)].label)
            picture = paint(f"{name} on a {color} background", seed)
            hits.note("plain grounds", judge.rank_places(picture), [color])
    for place, phrases in SCENERY_PHRASES.items():
        for seed in range(4):
            name = with_article(judge.things[source.choice(shown)].label)
            hits.note("places", judge.rank_places(paint(f"{name} {phrases[0]}", seed)), [place])
    for color in TINT_HUES:
        for seed in range(5):
            index = source.choice(shown)
            picture = paint(f"a {color} {judge.things[index].label}", seed)
            hits.note("colors of things", judge.rank_tints(picture, index), [color])


def measure_accuracy(packages: Path, weights: Path, limit: int, guidance: float) -> None:
    """Paints things, places and colors, and asks the judge what it sees."""
    judge = Judge(build_banks(packages))
    engine = DreamletEngine(weights, threads=1)
    source, hits = random.Random(5), Hits()

    def paint(prompt: str, seed: int) -> Tensor:
        return torch.from_numpy(to_floats(render(engine, prompt, seed, guidance=guidance)))

    popular = [index for index, thing in enumerate(judge.things) if thing.is_popular]
    others = [index for index, thing in enumerate(judge.things) if not thing.is_popular]
    source.shuffle(popular)
    source.shuffle(others)
    shown = [index for index in popular if judge.things[index].group in (3, 4)]
    examine_judge(judge, hits, source)
    chosen = popular[: limit * 2 // 3] + others[: limit - limit * 2 // 3]
    measure_things(judge, hits, paint, chosen)
    measure_unseen_words(judge, hits, paint)
    measure_surroundings(judge, hits, paint, shown, source)
    hits.print()


def measure_speed(weights: Path) -> None:
    """Processor time of loading and of pictures, one thread; other programs hardly change it."""
    started = time.process_time()
    engine = DreamletEngine(weights, threads=1)
    engine.load(MODEL)
    figures: dict[str, float] = {"load_s": time.process_time() - started}
    small = {STARTING_IMAGE: encode_png(render(engine, "a castle", 1, width=256, height=256))}
    sizes = {f"{side}_px": {"width": side, "height": side} for side in (64, 512, 1024, 2048)}
    for name, settings, inputs in (
        *((f"20_steps_{size}_s", sides, {}) for size, sides in sizes.items()),
        ("20_steps_no_guidance_64_px_s", {"guidance": 1.0}, {}),
        ("upscale_256_to_1024_px_s", {"model": UPSCALER, "steps": 1} | sizes["1024_px"], small),
        ("enhance_medium_512_px_s", {"model": ENHANCER, "steps": 8} | sizes["512_px"], small),
    ):
        times = []
        for seed in range(3):
            started = time.process_time()
            shown = {"strength": 0.35} if inputs else {}
            render(engine, "a castle", seed, inputs, **(settings | shown))
            times.append(time.process_time() - started)
        figures[name] = sorted(times)[1]
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}, indent=2))


def encode_png(picture: Image.Image) -> bytes:
    """The bytes of a PNG."""
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def write_grid(weights: Path, output: Path, seed: int, guidance: float) -> None:
    """Paints GRID_PROMPTS, one seed for all, nothing chosen by hand."""
    engine = DreamletEngine(weights, threads=1)
    pictures = [render(engine, prompt, seed, guidance=guidance) for prompt in GRID_PROMPTS]
    # 256 colors: a third of the file, at the price of slight bands in smooth areas.
    make_grid(pictures, columns=11).quantize(256).save(output, optimize=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["grid", "accuracy", "speed"])
    parser.add_argument("--weights", type=Path, help="folder of the exported files")
    parser.add_argument("--packages", type=Path, help="a node_modules folder")
    parser.add_argument("--output", type=Path, help="PNG of the grid")
    parser.add_argument("--limit", type=int, default=300, help="things to paint")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    arguments = parser.parse_args()
    if arguments.what == "grid":
        write_grid(arguments.weights, arguments.output, arguments.seed, arguments.guidance)
    elif arguments.what == "accuracy":
        measure_accuracy(arguments.packages, arguments.weights, arguments.limit, arguments.guidance)
    else:
        measure_speed(arguments.weights)


if __name__ == "__main__":
    main()
