"""What a project would cost, asked by path. Public; the same numbers as a real request is charged.

The picture estimate has three lengths: the oldest clients leave the size out when they know none,
the newest add guidance, sampler and context images.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from dreamgrid.errors import UnknownModel
from dreamgrid.protocol.assets import (
    CONTEXT_IMAGE,
    CONTROL_NET_IMAGE,
    KEYFRAME_IMAGE,
    REFERENCE_VIDEO,
)
from dreamgrid.protocol.params import (
    STARTING_IMAGE,
    AnyParams,
    AudioParams,
    ImageParams,
    TokenType,
    VideoParams,
)
from dreamgrid.protocol.rest_estimates import (
    AudioEstimatePath,
    AudioEstimateQuery,
    Estimate,
    EstimateQuery,
    ImageEstimatePath,
    VideoEstimatePath,
    VideoEstimateQuery,
    template,
)
from dreamgrid.server import pricing
from dreamgrid.server.catalog_entries import Text, Tier
from dreamgrid.server.clock import milliseconds
from dreamgrid.server.earlier_prices import QUOTE_HOLDS_S
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.services import Services

_UNSET = "_"
_IMAGE_PATHS = tuple(
    f"/api/{version}/job/estimate/{template(ImageEstimatePath, segments)}"
    for version in ("v2", "v3", "v1")
    for segments in (8, 10, 13)
)


_VIDEO_PATHS = tuple(
    f"/api/v1/job-video/estimate/{template(VideoEstimatePath, segments)}" for segments in (6, 8)
)
_AUDIO_PATH = f"/api/v1/job-audio/estimate/{template(AudioEstimatePath, 5)}"
_PROMPT = "an estimate"
"""A price does not depend on the words, but there must be some."""


def routes(services: Services) -> Endpoints:
    """The estimate endpoints."""
    api = Endpoints("Prices", "What a project would cost, before it is sent.")

    def estimate(params: AnyParams, token: TokenType, references: tuple[str, ...] = ()) -> Estimate:
        renders = services.catalog.resolve(params, services.config, lambda: 0)
        model = services.catalog.model(params.model)
        network = params.network or "fast"
        assets = (*params.assets, *references)
        now_ms = milliseconds(services.clock)
        quote = pricing.quote(model, renders, network=network, assets=assets, at_ms=now_ms)
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        return pricing.to_wire(
            model,
            quote,
            renders[0],
            token=token,
            asked_at=now.isoformat(timespec="seconds").replace("+00:00", "Z"),
            control_net=CONTROL_NET_IMAGE in params.assets,
            holds_s=pricing.quote_holds_s(model, now_ms, QUOTE_HOLDS_S),
        )

    @api.get(*_IMAGE_PATHS, bare=True, errors=(UnknownModel,))
    async def estimate_images(path: ImageEstimatePath, query: EstimateQuery) -> Estimate:
        """What pictures would cost. All versions of the path answer the same."""
        del query
        return estimate(params_of(path), path.token_type)

    @api.get(*_VIDEO_PATHS, bare=True, errors=(UnknownModel,))
    async def estimate_videos(path: VideoEstimatePath, query: VideoEstimateQuery) -> Estimate:
        """What videos would cost, with the pictures and videos that they are made from."""
        params = VideoParams(
            model=path.model,
            prompt=_PROMPT,
            count=path.number_of_media,
            steps=path.steps or None,
            width=path.width or None,
            height=path.height or None,
            frames=path.frames or None,
            fps=path.fps or None,
            network=query.network,
        )
        return estimate(params, path.token_type, references_of(query))

    @api.get(_AUDIO_PATH, bare=True, errors=(UnknownModel,))
    async def estimate_audio(path: AudioEstimatePath, query: AudioEstimateQuery) -> Estimate:
        """What music or speech would cost."""
        params = AudioParams(
            model=path.model,
            prompt=_PROMPT,
            count=path.number_of_media,
            steps=path.steps or None,
            duration_s=path.duration or None,
            network=query.network,
            **_needed_texts(services.catalog.model(path.model).tier),
        )
        return estimate(params, path.token_type)

    return api


def _needed_texts(tier: Tier) -> dict[str, Any]:
    """Something for every text that a model cannot do without; a price does not depend on it."""
    limits = msgspec.structs.asdict(tier)
    return {
        name: "-" for name, limit in limits.items() if isinstance(limit, Text) and limit.required
    }


def references_of(asked: VideoEstimateQuery) -> tuple[str, ...]:
    """Roles of as many inputs as are told of; which of several slots they lie in costs the same."""
    videos = asked.reference_video_count or int(asked.has_video_input)
    return (
        *(f"{CONTEXT_IMAGE}{slot + 1}" for slot in range(asked.reference_image_count)),
        *(f"{KEYFRAME_IMAGE}{slot + 1}" for slot in range(asked.keyframe_count)),
        *(f"{REFERENCE_VIDEO}{slot + 1}" for slot in range(videos)),
    )


def params_of(asked: ImageEstimatePath) -> ImageParams:
    """The request whose price is asked for."""
    assets: list[str] = []
    denoise = round(asked.denoise, 6)
    if denoise:  # 0 means that there is no starting image
        assets.append(STARTING_IMAGE)
    if asked.cn_enabled:
        assets.append(CONTROL_NET_IMAGE)
    assets += [f"{CONTEXT_IMAGE}{slot + 1}" for slot in range(asked.context_images)]
    return ImageParams(
        model=asked.model,
        prompt=_PROMPT,
        count=asked.image_count,
        steps=asked.step_count or None,
        guidance=asked.guidance or None,
        width=asked.width or None,
        height=asked.height or None,
        assets=tuple(assets),
        strength=denoise or None,
        sampler=None if asked.sampler == _UNSET else asked.sampler,
        previews=asked.preview_count,
        network=asked.network,
    )
