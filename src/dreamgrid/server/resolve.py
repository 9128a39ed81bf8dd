"""From what an app asks for to what an engine receives: every setting decided or refused. Pure.

`ImageRules` holds a model's facts in the form that makes this quick; it runs once per project.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.params import MAX_SEED, STARTING_IMAGE, ImageParams, ImageRender
from dreamgrid.server.catalog_entries import (
    AudioTier,
    LegacyImageTier,
    ModelSpec,
    NumberRange,
    Preset,
    SizeLimits,
    StringChoice,
    Tier,
    VideoTier,
)
from dreamgrid.server.samplers import SAMPLER_ALIASES, SCHEDULER_ALIASES, NameChoice, choice_of

DEFAULT_STRENGTH = 0.5
"""How much a starting image is changed when the app does not say."""

NO_GUIDANCE = 1.0
"""The neutral guidance, which models without that setting receive."""

RANDOM_SEED = -1
"""Some clients write this instead of leaving the seed out."""


class RequestLimits(Protocol):
    """The server's own limits on a request; `ServerConfig` is one."""

    @property
    def max_count(self) -> int:
        """Most pictures in one project."""

    @property
    def max_prompt_chars(self) -> int:
        """Longest prompt, style and negative prompt counted separately."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageRules:
    """What the pictures of one model may look like. None: the model lacks that setting."""

    spec: ModelSpec
    steps: NumberRange
    guidance: NumberRange | None
    sampler: NameChoice | None
    scheduler: NameChoice | None
    size: SizeLimits
    presets: Mapping[str, Preset]


def image_rules(spec: ModelSpec, tier: Tier) -> ImageRules | None:
    """The rules of a checked model, or None when it makes no pictures."""
    if spec.media != "image" or spec.size is None or isinstance(tier, VideoTier | AudioTier):
        return None
    sampler: StringChoice | None
    scheduler: StringChoice | None
    if isinstance(tier, LegacyImageTier):
        sampler, scheduler = tier.sampler, tier.scheduler
    else:
        sampler, scheduler = tier.comfy_sampler, tier.comfy_scheduler
    return ImageRules(
        spec=spec,
        steps=tier.steps,
        guidance=tier.guidance,
        sampler=_names("sampler", sampler, SAMPLER_ALIASES),
        scheduler=_names("scheduler", scheduler, SCHEDULER_ALIASES),
        size=spec.size,
        presets={preset.id: preset for preset in spec.size_presets},
    )


def _names(
    setting: str, choice: StringChoice | None, aliases: Mapping[str, str]
) -> NameChoice | None:
    return None if choice is None else choice_of(setting, choice, aliases)


def resolve_image(
    rules: ImageRules,
    params: ImageParams,
    limits: RequestLimits,
    random_seed: Callable[[], int],
) -> tuple[ImageRender, ...]:
    """One render per job. The first gets the seed that was asked for, the others random ones.

    Raises:
        InvalidRequest: A value that the model or the server does not allow; says which are.
    """
    spec = rules.spec
    _check_routing(spec, params)
    _check_range("count", params.count, 1, limits.max_count)
    steps = int(_setting("steps", params.steps, rules.steps))
    width, height = _size(rules, params)
    first = ImageRender(
        model=spec.id,
        prompt=_prompt(spec, params, limits),
        negative_prompt=_negative_prompt(spec, params, limits),
        width=width,
        height=height,
        steps=steps,
        guidance=_guidance(rules, params),
        seed=_seed(params.seed, random_seed),
        strength=_strength(spec, params),
        sampler=_picked(rules.sampler, params.sampler),
        scheduler=_picked(rules.scheduler, params.scheduler),
        previews=max(0, min(params.previews, steps, spec.max_previews)),
        output_format=params.output_format,
    )
    others = (msgspec.structs.replace(first, seed=random_seed()) for _ in range(params.count - 1))
    return (first, *others)


def _check_routing(spec: ModelSpec, params: ImageParams) -> None:
    if params.network is not None and params.network not in spec.networks:
        raise InvalidRequest(
            f"{spec.id} is not served on the network {params.network}: "
            f"use {' or '.join(spec.networks)}"
        )
    for role in params.assets:
        if role not in spec.inputs:
            takes = ", ".join(spec.inputs) or "none"
            raise InvalidRequest(
                f"{spec.id} does not take the input {role[:64]!r}; inputs: {takes}"
            )
    for what, names in (("LoRAs", params.loras), ("ControlNets", params.control_nets)):
        if names:
            raise InvalidRequest(f"{spec.id} takes no {what}; leave {names[0][:64]!r} out")
    if params.output_format not in spec.output_formats:
        raise InvalidRequest(
            f"{spec.id} does not make {params.output_format[:64]!r} files: "
            f"use {', '.join(spec.output_formats)}"
        )


def _prompt(spec: ModelSpec, params: ImageParams, limits: RequestLimits) -> str:
    _check_text("prompt", params.prompt, limits)
    _check_text("style prompt", params.style_prompt, limits)
    has_prompt, has_style = not _blank(params.prompt), not _blank(params.style_prompt)
    if spec.prompt_required and not has_prompt:
        raise InvalidRequest(f"the prompt is empty: {spec.id} needs words to work from")
    if has_prompt and has_style:
        return f"{params.prompt}, {params.style_prompt}"
    return params.style_prompt if has_style else params.prompt


def _negative_prompt(spec: ModelSpec, params: ImageParams, limits: RequestLimits) -> str:
    _check_text("negative prompt", params.negative_prompt, limits)
    return params.negative_prompt if spec.negative_prompt else ""


def _check_text(field: str, text: str, limits: RequestLimits) -> None:
    if len(text) > limits.max_prompt_chars:
        raise InvalidRequest(
            f"the {field} has {len(text)} characters; at most {limits.max_prompt_chars} are allowed"
        )
    if "\0" in text:  # no database column and no tokenizer takes it
        raise InvalidRequest(f"the {field} contains a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"the {field} contains half a character (a lone surrogate)") from None


def _blank(text: str) -> bool:
    return not text or text.isspace()


def _picked(choice: NameChoice | None, name: str | None) -> str | None:
    return None if choice is None else choice.pick(name)


def _guidance(rules: ImageRules, params: ImageParams) -> float:
    if rules.guidance is None:
        return NO_GUIDANCE
    return float(_setting("guidance", params.guidance, rules.guidance))


def _strength(spec: ModelSpec, params: ImageParams) -> float | None:
    if STARTING_IMAGE not in params.assets:
        return None
    if not spec.strength:
        return 1.0
    if params.strength is None:
        return DEFAULT_STRENGTH
    _check_range("strength", params.strength, 0, 1)
    return float(params.strength)


def _seed(seed: int | None, random_seed: Callable[[], int]) -> int:
    if seed is None or seed == RANDOM_SEED:
        return random_seed()
    _check_range("seed", seed, 0, MAX_SEED)
    return seed


def _size(rules: ImageRules, params: ImageParams) -> tuple[int, int]:
    """Width and height in pixels: as asked for, else the preset's, else the model's default."""
    width, height = params.width, params.height
    if params.size_preset is not None:
        if width is not None or height is not None:
            raise InvalidRequest("give a size preset, or width and height, but not both")
        preset = rules.presets.get(params.size_preset)
        if preset is None:
            raise InvalidRequest(
                f"{rules.spec.id} has no size preset {params.size_preset[:64]!r}: "
                f"use {', '.join(rules.presets) or 'width and height'}"
            )
        return preset.width, preset.height
    if width is None and height is None:
        return rules.size.width, rules.size.height
    if width is None or height is None:
        raise InvalidRequest("width and height are given together or not at all")
    for field, side in (("width", width), ("height", height)):
        _check_range(field, side, rules.size.min, rules.size.max)
        if side % rules.size.step:
            raise InvalidRequest(f"{field} {side} is not a multiple of {rules.size.step}")
    if width * height > rules.size.max_pixels:
        raise InvalidRequest(
            f"{width}x{height} is {width * height} pixels; "
            f"{rules.spec.id} makes at most {rules.size.max_pixels}"
        )
    return width, height


def _setting(field: str, value: float | None, allowed: NumberRange) -> float:
    if value is None:
        return allowed.default
    _check_range(field, value, allowed.min, allowed.max)
    return value


def _check_range(field: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # written so that NaN, which no comparison holds for, is refused
        raise InvalidRequest(f"{field} {_shown(value)} is not allowed: {low} to {high}")


def _shown(value: float) -> str:
    """A number for a message; Python refuses to print whole numbers of thousands of digits."""
    if isinstance(value, int) and value.bit_length() > 64:
        return "(a whole number of more than 64 bits)"
    return str(value)
