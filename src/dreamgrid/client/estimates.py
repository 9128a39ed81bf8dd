"""The part of `client.projects` that knows prices: what a project would cost, before it is sent."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Unpack
from urllib.parse import quote

import msgspec

from dreamgrid.client.catalog import Catalog
from dreamgrid.client.current_account import decimal
from dreamgrid.client.http import Http
from dreamgrid.client.options import AudioOptions, ModelOptions
from dreamgrid.client.orders import media_of, order_of
from dreamgrid.client.session import Session
from dreamgrid.client.settings import (
    AudioSettings,
    Settings,
    VideoSettings,
    check_names,
    takes,
)
from dreamgrid.errors import CostLimitExceeded, InvalidRequest
from dreamgrid.protocol import amounts
from dreamgrid.protocol.assets import (
    CONTEXT_IMAGE,
    CONTROL_NET_IMAGE,
    KEYFRAME_ROLES,
    REFERENCE_IMAGE_ROLES,
    VIDEO_ROLES,
)
from dreamgrid.protocol.model_names import ENHANCERS
from dreamgrid.protocol.params import (
    AnyParams,
    AudioParams,
    ImageParams,
    Network,
    TokenType,
    VideoParams,
)
from dreamgrid.protocol.reading import reading_s
from dreamgrid.protocol.rest import ModelEntry
from dreamgrid.protocol.rest_estimates import Cost

EnhanceStrength = Literal["light", "medium", "heavy"]

ENHANCE_STRENGTHS: dict[str, float] = {"light": 0.15, "medium": 0.35, "heavy": 0.49}
"""How much of a picture may change when it is made finer."""

ENHANCE_STEPS = 8


@dataclass(frozen=True, kw_only=True)
class CostEstimate:
    """The price of a whole project in every unit.

    Attributes:
        token_type: The currency of `token`.
        token: Price in the currency that was asked for.
        usd: Price in US dollars.
        spark: Price in spark.
        sogni: Price in sogni.
        render_s: Seconds that a render takes, as the server measured. None: it does not say.
        total_s: The same with the wait before it.
    """

    token_type: TokenType
    token: Decimal
    usd: Decimal
    spark: Decimal
    sogni: Decimal
    render_s: float | None = None
    total_s: float | None = None

    def __str__(self) -> str:
        return amounts.price(self.token, self.token_type)


class _Benchmark(msgspec.Struct, frozen=True, rename="camel"):
    render_s: float | None = msgspec.field(default=None, name="estimatedRenderTimeSec")
    total_s: float | None = msgspec.field(default=None, name="estimatedTotalTimeSec")


class _Quote(msgspec.Struct, frozen=True):
    project: Cost


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of an estimate; servers may say more, or less."""

    quote: _Quote
    benchmark: _Benchmark = _Benchmark()


class Prices:
    """What a project would cost."""

    def __init__(self, http: Http, catalog: Catalog, session: Session) -> None:
        self._http = http
        self._catalog = catalog
        self._session = session

    @takes(Settings)
    async def estimate_cost(self, **settings: Unpack[Settings]) -> CostEstimate:
        """What a project with these settings would cost; the same that `create` takes.

        Inputs are not read: only that they are there counts. A `strength` alone stands for a
        starting image.

        Raises:
            TypeError: There is no setting of that name.
            UnknownModel: The catalogue has no such model.
            InvalidRequest: A setting has the wrong type or is out of range.
        """
        return await self._estimate(settings)

    @takes(VideoSettings)
    async def estimate_video_cost(self, **settings: Unpack[VideoSettings]) -> CostEstimate:
        """As `estimate_cost`, for videos only."""
        return await self._estimate(settings)

    @takes(AudioSettings)
    async def estimate_audio_cost(self, **settings: Unpack[AudioSettings]) -> CostEstimate:
        """As `estimate_cost`, for music and speech only."""
        return await self._estimate(settings)

    async def estimate_enhancement_cost(
        self, strength: EnhanceStrength = "medium", *, token_type: TokenType = "spark"
    ) -> CostEstimate:
        """What `Image.enhance()` would cost for a picture of the enhancing model's size.

        Raises:
            InvalidRequest: There is no such strength.
            UnknownModel: This grid has no enhancing model.
        """
        model = await enhancer(self._catalog)
        return await self._estimate(
            {
                "model": model,
                "steps": await enhancing_steps(self._catalog, model),
                "strength": enhance_strength(strength),
                "token_type": token_type,
            }
        )

    async def get_enhancing_model(self) -> str:
        """The model that `Image.enhance()` would use now.

        Raises:
            UnknownModel: This grid has no enhancing model.
        """
        return await enhancer(self._catalog)

    async def _estimate(self, settings: Mapping[str, Any]) -> CostEstimate:
        check_names(settings)
        entry = await self._catalog.model(settings["model"])
        media_of(entry)
        options, comfy = await self._catalog.described(entry)
        order = order_of(settings, entry, options, comfy=comfy, estimate=True)
        return await self._price(order.params)

    async def _price(self, params: AnyParams) -> CostEstimate:
        """Asks the server for its quote; `params` are checked already."""
        token_type = params.token_type or "spark"
        network = params.network or self._session.network
        query: dict[str, str] = {}
        match params:
            case ImageParams():
                path = await self._image_path(params, network, token_type)
            case VideoParams():
                path, query = await self._video_path(params, network, token_type)
            case AudioParams():
                path, query = await self._audio_path(params, network, token_type)
        answer = await self._http.bare(path, _Answer, query=query)
        cost = answer.quote.project
        return CostEstimate(
            token_type=token_type,
            token=decimal(cost.cost_in_token, "a price"),
            usd=decimal(cost.cost_in_usd, "a price"),
            spark=decimal(cost.cost_in_spark, "a price"),
            sogni=decimal(cost.cost_in_sogni, "a price"),
            render_s=answer.benchmark.render_s,
            total_s=answer.benchmark.total_s,
        )

    async def _check_cost(self, params: AnyParams, most: object) -> None:
        """Asks for the price and compares.

        Raises:
            CostLimitExceeded: It is higher than `most`.
        """
        if (
            isinstance(most, bool)
            or not isinstance(most, int | float | Decimal)
            or math.isnan(most)
        ):
            raise InvalidRequest(f"max_cost is {most!r}: give a number of tokens")
        price = await self._price(params)
        if price.token > Decimal(str(most)):
            limit = amounts.plain(str(most))
            raise CostLimitExceeded(
                f"it would cost {price}, and max_cost is {limit}: nothing was sent",
                cost=price.token,
            )

    async def _image_path(
        self, params: ImageParams, network: Network, token_type: TokenType
    ) -> str:
        width, height = await self._size(params, network)
        segments: list[object] = [
            token_type,
            network,
            params.model,
            params.count,
            await self._steps(params),
            params.previews,
            int(CONTROL_NET_IMAGE in params.assets),
            params.strength or 0,
            width,
            height,
        ]
        context_images = _count(params, CONTEXT_IMAGE)
        version = "v2"
        if params.sampler is not None or context_images:
            version = "v3"
            segments += [params.guidance or 0, params.sampler or "_", context_images]
        return _path(f"{version}/job", segments)

    async def _video_path(
        self, params: VideoParams, network: Network, token_type: TokenType
    ) -> tuple[str, dict[str, str]]:
        options = await self._catalog.options(params.model)
        width, height = await self._size(params, network)
        defaults = {
            name: getattr(options, name).default if getattr(options, name, None) else 0
            for name in ("width", "height", "frames", "fps")
        }
        segments = [
            token_type,
            params.model,
            width or int(defaults["width"]),
            height or int(defaults["height"]),
            params.frames or int(defaults["frames"]),
            _plain(params.fps or defaults["fps"]),
            await self._steps(params),
            params.count,
        ]
        videos = sum(role in VIDEO_ROLES for role in params.assets)
        images = sum(role in REFERENCE_IMAGE_ROLES for role in params.assets)
        counts = {
            "hasVideoInput": int(videos > 0),
            "referenceImageCount": images,
            "referenceVideoCount": videos,
            "keyframeCount": sum(role in KEYFRAME_ROLES for role in params.assets),
        }
        query = {name: str(count) for name, count in counts.items() if count}
        return _path("v1/job-video", segments), query | {"network": network}

    async def _audio_path(
        self, params: AudioParams, network: Network, token_type: TokenType
    ) -> tuple[str, dict[str, str]]:
        options = await self._catalog.options(params.model)
        duration_s = params.duration_s or _default_duration_s(params, options)
        steps = await self._steps(params)
        segments = [token_type, params.model, _plain(duration_s), steps, params.count]
        return _path("v1/job-audio", segments), {"network": network}

    async def _steps(self, params: AnyParams) -> int:
        if params.steps is not None:
            return params.steps
        options = await self._catalog.options(params.model)
        return int(options.steps.default) if options.steps else 0

    async def _size(self, params: ImageParams | VideoParams, network: Network) -> tuple[int, int]:
        if params.size_preset is None:
            return params.width or 0, params.height or 0
        size = await self._catalog.preset(params.model, params.size_preset, network)
        return size.width, size.height


def enhance_strength(strength: str) -> float:
    """How much may change, as a number.

    Raises:
        InvalidRequest: There is no such strength.
    """
    if strength not in ENHANCE_STRENGTHS:
        raise InvalidRequest(f"strength is '{strength}': use {', '.join(ENHANCE_STRENGTHS)}")
    return ENHANCE_STRENGTHS[strength]


async def enhancer(catalog: Catalog) -> str:
    """The model of this grid that makes pictures finer.

    One that has a worker comes first; then those that the published SDKs use before those that the
    catalogue marks, and those before stand-ins, which are both.

    Raises:
        UnknownModel: There is none.
    """
    entries = await catalog.models()
    served = {model.id for model in catalog.available or await catalog.available_on("fast")}

    def rank(entry: ModelEntry) -> tuple[bool, bool, int]:
        known = entry.id in ENHANCERS
        return entry.id not in served, entry.enhances, ENHANCERS.index(entry.id) if known else -1

    able = [entry for entry in entries if entry.enhances or entry.id in ENHANCERS]
    for entry in sorted(able, key=rank):
        return entry.id
    return (await catalog.model(ENHANCERS[0])).id  # raises, and says what there is


async def enhancing_steps(catalog: Catalog, model: str) -> int | None:
    """The steps of an enhancement, as far as the model allows."""
    limit = (await catalog.options(model)).steps
    return None if limit is None else int(min(max(ENHANCE_STEPS, limit.min), limit.max))


def _default_duration_s(params: AudioParams, options: ModelOptions) -> float:
    """How long a sound is whose length nobody says; speech is as long as its text. 0: unknown."""
    if not isinstance(options, AudioOptions) or options.duration_s is None:
        return 0
    limit = options.duration_s
    if options.chars_per_second is None:
        return limit.default
    text = f"{params.prompt}, {params.style_prompt}" if params.style_prompt else params.prompt
    return min(max(reading_s(text, options.chars_per_second), limit.min), limit.max)


def _path(kind: str, segments: list[Any]) -> str:
    version, _, job = kind.partition("/")
    written = "/".join(quote(str(segment), safe="") for segment in segments)
    return f"/api/{version}/{job}/estimate/{written}"


def _plain(number: float) -> int | float:
    """Whole numbers without a dot."""
    return int(number) if float(number).is_integer() else number


def _count(params: AnyParams, role: str) -> int:
    return sum(one.startswith(role) for one in params.assets)
