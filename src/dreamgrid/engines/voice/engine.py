"""Speaks a text with hibari-tts on the CPU, sentence by sentence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dreamgrid.engines import audio_file, loudness
from dreamgrid.engines.base import Artifact, OnStep, Step
from dreamgrid.engines.convolution import Floats
from dreamgrid.engines.prompt_rules import check_prompt, is_sexual
from dreamgrid.engines.voice.pace import speed_of
from dreamgrid.engines.voice.script import Piece, pieces
from dreamgrid.errors import ModelNotAvailable, RenderRefused
from dreamgrid.protocol.params import CONTENT_TYPES
from dreamgrid.protocol.renders import AnyRender, AudioRender

if TYPE_CHECKING:
    from hibari import Hibari

MODEL = "dreamlet-voice-v1"
VOICE = "heart"
LANGUAGE = "en"
SAMPLE_RATE = 24_000

# Measured on sentences of 5 to 280 phonemes at speed 1, silence trimmed.
_SECONDS_PER_PHONEME = 0.055
_SECONDS_PER_PIECE = 0.12
_CLEARLY_LONGER = 1.5  # an estimate beyond this share of the limit is certain enough to refuse

_EDGE_S = 0.1  # silence before the first word and after the last one
_KEPT_S = 0.03  # of the voice's own silence around each piece, faded
_QUIET = 0.01  # of the loudest moment of a piece


class VoiceEngine:
    """Holds the voice; speaks one text at a time."""

    def __init__(self, *, threads: int = 1) -> None:
        """Takes the number of CPU threads to use."""
        self._threads = max(1, threads)
        self._voice: Hibari | None = None

    def load(self, model: str) -> None:
        """Reads voice and dictionary; takes two thirds of a second.

        Raises:
            ModelNotAvailable: It is not `dreamlet-voice-v1`, or hibari-tts is missing or broken.
        """
        if model != MODEL:
            raise ModelNotAvailable(f"the voice engine serves {MODEL}, not {model}")
        self._loaded()

    def generate(self, render: AnyRender, inputs: Mapping[str, bytes], on_step: OnStep) -> Artifact:
        """Speaks the prompt; a step is a sentence.

        Numbers, dates and abbreviations are read as words; letters of other scripts are named or
        left out. The result is as long as the text takes, -16 LUFS loud, mono at 24 kHz.

        Raises:
            RenderCanceled: Raised by `on_step` and passed on.
            ModelNotAvailable: hibari-tts, or what the file type needs, is not installed.
            RenderRefused: There is nothing to say, it takes longer than `duration_s` (told before
                the first step when that is clear from the text), a setting that this voice does
                not have, or the content filter refuses the text.
        """
        wish = _wish_of(render)
        audio_file.check_format(wish.render.output_format)
        voice = self._loaded()
        script = pieces(
            wish.render.prompt, sentences_of=voice.split_sentences, phonemes_of=voice.g2p
        )
        if not script:
            raise RenderRefused("there is nothing in this text that an English voice can say")
        limit_s = wish.render.duration_s
        expected_s = estimated_s(script, wish.speed)
        if expected_s > limit_s * _CLEARLY_LONGER:
            raise RenderRefused(
                f"reading this text takes about {expected_s:.0f} s, and {limit_s:g} s are allowed: "
                "ask for a longer duration or shorten it"
            )
        spoken = self._speak(voice, script, wish, on_step)
        length_s = spoken.shape[1] / SAMPLE_RATE
        if length_s > limit_s:
            raise RenderRefused(
                f"reading this text takes {length_s:.1f} s, and {limit_s:g} s are allowed: "
                "ask for a longer duration or shorten it"
            )
        data = audio_file.encode(
            loudness.normalized(spoken, SAMPLE_RATE),
            SAMPLE_RATE,
            wish.render.output_format,
            title=wish.render.prompt,
            settings={
                "model": wish.render.model,
                "speaker": VOICE,
                "speed": wish.speed,
                "seed": wish.render.seed,
            },
        )
        return Artifact(
            data=data,
            content_type=CONTENT_TYPES[wish.render.output_format],
            steps=wish.render.steps,
            sensitive=("prompt",) if is_sexual(wish.render.prompt) else (),
        )

    def _speak(
        self, voice: "Hibari", script: list[Piece], wish: "_Wish", on_step: OnStep
    ) -> Floats:
        """All pieces with their pauses, `(1, frames)`."""
        parts: list[Floats] = [_silence(_EDGE_S)]
        for index, piece in enumerate(script):
            seed = wish.render.seed * len(script) + index
            parts.append(_trimmed(voice.from_phonemes(piece.phonemes, wish.speed, seed)))
            last = index + 1 == len(script)
            parts.append(_silence(_EDGE_S if last else piece.pause_s / wish.speed))
            on_step(Step(step=index + 1, step_count=len(script)))
        return np.concatenate(parts)[np.newaxis]

    def _loaded(self) -> "Hibari":
        if self._voice is None:
            try:
                from hibari import Hibari  # noqa: PLC0415 - loaded when it is used

                voice = Hibari(voice=VOICE, threads=self._threads)
                voice.g2p("ready")  # the dictionary is read now, not during the first job
            # A broken file, an incompatible release: all that matters is that it does not work.
            except Exception as error:
                raise ModelNotAvailable(
                    f"this worker cannot load the voice of {MODEL}\n"
                    f"{type(error).__name__}: {error}; pip install -e '.[embedded]' in the clone"
                ) from error
            self._voice = voice
        return self._voice


@dataclass(frozen=True, kw_only=True)
class _Wish:
    """A render that this engine can honour, and the speed that it asks for."""

    render: AudioRender
    speed: float


def _wish_of(render: AnyRender) -> _Wish:
    """Refuses what this voice does not have."""
    if not isinstance(render, AudioRender):
        raise RenderRefused(f"{MODEL} makes speech only")
    if not render.prompt.strip():
        raise RenderRefused("the text to say is empty")
    check_prompt(render.prompt)
    if render.speaker not in {None, VOICE}:
        raise RenderRefused(f"the only speaker here is {VOICE}, not {render.speaker!r:.80}")
    if render.language not in {None, LANGUAGE}:
        raise RenderRefused(f"{VOICE} speaks {LANGUAGE} only, not {render.language!r:.80}")
    if render.reference_text:
        raise RenderRefused(f"{MODEL} cannot imitate another voice")
    return _Wish(render=render, speed=speed_of(render.instruct))


def estimated_s(script: list[Piece], speed: float) -> float:
    """How long a script takes to speak, in seconds; right within 15 % for ordinary texts."""
    phonemes = sum(len(piece.phonemes) for piece in script)
    spoken = phonemes * _SECONDS_PER_PHONEME + len(script) * _SECONDS_PER_PIECE
    paused = sum(piece.pause_s for piece in script[:-1])
    return 2 * _EDGE_S + (spoken + paused) / speed


def _trimmed(spoken: Floats) -> Floats:
    """The piece without the silence around it, with soft edges."""
    loudest = float(np.abs(spoken).max(initial=0.0))
    audible = np.flatnonzero(np.abs(spoken) > loudest * _QUIET)
    if not audible.size:
        return spoken[:0]
    kept = round(_KEPT_S * SAMPLE_RATE)
    start, stop = max(0, audible[0] - kept), min(spoken.size, audible[-1] + kept)
    cut = spoken[start:stop].copy()
    fade = np.linspace(0, 1, min(kept, cut.size // 2), dtype=np.float32)
    cut[: fade.size] *= fade
    cut[cut.size - fade.size :] *= fade[::-1]
    return cut


def _silence(seconds: float) -> Floats:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)
