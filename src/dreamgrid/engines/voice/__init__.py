"""The engine of dreamlet-voice-v1: English speech with a small voice that comes as a package.

The voice is "heart" of hibari-tts (Apache-2.0): 14 MB, no download, far faster than real time on
one CPU core. Importing this package is cheap: numpy, onnxruntime and the voice are loaded when the
engine is used.
"""

from importlib.util import find_spec

from dreamgrid.engines.base import Engine, EngineSpec
from dreamgrid.protocol.renders import AnyRender, AudioRender

MODEL = "dreamlet-voice-v1"
_NEEDED = ("numpy", "onnxruntime", "hibari", "av")


def _models() -> tuple[str, ...]:
    return (MODEL,) if all(find_spec(module) is not None for module in _NEEDED) else ()


def _create(threads: int) -> Engine:
    from dreamgrid.engines.voice.engine import VoiceEngine  # noqa: PLC0415 - heavy

    return VoiceEngine(threads=threads)


def _trial(model: str) -> AnyRender | None:
    if model != MODEL:
        return None
    return AudioRender(
        model=MODEL,
        prompt="The lighthouse keeper put a log on the fire.",
        steps=8,
        guidance=1.0,
        seed=1,
        duration_s=20,
    )


ENGINE = EngineSpec(
    name="voice",
    models=_models,
    create=_create,
    trial=_trial,
    missing=f"{MODEL} needs hibari-tts, onnxruntime, numpy and av: "
    "pip install -e '.[embedded]' in the clone",
)
