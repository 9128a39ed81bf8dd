"""Braces and flags in prompts, from the request of an app to the worker and back."""

from typing import Any

import msgspec
import pytest

from dreamgrid.protocol.job_request import JobRequest
from dreamgrid.protocol.worker import Assign
from dreamgrid.server.prompt_language import read, recall
from dreamgrid.server.worker_flags import ANYBODY
from tests.server.conftest import MakeGrid
from tests.support.grid import Grid
from tests.support.wire import App, Worker

REFUSED = 4000


async def refusal(app: App, **fields: Any) -> str:
    """Why the server refuses a request."""
    project = await app.request(**fields)
    frame = await app.wait_for("jobError", jobID=project)
    assert frame["error"] == REFUSED
    return str(frame["error_message"])


async def assignments(worker: Worker, count: int) -> list[Assign]:
    """The next assignments, in the order of the project's jobs."""
    return [await worker.assigned() for _ in range(count)]


# ── dynamic prompts ──────────────────────────────────────────────────────────────────────────────


async def test_every_job_renders_its_own_text(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(slots=4)
    await app.request(positivePrompt="a {red|blue} {cat|dog}", numberOfImages=4)
    assert [job.render.prompt for job in await assignments(worker, 4)] == [
        "a red cat",
        "a red dog",
        "a blue cat",
        "a blue dog",
    ]


async def test_style_and_negative_prompts_are_dynamic_too(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(slots=2, models=("dreamlet-v1",))
    await app.request(
        modelID="dreamlet-v1",
        positivePrompt="a cat",
        stylePrompt="{~ink|oil}",
        negativePrompt="{~rain|snow}",
        numberOfImages=2,
        width=None,
        height=None,
        sizePreset=None,
    )
    jobs = await assignments(worker, 2)
    assert [job.render.prompt for job in jobs] == ["a cat, ink", "a cat, oil"]
    assert {job.render.negative_prompt for job in jobs} <= {"rain", "snow", ""}


async def test_the_app_is_told_the_text_of_each_job(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(slots=2)
    project = await app.request(positivePrompt="a {red|blue} cat", numberOfImages=2)
    jobs = dict(zip(("a red cat", "a blue cat"), await assignments(worker, 2), strict=True))
    for text, job in jobs.items():
        told = await app.wait_state("initiatingModel", jobID=project, imgID=job.job_id)
        assert told["positivePrompt"] == text
    for text, job in jobs.items():
        await worker.start(job)
        told = await app.wait_state("jobStarted", jobID=project, imgID=job.job_id)
        assert told["positivePrompt"] == text
        assert told["negativePrompt"] == ""


async def test_a_plain_text_is_not_told_again(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await app.request(positivePrompt='a cat {"mood": "calm"}')
    job = await worker.assigned()
    assert job.render.prompt == 'a cat {"mood": "calm"}'
    told = await app.wait_state("initiatingModel")
    assert "positivePrompt" not in told.payload
    assert "negativePrompt" not in told.payload


async def test_an_app_that_comes_back_after_a_restart_is_told_the_texts_again(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await app.request(positivePrompt="a {red|blue} cat")
    job = await worker.assigned()
    await worker.start(job)
    await app.wait_state("jobStarted")
    await app.leave()
    back = await grid.app()
    assert (await back.wait_state("jobStarted"))["positivePrompt"] == "a red cat"
    await grid.restart()
    again = await grid.app()
    assert (await again.wait_state("jobStarted"))["positivePrompt"] == "a red cat"


async def test_random_choices_follow_the_seed(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(slots=9)
    words = "|".join(f"w{number}" for number in range(50))
    for _ in range(2):
        await app.request(positivePrompt="{@" + words + "}", seed=7)
    same = {job.render.prompt for job in await assignments(worker, 2)}
    for seed in (1, 2, 3, 4):
        await app.request(positivePrompt="{@" + words + "}", seed=seed)
    others = {job.render.prompt for job in await assignments(worker, 4)}
    assert len(same) == 1
    assert len(others) > 1


async def test_the_limit_on_prompts_counts_them_as_they_were_written(
    make_grid: MakeGrid,
) -> None:
    async with make_grid(max_prompt_chars=20) as grid:
        app = await grid.app()
        assert "at most 20" in await refusal(
            app, positivePrompt="{" + "|".join("abcdefghijkl") + "}"
        )
        assert "at most 20" in await refusal(app, positivePrompt="a cat --workers=somebody")


async def test_an_empty_choice_is_refused_where_words_are_needed(grid: Grid) -> None:
    app = await grid.app()
    await grid.worker(models=("dreamlet-v1",))
    said = await refusal(
        app,
        modelID="dreamlet-v1",
        positivePrompt="{|a cat}",
        width=None,
        height=None,
        sizePreset=None,
    )
    assert "prompt is empty" in said


# ── worker flags ─────────────────────────────────────────────────────────────────────────────────


async def test_flags_choose_the_worker_and_are_not_rendered(grid: Grid) -> None:
    app, owl, fox = await grid.app(), await grid.worker("owl"), await grid.worker("fox")
    await app.request(positivePrompt="a cat --workers=Fox")
    assert (await fox.assigned()).render.prompt == "a cat"
    await app.request(positivePrompt="—skip-workers=fox a dog")
    assert (await owl.assigned()).render.prompt == "a dog"


async def test_a_worker_can_be_meant_by_its_id_and_by_its_owner(grid: Grid) -> None:
    key = await grid.account("ada")
    app, owl = await grid.app(), await grid.worker("owl")
    adas = await grid.worker("box", key=key)
    await app.request(positivePrompt="a --workers=ADA")
    await adas.finish(await adas.assigned())
    await app.request(positivePrompt=f"b --workers={adas.hello.worker_id.lower()}")
    assert (await adas.assigned()).render.prompt == "b"
    await owl.fence()


async def test_nobody_gets_jobs_by_calling_a_worker_after_somebody_else(grid: Grid) -> None:
    ada, mallory = await grid.account("ada"), await grid.account("mallory")
    app = await grid.app()
    adas = await grid.worker("box", key=ada)
    stolen_id = adas.hello.worker_id
    liars = [
        await grid.worker("ada", key=mallory),
        await grid.worker("liar", key=mallory, worker_id=stolen_id),
        await grid.worker(stolen_id, key=mallory),
        await grid.worker("liar", key=mallory, worker_id="x/ada"),
    ]
    for wanted in ("ada", stolen_id, "ada"):
        await app.request(positivePrompt=f"a cat --workers={wanted}")
        await adas.finish(await adas.assigned())
    for liar in liars:
        await liar.fence()
    await app.request(positivePrompt="a cat --workers=mallory")
    await app.wait_state("initiatingModel", workerName="ada")


async def test_a_required_worker_that_is_away_is_waited_for(grid: Grid) -> None:
    app, owl = await grid.app(), await grid.worker("owl")
    fox = await grid.worker("fox")
    await fox.leave()
    project = await app.request(positivePrompt="a cat --workers=fox")
    queued = await app.wait_state("queued", jobID=project)
    assert queued["queueStatus"] == "no-workers"
    await owl.fence()
    await grid.restart()
    owl = await grid.worker("owl")
    back = await grid.app()
    assert (await back.wait_state("queued", jobID=project))["queueStatus"] == "no-workers"
    await owl.fence()
    fox = await grid.worker("fox")
    assert (await fox.assigned()).project_id == project


async def test_a_required_worker_that_nobody_knows_is_refused(grid: Grid) -> None:
    app = await grid.app()
    await grid.worker("owl")
    said = await refusal(app, positivePrompt="a cat --workers=fxo,nobody-else")
    assert "only fxo, nobody-else may render it, but no worker of that name" in said
    await grid.worker("elk", models=("dreamlet-v1",))
    assert "offers pattern-v1" in await refusal(app, positivePrompt="a cat --workers=elk")


async def test_one_known_worker_among_the_required_ones_is_enough(grid: Grid) -> None:
    app, owl = await grid.app(), await grid.worker("owl")
    await app.request(positivePrompt="a cat --workers=owl,fxo")
    await owl.assigned()


async def test_fields_say_the_same_as_flags(grid: Grid) -> None:
    app, owl, fox = await grid.app(), await grid.worker("owl"), await grid.worker("fox")
    await app.request(workers=[" Fox ", ""])
    await fox.finish(await fox.assigned())
    await app.request(skipWorkers=["owl"], preferredWorkers=["nobody"])
    await fox.finish(await fox.assigned())
    await app.request(preferredWorkers=["fox"])
    await fox.finish(await fox.assigned())
    await owl.fence()
    said = await refusal(app, workers=["fxo"])
    assert "only fxo may render it, but no worker of that name" in said
    assert "none is left" in await refusal(app, workers=["owl"], skipWorkers=["OWL"])
    assert "more than 32" in await refusal(app, workers=[f"w{number}" for number in range(33)])


async def test_flags_and_fields_together_name_all_of_them(grid: Grid) -> None:
    app, owl, fox = await grid.app(), await grid.worker("owl"), await grid.worker("fox")
    elk = await grid.worker("elk")
    for _ in range(2):
        await app.request(positivePrompt="a cat --workers=owl", workers=["elk"])
    assert {(await one.assigned()).render.prompt for one in (owl, elk)} == {"a cat"}
    assert "none is left" in await refusal(
        app, positivePrompt="a cat --workers=owl", skipWorkers=["owl"]
    )
    await fox.fence()


async def test_the_relaxed_network_listens_to_fields(grid: Grid) -> None:
    app, owl = await grid.app(), await grid.worker("owl", network="relaxed")
    fox = await grid.worker("fox", network="relaxed")
    await app.request(workers=["fox"], network="relaxed")
    await fox.assigned()
    await owl.fence()


async def test_the_relaxed_network_does_not_listen_to_flags(grid: Grid) -> None:
    app, owl = await grid.app(), await grid.worker("owl", network="relaxed")
    await app.request(positivePrompt="a cat --workers=fox --skip-workers=owl", network="relaxed")
    assert (await owl.assigned()).render.prompt == "a cat"


@pytest.mark.parametrize("flag", ["--preferred-workers=fox", "--skip-workers=elk"])
async def test_a_wish_that_nobody_can_fulfil_holds_nothing_up(grid: Grid, flag: str) -> None:
    app, owl = await grid.app(), await grid.worker("owl")
    await app.request(positivePrompt=f"a cat {flag}")
    assert (await owl.assigned()).render.prompt == "a cat"


async def test_a_preferred_worker_gets_the_job_first_and_others_after_a_while(grid: Grid) -> None:
    app, owl = await grid.app(), await grid.worker("owl")
    fox = await grid.worker("fox")
    first = await app.request(positivePrompt="a cat --preferred-workers=fox")
    assert (await fox.assigned()).project_id == first
    second = await app.request(positivePrompt="a cat --preferred-workers=fox")
    await app.wait_state("queued", jobID=second)
    await grid.ticked()
    await owl.fence()
    grid.clock.advance(16)
    assert (await owl.assigned()).project_id == second


# ── after a restart ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("field", ["workers", "preferredWorkers", "skipWorkers"])
def test_fields_of_stored_requests_are_recalled(field: str) -> None:
    raw = b'{"jobID":"A","keyFrames":[{"modelID":"m"}],"%s":["fox"]}' % field.encode()
    came = read(msgspec.json.decode(raw, type=JobRequest), "relaxed")
    assert recall(raw, "relaxed").targeting == came.targeting != ANYBODY


@pytest.mark.parametrize(
    "prompt",
    [
        "a cat",
        "a {red cat",
        "a {red|blue} cat",
        "a \\u007bred\\u007Cblue\\u007d cat",
        "a cat --workers=fox",
        "a cat --SKIP-Workers=fox",
        "a cat --workers\\u003dfox",
        "a cat \\u2014workers\\u003Dfox",
    ],
)
def test_what_was_stored_says_what_it_said_when_it_came(prompt: str) -> None:
    raw = b'{"jobID":"A","keyFrames":[{"modelID":"m","positivePrompt":"%s"}]}' % prompt.encode()
    came = read(msgspec.json.decode(raw, type=JobRequest), "fast")
    recalled = recall(raw, "fast")
    assert (recalled.targeting, recalled.dynamic) == (came.targeting, came.dynamic)
    assert (came.targeting, came.dynamic) != (ANYBODY, False) or prompt in ("a cat", "a {red cat")
