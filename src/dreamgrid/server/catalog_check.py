"""Refuses catalogue entries that contradict themselves or each other, when the server starts.

Shapes and types are checked by decoding (`catalog_entries`); here are the rules between fields.
Every message names file, entry and field.
"""

import math
from collections.abc import Collection, Mapping, Sequence

import msgspec

from dreamgrid.errors import ConfigError
from dreamgrid.protocol.assets import IMAGE_ROLES, MEDIA_ROLES
from dreamgrid.protocol.params import OUTPUT_FORMATS
from dreamgrid.server.catalog_entries import (
    AudioTier,
    ComfyImageTier,
    LegacyImageTier,
    LoraSpec,
    ModelSpec,
    NumberChoice,
    NumberRange,
    StringChoice,
    Tier,
    VideoTier,
)
from dreamgrid.server.catalog_files import Source

_MEDIA_OF_TIER = {
    LegacyImageTier: ("image", "model"),
    ComfyImageTier: ("image", "model"),
    VideoTier: ("video",),
    AudioTier: ("audio",),
}


def check_tier(file: str, tier_id: str, tier: Tier) -> None:
    """Every default lies in its range or list.

    Raises:
        ConfigError: One does not.
    """
    for name in tier.__struct_fields__:
        problem = _problem(getattr(tier, name))
        if problem:
            raise ConfigError(f"catalogue file {file}: tier {tier_id}: {name}: {problem}")
    steps = tier.steps
    if isinstance(steps, NumberRange) and not all(
        isinstance(number, int) and number >= 1 for number in (steps.min, steps.max, steps.default)
    ):
        raise ConfigError(
            f"catalogue file {file}: tier {tier_id}: steps: min, max and default are whole numbers"
        )
    frames = tier.frames if isinstance(tier, VideoTier) else None
    if frames and (frames.default - frames.min) % (frames.step or 1):
        raise ConfigError(
            f"catalogue file {file}: tier {tier_id}: frames: the default {frames.default} is not "
            f"{frames.min} and a multiple of {frames.step}"
        )


def _problem(setting: object) -> str | None:
    match setting:
        case NumberRange() if not setting.min <= setting.default <= setting.max:
            return f"the default {setting.default} is not in {setting.min}..{setting.max}"
        case StringChoice() | NumberChoice() if setting.default not in setting.allowed:
            return f"the default {setting.default!r} is not among the allowed ones"
        case _:
            return None


def check_unique_sids(models: Sequence[tuple[str, ModelSpec]]) -> None:
    """No two models share a short number.

    Raises:
        ConfigError: Two do.
    """
    owner: dict[int, str] = {}
    for file, spec in models:
        other = owner.setdefault(spec.sid, spec.id)
        if other != spec.id:
            raise ConfigError(
                f"catalogue file {file}: model {spec.id}: SID {spec.sid} belongs to {other}"
            )


def check_model(file: str, spec: ModelSpec, tier: Tier) -> None:
    """A model fits its tier, and its sizes and inputs make sense.

    Raises:
        ConfigError: Something does not fit.
    """
    where = f"catalogue file {file}: model {spec.id}"
    if spec.media not in _MEDIA_OF_TIER[type(tier)]:
        raise ConfigError(f"{where}: tier {spec.tier} is not for media {spec.media!r}")
    _check_inputs(where, spec)
    for name in spec.output_formats:
        if spec.media != "model" and name not in OUTPUT_FORMATS[spec.media]:
            raise ConfigError(f"{where}: outputFormats: {name!r} is no {spec.media} file")
    if spec.media == "image" and spec.size is None:
        raise ConfigError(f"{where}: size is missing; every image model states its sizes")
    _check_sizes(where, spec)
    if isinstance(tier, VideoTier):
        _check_video_presets(where, spec, tier)
    for setting in spec.chooses:
        if setting not in msgspec.to_builtins(tier):
            raise ConfigError(f"{where}: chooses: tier {spec.tier} has no {setting}")


def check_served_as(file: str, spec: ModelSpec, models: Mapping[str, Source[ModelSpec]]) -> None:
    """The model that workers render instead exists, makes the same, and is served itself.

    Raises:
        ConfigError: It does not.
    """
    if spec.served_as is None:
        return
    other = models.get(spec.served_as)
    if other is None or other.value.media != spec.media or other.value.served_as is not None:
        raise ConfigError(
            f"catalogue file {file}: model {spec.id}: servedAs: {spec.served_as!r} is no model "
            f"that makes {spec.media} itself"
        )


def _check_inputs(where: str, spec: ModelSpec) -> None:
    for role in spec.inputs:
        if role not in IMAGE_ROLES | MEDIA_ROLES:
            raise ConfigError(f"{where}: inputs: {role!r} is no asset role")
    for field in ("required_inputs", "any_inputs"):
        for role in getattr(spec, field):
            if role not in spec.inputs:
                raise ConfigError(f"{where}: {field}: {role!r} is not among its inputs")


def check_lora(file: str, lora: LoraSpec, models: Collection[str]) -> None:
    """A LoRA's models exist, and its default strength is possible.

    Raises:
        ConfigError: Something does not fit.
    """
    where = f"catalogue file {file}: LoRA {lora.id}"
    for model in lora.models:
        if model not in models:
            raise ConfigError(f"{where}: modelIds: there is no model {model!r}")
    if not lora.ui.min <= lora.ui.default <= lora.ui.max:
        raise ConfigError(
            f"{where}: ui: the default {lora.ui.default} is not in {lora.ui.min}..{lora.ui.max}"
        )


def _check_video_presets(where: str, spec: ModelSpec, tier: VideoTier) -> None:
    for preset in spec.size_presets:
        sides = ((preset.width, tier.width), (preset.height, tier.height))
        fits = all(
            limit.min <= side <= limit.max and side % (limit.step or 1) == 0
            for side, limit in sides
        )
        if not fits or preset.width * preset.height > (tier.max_pixels or math.inf):
            raise ConfigError(
                f"{where}: sizePresets: {preset.id}: {preset.width}x{preset.height} breaks the "
                f"limits of tier {spec.tier}"
            )


def _check_sizes(where: str, spec: ModelSpec) -> None:
    seen: set[str] = set()
    for preset in spec.size_presets:
        if preset.id in seen:
            raise ConfigError(f"{where}: sizePresets: {preset.id} is listed twice")
        seen.add(preset.id)
    if spec.size is None:
        return
    sizes = [("size", spec.size.width, spec.size.height)] + [
        (f"sizePresets: {preset.id}", preset.width, preset.height) for preset in spec.size_presets
    ]
    limits = msgspec.structs.asdict(spec.size)
    for field, width, height in sizes:
        fits = all(
            spec.size.min <= side <= spec.size.max and side % spec.size.step == 0
            for side in (width, height)
        )
        if not fits or width * height > spec.size.max_pixels:
            raise ConfigError(
                f"{where}: {field}: {width}x{height} breaks the model's own limits {limits}"
            )
