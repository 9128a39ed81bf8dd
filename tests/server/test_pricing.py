"""Prices: whole numbers, additive, monotone, never free by rounding, equal to their estimate."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.protocol.params import STARTING_IMAGE, ImageParams, TokenType
from dreamgrid.protocol.renders import ImageRender
from dreamgrid.protocol.rest_estimates import ImageEstimatePath
from dreamgrid.server import pricing
from dreamgrid.server.catalog import Catalog, Model
from dreamgrid.server.http import parameters
from dreamgrid.server.pricing import Quote, Rates
from dreamgrid.server.routes.estimates import params_of

DREAMLET = Catalog.load().model("dreamlet-v1")


def render(**changes: Any) -> ImageRender:
    fields = {"model": "m", "prompt": "p", "width": 512, "height": 512, "steps": 20}
    return ImageRender(**{**fields, "guidance": 1.0, "seed": 1, **changes})


def priced_model(tmp_path: Path, benchmark: dict[str, Any], **tier: Any) -> Model:
    """A 512 px model with 20 steps by default and at most 10 previews."""
    spec = {"id": "m", "name": "M", "SID": 7, "tier": "t", "media": "image", "maxPreviews": 10}
    size = {"width": 512, "height": 512, "min": 1, "max": 4096, "maxPixels": 4096**2}
    steps = {"min": 1, "max": 100, "default": 20}
    path = tmp_path / "m.json"
    content = {
        "models": [{**spec, "size": size}],
        "tiers": {"t": {"type": "image", "benchmark": benchmark, "steps": steps, **tier}},
    }
    path.write_text(json.dumps(content))
    return Catalog.load([path]).model("m")


def micros(model: Model, *renders: ImageRender, **how: Any) -> int:
    return pricing.quote(model, renders, **how).project_micros("spark")


# ── the known example ────────────────────────────────────────────────────────────────────────────


def test_a_base_render_of_five_seconds_costs_one_spark(tmp_path: Path) -> None:
    model = priced_model(tmp_path, {"sec": 5})
    quote = pricing.quote(model, (render(), render(seed=2)))
    assert quote.job_micros("spark") == 1_000_000
    assert quote.job_micros("sogni") == 800_000
    assert quote.job.usd_micros == 5_000
    assert quote.job.render_us == 5_000_000
    assert quote.project_micros("spark") == 2_000_000
    assert quote.project.steps == 40


def test_the_wire_shows_the_quote_as_decimal_strings(tmp_path: Path) -> None:
    model = priced_model(tmp_path, {"sec": 5})
    renders = (render(), render(seed=2))
    quote = pricing.quote(model, renders)
    wire = pricing.to_wire(model, quote, renders[0], token="sogni", asked_at="now")
    assert wire.quote.project.cost_in_token == wire.quote.project.cost_in_sogni == "1.600000"
    assert wire.quote.project.cost_in_spark == "2.000000"
    assert wire.quote.project.cost_in_usd == "0.010000"
    assert wire.quote.job.cost_in_render_sec == "5.000000"
    assert wire.quote.job.calculated_step_count == 20
    assert wire.quote.model.sec_per_step == "0.250000"
    assert wire.rate.base_render_usd == "0.005000"
    assert wire.rate.render_s_token == "0.160000"
    assert wire.request.image_count == 2


def test_the_network_changes_the_price() -> None:
    model = Catalog.load(network_permille={"fast": 2_000, "relaxed": 500}).model("dreamlet-v1")
    usual = micros(DREAMLET, render())
    assert micros(model, render(), network="fast") == 2 * usual
    assert micros(model, render(), network="relaxed") == usual // 2


def test_a_model_fee_is_added_to_each_job(tmp_path: Path) -> None:
    base = micros(priced_model(tmp_path, {"sec": 5}), render())
    paid = priced_model(tmp_path, {"sec": 5}, modelFeeUSD=0.01)
    assert micros(paid, render()) == base + 2_000_000


def test_control_net_and_context_images_cost_what_the_benchmark_says(tmp_path: Path) -> None:
    model = priced_model(tmp_path, {"sec": 4, "secCN": 1, "secContext1": 6, "secContext2": 8})

    def seconds(*assets: str) -> float:
        return pricing.quote(model, (render(),), assets=assets).job.render_us / 1e6

    assert seconds() == 4
    assert seconds("cnImage") == 5
    assert seconds("contextImage1") == 6
    assert seconds("contextImage1", "contextImage2") == 8
    assert seconds("contextImage1", "contextImage2", "contextImage3") == 8
    assert seconds("contextImage1", "cnImage") == 7


def test_a_starting_image_saves_the_steps_that_it_skips() -> None:
    assert pricing.priced_steps(render(strength=None)) == 20
    assert pricing.priced_steps(render(strength=1.0)) == 20
    assert pricing.priced_steps(render(strength=0.35)) == 7
    assert pricing.priced_steps(render(strength=1 - 0.65)) == 7  # 0.35 in the floats of clients
    assert pricing.priced_steps(render(strength=0.001)) == 1
    assert pricing.priced_steps(render(strength=1e-17)) == 20
    assert pricing.priced_steps(render(strength=0.0)) == 20  # on the wire: no starting image


def test_a_model_without_render_time_is_free(tmp_path: Path) -> None:
    assert micros(priced_model(tmp_path, {"sec": 0}), render(steps=100, width=4096)) == 0


# ── for every request ────────────────────────────────────────────────────────────────────────────

sides = st.integers(1, 4096)
renders_ = st.builds(
    render,
    width=sides,
    height=sides,
    steps=st.integers(1, 100),
    previews=st.integers(0, 10),
    strength=st.one_of(st.none(), st.floats(0, 1)),
)
benchmarks = st.fixed_dictionaries(
    {"sec": st.one_of(st.floats(1e-6, 1000), st.integers(1, 1000))},
    optional={"secMaxPreviews": st.floats(0, 10), "secCN": st.floats(0, 10)},
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    benchmark = {"sec": 0.0123, "secMaxPreviews": 0.77}
    return priced_model(tmp_path_factory.mktemp("catalog"), benchmark)


def whole(quote: Quote) -> bool:
    amounts = [*quote.job.micros.values(), *quote.project.micros.values()]
    return all(type(number) is int for number in [*amounts, quote.job.render_us])


@given(one=renders_, count=st.integers(1, 16))
def test_a_project_costs_exactly_its_jobs(model: Model, one: ImageRender, count: int) -> None:
    single, several = pricing.quote(model, (one,)), pricing.quote(model, (one,) * count)
    tokens: tuple[TokenType, ...] = ("spark", "sogni")
    for token in tokens:
        assert several.job_micros(token) == single.project_micros(token)
        assert several.project_micros(token) == count * several.job_micros(token)
    assert several.project.render_us == count * single.project.render_us
    assert whole(several)


@given(one=renders_, more=st.integers(1, 50))
def test_more_work_never_costs_less(model: Model, one: ImageRender, more: int) -> None:
    def changed(**changes: Any) -> int:
        fields = {name: getattr(one, name) for name in one.__struct_fields__}
        return micros(model, ImageRender(**{**fields, **changes}))

    price = micros(model, one)
    assert changed(steps=one.steps + more) >= price
    assert changed(width=one.width + more) >= price
    assert changed(height=one.height + more) >= price
    assert changed(previews=one.previews + more) >= price
    if one.strength is not None and pricing.micros_of(one.strength):
        assert changed(strength=min(1.0, one.strength + more / 50)) >= price
        assert changed(strength=None) >= price


@given(one=renders_, permille=st.integers(1, 2000), worth=st.integers(1, 10**9))
def test_a_priced_model_is_never_free(
    model: Model, one: ImageRender, permille: int, worth: int
) -> None:
    rates = Rates(
        usd_micros_per_render_s=1,
        token_usd_micros={"spark": worth, "sogni": 10**9},
    )
    model = replace(model, network_permille={"fast": permille})
    quote = pricing.quote(model, (one,), rates=rates)
    assert quote.job_micros("spark") >= 1
    assert quote.job_micros("sogni") >= 1


@given(benchmark=benchmarks, one=renders_)
def test_the_price_follows_the_benchmark(
    tmp_path_factory: pytest.TempPathFactory, benchmark: dict[str, Any], one: ImageRender
) -> None:
    model = priced_model(tmp_path_factory.mktemp("catalog"), benchmark)
    share = pricing.priced_steps(one) / 20 * one.width * one.height / 512**2
    seconds = benchmark["sec"] * share + benchmark.get("secMaxPreviews", 0) * one.previews / 10
    quote = pricing.quote(model, (one,))
    assert quote.job.render_us == pytest.approx(seconds * 1e6, rel=1e-6, abs=3 + share)


@given(
    count=st.integers(1, 16),
    steps=st.one_of(st.none(), st.integers(1, 50)),
    side=st.one_of(st.none(), st.integers(8, 128).map(lambda eighth: eighth * 8)),
    previews=st.integers(0, 60),
    kept=st.one_of(st.none(), st.floats(0, 1), st.just(1 - 2e-16)),
)
def test_a_charge_equals_the_estimate_that_a_client_asks_for(
    count: int, steps: int | None, side: int | None, previews: int, kept: float | None
) -> None:
    """`kept` is the clients' own sense of strength: how much of the starting image stays."""
    catalog = Catalog.load()
    request = ImageParams(
        model="dreamlet-v1",
        prompt="a cat in the rain",
        count=count,
        steps=steps,
        width=side,
        height=side,
        previews=previews,
        assets=() if kept is None else (STARTING_IMAGE,),
        strength=None if kept is None else 1 - kept,
    )
    asked = {
        "tokenType": "spark",
        "network": "fast",
        "model": "dreamlet-v1",
        "imageCount": str(count),
        "stepCount": str(steps or 0),
        "previewCount": str(previews),
        "cnEnabled": "0",
        "denoise": str(0 if kept is None else 1 - kept),
        "width": str(side or 0),
        "height": str(side or 0),
    }

    def price(params: ImageParams) -> Quote:
        renders = catalog.resolve(params, Limits(), lambda: 1)
        return pricing.quote(DREAMLET, renders, network="fast", assets=params.assets)

    assert (
        price(params_of(parameters("path", asked, ImageEstimatePath))).project
        == price(request).project
    )


class Limits:
    max_count = 16
    max_video_count = 4
    max_audio_count = 4
    max_prompt_chars = 4000
