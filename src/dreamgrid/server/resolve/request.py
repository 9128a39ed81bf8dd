"""What every request is held against, whatever it makes: routing, inputs, LoRAs, seeds. Pure."""

from collections.abc import Callable, Mapping
from typing import Protocol

from dreamgrid.errors import InvalidRequest, MissingAsset
from dreamgrid.protocol.assets import CONTROL_NET_IMAGE
from dreamgrid.protocol.params import (
    INPAINT,
    STARTING_IMAGE,
    ControlNet,
    ImageParams,
    Lora,
    Media,
    OutputFormat,
    Params,
)
from dreamgrid.server.catalog_entries import LoraSpec, ModelSpec, NumberRange
from dreamgrid.server.resolve.settings import check_range, check_seed

RandomSeed = Callable[[], int]
"""Gives a number in 0..2**32-1 at each call."""

NO_GUIDANCE = 1.0
"""The neutral guidance, which models without that setting receive."""

RANDOM_SEED = -1
"""Some clients write this instead of leaving the seed out."""

MAX_LORAS = 8
"""Most LoRAs in one request (`rest.md` 4 of the wire contract)."""


class RequestLimits(Protocol):
    """The server's own limits on a request; `ServerConfig` is one."""

    @property
    def max_count(self) -> int:
        """Most pictures in one project."""

    @property
    def max_video_count(self) -> int:
        """Most videos in one project."""

    @property
    def max_audio_count(self) -> int:
        """Most pieces of sound in one project."""

    @property
    def max_prompt_chars(self) -> int:
        """Longest prompt, style and negative prompt counted separately."""


def check_routing(spec: ModelSpec, params: Params) -> None:
    """The network serves the model, and the model takes the inputs that were uploaded.

    Raises:
        InvalidRequest: Says what the model takes instead.
    """
    if params.network is not None and params.network not in spec.networks:
        raise InvalidRequest(
            f"{spec.id} is not served on the network {params.network}: "
            f"use {' or '.join(spec.networks)}"
        )
    for role in params.assets:
        if role not in spec.inputs and not (role == CONTROL_NET_IMAGE and spec.control_nets):
            takes = ", ".join(spec.inputs) or "none"
            raise InvalidRequest(
                f"{spec.id} does not take the input {role[:64]!r}; inputs: {takes}"
            )


def check_inputs(spec: ModelSpec, params: Params) -> None:
    """The inputs that the model cannot do without are there. Not asked of an estimate.

    Raises:
        MissingAsset: Says which are missing.
    """
    for role in spec.required_inputs:
        if role not in params.assets:
            raise MissingAsset(f"{spec.id} needs the input {role}; upload it and say so")
    if spec.any_inputs and not any(role in params.assets for role in spec.any_inputs):
        raise MissingAsset(f"{spec.id} needs at least one of: {', '.join(spec.any_inputs)}")
    net = params.control_net
    if net is not None and CONTROL_NET_IMAGE not in params.assets and spec.media == "image":
        raise MissingAsset(f"the ControlNet {net.name[:64]} needs an image; upload it as cnImage")
    paints_in = isinstance(params, ImageParams) and net is not None and net.name == INPAINT
    if paints_in and STARTING_IMAGE not in params.assets:
        raise MissingAsset(
            "the ControlNet inpaint needs a picture to paint in; upload it as startingImage"
        )


def check_count(count: int, media: Media, limits: RequestLimits) -> None:
    """The project is not too large.

    Raises:
        InvalidRequest: It is, or it is empty.
    """
    most = {
        "image": limits.max_count,
        "video": limits.max_video_count,
        "audio": limits.max_audio_count,
    }
    check_range("count", count, 1, most[media])


def output_format(spec: ModelSpec, asked: OutputFormat | None) -> OutputFormat:
    """The file type of the result.

    Raises:
        InvalidRequest: The model does not make it.
    """
    formats = spec.formats
    if asked is None:
        return formats[0]
    if asked not in formats:
        raise InvalidRequest(f"{spec.id} does not make {asked!r} files: use {', '.join(formats)}")
    return asked


def guidance_of(allowed: NumberRange | None, asked: float | None) -> float:
    """The guidance; models without that setting ignore what is asked for.

    Raises:
        InvalidRequest: It is out of range.
    """
    if allowed is None:
        return NO_GUIDANCE
    if asked is None:
        return float(allowed.default)
    check_range("guidance", asked, allowed.min, allowed.max)
    return float(asked)


def seed_of(seed: int | None, random_seed: RandomSeed) -> int:
    """The seed of the first result.

    Raises:
        InvalidRequest: It is out of range.
    """
    if seed is None or seed == RANDOM_SEED:
        return random_seed()
    check_seed(seed)
    return seed


def loras_of(
    spec: ModelSpec, offered: Mapping[str, LoraSpec], asked: tuple[Lora, ...]
) -> tuple[Lora, ...]:
    """The LoRAs to apply, each strength brought into its LoRA's range.

    Raises:
        InvalidRequest: One is not for this model, or there are too many.
    """
    if len(asked) > MAX_LORAS:
        raise InvalidRequest(f"{len(asked)} LoRAs were asked for; at most {MAX_LORAS} are possible")
    found = []
    for lora in asked:
        known = offered.get(lora.id)
        if known is None:
            takes = ", ".join(offered) or "none"
            raise InvalidRequest(f"{spec.id} has no LoRA {lora.id[:64]!r}; it takes: {takes}")
        if lora.strength != lora.strength:  # NaN
            raise InvalidRequest(f"the strength of the LoRA {lora.id} is no number")
        strength = min(max(lora.strength, known.ui.min), known.ui.max)
        found.append(Lora(id=lora.id, strength=strength))
    return tuple(found)


def control_net_of(spec: ModelSpec, asked: ControlNet | None) -> ControlNet | None:
    """The ControlNet to steer by.

    Raises:
        InvalidRequest: The model does not offer it, a number is out of range, or it ends before it
            starts.
    """
    if asked is None:
        return None
    if asked.name not in spec.control_nets:
        takes = ", ".join(spec.control_nets) or "none"
        raise InvalidRequest(
            f"{spec.id} has no ControlNet {asked.name[:64]!r}; ControlNets: {takes}"
        )
    for field in ("strength", "start", "end"):
        value = getattr(asked, field)
        if value is not None:
            check_range(f"ControlNet {field}", value, 0, 1)
    start, end = asked.start or 0, 1 if asked.end is None else asked.end
    if start >= end:
        raise InvalidRequest(
            f"the ControlNet {asked.name} starts at {start} and ends at {end}, so it never works: "
            "let it start before it ends"
        )
    return asked
