"""Videos, music and speech through the SDK, against a whole server."""

import asyncio
import io
import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import dreamgrid
from dreamgrid.client.connection import Backoff
from dreamgrid.protocol.renders import AudioRender, VideoRender
from tests.client import mill
from tests.client.mill import MP3, MP4, MUSIC, PICTURE, SPEECH, VIDEO, VIDEO_OF_IMAGE, working
from tests.support.grid import Grid


async def test_a_video_is_as_long_as_it_was_ordered(
    house: Grid, guest: dreamgrid.AsyncClient, tmp_path: Path
) -> None:
    async with working(house) as jobs:
        project = await guest.projects.create_video(
            model=VIDEO, prompt="waves", duration_s=2, fps=16, size_preset="landscape_4_3", seed=3
        )
        (video,) = await project.wait(timeout_s=45)
    render = jobs[0].render
    assert isinstance(render, VideoRender)
    assert (render.frames, render.fps, render.width, render.height) == (33, 16, 640, 480)
    assert isinstance(video, dreamgrid.Video)
    assert (video.content_type, video.seed, video.prompt) == ("video/mp4", 3, "waves")
    assert project.type == "video"
    path = await video.save(tmp_path / "waves")
    assert path == tmp_path / "waves.mp4"
    assert path.read_bytes() == MP4
    assert str(await project.charge()) == str(
        await guest.projects.estimate_video_cost(
            model=VIDEO, duration_s=2, fps=16, size_preset="landscape_4_3"
        )
    )


async def test_a_video_begins_with_a_picture(house: Grid, guest: dreamgrid.AsyncClient) -> None:
    pillow = pytest.importorskip("PIL.Image")
    async with working(house) as jobs:
        project = await guest.projects.create_video(
            model=VIDEO_OF_IMAGE,
            prompt="it begins to rain",
            reference_image=pillow.new("RGB", (64, 64)),
            reference_image_end=io.BytesIO(mill.png()),
        )
        await project.wait(timeout_s=45)
    assert {one.role for one in jobs[0].inputs} == {"referenceImage", "referenceImageEnd"}


async def test_music_knows_its_tempo_and_length(
    house: Grid, guest: dreamgrid.AsyncClient, tmp_path: Path
) -> None:
    async with working(house) as jobs:
        (song,) = await guest.projects.generate(
            model=MUSIC,
            prompt="calm piano",
            duration_s=12,
            bpm=90,
            key_scale="A minor",
            lyrics="la",
        )
    render = jobs[0].render
    assert isinstance(render, AudioRender)
    assert (render.duration_s, render.bpm, render.key_scale, render.lyrics) == (
        12,
        90,
        "A minor",
        "la",
    )
    assert isinstance(song, dreamgrid.Audio)
    assert song.content_type == "audio/mpeg"
    assert (await song.save(tmp_path)).read_bytes() == MP3


@pytest.mark.parametrize(
    "settings",
    [
        {"model": MUSIC, "duration_s": 40},
        {"model": SPEECH, "prompt": "It was a bright cold day in April. " * 5},
        {"model": VIDEO, "count": 2},
        {"model": VIDEO, "duration_s": 1.5, "steps": 8, "width": 640, "height": 480},
        {"model": PICTURE, "count": 3, "steps": 7},
    ],
)
async def test_the_estimate_is_what_is_charged(
    house: Grid, guest: dreamgrid.AsyncClient, settings: dict[str, Any]
) -> None:
    settings = {"prompt": "x"} | settings
    price = await guest.projects.estimate_cost(**settings)
    async with working(house):
        project = await guest.projects.create(**settings)
        await project.wait(timeout_s=45)
    assert str(await project.charge()) == str(price)


async def test_the_estimate_is_for_the_network_that_the_client_uses(
    house: Grid, guest: dreamgrid.AsyncClient
) -> None:
    asked: dict[str, Any] = {"model": PICTURE, "prompt": "x", "count": 16, "steps": 50}
    fast = await guest.projects.estimate_cost(**asked)
    await guest.account.switch_network("relaxed")
    relaxed = await guest.projects.estimate_cost(**asked)
    assert relaxed == await guest.projects.estimate_cost(network="relaxed", **asked)
    assert float(relaxed.token) == pytest.approx(float(fast.token) / 2, rel=0.01)
    await house.worker("slow", models=(PICTURE,), network="relaxed")
    project = await guest.projects.create(**asked)
    assert (await house.live(project.id))["costEstimate"]["quote"]["project"]["costInToken"] == str(
        relaxed.token
    )


async def test_a_project_that_costs_too_much_is_never_sent(
    house: Grid, guest: dreamgrid.AsyncClient
) -> None:
    del house
    before = await guest.account.balance()
    with pytest.raises(dreamgrid.CostLimitExceeded, match=r"max_cost is 0\.001") as caught:
        await guest.projects.create(model=VIDEO, prompt="x", max_cost=0.001)
    assert caught.value.cost > 0
    assert await guest.account.balance() == before
    assert not guest.projects.tracked_projects
    project = await guest.projects.create(model=VIDEO, prompt="x", max_cost=1000)
    await project.cancel()


async def test_a_generate_that_takes_too_long_is_canceled_and_free(
    house: Grid, guest: dreamgrid.AsyncClient
) -> None:
    before = await guest.account.balance()
    async with working(house, held=asyncio.Event()):
        with pytest.raises(dreamgrid.WaitTimeout, match="so it was canceled") as caught:
            await guest.projects.generate(model=PICTURE, prompt="x", timeout_s=0.2)
    record = await guest.projects.get(caught.value.project_id)
    assert record.status == "cancelled"
    assert await guest.account.balance() == before


async def test_a_generate_that_may_go_on_can_be_found_again(
    house: Grid, guest: dreamgrid.AsyncClient
) -> None:
    held = asyncio.Event()
    async with working(house, held=held):
        with pytest.raises(dreamgrid.WaitTimeout, match="it goes on") as caught:
            await guest.projects.generate(
                model=PICTURE, prompt="x", timeout_s=0.2, on_timeout="leave"
            )
        held.set()
        project = await guest.projects.attach(caught.value.project_id)
        assert len(await project.wait(timeout_s=45)) == 1


async def test_a_generate_that_is_given_up_cancels_its_project(
    house: Grid, guest: dreamgrid.AsyncClient
) -> None:
    async with working(house, held=asyncio.Event()) as jobs:
        making = asyncio.create_task(guest.projects.generate(model=PICTURE, prompt="x"))
        taken = asyncio.Event()
        guest.projects.on(dreamgrid.Started, lambda _: taken.set())
        await asyncio.wait_for(taken.wait(), 10)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        (project,) = guest.projects.tracked_projects
        assert project.id == jobs[0].project_id
        with pytest.raises(dreamgrid.ProjectCanceled):
            await project.wait(timeout_s=45)


# ── found again ──────────────────────────────────────────────────────────────────────────────────


def kinds(events: list[Any]) -> list[str]:
    return [type(event).__name__ for event in events]


async def test_another_process_takes_a_running_project_up_and_sees_its_end(
    house: Grid, guest: dreamgrid.AsyncClient
) -> None:
    held = asyncio.Event()
    async with working(house, held=held), dreamgrid.AsyncClient(house.url, house.key) as other:
        project = await guest.projects.create(model=PICTURE, prompt="a red apple", count=2, seed=5)
        async for event in project.events():
            if isinstance(event, dreamgrid.Progressed):
                break
        found = await other.projects.attach(project.id)
        assert found.attached
        assert found.params.prompt == "a red apple"
        held.set()
        results = await found.wait(timeout_s=45)
        story = kinds([event async for event in found.events()])
        await project.wait(timeout_s=45)
    assert [one.seed for one in results] == [one.seed for one in project.results]
    assert (story.count("Started"), story.count("JobCompleted"), story[-1]) == (2, 2, "Completed")


async def test_a_finished_project_is_told_from_its_beginning(
    house: Grid, guest: dreamgrid.AsyncClient, tmp_path: Path
) -> None:
    async with working(house), dreamgrid.AsyncClient(house.url, house.key) as other:
        project = await guest.projects.create(model=MUSIC, prompt="drums")
        await project.wait(timeout_s=45)
        found = await other.projects.attach(project.id)
        assert found.finished
        story = kinds([event async for event in found.events()])
        assert [one for one in story if one != "Queued"] == [
            "Assigned",
            "Started",
            "JobCompleted",
            "Completed",
        ]
        (song,) = found.results
        assert isinstance(song, dreamgrid.Audio)
        assert (await song.save(tmp_path / "drums")).name == "drums.mp3"


async def test_the_same_app_goes_on_after_a_restart_with_live_events(house: Grid) -> None:
    held = asyncio.Event()
    async with working(house, held=held):
        async with dreamgrid.AsyncClient(house.url, house.key, app_id="my-app") as first:
            project = await first.projects.create(model=PICTURE, prompt="x")
        async with dreamgrid.AsyncClient(house.url, house.key, app_id="my-app") as second:
            (found,) = await second.projects.sync()
            assert (found.id, found.attached) == (project.id, True)
            assert second.projects.tracked_projects == (found,)
            assert await second.projects.list_projects_elsewhere() == ()
            held.set()
            assert len(await found.wait(timeout_s=45)) == 1


async def test_projects_of_other_apps_are_listed_and_can_be_canceled(
    house: Grid, guest: dreamgrid.AsyncClient
) -> None:
    project = await guest.projects.create(model=PICTURE, prompt="x")
    async with dreamgrid.AsyncClient(house.url, house.key) as other:
        (elsewhere,) = await other.projects.list_projects_elsewhere()
        assert elsewhere.id == project.id
        await other.projects.cancel(project.id)
    with pytest.raises(dreamgrid.ProjectCanceled):
        await project.wait(timeout_s=45)  # before anybody asks for the record of a quiet one
    assert (await guest.projects.get_status(project.id)).status == "canceled"
    (listed,) = await guest.projects.list_projects()
    assert (listed.id, listed.status) == (project.id, "canceled")
    assert await guest.projects.list_projects(before=listed.id) == ()


async def test_a_server_without_an_event_stream_is_asked_for_the_record(
    house: Grid, guest: dreamgrid.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing_there(*_: Any, **__: Any) -> Any:
        raise dreamgrid.NotFound("there is no such route")
        yield b""  # type: ignore[unreachable]

    monkeypatch.setattr("dreamgrid.client.http.Http.lines", nothing_there)
    held = asyncio.Event()
    async with working(house, held=held), dreamgrid.AsyncClient(house.url, house.key) as other:
        other._tracker._tick_s = 0.02
        project = await guest.projects.create(model=PICTURE, prompt="x")
        found = await other.projects.attach(project.id)
        held.set()
        assert len(await found.wait(timeout_s=45)) == 1


async def test_a_project_that_was_taken_up_survives_a_restart_of_the_server(
    house: Grid, guest: dreamgrid.AsyncClient
) -> None:
    async with dreamgrid.AsyncClient(house.url, house.key) as other:
        other._tracker._tick_s = 0.02
        other._tracker.connection.backoff = Backoff(first_s=0.01, limit_s=0.05)
        project = await guest.projects.create(model=PICTURE, prompt="x", count=2)
        found = await other.projects.attach(project.id)
        await house.restart()
        async with working(house):
            assert len(await found.wait(timeout_s=45)) == 2
            assert len(await project.wait(timeout_s=45)) == 2
        story = kinds([event async for event in found.events()])
    assert (story.count("JobCompleted"), story.count("Completed")) == (2, 1)


async def test_previews_of_a_project_that_was_taken_up_are_fetched(
    house: Grid, guest: dreamgrid.AsyncClient
) -> None:
    worker = await house.worker("painter", models=(PICTURE,))
    async with dreamgrid.AsyncClient(house.url, house.key) as other:
        project = await guest.projects.create(model=PICTURE, prompt="x", previews=3)
        job = await worker.assigned()
        await worker.start(job)
        found = await other.projects.attach(project.id)
        events = found.events()
        async for event in events:
            if isinstance(event, dreamgrid.Started):
                break
        await worker.upload_preview(job, mill.png())
        await worker.progress(job, 1, preview_ready=True)
        async with asyncio.timeout(60):
            async for event in events:
                if isinstance(event, dreamgrid.Previewed):
                    assert event.data == mill.png()
                    break
        await worker.finish(job, mill.png())
        assert len(await found.wait(timeout_s=45)) == 1


async def test_attaching_to_nothing_is_told(house: Grid, guest: dreamgrid.AsyncClient) -> None:
    del house
    with pytest.raises(dreamgrid.NotFound):
        await guest.projects.attach("EEEEEEEE-EEEE-4EEE-8EEE-EEEEEEEEEEEE")
    with pytest.raises(dreamgrid.InvalidRequest, match="is no id"):
        await guest.projects.attach("../../etc")


async def test_what_was_made_lately_can_still_be_saved(
    house: Grid, guest: dreamgrid.AsyncClient, tmp_path: Path
) -> None:
    async with working(house):
        song = await guest.projects.create(model=MUSIC, prompt="drums")
        await song.wait(timeout_s=45)
        picture = await guest.projects.create(model=PICTURE, prompt="x")
        await picture.wait(timeout_s=45)
    recent = await guest.projects.list_recent(since=timedelta(hours=1))
    assert {one.project_id for one in recent} == {song.id, picture.id}
    assert {type(one) for one in recent} == {dreamgrid.Audio, dreamgrid.Image}
    (again,) = await guest.projects.get_result(song.id, "audio")
    assert await guest.projects.get_result(song.id, "image") == ()
    assert (await again.save(tmp_path)).read_bytes() == MP3
    assert (await guest.projects.get_status(song.id)).status == "completed"


# ── inputs and limits ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": VIDEO, "bpm": 120}, "bpm is a setting of audio"),
        ({"model": MUSIC, "width": 512, "height": 512}, "width is a setting of image and video"),
        ({"model": VIDEO, "duration_s": 99}, "duration_s is 99: wan_v2.2"),
        ({"model": VIDEO, "duration_s": 1, "frames": 17}, "not both"),
        ({"model": VIDEO, "fps": 17}, "allows 16, 24, 32"),
        ({"model": VIDEO, "width": 100, "height": 480}, "allows 480 to 1024"),
        ({"model": VIDEO, "reference_image": mill.png()}, "takes no reference_image"),
        ({"model": VIDEO_OF_IMAGE}, "needs a reference_image or a reference_image_end"),
        ({"model": MUSIC, "duration_s": 1}, "duration_s is 1: dreamlet-music-v1 allows 5 to 300"),
        ({"model": MUSIC, "key_scale": "H major"}, "allows C major"),
        ({"model": SPEECH, "instruct": "x" * 201}, "at most 200 characters"),
        ({"model": PICTURE, "width": 4096, "height": 64}, "allows 64 to 2048"),
        ({"model": PICTURE, "reference_audio": MP3}, "reference_audio is a setting of"),
        ({"model": VIDEO_OF_IMAGE, "reference_image": MP4}, "no PNG, JPEG, WebP or GIF"),
        ({"model": PICTURE, "starting_image": True}, "give the project_id"),
        ({"model": PICTURE, "max_cost": "much"}, "give a number"),
        ({"model": PICTURE, "max_cost": math.nan}, "give a number"),
        ({"model": PICTURE, "loras": 3}, "loras is"),
        ({"model": PICTURE, "loras": [3]}, "loras[0].id: expected str"),
        ({"model": PICTURE, "loras": {"warm": "very"}}, "strength: expected float"),
        ({"model": PICTURE, "control_net": "canny"}, "dreamgrid.ControlNet"),
        (
            {"model": PICTURE, "control_net": dreamgrid.ControlNet(name="canny", image=mill.png())},
            "takes no control_net",
        ),
        ({"model": VIDEO, "points": [(1, "x")]}, "points"),
        ({"model": VIDEO, "keyframes": {"first": mill.png()}}, "keyframes"),
        ({"model": VIDEO, "duration_s": "long"}, "give seconds"),
        ({"model": VIDEO, "reference_video": [MP4] * 4}, "allowed are 3"),
        ({"model": PICTURE, "context_images": "apple.png"}, "is a list of files"),
    ],
)
async def test_a_mistake_is_refused_with_what_is_allowed_before_anything_is_sent(
    house: Grid, guest: dreamgrid.AsyncClient, settings: dict[str, Any], message: str
) -> None:
    del house
    with pytest.raises(dreamgrid.InvalidRequest) as caught:
        await guest.projects.create(**{"prompt": "x"} | settings)
    assert message in str(caught.value)
    assert not guest._tracker.connection.is_open


async def test_the_narrow_doors_want_their_own_kind_of_model(
    house: Grid, guest: dreamgrid.AsyncClient
) -> None:
    del house
    with pytest.raises(dreamgrid.InvalidRequest, match=r"use create_video\(\)"):
        await guest.projects.create_image(model=VIDEO, prompt="x")


async def test_a_misspelled_setting_is_a_type_error_with_a_hint(
    house: Grid, guest: dreamgrid.AsyncClient
) -> None:
    del house
    with pytest.raises(TypeError, match="did you mean 'prompt'"):
        await guest.projects.create(model=PICTURE, promt="x")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="'model' is missing"):
        await guest.projects.create(prompt="x")  # type: ignore[call-arg]


async def test_a_file_that_was_uploaded_by_hand_is_used(
    house: Grid, guest: dreamgrid.AsyncClient
) -> None:
    number = "ABABABAB-ABAB-4BAB-8BAB-ABABABABABAB"
    url = await guest.projects.upload_url(project_id=number, role="startingImage")
    async with house.http.put(url, data=mill.png()) as answer:
        assert answer.status == 200
    async with working(house) as jobs:
        project = await guest.projects.create(
            model=PICTURE, prompt="x", project_id=number, starting_image=True
        )
        await project.wait(timeout_s=45)
    assert [one.role for one in jobs[0].inputs] == ["startingImage"]


async def test_options_are_typed_by_what_the_model_makes(
    house: Grid, guest: dreamgrid.AsyncClient
) -> None:
    del house
    video = await guest.projects.get_model_options(VIDEO)
    music = await guest.projects.get_model_options(MUSIC)
    picture = await guest.projects.get_model_options(PICTURE)
    assert isinstance(video, dreamgrid.VideoOptions)
    assert isinstance(music, dreamgrid.AudioOptions)
    assert isinstance(picture, dreamgrid.ImageOptions)
    assert video.fps is not None
    assert 16 in video.fps.allowed
    assert music.bpm is not None
    assert picture.width is not None
    assert (picture.width.min, picture.width.max) == (64, 2048)
    config = await guest.projects.get_video_asset_config(VIDEO_OF_IMAGE)
    assert config.workflow == "i2v"
    assert config.assets is not None
    assert config.assets["referenceImage"] == "optional"
    assert config.assets["referenceVideo"] == "forbidden"
    assert config.any_of == ("referenceImage", "referenceImageEnd")
    with pytest.raises(dreamgrid.InvalidRequest, match="makes audio, not video"):
        await guest.projects.get_video_asset_config(MUSIC)
    assert guest.projects.is_video_model_id(VIDEO)
    assert guest.projects.is_audio_model_id(MUSIC)
    assert not guest.projects.is_audio_model_id(VIDEO)


async def test_a_picture_is_made_finer(house: Grid, guest: dreamgrid.AsyncClient) -> None:
    async with working(house) as jobs:
        project = await guest.projects.create_image(model=PICTURE, prompt="a castle")
        (image,) = await project.wait(timeout_s=45)
        finer = await image.enhance("light", model=PICTURE)
    assert image.enhanced is finer
    render = jobs[1].render
    assert (render.prompt, getattr(render, "strength", None)) == ("a castle", 0.15)
    with pytest.raises(dreamgrid.InvalidRequest, match="light, medium, heavy"):
        await image.enhance("a lot")


async def test_a_result_of_ones_own_begins_the_next_picture_by_its_url(
    house: Grid, guest: dreamgrid.AsyncClient
) -> None:
    async with working(house) as jobs:
        project = await guest.projects.create(model=PICTURE, prompt="a sun")
        (first,) = await project.wait(timeout_s=45)
        url = await first.get_url()
        again = await guest.projects.create(
            model=PICTURE, prompt="a moon", starting_image=url, strength=0.5
        )
        await again.wait(timeout_s=45)
    (given,) = jobs[1].inputs
    async with house.http.get(given.url) as answer:
        assert await answer.read() == await first.read()


async def test_a_url_that_leads_nowhere_is_refused_before_anything_is_sent(
    house: Grid, guest: dreamgrid.AsyncClient
) -> None:
    for url, kind in (
        (f"{house.url}/blobs/results/none?signature=secret", dreamgrid.DreamgridError),
        (f"{house.url}/healthz?signature=secret", dreamgrid.UnreadableMedia),
    ):
        with pytest.raises(kind) as raised:
            await guest.projects.create(
                model=PICTURE, prompt="a moon", strength=0.5, starting_image=url
            )
        assert "secret" not in str(raised.value)
