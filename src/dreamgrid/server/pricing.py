"""What a project costs. Pure, and whole numbers throughout: money is never a float.

A price is render time x rate. The render time of a job is what the model's benchmark says for its
work, in microseconds; a price is in micro-units (millionths) of a currency. Each is rounded up
once, per job, so a priced job never becomes free and a project costs exactly the sum of its jobs.
What counts as work is the business of the model's rules: steps and pixels of a picture, frames as
well of a video, seconds of a piece of sound. `quote` serves the estimate endpoints and the hold and
charge alike, so both agree.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from dreamgrid.protocol.assets import (
    CONTEXT_IMAGE,
    CONTROL_NET_IMAGE,
    KEYFRAME_ROLES,
    REFERENCE_IMAGE_ROLES,
    VIDEO_ROLES,
)
from dreamgrid.protocol.params import Network, TokenType
from dreamgrid.protocol.renders import AnyRender, AudioRender, ImageRender, VideoRender
from dreamgrid.protocol.rest_estimates import Cost, Estimate, EstimatedRequest, ModelCost, Rate
from dreamgrid.protocol.rest_estimates import Quote as WireQuote
from dreamgrid.server.catalog import EVEN, Model, Price
from dreamgrid.server.catalog_entries import Benchmark
from dreamgrid.server.config import MICROS
from dreamgrid.server.ledger import decimal
from dreamgrid.server.resolve.rules import work

__all__ = [
    "Amounts",
    "Quote",
    "Rates",
    "decimal",
    "quote",
    "render_s",
    "render_us",
    "to_wire",
    "usd_micros",
    "work_s",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Rates:
    """What render time costs, in whole numbers.

    The defaults make one base render (5 render seconds) cost 1 spark, 0.8 sogni and 0.005 USD.

    Attributes:
        usd_micros_per_render_s: Micro-USD for one render second.
        token_usd_micros: Micro-USD that one token of each currency is worth.
        base_render_s: Render seconds of the base render, for information only.
    """

    usd_micros_per_render_s: int = 1_000
    token_usd_micros: Mapping[TokenType, int] = field(
        default_factory=lambda: {"spark": 5_000, "sogni": 6_250}
    )
    base_render_s: int = 5


DEFAULT_RATES = Rates()


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """A price in every unit, and what it is for.

    Attributes:
        micros: Micro-units of each currency.
        usd_micros: Millionths of a US dollar, for people to read; nothing is paid in it.
        render_us: Microseconds of rendering.
        steps: Denoising steps.
    """

    micros: Mapping[TokenType, int]
    usd_micros: int
    render_us: int
    steps: int

    def times(self, count: int) -> "Amounts":
        """The same `count` times."""
        if count == 1:
            return self
        return Amounts(
            micros={token: amount * count for token, amount in self.micros.items()},
            usd_micros=self.usd_micros * count,
            render_us=self.render_us * count,
            steps=self.steps * count,
        )


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """The price of a project whose jobs all cost the same.

    Attributes:
        job: One job.
        count: How many jobs.
        project: All of them.
        network: Where they run.
        permille: Thousandths of the price that this network charges; counted in.
    """

    job: Amounts
    count: int
    project: Amounts
    network: Network
    permille: int

    def job_micros(self, token: TokenType) -> int:
        """The price of one job in micro-units."""
        return self.job.micros[token]

    def project_micros(self, token: TokenType) -> int:
        """The price of the whole project in micro-units."""
        return self.project.micros[token]


def quote(
    model: Model,
    renders: Sequence[AnyRender],
    *,
    network: Network = "fast",
    assets: Collection[str] = (),
    rates: Rates = DEFAULT_RATES,
    at_ms: int | None = None,
) -> Quote:
    """The price of a project: the lowest that was quoted not long ago.

    Args:
        model: The model of all its jobs.
        renders: One per job, as `Catalog.resolve` made them.
        network: Where they run.
        assets: Roles of the project's inputs.
        rates: What render time costs.
        at_ms: The time. None: what was quoted earlier does not matter.
    """
    quoted = _quote(model, renders, network, assets, rates)
    held = [one for one in model.earlier_prices if at_ms is not None and at_ms < one.until_ms]
    if not held:
        return quoted
    earlier = (model.at(one.price) for one in held)
    quotes = [quoted, *(_quote(one, renders, network, assets, rates) for one in earlier)]
    return min(quotes, key=lambda quoted: tuple(quoted.job.micros.values()))


def quote_holds_s(model: Model, at_ms: int, usual_s: int) -> int:
    """For how many seconds a quote holds that is made now.

    Less than `usual_s` while a price holds that the catalogue no longer has.
    """
    held = [one.until_ms for one in model.earlier_prices if at_ms < one.until_ms]
    return min([usual_s, *((until_ms - at_ms) // 1000 for until_ms in held)])


def _quote(
    model: Model,
    renders: Sequence[AnyRender],
    network: Network,
    assets: Collection[str],
    rates: Rates,
) -> Quote:
    first = renders[0]
    assert all(render.steps == first.steps for render in renders), "one project, one kind of job"
    assert model.rules is not None, "what cannot be made has no price"
    steps = priced_steps(first)
    units = work(model.rules, first, steps)
    permille = permille_of(model, network)
    job = _amounts(model, units, steps, first.previews, frozenset(assets), permille, rates)
    project = job.times(len(renders))
    return Quote(job=job, count=len(renders), project=project, network=network, permille=permille)


@lru_cache(maxsize=4_096)  # many requests of one kind come in a row
def _amounts(
    model: Model,
    units: int,
    steps: int,
    previews: int,
    assets: frozenset[str],
    permille: int,
    rates: Rates,
) -> Amounts:
    """The price of one job, of that many units of work."""
    render_us = _render_us(model.price, units, previews, assets)
    # Micro-USD x 10**9: render time is in millionths of a second, the network in thousandths.
    scaled = render_us * rates.usd_micros_per_render_s * permille
    scaled += micros_of(model.price.model_fee_usd or 0) * 10**9
    return Amounts(
        micros={
            token: divided_up(scaled, 10**3 * worth)
            for token, worth in rates.token_usd_micros.items()
        },
        usd_micros=divided_up(scaled, 10**9),
        render_us=render_us,
        steps=steps,
    )


def permille_of(model: Model, network: Network) -> int:
    """Thousandths of the price that a network charges."""
    return (model.price.network_permille or EVEN)[network]


def priced_steps(render: AnyRender) -> int:
    """The steps that are paid for: a starting image leaves only a share of them, at least one.

    Strength 0 counts like no starting image, because an estimate's path cannot tell the two apart
    and a charge must equal its estimate.
    """
    share_micros = micros_of(_strength(render))
    if not share_micros:
        return render.steps
    return divided_up(render.steps * share_micros, MICROS)


def _strength(render: AnyRender) -> float:
    """How much of a starting image is changed; 0 without one."""
    return (render.strength or 0) if isinstance(render, ImageRender) else 0


def _render_us(price: Price, units: int, previews: int, assets: Collection[str]) -> int:
    """Render time of one job in whole microseconds, rounded up.

    Work counts linearly from the benchmark, which is one render with all the defaults.
    """
    benchmark = price.benchmark
    assert price.base_work is not None, "what can be made has a benchmark"
    whole_us = divided_up(micros_of(_base_s(benchmark, assets)) * units, price.base_work)
    if previews:
        previews_us = micros_of(benchmark.sec_max_previews or 0) * previews
        whole_us += divided_up(previews_us, price.max_previews or 1)
    if CONTROL_NET_IMAGE in assets:
        whole_us += micros_of(benchmark.sec_cn or 0)
    images = sum(role in REFERENCE_IMAGE_ROLES | KEYFRAME_ROLES for role in assets)
    videos = sum(role in VIDEO_ROLES for role in assets)
    whole_us += micros_of(benchmark.sec_reference_image or 0) * images
    whole_us += micros_of(benchmark.sec_reference_video or 0) * videos
    return whole_us


def _base_s(benchmark: Benchmark, assets: Collection[str]) -> float:
    """Seconds of the benchmark's render with that many context images."""
    context_images = sum(role.startswith(CONTEXT_IMAGE) for role in assets)
    measured = (benchmark.sec_context1, benchmark.sec_context2, benchmark.sec_context3)
    known = [seconds for seconds in measured[:context_images] if seconds is not None]
    return known[-1] if known else benchmark.sec


def usd_micros(micros: int, token: TokenType, rates: Rates = DEFAULT_RATES) -> int:
    """What an amount of a currency is in micro-USD."""
    return micros * rates.token_usd_micros[token] // MICROS


def render_us(micros: int, token: TokenType, permille: int, rates: Rates = DEFAULT_RATES) -> int:
    """What an amount of a currency is in microseconds of rendering.

    Args:
        micros: The amount in micro-units.
        token: Of which currency.
        permille: Thousandths of the price that its network charges.
        rates: What render time costs.
    """
    per_render_s = rates.usd_micros_per_render_s * permille
    return usd_micros(micros, token, rates) * MICROS * 1_000 // per_render_s


def render_s(micros: int, token: TokenType, permille: int, rates: Rates = DEFAULT_RATES) -> float:
    """About how many seconds of rendering a job of this price is; for estimates, not for money."""
    per_render_s = rates.usd_micros_per_render_s * permille / 1_000
    return micros * rates.token_usd_micros[token] / MICROS / per_render_s


def work_s(model: Model, render: AnyRender) -> float:
    """How many seconds the catalogue names for a render that needs no input files.

    Raises:
        TypeError: The model makes other media.
    """
    assert model.rules is not None, "what cannot be made has no price"
    units = work(model.rules, render, priced_steps(render))
    return _render_us(model.price, units, render.previews, ()) / MICROS


def micros_of(number: float) -> int:
    """A number of the catalogue or the wire in millionths.

    Floats end here: 0.35000000000000003, which is how some clients write 1 - 0.65, is 350000.
    """
    return round(number * MICROS)


def divided_up(amount: int, divisor: int) -> int:
    """The quotient, rounded up."""
    return -(-amount // divisor)


def to_wire(
    model: Model,
    quoted: Quote,
    render: AnyRender,
    *,
    token: TokenType,
    asked_at: str,
    control_net: bool = False,
    rates: Rates = DEFAULT_RATES,
    holds_s: int | None = None,
) -> Estimate:
    """A quote as the estimate endpoints answer it.

    Args:
        model: The model.
        quoted: The quote.
        render: One of its renders.
        token: The currency that `costInToken` is in.
        asked_at: Time of the request, ISO 8601.
        control_net: Whether a ControlNet image is part of it.
        rates: What the quote was made with.
        holds_s: For how many seconds it holds.
    """
    benchmark = model.tier.benchmark
    default_steps = int(model.tier.steps.default) if model.tier.steps else 1
    worth = rates.token_usd_micros[token]
    return Estimate(
        request=EstimatedRequest(
            model=model.id,
            name=model.spec.name,
            image_count=quoted.count,
            step_count=render.steps,
            preview_count=render.previews,
            cn_enabled=control_net,
            denoise_strength=str(_strength(render)),
            time=asked_at,
            **_extent(render),
        ),
        rate=Rate(
            base_render_usd=decimal(rates.usd_micros_per_render_s * rates.base_render_s),
            token_usd=decimal(worth),
            render_s_usd=decimal(rates.usd_micros_per_render_s),
            render_s_token=decimal(divided_up(rates.usd_micros_per_render_s * MICROS, worth)),
            network=quoted.network,
            network_multiplier=decimal(quoted.permille * 1000),
        ),
        quote=WireQuote(
            model=ModelCost(
                sec_per_step=decimal(divided_up(micros_of(benchmark.sec), default_steps)),
                sec_per_preview=decimal(
                    divided_up(
                        micros_of(benchmark.sec_max_previews or 0), max(1, model.spec.max_previews)
                    )
                ),
                sec_for_cn=decimal(micros_of(benchmark.sec_cn or 0)),
            ),
            job=_cost(quoted.job, token),
            project=_cost(quoted.project, token),
        ),
        valid_s=holds_s,
    )


def _extent(render: AnyRender) -> dict[str, Any]:
    """How large the result is, in its own units."""
    match render:
        case ImageRender():
            return {"width": render.width, "height": render.height}
        case VideoRender():
            size = {"width": render.width, "height": render.height}
            return {**size, "frames": render.frames, "fps": render.fps}
        case AudioRender():
            return {"duration": render.duration_s}


def _cost(amounts: Amounts, token: TokenType) -> Cost:
    return Cost(
        cost_in_render_sec=decimal(amounts.render_us),
        cost_in_usd=decimal(amounts.usd_micros),
        cost_in_token=decimal(amounts.micros[token]),
        cost_in_spark=decimal(amounts.micros["spark"]),
        cost_in_sogni=decimal(amounts.micros["sogni"]),
        calculated_step_count=amounts.steps,
    )
