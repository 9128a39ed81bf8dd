"""Whether pictures may share a pass on this machine: `python -m benchmarks.passes`.

For each family of pictures, with tiny random weights, the engine renders one and then uses a quiet
moment as it does on a worker: pictures with prompts of their own, alone, together and at other
places, compared to the last bit. With the small size the processor is busy with little else than
calling the libraries, as a large GPU is with small pictures; larger sizes show how the gain goes
away. Times are wall times, the shortest of two.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import diffusers
import msgspec
from tests.engines.diffusers import tiny

from benchmarks.real_weights import closed, engine_of
from dreamgrid.engines.diffusers import batching
from dreamgrid.engines.diffusers.engine import DiffusersEngine
from dreamgrid.engines.diffusers.family import families
from dreamgrid.engines.diffusers.memory import device
from dreamgrid.protocol.renders import ImageRender

SIDES_PX = (64,)


def usual(_rounds: int) -> tuple[int, ...]:
    """What is measured beside everything else."""
    return SIDES_PX


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What was found for one model and size.

    Attributes:
        model: Its id, with tiny weights.
        side_px: Of the picture.
        same: How many are the same together and alone, to the last bit, at every place; 1: none.
        alone_s: One picture alone, in seconds.
        gain: Pictures per second, together over alone; 0 where they are not the same.
        decided: How the engine renders such pictures from then on.
    """

    model: str
    side_px: int
    same: int
    alone_s: float
    gain: float
    decided: str


def found(engine: DiffusersEngine, render: ImageRender) -> Found:
    """What an engine finds out about a picture, whose model it has loaded."""
    usual = batching.WORTH_IT
    batching.WORTH_IT = float("inf")
    try:
        engine.generate(render, {}, lambda _: None)
        engine._unproven = render
        engine.learn(lambda: False)
    finally:
        batching.WORTH_IT = usual
    kind = engine._kind_of(render)
    can = (engine._proofs.of(kind) if kind else None) or batching.ALONE
    return Found(
        model=render.model,
        side_px=render.width,
        same=can.width,
        alone_s=round(can.alone_s, 4),
        gain=round(can.width * can.alone_s / can.together_s, 2) if can.together_s else 0.0,
        decided=f"{can.width} in a pass" if can.pays else "one by one",
    )


def run(sides_px: tuple[int, ...], progress: Callable[[str], None]) -> tuple[Found, ...]:
    """Asks the engine about each family whose jobs can share a pass."""
    diffusers.utils.logging.disable_progress_bar()
    sharing = {model for one in families() if one.texts for model in one.weights}
    all_found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model in (one for one in tiny.FAMILIES if one in sharing):
            progress(f"passes of {model}")
            tiny.write(model, folder)
            engine = engine_of(folder, threads=1)
            engine.load(model)
            all_found += [found(engine, _render(model, side_px)) for side_px in sides_px]
            closed(engine)
    return tuple(all_found)


def _render(model: str, side_px: int) -> ImageRender:
    return ImageRender(
        model=model,
        prompt="a red fox",
        steps=3,
        guidance=3.0,
        seed=1,
        sampler="euler",
        width=side_px,
        height=side_px,
    )


def tell(all_found: tuple[Found, ...], say: Callable[[str], None]) -> None:
    """Prints it."""
    for one in all_found:
        gain = f"{one.gain} times as many a second" if one.same > 1 else "differ"
        say(f"  {one.model}, {one.side_px} px: {gain} together; {one.decided}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.passes")
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 256], help="pixels")
    given = parser.parse_args()
    print(f"on {device()}", file=sys.stderr)
    for one in run(tuple(given.sides), lambda line: print(line, file=sys.stderr, flush=True)):
        print(msgspec.json.encode(one).decode(), flush=True)


if __name__ == "__main__":
    main()
