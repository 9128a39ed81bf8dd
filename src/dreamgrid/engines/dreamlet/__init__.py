"""The engine of dreamlet's pictures: a small painter and an upscaler that dreamgrid trained itself.

Their weights come with the package, and they render on any CPU in a fraction of a second. Importing
this package is cheap: numpy, onnxruntime and pillow are loaded when the engine is created.
"""

from importlib.util import find_spec
from pathlib import Path

from dreamgrid.engines.base import Engine, EngineSpec
from dreamgrid.engines.dreamlet.ids import ENHANCER, MODEL, UPSCALER
from dreamgrid.engines.safety import missing_filter
from dreamgrid.protocol.renders import AnyRender, ImageRender

__all__ = ["ENGINE", "ENHANCER", "MODEL", "UPSCALER", "WEIGHTS"]

WEIGHTS = Path(__file__).parent / "weights"
_NEEDED = ("numpy", "onnxruntime", "PIL")


def _models() -> tuple[str, ...]:
    installed = all(find_spec(module) is not None for module in _NEEDED)
    return (MODEL, ENHANCER, UPSCALER) if installed and (WEIGHTS / "painter.onnx").is_file() else ()


def _create(threads: int) -> Engine:
    from dreamgrid.engines.dreamlet.engine import DreamletEngine  # noqa: PLC0415 - heavy

    return DreamletEngine(WEIGHTS, threads=threads)


def _trial(model: str) -> AnyRender | None:
    if model != MODEL:
        return None
    return ImageRender(
        model=MODEL, prompt="a red apple", width=512, height=512, steps=10, guidance=2.0, seed=1
    )


ENGINE = EngineSpec(
    name="dreamlet",
    models=_models,
    create=_create,
    trial=_trial,
    early=(MODEL,),
    missing="dreamlet needs numpy, onnxruntime and pillow: "
    "pip install -e '.[embedded]' in the clone",
    limited=missing_filter,
)
