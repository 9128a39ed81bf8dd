"""The engine of Dreamlet Video: short videos by dreamlet, from words or from one or two pictures.

It serves two published ids, because the published SDKs make videos for a closed list of ids only.
Importing this package is cheap: numpy, onnxruntime, pillow and PyAV are loaded when the engine is
created.
"""

from importlib.util import find_spec

from dreamgrid.engines.base import Engine, EngineSpec
from dreamgrid.engines.dreamlet import WEIGHTS
from dreamgrid.engines.dreamlet.video.ids import FROM_TEXT, MODELS
from dreamgrid.engines.safety import missing_filter
from dreamgrid.protocol.renders import AnyRender, VideoRender

_NEEDED = ("av", "numpy", "onnxruntime", "PIL")


def _models() -> tuple[str, ...]:
    installed = all(find_spec(module) is not None for module in _NEEDED)
    return MODELS if installed and (WEIGHTS / "painter.onnx").is_file() else ()


def _create(threads: int) -> Engine:
    from dreamgrid.engines.dreamlet.video.engine import VideoEngine  # noqa: PLC0415 - heavy

    return VideoEngine(WEIGHTS, threads=threads)


def _trial(model: str) -> AnyRender | None:
    if model != FROM_TEXT:
        return None
    return VideoRender(
        model=FROM_TEXT,
        prompt="a red apple",
        width=240,
        height=240,
        frames=9,
        fps=16,
        motion_fps=16,
        steps=6,
        guidance=2.0,
        seed=1,
    )


ENGINE = EngineSpec(
    name="dreamlet-video",
    models=_models,
    create=_create,
    trial=_trial,
    missing="Dreamlet Video needs av, numpy, onnxruntime and pillow: "
    "pip install -e '.[embedded]' in the clone",
    limited=missing_filter,
)
