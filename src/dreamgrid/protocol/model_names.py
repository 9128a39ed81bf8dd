"""What a model's id says about it: rules of the published SDKs, for servers that do not say more.

A dreamgrid server lists for each model what it makes and which inputs it takes; ask that first.
Source: `job-request.md` 7 and 8 of the wire contract.
"""

from typing import Literal

from dreamgrid.protocol.assets import (
    REFERENCE_AUDIO,
    REFERENCE_IMAGE,
    REFERENCE_IMAGE_END,
    REFERENCE_MASK,
    REFERENCE_VIDEO,
)

Need = Literal["required", "optional", "forbidden"]

_VIDEO_PREFIXES = (
    "wan_",
    "wan3.0",
    "ltx2-",
    "ltx23-",
    "ltx25-",
    "seedance-2-",
    "happyhorse-1.1",
    "minimax-h3",
    "flashvsr_",
)
_AUDIO_PREFIXES = ("ace_step", "minimax_music3", "qwen3_tts_")

ENHANCERS = ("krea2_turbo_fp8_scaled", "flux1-schnell-fp8")
"""Models that the published SDKs make a picture finer with."""

AUDIO_IDENTITY = "referenceAudioIdentity"
"""A voice to copy. It is uploaded as `referenceAudio`; only the request tells them apart."""

# The letters say required, optional or forbidden, in the order of `_ROLES`.
_ROLES = (
    REFERENCE_IMAGE,
    REFERENCE_IMAGE_END,
    REFERENCE_AUDIO,
    AUDIO_IDENTITY,
    REFERENCE_VIDEO,
    REFERENCE_MASK,
)
_WORD: dict[str, Need] = {"R": "required", "O": "optional", "-": "forbidden"}
_NEEDS = {
    "t2v": "---O--",
    "i2v": "OO----",
    "flf2v": "RR----",
    "flfa2v": "RRR---",
    "s2v": "R-R---",
    "ia2v": "R-R---",
    "a2v": "--R---",
    "v2v": "O--ORO",
    "animate-move": "R---R-",
    "animate-replace": "R---R-",
    "r2v": "O-O-O-",
    "upscale": "----R-",
}

ANY_OF = {"i2v": (REFERENCE_IMAGE, REFERENCE_IMAGE_END)}
"""Inputs of a workflow of which at least one must be there."""

# Suffixes of ids, the first that is found in one decides: `ia2v` comes before `a2v`.
_SUFFIXES = (
    "animate-replace",
    "animate-move",
    "flfa2v",
    "flf2v",
    "ia2v",
    "a2v",
    "i2v",
    "t2v",
    "v2v",
    "s2v",
    "r2v",
)

_WAN_MOTION_FPS = 16.0


def is_video_id(model: str) -> bool:
    """Whether the published SDKs take an id for that of a video model."""
    return model.startswith(_VIDEO_PREFIXES)


def is_audio_id(model: str) -> bool:
    """Whether the published SDKs take an id for that of a music or speech model."""
    return model.startswith(_AUDIO_PREFIXES)


def workflow_of(model: str) -> str | None:
    """How a video model works, such as `i2v`: from an image. None: its id does not say."""
    if model.startswith("flashvsr_"):
        return "upscale"
    if model.startswith("wan3.0"):
        return "t2v"
    parts = model.replace("-", "_").split("_")
    for suffix in _SUFFIXES:
        words = suffix.split("-")
        if any(parts[at : at + len(words)] == words for at in range(len(parts))):
            return suffix
    return None


def needs_of(workflow: str) -> dict[str, Need]:
    """Which inputs a workflow needs, by asset role."""
    return {role: _WORD[letter] for role, letter in zip(_ROLES, _NEEDS[workflow], strict=True)}


def motion_fps_of(model: str) -> float | None:
    """Frames of motion in a second of a model whose tier does not say. None: those of its file."""
    is_wan = model.startswith("wan_")
    return _WAN_MOTION_FPS if is_wan else None
