"""The grid that app authors get for their tests: every behaviour shows what it promises."""

import io
from decimal import Decimal
from typing import Any

import pytest

import dreamgrid
from dreamgrid.protocol.params import CONTENT_TYPES
from dreamgrid.testing import Behaviour, Grid, grid
from dreamgrid.testing.files import stored

PATTERN = "pattern-v1"
SOON_S = 60


async def ask(one: Grid, **settings: Any) -> Any:
    small: dict[str, Any] = {"model": PATTERN, "prompt": "a", "width": 64, "height": 96}
    settings = small | settings
    return await one.client.projects.create(**settings)


async def spent(one: Grid) -> Decimal:
    return 1000 - (await one.client.account.balance()).spark


async def test_a_good_worker_makes_valid_pictures_and_knows_what_it_was_asked() -> None:
    pillow = pytest.importorskip("PIL.Image")
    async with grid() as one:
        worker = await one.worker()
        project = await ask(one, count=2, prompt="two apples")
        images = await project.wait(timeout_s=SOON_S)
        sizes = [pillow.open(io.BytesIO(await image.read())).size for image in images]
    assert sizes == [(64, 96)] * 2
    assert [render.prompt for render in worker.renders] == ["two apples"] * 2


async def test_videos_and_sound_come_out_too() -> None:
    async with grid() as one:
        await one.worker(slots=2)
        client = one.client
        video = await client.projects.create(model="wan_v2.2-14b-fp8_t2v_lightx2v", prompt="a")
        sound = await client.projects.create(model="dreamlet-music-v1", prompt="a")
        (clip,), (piece,) = await video.wait(timeout_s=SOON_S), await sound.wait(timeout_s=SOON_S)
        assert b"ftyp" in (await clip.read())[:16]
        assert len(await piece.read()) > 500


@pytest.mark.parametrize("output_format", CONTENT_TYPES)
def test_there_is_a_readable_file_of_every_format(output_format: Any) -> None:
    data = stored(output_format)
    if CONTENT_TYPES[output_format].startswith("image/"):
        pytest.importorskip("PIL.Image").open(io.BytesIO(data)).load()
        return
    av = pytest.importorskip("av")
    with av.open(io.BytesIO(data)) as container:
        assert list(container.decode(container.streams[0]))


@pytest.mark.parametrize("does", ["fail", "run_out_of_memory", "lie", "hand_back"])
async def test_what_one_attempt_spoils_the_next_one_makes(does: Any) -> None:
    async with grid() as one:
        await one.worker(Behaviour(does=does, times=1))
        project = await ask(one)
        (image,) = await project.wait(timeout_s=SOON_S)
        assert await image.read()
        kinds = [type(event).__name__ async for event in project.events()]
        assert kinds.count("JobRetried") == 1
        assert await spent(one) > 0


async def test_what_cannot_succeed_fails_and_costs_nothing() -> None:
    async with grid() as one:
        await one.worker(Behaviour(does="fail", retryable=False))
        project = await ask(one)
        with pytest.raises(dreamgrid.ProjectFailed):
            await project.wait(timeout_s=SOON_S)
        assert await spent(one) == 0


async def test_what_a_content_filter_objects_to_is_withheld_and_costs_nothing() -> None:
    async with grid() as one:
        await one.worker("object")
        project = await ask(one)
        kinds = [type(event).__name__ async for event in project.events()]
        assert "JobWithheld" in kinds
        assert await spent(one) == 0


async def test_a_worker_that_repeats_itself_is_paid_once() -> None:
    async with grid() as one:
        await one.worker("repeat")
        await (await ask(one)).wait(timeout_s=SOON_S)
        twice = await spent(one)
    async with grid() as one:
        await one.worker()
        await (await ask(one)).wait(timeout_s=SOON_S)
        assert await spent(one) == twice


async def test_a_silent_worker_loses_its_job_and_its_late_report_changes_nothing() -> None:
    async with grid() as one:
        silent = await one.worker("fall_silent", name="silent")
        project = await ask(one)
        await silent.fell_silent()
        other = await one.worker(name="other")
        await one.advance(31)
        await project.wait(timeout_s=SOON_S)
        once = await spent(one)
        await one.reconnect(silent)
        await silent.beat()
        assert await spent(one) == once > 0
        assert len(other.renders) == len(silent.renders) == 1


async def test_a_worker_that_crashed_comes_back_and_gets_the_job_again() -> None:
    async with grid() as one:
        worker = await one.worker(Behaviour(does="crash", times=1))
        project = await ask(one)
        await worker.crashed()
        await one.reconnect(worker)
        await project.wait(timeout_s=SOON_S)
        assert len(worker.renders) == 2


async def test_a_render_takes_its_time_on_the_clock_and_none_in_truth() -> None:
    async with grid() as one:
        await one.worker(Behaviour(render_s=3600))
        project = await ask(one, previews=3)
        seen = []
        async for event in project.events():
            seen.append(type(event).__name__)
            if isinstance(event, (dreamgrid.Started, dreamgrid.Previewed)):
                await one.advance(900)
        assert seen.count("Previewed") == 3
        assert seen[-1] == "Completed"


async def test_projects_survive_a_restart() -> None:
    async with grid() as one:
        await one.worker(Behaviour(render_s=10))
        project = await ask(one)
        async for event in project.events():
            if isinstance(event, dreamgrid.Started):
                break
        await one.restart()
        await one.advance(11)
        await project.wait(timeout_s=SOON_S)


async def test_an_account_without_money_is_refused() -> None:
    async with grid(balance=0) as one:
        await one.worker()
        with pytest.raises(dreamgrid.InsufficientFunds):
            await ask(one)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"does": "fial"}, "a worker can: finish, fail, "),
        ({"times": -1}, "1 or more"),
        ({"times": 0}, "1 or more"),
        ({"render_s": -0.1}, "0 or more"),
        ({"render_s": float("nan")}, "0 or more"),
    ],
)
def test_a_behaviour_that_does_not_exist_is_refused_at_once(
    wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(dreamgrid.InvalidRequest, match=said):
        Behaviour(**wrong)


async def test_a_typo_in_what_a_worker_is_adds_none() -> None:
    wrongs: tuple[tuple[dict[str, Any], str], ...] = (
        ({"behaviour": "fall_silnt"}, "a worker can: finish, fail, "),
        ({"models": ("pattern-v2",)}, "did you mean pattern-v1"),
        ({"network": "fats"}, "fast"),
        ({"slots": 0}, "1 slot or more"),
    )
    async with grid() as one:
        for wrong, said in wrongs:
            with pytest.raises(dreamgrid.InvalidRequest, match=said):
                await one.worker(**wrong)
        assert not one.workers
