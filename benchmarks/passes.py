"""Whether pictures may share a pass on this machine: `python -m benchmarks.passes`.

For each family of pictures, with tiny random weights, the engine renders one and then uses a quiet
moment as it does on a worker: alone, together and at other places, compared to the last bit. With
the small size the processor is busy with little else than calling the libraries, as a large GPU is
with small pictures; larger sizes show how the gain goes away. Times are wall times, the shortest of
two.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import diffusers
import msgspec
from tests.engines.diffusers import tiny

from dreamgrid.engines.diffusers import batching
from dreamgrid.engines.diffusers.engine import DiffusersEngine
from dreamgrid.engines.diffusers.family import families
from dreamgrid.engines.diffusers.memory import device
from dreamgrid.engines.diffusers.weights import Places, find_weights
from dreamgrid.protocol.renders import ImageRender


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What was found for one model and size.

    Attributes:
        model: Its id, with tiny weights.
        side_px: Of the picture.
        same: Alone and together are the same to the last bit, at every place.
        gain: Pictures per second, together over alone; 0 where they are not the same.
        decided: How the engine renders such pictures from then on.
    """

    model: str
    side_px: int
    same: bool
    gain: float
    decided: str


def _found(folder: Path, model: str, side_px: int) -> Found:
    engine = DiffusersEngine(
        find_weights(families(), Places(own=folder, cache=folder / "no-cache")), threads=1
    )
    engine.load(model)
    render = ImageRender(
        model=model,
        prompt="a red fox",
        steps=3,
        guidance=3.0,
        seed=1,
        sampler="euler",
        width=side_px,
        height=side_px,
    )

    usual = batching.WORTH_IT
    batching.WORTH_IT = float("inf")
    engine.generate(render, {}, lambda _: None)
    engine._unproven = render
    engine.learn(lambda: False)
    kind = engine._kind_of(render)
    can = (engine._proofs.of(kind) if kind else None) or batching.ALONE
    batching.WORTH_IT = usual
    return Found(
        model=model,
        side_px=side_px,
        same=can.width > 1,
        gain=round(can.width * can.alone_s / can.together_s, 2) if can.together_s else 0.0,
        decided=f"{can.width} in a pass" if can.pays else "one by one",
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.passes")
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 256], help="pixels")
    given = parser.parse_args()
    diffusers.utils.logging.disable_progress_bar()
    print(f"on {device()}", file=sys.stderr)
    pictures = {model for one in families() if one.result == "image" for model in one.weights}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model in (one for one in tiny.FAMILIES if one in pictures):
            tiny.write(model, folder)
            for side_px in given.sides:
                try:
                    found = _found(folder, model, side_px)
                except Exception as error:  # such as one that needs an input
                    print(f"{model}: {error}", file=sys.stderr)
                    break
                print(msgspec.json.encode(found).decode(), flush=True)


if __name__ == "__main__":
    main()
