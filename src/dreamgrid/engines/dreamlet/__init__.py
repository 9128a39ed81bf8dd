"""The engine of dreamlet-v1, a small text-to-image model that dreamgrid trained itself.

Its weights come with the package, and it renders on any CPU in a fraction of a second. Importing
this package is cheap: numpy, onnxruntime and pillow are loaded when the engine is created.
"""

from importlib.util import find_spec
from pathlib import Path

from dreamgrid.engines.base import Engine, EngineSpec
from dreamgrid.engines.safety import missing_filter

MODEL = "dreamlet-v1"
WEIGHTS = Path(__file__).parent / "weights"
_NEEDED = ("numpy", "onnxruntime", "PIL")


def _models() -> tuple[str, ...]:
    installed = all(find_spec(module) is not None for module in _NEEDED)
    return (MODEL,) if installed and (WEIGHTS / "painter.onnx").is_file() else ()


def _create(threads: int) -> Engine:
    from dreamgrid.engines.dreamlet.engine import DreamletEngine  # noqa: PLC0415 - heavy

    return DreamletEngine(WEIGHTS, threads=threads)


ENGINE = EngineSpec(
    name="dreamlet",
    models=_models,
    create=_create,
    missing="dreamlet-v1 needs numpy, onnxruntime and pillow: pip install 'dreamgrid[embedded]'",
    limited=missing_filter,
)
