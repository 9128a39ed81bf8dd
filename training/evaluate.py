"""Measures dreamlet's exported weights with the very engine that workers run.

`grid` writes pictures of fixed prompts with fixed seeds, failures included. `classifier` trains a
judge on composed pictures; `accuracy` asks it what the engine painted. `speed` times the engine.
The judge is no part of the package.
"""

import argparse
import io
import json
import math
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as functional
from PIL import Image
from torch import Tensor, nn

from captions import Thing, load_things, with_article
from dreamgrid.engines.dreamlet.engine import MODEL, DreamletEngine
from dreamgrid.engines.dreamlet.pictures import to_floats
from dreamgrid.protocol.params import ImageRender
from scene_words import COLOR_NAMES, PLAIN_COLORS, SCENERY_PHRASES, TINT_HUES
from scenes import CANVAS_PX, Composer, PicturePlan, build_banks, make_grid

STEPS, GUIDANCE = 20, 2.0
GROUNDS = ("white", *PLAIN_COLORS, *SCENERY_PHRASES)
TINTS = ("", *COLOR_NAMES)
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


def render(engine: DreamletEngine, prompt: str, seed: int, **settings: object) -> Image.Image:
    """One picture at the size the network paints."""
    values = {
        "model": MODEL, "prompt": prompt, "width": CANVAS_PX, "height": CANVAS_PX,
        "steps": STEPS, "guidance": GUIDANCE, "seed": seed,
    }  # fmt: skip
    artifact = engine.generate(ImageRender(**(values | settings)), {}, lambda _: None)
    return Image.open(io.BytesIO(artifact.data))


class Judge(nn.Module):
    """A small classifier with three answers: which thing, which ground, which tint."""

    def __init__(self, thing_count: int) -> None:
        super().__init__()
        widths = (64, 128, 256)
        layers: list[nn.Module] = [nn.Conv2d(48, widths[0], 3, padding=1)]
        for width_in, width_out in zip(widths, (*widths[1:], 384), strict=True):
            layers += [
                nn.GroupNorm(8, width_in), nn.SiLU(), nn.Conv2d(width_in, width_in, 3, padding=1),
                nn.GroupNorm(8, width_in), nn.SiLU(), nn.Conv2d(width_in, width_out, 2, stride=2),
            ]  # fmt: skip
        self.body = nn.Sequential(*layers, nn.GroupNorm(8, 384), nn.SiLU(), nn.Flatten())
        self.heads = nn.ModuleList(
            nn.Linear(384 * 4, count) for count in (thing_count, len(GROUNDS), len(TINTS))
        )

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """[B, 3, 64, 64] in -1..1 to logits for things, grounds and tints."""
        hidden = self.body(functional.pixel_unshuffle(pictures, 4))
        return [head(hidden) for head in self.heads]


def plan_one(composer: Composer) -> PicturePlan:
    """A plan with one thing, as the painter's training draws them."""
    while True:
        plan = composer.plan()
        if len(plan.sprites) == 1:
            return plan


def train_judge(packages: Path, output: Path, minutes: float) -> None:
    """Trains the judge on composed pictures with some noise and tests it on fresh ones."""
    torch.manual_seed(0)
    banks = build_banks(packages)
    judge = Judge(len(banks.things))
    optimizer = torch.optim.AdamW(judge.parameters(), 1e-3, weight_decay=0.05)
    started, step = time.monotonic(), 0

    def draw(composer: Composer, count: int) -> tuple[Tensor, list[Tensor]]:
        plans = [plan_one(composer) for _ in range(count)]
        pictures = composer.draw(plans, CANVAS_PX, CANVAS_PX)
        sprites = [plan.sprites[0] for plan in plans]
        answers = [
            torch.tensor([sprite.thing for sprite in sprites]),
            torch.tensor([GROUNDS.index(plan.scenery) for plan in plans]),
            torch.tensor([TINTS.index(sprite.tint) for sprite in sprites]),
        ]
        return pictures, answers

    composer = Composer(banks, seed=1000)
    composer.weights = [1.0] * len(banks.things)
    while (progress := (time.monotonic() - started) / (minutes * 60)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (0.5 * (1 + math.cos(math.pi * progress)) + 0.01)
        pictures, answers = draw(composer, 96)
        # Painted pictures are softer and noisier than composed ones; the judge must bear that.
        noise = torch.randn_like(pictures) * torch.rand(len(pictures), 1, 1, 1) * 0.2
        if step % 2:
            pictures = functional.avg_pool2d(pictures, 3, 1, 1)
        losses = [
            functional.cross_entropy(logits, answer)
            for logits, answer in zip(judge(pictures + noise), answers, strict=True)
        ]
        optimizer.zero_grad(set_to_none=True)
        sum(losses).backward()
        optimizer.step()
        step += 1
        if step % 100 == 0:
            print(step, [round(loss.item(), 3) for loss in losses], flush=True)
    judge.eval()
    fresh = Composer(banks, seed=2000)
    fresh.weights = composer.weights
    with torch.no_grad():
        pictures, answers = draw(fresh, 1000)
        logits = judge(pictures)
    shares = [
        (one.argmax(1) == answer).float().mean().item()
        for one, answer in zip(logits, answers, strict=True)
    ]
    print("judge on fresh pictures, right thing / ground / tint:", [round(s, 3) for s in shares])
    torch.save({"state": judge.state_dict(), "shares": shares}, output)


def right_things(things: Sequence[Thing], name: str) -> list[int]:
    """Things that a name fits: several pictures may be called "a cat" or "a heart"."""
    return [index for index, thing in enumerate(things) if name in (*thing.names, *thing.keywords)]


def measure_accuracy(packages: Path, weights: Path, judge_file: Path, limit: int) -> None:
    """Paints every thing, and samples of places and colors, and asks the judge what it sees."""
    things = load_things(packages)
    judge = Judge(len(things))
    judge.load_state_dict(torch.load(judge_file, weights_only=True)["state"])
    judge.eval()
    engine = DreamletEngine(weights, threads=1)

    @torch.no_grad()
    def ask(picture: Image.Image) -> list[Tensor]:
        return [logits[0] for logits in judge(torch.from_numpy(to_floats(picture))[None])]

    source = random.Random(5)
    chosen = list(range(len(things)))
    source.shuffle(chosen)
    hits: defaultdict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for seed, index in enumerate(chosen[:limit]):
        thing = things[index]
        accepted = set(right_things(things, thing.label)) | {index}
        answer = ask(render(engine, with_article(thing.label), seed))[0]
        best = answer.topk(5).indices.tolist()
        hit = (best[0] in accepted, bool(accepted & set(best)))
        hits["all"].append(hit)
        hits[GROUP_NAMES[thing.group]].append(hit)
    animals_and_food = [thing for thing in things if thing.group in (3, 4)]
    for place, phrases in SCENERY_PHRASES.items():
        for seed in range(6):
            thing = source.choice(animals_and_food)
            picture = render(engine, f"{with_article(thing.label)} {phrases[0]}", seed)
            thing_answer, ground, _ = ask(picture)
            seen = GROUNDS[int(ground.argmax())] == place
            hits["place"].append((seen, GROUNDS.index(place) in ground.topk(5).indices.tolist()))
            accepted = set(right_things(things, thing.label))
            best = thing_answer.topk(5).indices.tolist()
            hits["thing in a place"].append((best[0] in accepted, bool(accepted & set(best))))
    for color in PLAIN_COLORS:
        for seed in range(4):
            thing = source.choice(animals_and_food)
            picture = render(engine, f"{with_article(thing.label)} on a {color} background", seed)
            ground = ask(picture)[1]
            seen = GROUNDS[int(ground.argmax())] == color
            hits["plain ground"].append(
                (seen, GROUNDS.index(color) in ground.topk(5).indices.tolist())
            )
    for color in TINT_HUES:
        for seed in range(8):
            thing = source.choice(animals_and_food)
            tint = ask(render(engine, f"a {color} {thing.label}", seed))[2]
            seen = TINTS[int(tint.argmax())] == color
            hits["color"].append((seen, TINTS.index(color) in tint.topk(5).indices.tolist()))
    for name, results in hits.items():
        top_1, top_5 = (sum(column) / len(results) for column in zip(*results, strict=True))
        print(f"| {name} | {len(results)} | {top_1:.0%} | {top_5:.0%} |")


def measure_speed(weights: Path) -> None:
    """Times loading and pictures, one thread."""
    started = time.perf_counter()
    engine = DreamletEngine(weights, threads=1)
    engine.load(MODEL)
    figures: dict[str, float] = {"load_s": time.perf_counter() - started}
    for name, settings in {
        "20_steps_64_px_s": {},
        "20_steps_512_px_s": {"width": 512, "height": 512},
        "20_steps_768x512_px_s": {"width": 768, "height": 512},
        "20_steps_no_guidance_64_px_s": {"guidance": 1.0},
    }.items():
        times = []
        for seed in range(5):
            started = time.perf_counter()
            render(engine, "a red apple on the beach", seed, **settings)
            times.append(time.perf_counter() - started)
        figures[name] = sorted(times)[2]
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}, indent=2))


def write_grid(weights: Path, output: Path, seed: int, guidance: float) -> None:
    """Paints GRID_PROMPTS, one seed for all, nothing chosen by hand."""
    engine = DreamletEngine(weights, threads=1)
    pictures = [render(engine, prompt, seed, guidance=guidance) for prompt in GRID_PROMPTS]
    # 256 colors: a third of the file, and no difference that an eye would see.
    make_grid(pictures, columns=11).quantize(256).save(output, optimize=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["grid", "classifier", "accuracy", "speed"])
    parser.add_argument("--weights", type=Path, help="folder of the exported files")
    parser.add_argument("--packages", type=Path, help="a node_modules folder")
    parser.add_argument("--judge", type=Path, help="file of the classifier")
    parser.add_argument("--output", type=Path, help="PNG of the grid")
    parser.add_argument("--minutes", type=float, default=4, help="to train the classifier for")
    parser.add_argument("--limit", type=int, default=10_000, help="things to paint")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    arguments = parser.parse_args()
    if arguments.what == "grid":
        write_grid(arguments.weights, arguments.output, arguments.seed, arguments.guidance)
    elif arguments.what == "classifier":
        train_judge(arguments.packages, arguments.judge, arguments.minutes)
    elif arguments.what == "accuracy":
        measure_accuracy(arguments.packages, arguments.weights, arguments.judge, arguments.limit)
    else:
        measure_speed(arguments.weights)


if __name__ == "__main__":
    main()
