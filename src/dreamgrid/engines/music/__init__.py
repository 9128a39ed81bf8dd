"""The engine of dreamlet-music-v1: composes a piece and plays it on instruments of its own.

No network and no recordings: rules of harmony, rhythm and form compose (`composer`), and numpy
computes every sound (`instruments`, `percussion`). From the inside out:

    score       notes and hits on a grid; what a composer writes and a band plays
    meter       time signatures as grids of slots
    genres, words, style       what the prompt's words mean, as data; and what they ask for
    harmony, melody, grooves, accompaniment, form       one subject of composing each
    composer    a whole score from a style
    tones, instruments, percussion                      one note or stroke as samples
    band        places the notes of a score; effects    room and ducking
    engine      the engine contract: steps, settings, file

Importing this package is cheap: numpy is loaded when the engine is created.
"""

from importlib.util import find_spec

from dreamgrid.engines.base import Engine, EngineSpec
from dreamgrid.protocol.renders import AnyRender, AudioRender

MODEL = "dreamlet-music-v1"
_NEEDED = ("numpy", "av")


def _models() -> tuple[str, ...]:
    return (MODEL,) if all(find_spec(module) is not None for module in _NEEDED) else ()


def _create(threads: int) -> Engine:
    from dreamgrid.engines.music.engine import MusicEngine  # noqa: PLC0415 - heavy

    return MusicEngine()


def _trial(model: str) -> AnyRender | None:
    if model != MODEL:
        return None
    return AudioRender(model=MODEL, prompt="a march", steps=8, guidance=1.0, seed=1, duration_s=10)


ENGINE = EngineSpec(
    name="music",
    models=_models,
    create=_create,
    trial=_trial,
    missing=f"{MODEL} needs numpy and av: pip install -e '.[embedded]' in the clone",
)
