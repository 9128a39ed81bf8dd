"""What workers say of their own speed: of use until jobs say better, and of no use to liars."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dreamgrid.protocol.renders import AnyRender, AudioRender, ImageRender
from dreamgrid.protocol.worker import Heartbeat, MeasuredSpeed
from dreamgrid.server.catalog import Catalog
from dreamgrid.server.claims import note_claims
from dreamgrid.server.pricing import work_s
from dreamgrid.server.speeds import MOST_APART, Speeds
from tests.support.grid import Grid
from tests.support.live import worker

CATALOG = Catalog.load(())
MODEL = "pattern-v1"


def picture(side: int = 512, *, model: str = MODEL) -> ImageRender:
    return ImageRender(
        model=model, prompt="", steps=10, guidance=1.0, seed=1, width=side, height=side
    )


def claim(ratio: float, render: ImageRender | None = None) -> MeasuredSpeed:
    """A render that took so many times what the catalogue says."""
    render = render or picture()
    return MeasuredSpeed(render=render, took_s=ratio * work_s(CATALOG.model(render.model), render))


def test_a_claim_stands_in_until_the_first_job() -> None:
    speeds = Speeds()
    assert speeds.seconds(MODEL, 1.0, "w1") is None
    speeds.claim("w1", MODEL, work_s=2.0, took_s=6.0)
    assert speeds.seconds(MODEL, 1.0, "w1") == pytest.approx(3.0)
    assert speeds.seconds(MODEL, 1.0, "new") == pytest.approx(3.0), "better than nothing"
    speeds.observe("w1", MODEL, work_s=2.0, took_s=10.0)
    assert speeds.seconds(MODEL, 1.0, "w1") == pytest.approx(5.0)
    speeds.claim("w1", MODEL, work_s=2.0, took_s=1.0)
    assert speeds.seconds(MODEL, 1.0, "w1") == pytest.approx(5.0), "it said so again: no matter"


def test_where_somebody_was_measured_claims_say_nothing_of_what_is_usual() -> None:
    speeds = Speeds()
    speeds.observe("honest", MODEL, work_s=1.0, took_s=2.0)
    for number in range(50):
        speeds.claim(f"liar-{number}", MODEL, work_s=1.0, took_s=1e-6)
    assert speeds.seconds(MODEL, 1.0, "new") == pytest.approx(2.0)
    assert speeds.pace("honest", MODEL) == pytest.approx(1.0)
    assert speeds.seconds(MODEL, 1.0, "liar-1") == pytest.approx(2.0 / MOST_APART)


@pytest.mark.parametrize("others_were_measured", [False, True])
def test_a_claim_can_only_cost_a_worker_its_turn(*, others_were_measured: bool) -> None:
    speeds = Speeds()
    if others_were_measured:
        speeds.observe("known", MODEL, work_s=1.0, took_s=1.0)
    without = speeds.pace("w1", MODEL)
    speeds.claim("w1", MODEL, work_s=1.0, took_s=1e-9)
    assert speeds.pace("w1", MODEL) == without
    speeds.claim("w1", MODEL, work_s=1.0, took_s=4.0)
    assert speeds.pace("w1", MODEL) == pytest.approx(4.0)


def test_a_claim_says_nothing_of_how_long_a_render_may_take() -> None:
    speeds = Speeds()
    speeds.claim("w1", MODEL, work_s=1.0, took_s=600_000.0)
    assert speeds.measured_s(MODEL, 1.0, "w1") is None
    speeds.observe("known", MODEL, work_s=1.0, took_s=2.0)
    assert speeds.measured_s(MODEL, 1.0, "w1") == pytest.approx(2.0)


def test_the_catalogue_says_how_long_the_trial_should_take() -> None:
    speeds, session = Speeds(), worker(MODEL)
    note_claims(session, [claim(3.0, picture(256))], speeds, CATALOG)
    assert session.paces == {MODEL: pytest.approx(3.0)}
    work = work_s(CATALOG.model(MODEL), picture(1024))
    assert speeds.seconds(MODEL, work, session.id) == pytest.approx(3.0 * work)


def test_a_claim_counts_for_every_model_that_runs_as_the_one_that_was_measured(
    tmp_path: Path,
) -> None:
    entry = {"id": "second", "like": MODEL, "name": "Second", "SID": 5001, "servedAs": MODEL}
    (tmp_path / "models.json").write_text(json.dumps({"models": [entry]}))
    catalog = Catalog.load([tmp_path / "models.json"])
    session = worker(MODEL, "second")
    note_claims(session, [claim(3.0)], Speeds(), catalog)
    assert session.paces == {MODEL: pytest.approx(3.0), "second": pytest.approx(3.0)}


def test_claims_about_what_this_version_cannot_make_are_passed_over() -> None:
    catalog = Catalog({MODEL: replace(CATALOG.model(MODEL), rules=None)}, {})
    session = worker(MODEL)
    note_claims(session, [claim(3.0)], Speeds(), catalog)
    assert session.paces == {}


@pytest.mark.parametrize(
    "render",
    [
        picture(model="unheard-of"),
        picture(0),
        picture(10**300),
        picture(-1),
        AudioRender(model=MODEL, prompt="", steps=8, guidance=1.0, seed=1, duration_s=10),
        ImageRender(
            model=MODEL,
            prompt="",
            steps=1,
            guidance=1.0,
            seed=1,
            width=8,
            height=8,
            strength=1e308,
        ),
    ],
)
def test_impossible_claims_are_passed_over(render: AnyRender) -> None:
    speeds, session = Speeds(), worker(MODEL)
    note_claims(session, [MeasuredSpeed(render=render, took_s=1.0), claim(2.0)], speeds, CATALOG)
    assert session.paces == {MODEL: pytest.approx(2.0)}


async def test_who_says_that_it_is_slower_gets_its_jobs_after_the_others(grid: Grid) -> None:
    slow = await grid.worker("slow", speeds=(claim(8.0),))
    quick = await grid.worker("quick", speeds=(claim(0.01),))
    app = await grid.app()
    await app.request()
    await quick.assigned()
    await slow.fence()


async def test_what_a_worker_finds_out_after_its_hello_counts_as_well(grid: Grid) -> None:
    slow = await grid.worker("slow")
    quick = await grid.worker("quick")
    await slow.send(Heartbeat(speeds=(claim(8.0),)))
    await slow.fence()
    app = await grid.app()
    await app.request()
    await quick.assigned()
    await slow.fence()


def test_what_was_measured_is_known_again_after_a_reconnect() -> None:
    speeds, first, again = Speeds(), worker(MODEL), worker(MODEL)
    speeds.observe("other", MODEL, work_s=1.0, took_s=1.0)
    speeds.observe(first.id, MODEL, work_s=1.0, took_s=3.0)
    again.id = first.id
    note_claims(again, [], speeds, CATALOG)
    assert again.paces == {MODEL: pytest.approx(1.5)}
