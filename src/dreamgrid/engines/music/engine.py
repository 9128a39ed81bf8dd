"""Makes a piece of music: compose, play, bring to level, encode."""

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from dreamgrid.engines import audio_file, loudness
from dreamgrid.engines.base import Artifact, OnStep, Step
from dreamgrid.engines.music import form, sound_font
from dreamgrid.engines.music.band import Band
from dreamgrid.engines.music.composer import Wish, compose
from dreamgrid.engines.music.harmony import Key
from dreamgrid.engines.music.meter import METERS
from dreamgrid.engines.music.style import Style, style_of, usual_bpm, usual_minor
from dreamgrid.engines.music.tones import SAMPLE_RATE
from dreamgrid.engines.prompt_rules import check_prompt
from dreamgrid.errors import ModelNotAvailable, RenderRefused
from dreamgrid.protocol.params import CONTENT_TYPES
from dreamgrid.protocol.renders import AnyRender, AudioRender

if TYPE_CHECKING:
    from dreamgrid.engines.music.font_player import FontPlayer

MODEL = "dreamlet-music-v1"
MIN_DURATION_S, MAX_DURATION_S = 1.0, 600.0
MIN_BPM, MAX_BPM = 20.0, 400.0

DEFAULT_STRENGTH = 2.0
DEFAULT_CREATIVITY = 0.85


class MusicEngine:
    """Composes and plays. Needs no loading and holds nothing between jobs."""

    def load(self, model: str) -> None:
        """Checks the id; there is nothing to load.

        Raises:
            ModelNotAvailable: It is not `dreamlet-music-v1`.
        """
        if model != MODEL:
            raise ModelNotAvailable(f"the music engine serves {MODEL}, not {model}")

    def generate(self, render: AnyRender, inputs: Mapping[str, bytes], on_step: OnStep) -> Artifact:
        """Makes one piece: stereo, 44.1 kHz, -16 LUFS, as long as `duration_s` to the sample.

        Steps are units of progress: they divide the work, not the result, which is the same for
        any number of them. Lyrics are not sung; tags such as `[verse]` and `[chorus]` in them
        order the themes. `language` has no effect on music without words.

        Raises:
            RenderCanceled: Raised by `on_step` and passed on.
            ModelNotAvailable: What the file type needs is not installed.
            RenderRefused: It is no music, a setting is out of all bounds, or the content filter
                refuses the prompt.
        """
        if not isinstance(render, AudioRender):
            raise RenderRefused(f"{MODEL} makes music only")
        audio_file.check_format(render.output_format)
        _check(render)
        seed = _seed_of(render)
        style = style_of(
            render.prompt,
            render.negative_prompt,
            strength=_or(render.prompt_strength, DEFAULT_STRENGTH),
            creativity=_or(render.creativity, DEFAULT_CREATIVITY),
            rng=np.random.default_rng(seed),
        )
        wish = _wish_of(render, style, seed)
        steps = max(1, render.steps)
        done = 0

        def on_played(share: float) -> None:
            nonlocal done
            while done < steps - 1 and done + 1 <= share * steps:
                done += 1
                on_step(Step(step=done, step_count=steps))

        sound = Band(compose(style, wish), wish.seed, _font_player()).play(on_played)
        sound = loudness.normalized(sound, SAMPLE_RATE)
        data = audio_file.encode(
            sound,
            SAMPLE_RATE,
            render.output_format,
            title=render.prompt,
            settings=_settings(render, wish),
        )
        on_step(Step(step=steps, step_count=steps))
        content_type = CONTENT_TYPES[render.output_format]
        return Artifact(data=data, content_type=content_type, steps=render.steps)


def _font_player() -> "FontPlayer | None":
    font = sound_font.settings.sound_font
    if font is None:
        return None
    from dreamgrid.engines.music.font_player import FontPlayer  # noqa: PLC0415 - an extra

    return FontPlayer(font)


def _check(render: AudioRender) -> None:
    """Refuses what no catalogue would let through, before any work.

    Instrumental music cannot be indecent, but the file carries the prompt as its title.
    """
    check_prompt(render.prompt)
    if render.time_signature is not None and render.time_signature not in METERS:
        raise RenderRefused(
            f"time signature {render.time_signature!r:.20} is unknown: use {', '.join(METERS)}"
        )
    for name, value, least, most in (
        ("duration", render.duration_s, MIN_DURATION_S, MAX_DURATION_S),
        ("tempo", render.bpm, MIN_BPM, MAX_BPM),
        ("creativity", render.creativity, 0, 2),
        ("prompt strength", render.prompt_strength, 0, 10),
    ):
        if value is not None and not least <= value <= most:
            raise RenderRefused(f"{name} {value:g} is not between {least:g} and {most:g}")
    for name, setting in (
        ("shift", render.shift),
        ("speaker", render.speaker),
        ("instruct", render.instruct),
        ("reference text", render.reference_text),
    ):
        if setting is not None:
            raise RenderRefused(f"{MODEL} has no setting {name}")


def _wish_of(render: AudioRender, style: Style, seed: int) -> Wish:
    """What to compose. Tempo and key suit the style where the render leaves them open."""
    rng = np.random.default_rng([seed, 1])
    tonic, minor = int(rng.integers(12)), usual_minor(style, rng)
    return Wish(
        key=Key(tonic, minor) if render.key_scale is None else Key.named(render.key_scale),
        meter=METERS[render.time_signature or style.meter],
        bpm=_or(render.bpm, usual_bpm(style)),
        duration_s=render.duration_s,
        composed=render.composer_mode is not False,
        order=form.order_of(render.lyrics),
        seed=seed,
    )


def _seed_of(render: AudioRender) -> int:
    """Seed and prompt together, so that other words with one seed are another piece."""
    words = f"{render.prompt}\0{render.negative_prompt}".encode(errors="replace")
    return int(np.random.SeedSequence([render.seed, zlib.crc32(words)]).generate_state(1)[0])


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _settings(render: AudioRender, wish: Wish) -> dict[str, object]:
    """What a reader of the file needs to make the piece again."""
    return {
        "model": render.model,
        "prompt": render.prompt,
        "negative_prompt": render.negative_prompt,
        "seed": render.seed,
        "duration_s": render.duration_s,
        "bpm": wish.bpm,
        "time_signature": wish.meter.name,
        "key_scale": wish.key.name,
        "prompt_strength": _or(render.prompt_strength, DEFAULT_STRENGTH),
        "creativity": _or(render.creativity, DEFAULT_CREATIVITY),
        "composer_mode": wish.composed,
    } | (
        {}
        if sound_font.settings.sound_font is None
        else {"sound_font": sound_font.settings.sound_font.name}
    )
