"""Which rules a model has, and the renders that they make of a request. Pure."""

from collections.abc import Mapping

from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.params import AnyParams, AudioParams, ImageParams, VideoParams
from dreamgrid.protocol.renders import AnyRender, AudioRender, ImageRender, VideoRender
from dreamgrid.server.catalog_entries import AudioTier, LoraSpec, ModelSpec, Tier, VideoTier
from dreamgrid.server.resolve.audio import AudioRules
from dreamgrid.server.resolve.image import ImageRules
from dreamgrid.server.resolve.request import RandomSeed, RequestLimits
from dreamgrid.server.resolve.variations import varied
from dreamgrid.server.resolve.video import VideoRules

Rules = ImageRules | VideoRules | AudioRules


def rules_of(spec: ModelSpec, tier: Tier, loras: Mapping[str, LoraSpec]) -> Rules | None:
    """The rules of a checked model; None for media that this version cannot make."""
    match tier:
        case VideoTier():
            return VideoRules.of(spec, tier, loras)
        case AudioTier():
            return AudioRules.of(spec, tier, loras)
        case _ if spec.media == "image":
            return ImageRules.of(spec, tier, loras)
        case _:
            return None


def work(rules: Rules, render: AnyRender, steps: int) -> int:
    """How much there is to do for a render with that many steps, in the unit of `base_work`."""
    match rules, render:
        case ImageRules(), ImageRender():
            return rules.work(render, steps)
        case VideoRules(), VideoRender():
            return rules.work(render, steps)
        case AudioRules(), AudioRender():
            return rules.work(render, steps)
        case _:
            raise TypeError(f"{type(render).__name__} is not what {rules.spec.id} makes")


def resolve(
    rules: Rules, params: AnyParams, limits: RequestLimits, random_seed: RandomSeed
) -> tuple[AnyRender, ...]:
    """One render per job, each with its own text where the prompts are dynamic.

    Raises:
        InvalidRequest: A value that the model or the server does not allow; says which are.
    """
    renders = _resolve(rules, params, limits, random_seed)
    return varied(rules.spec, params, renders, limits.max_prompt_chars)


def _resolve(
    rules: Rules, params: AnyParams, limits: RequestLimits, random_seed: RandomSeed
) -> tuple[AnyRender, ...]:
    match rules, params:
        case ImageRules(), ImageParams():
            return rules.resolve(params, limits, random_seed)
        case VideoRules(), VideoParams():
            return rules.resolve(params, limits, random_seed)
        case AudioRules(), AudioParams():
            return rules.resolve(params, limits, random_seed)
        case _:
            raise InvalidRequest(f"{rules.spec.id} makes {rules.spec.media}, nothing else")
