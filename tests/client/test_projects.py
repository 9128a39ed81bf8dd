import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

import dreamgrid
from dreamgrid.protocol import codec, request_template, socket
from dreamgrid.protocol.job_request import JobRequest
from tests.client import stub as wire
from tests.client.stub import JOB_A, JOB_B, MODEL, Stub

P = "EEEEEEEE-EEEE-4EEE-8EEE-EEEEEEEEEEEE"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


async def collect(project: dreamgrid.Project[dreamgrid.Result]) -> list[dreamgrid.Event]:
    async with asyncio.timeout(60):
        return [event async for event in project.events()]


def kinds(events: Sequence[dreamgrid.Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def without(template: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    """What was sent beside the constants that surround every request."""
    return {name: value for name, value in sent.items() if template.get(name, ...) != value}


async def test_create_sends_what_was_asked_for_and_nothing_else(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    creating = asyncio.create_task(
        client.projects.create(
            model=MODEL,
            prompt="a red apple",
            count=2,
            width=512,
            height=256,
            steps=12,
            guidance=2.5,
            seed=7,
            negative_prompt="worms",
            output_format="jpg",
            token_type="sogni",
        )
    )
    envelope = await asyncio.wait_for(stub.frames.get(), 10)
    sent = msgspec.json.decode(envelope.data)
    await stub.send(wire.queued(sent["jobID"]))
    project = await creating

    assert envelope.type == "jobRequest"
    (frame,) = sent["keyFrames"]
    said = sent | {"keyFrames": [without(request_template.KEY_FRAME, frame)]}
    assert without(request_template.PROJECT, said) == {
        "jobID": project.id,
        "numberOfImages": 2,
        "previews": 0,
        "disableSafety": False,
        "outputFormat": "jpg",
        "tokenType": "sogni",
        "keyFrames": [
            {
                "modelID": MODEL,
                "positivePrompt": "a red apple",
                "negativePrompt": "worms",
                "steps": 12,
                "guidanceScale": 2.5,
                "seed": 7,
                "sizePreset": "custom",
                "width": 512,
                "height": 256,
            }
        ],
    }
    assert project.id == project.id.upper()


async def test_the_socket_says_who_we_are(stub: Stub, client: dreamgrid.AsyncClient) -> None:
    await client.connect()
    query = stub.upgrades[0].query
    assert query["clientName"] == f"dreamgrid/{dreamgrid.__version__}"
    assert (query["clientType"], query["forceWorkerId"]) == ("artist", "fast")
    assert query["appId"] == client.app_id


async def test_a_project_tells_its_whole_story_in_order(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client, count=2)
    stub.files[f"{JOB_B}-complete"] = b"picture B"
    await stub.send(
        wire.initiating(project.id, JOB_A, 0),
        wire.initiating(project.id, JOB_B, 1),
        wire.started(project.id, JOB_B, 1),
        wire.started(project.id, JOB_A, 0),
        wire.progress(project.id, 20, JOB_B),
        wire.result(project.id, JOB_B),
        wire.progress(project.id, 10, JOB_A),
        wire.result(project.id, JOB_A, url="http://127.0.0.1/a"),
        wire.completed(project.id),
    )
    images = await project.wait(timeout_s=45)

    assert [(image.index, image.job_id, image.seed) for image in images] == [
        (0, JOB_A, 42),
        (1, JOB_B, 42),
    ]
    assert await images[1].read() == b"picture B"
    assert project.state is dreamgrid.ProjectState.COMPLETED
    assert project.progress == 100
    assert kinds(await collect(project)) == [
        "Queued",
        "Assigned",
        "Assigned",
        "Started",
        "Started",
        "Progressed",
        "JobCompleted",
        "Progressed",
        "JobCompleted",
        "Completed",
    ]


async def test_who_reads_late_gets_the_same_events_as_who_reads_along(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client)
    along = asyncio.create_task(collect(project))
    for frame in (
        wire.initiating(project.id),
        wire.started(project.id),
        wire.progress(project.id, 5),
        wire.result(project.id),
        wire.completed(project.id),
    ):
        await stub.send(frame)
    assert await along == await collect(project)


async def test_a_slow_reader_gets_every_change_of_state_but_only_the_newest_step(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client)
    reader = project.events()
    assert isinstance(await anext(reader), dreamgrid.Queued)
    await stub.send(wire.started(project.id))
    await stub.send(*(wire.progress(project.id, step) for step in range(1, 21)))
    await stub.send(wire.result(project.id), wire.completed(project.id))
    await project.wait(timeout_s=45)

    rest = [event async for event in reader]
    assert kinds(rest) == ["Started", "Progressed", "JobCompleted", "Completed"]
    assert isinstance(rest[1], dreamgrid.Progressed)
    assert (rest[1].step, rest[1].step_count, rest[1].fraction) == (20, 20, 1.0)


async def test_pictures_that_fail_are_left_out_and_the_others_delivered(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client, count=2)
    await stub.send(
        wire.started(project.id, JOB_A, 0),
        wire.started(project.id, JOB_B, 1),
        wire.failed(project.id, "genfailure", "out of memory", JOB_A),
        wire.result(project.id, JOB_B),
        wire.completed(project.id),
    )
    images = await project.wait(timeout_s=45)
    assert [image.job_id for image in images] == [JOB_B]
    assert [job.state for job in project.jobs] == ["failed", "completed"]
    assert project.jobs[0].error == "out of memory"
    assert "JobFailed" in kinds(await collect(project))


async def test_a_project_without_any_picture_fails_with_the_servers_words(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client)
    await stub.send(
        wire.started(project.id),
        wire.failed(project.id, "genfailure", "out of memory", JOB_A),
        wire.failed(project.id, "genfailure", "All renders failed"),
    )
    with pytest.raises(dreamgrid.ProjectFailed, match="All renders failed") as caught:
        await project.wait(timeout_s=45)
    assert caught.value.project_id == project.id
    assert kinds(await collect(project))[-2:] == ["JobFailed", "Failed"]


async def test_a_withheld_picture_is_named_and_left_out(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client)
    withheld = msgspec.structs.replace(wire.result(project.id), triggered_nsfw_filter=True)
    await stub.send(wire.started(project.id), withheld, wire.completed(project.id))
    assert await project.wait(timeout_s=45) == []
    assert project.jobs[0].withheld
    assert kinds(await collect(project))[-2:] == ["JobWithheld", "Completed"]


async def test_a_lost_attempt_starts_the_picture_again_under_the_same_id(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client)
    retry = socket.JobRetry(
        project_id=project.id,
        job_id=JOB_A,
        job_index=0,
        attempt=1,
        max_attempts=3,
        is_from_worker=False,
        error="workerDisconnected",
        error_message="the worker went away",
    )
    await stub.send(
        wire.started(project.id),
        wire.progress(project.id, 9),
        retry,
        retry,
        wire.queued(project.id),
        wire.started(project.id),
        wire.progress(project.id, 3),
        wire.result(project.id),
        wire.completed(project.id),
    )
    await project.wait(timeout_s=45)
    story = await collect(project)
    assert kinds(story).count("JobRetried") == 1
    assert kinds(story).count("Started") == 2
    progressed = [event for event in story if isinstance(event, dreamgrid.Progressed)]
    assert [event.step for event in progressed] == [3]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "unheard-of"}, "known are: test-model, other-model"),
        ({"steps": 51}, "steps is 51: test-model allows 1 to 50"),
        ({"steps": "many"}, "steps: expected int, got str"),
        ({"guidance": 6}, "allows 1 to 5.5"),
        ({"count": 0}, "count is 0"),
        ({"seed": 2**32}, "seed is 4294967296: allowed is 0 to 4294967295"),
        ({"width": 512}, "width and height together"),
        ({"width": 512, "height": 512, "size_preset": "wide"}, "not both"),
        ({"size_preset": "tall"}, "test-model has: wide"),
        ({"output_format": "bmp"}, "output_format"),
        ({"strength": 0.5}, "there is none"),
        ({"starting_image": "no/such/file.png"}, "there is no file"),
        ({"starting_image": PNG, "strength": 1.5}, "strength is 1.5"),
        ({"starting_image": b""}, "is empty"),
        ({"starting_image": b"GIF? no, words"}, "no PNG, JPEG, WebP or GIF"),
        ({"starting_image": PNG + bytes(20 * 1024 * 1024)}, "20 MiB"),
        ({"starting_image": 42}, "not int"),
        ({"project_id": "../../etc"}, "is no id"),
    ],
)
async def test_a_plain_mistake_is_refused_before_anything_is_sent(
    stub: Stub, client: dreamgrid.AsyncClient, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(dreamgrid.InvalidRequest) as caught:
        await client.projects.create(**{"model": MODEL, "prompt": "an apple"} | settings)
    assert message in str(caught.value)
    assert not stub.uploads
    assert not stub.sockets


async def test_a_starting_image_is_uploaded_before_the_request(
    stub: Stub, client: dreamgrid.AsyncClient, tmp_path: Path
) -> None:
    path = tmp_path / "named-wrongly.jpg"
    path.write_bytes(PNG)
    creating = asyncio.create_task(
        client.projects.create(model=MODEL, prompt="x", starting_image=path, strength=0.25)
    )
    request = await stub.received(JobRequest)
    assert stub.uploads == {f"{request.project_id}-startingImage": (PNG, "image/png")}
    assert request.key_frames[0].has_starting_image
    assert request.key_frames[0].strength == 0.25
    assert stub.asked("/v1/image/uploadUrl")[0]["contentType"] == "image/png"
    await stub.send(wire.queued(request.project_id))
    await creating


async def test_an_upload_that_fails_is_told_as_what_it_is_and_nothing_is_sent(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    refusal = lambda _: wire.error(403, 4004, "no room for you")  # noqa: E731
    for role in ("startingImage", "contextImage1", "contextImage2"):
        stub.answer(f"/files/{P}-{role}", refusal)
    with pytest.raises(dreamgrid.NotAllowed, match="no room"):
        await client.projects.create(
            model=MODEL, prompt="x", project_id=P, starting_image=PNG, context_images=[PNG, PNG]
        )
    assert not stub.sockets


async def test_a_create_that_is_given_up_leaves_no_project_behind(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    creating = asyncio.create_task(client.projects.create(model=MODEL, prompt="x"))
    request = await stub.received(JobRequest)
    creating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creating
    assert (await stub.received(socket.CancelRequest)).project_id == request.project_id


async def test_a_request_that_no_server_reads_is_refused_here(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    with pytest.raises(dreamgrid.InvalidRequest, match="make the prompts shorter"):
        await client.projects.create(model=MODEL, prompt="x" * codec.MAX_CLIENT_MESSAGE_BYTES)
    assert stub.frames.empty()


async def test_the_same_request_under_one_id_is_one_project(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    settings: dict[str, Any] = {"project_id": P, "starting_image": PNG}
    first = await wire.submitted(stub, client, **settings)
    again = await client.projects.create(
        model=MODEL, prompt="a red apple", project_id=P.lower(), starting_image=PNG
    )
    assert again is first
    await stub.send(wire.started(P), wire.result(P), wire.completed(P))
    assert len(await first.wait(timeout_s=45)) == 1
    assert len(stub.asked("/v1/image/uploadUrl")) == 1
    assert stub.frames.empty(), "the request was sent twice"


async def test_an_id_of_a_followed_project_is_refused_to_other_settings(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client, project_id=P)
    with pytest.raises(dreamgrid.DuplicateProject, match="fresh UUID"):
        await client.projects.create(model=MODEL, prompt="a green apple", project_id=P)
    assert project.error is None
    assert stub.frames.empty()


async def test_two_creates_of_one_project_at_once_share_it_even_if_one_is_given_up(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    create = client.projects.create
    one, other = (
        asyncio.create_task(create(model=MODEL, prompt="x", project_id=P)) for _ in range(2)
    )
    await stub.received(JobRequest)
    one.cancel()
    with pytest.raises(asyncio.CancelledError):
        await one
    await stub.send(wire.queued(P))
    assert (await other).id == P
    assert stub.frames.empty(), "a project that somebody holds was canceled or sent again"


async def test_a_refused_request_can_be_sent_again_and_outlives_the_first_try(
    stub: Stub, client: dreamgrid.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dreamgrid.client.tracker.KEPT_S", 0.01)
    creating = asyncio.create_task(
        client.projects.create(model=MODEL, prompt="a red apple", project_id=P)
    )
    await stub.received(JobRequest)
    await stub.send(wire.failed(P, 4003, "too little"))
    with pytest.raises(dreamgrid.InsufficientFunds):
        await creating
    project = await wire.submitted(stub, client, project_id=P)
    await asyncio.sleep(0.05)  # the first try leaves
    assert client.projects.tracked_projects == (project,)
    await stub.send(wire.started(P), wire.result(P), wire.completed(P))
    assert len(await project.wait(timeout_s=45)) == 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (4003, dreamgrid.InsufficientFunds),
        (4000, dreamgrid.InvalidRequest),
        (4005, dreamgrid.DuplicateProject),
        (429, dreamgrid.TooManyRequests),
        (5006, dreamgrid.ServerUnavailable),
        (5999, dreamgrid.ProjectFailed),  # a code of servers to come
    ],
)
async def test_a_refusal_is_raised_by_create_as_what_it_is(
    stub: Stub, client: dreamgrid.AsyncClient, code: int, kind: type[Exception]
) -> None:
    creating = asyncio.create_task(client.projects.create(model=MODEL, prompt="x"))
    request = await stub.received(JobRequest)
    await stub.send(wire.failed(request.project_id, code, "no, because"))
    with pytest.raises(kind, match="no, because"):
        await creating


async def test_wait_gives_up_waiting_but_not_the_project(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client)
    with pytest.raises(dreamgrid.WaitTimeout, match="queued at position 1"):
        await project.wait(timeout_s=0.01)
    assert not project.finished
    await stub.send(wire.started(project.id), wire.result(project.id), wire.completed(project.id))
    assert len(await project.wait(timeout_s=45)) == 1
    assert stub.frames.empty(), "the timeout sent something"


async def test_cancel_returns_when_the_server_has_confirmed(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client)
    canceling = [asyncio.create_task(project.cancel()) for _ in range(2)]
    request = await stub.received(socket.CancelRequest)
    assert (request.project_id, request.error) == (project.id, "artistCanceled")
    assert not any(task.done() for task in canceling)
    await stub.send(socket.CancelConfirmation(project_id=project.id, did_cancel=True))
    await asyncio.gather(*canceling)
    with pytest.raises(dreamgrid.ProjectCanceled):
        await project.wait()
    assert kinds(await collect(project))[-1] == "Canceled"
    assert not client.projects.tracked_projects
    await project.cancel()  # once more does no harm


async def test_a_refused_cancel_is_an_error_and_the_project_goes_on(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client)
    canceling = asyncio.create_task(project.cancel())
    await stub.received(socket.CancelRequest)
    await stub.send(
        socket.CancelConfirmation(project_id=project.id, did_cancel=False, error_message="too late")
    )
    with pytest.raises(dreamgrid.ProjectError, match="too late"):
        await canceling
    assert not project.finished


async def test_previews_are_fetched_when_they_were_asked_for(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client, previews=2)
    stub.files[f"{JOB_A}-preview"] = b"blurry"
    await stub.send(wire.started(project.id), wire.progress(project.id, 5, has_image=True))
    async for event in project.events():
        if isinstance(event, dreamgrid.Previewed):
            assert (event.job_id, event.data) == (JOB_A, b"blurry")
            break


async def test_a_preview_that_cannot_be_fetched_harms_nothing(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client, previews=2)
    await stub.send(
        wire.started(project.id),
        wire.progress(project.id, 5, has_image=True),
        wire.result(project.id),
        wire.completed(project.id),
    )
    assert len(await project.wait(timeout_s=45)) == 1


async def test_models_are_those_that_have_workers(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    assert client.projects.available_models == ()
    waiting = asyncio.create_task(client.projects.wait_for_models(timeout_s=45))
    await stub.connected(1)
    swarm = codec.encode_raw(socket.SWARM_MODELS, {MODEL: 3, "other-model": 0})
    await stub.sockets[-1].send_bytes(swarm)
    (model,) = await waiting
    assert (model.id, model.name, model.worker_count) == (MODEL, "Test model", 3)


async def test_waiting_for_models_ends_with_what_to_do(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    with pytest.raises(dreamgrid.ServerUnavailable, match="dreamgrid work"):
        await client.projects.wait_for_models(timeout_s=0.05)


async def test_a_finished_project_leaves_the_list_after_a_while(
    stub: Stub, client: dreamgrid.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dreamgrid.client.tracker.KEPT_S", 0)
    project = await wire.submitted(stub, client)
    assert list(client.projects.tracked_projects) == [project]
    await stub.send(wire.started(project.id), wire.result(project.id), wire.completed(project.id))
    await project.wait(timeout_s=45)
    for _ in range(100):
        await asyncio.sleep(0)
    assert not client.projects.tracked_projects


async def test_nothing_is_left_behind_when_the_client_closes_in_the_middle(stub: Stub) -> None:
    before = asyncio.all_tasks()
    async with wire.client_of(stub) as client:
        project = await wire.submitted(stub, client, previews=3)
        reading = asyncio.create_task(collect(project))
        waiting = asyncio.create_task(project.wait())
        await stub.send(wire.started(project.id), wire.progress(project.id, 5, has_image=True))
    for task in (reading, waiting):
        with pytest.raises(dreamgrid.ConnectionFailed, match="closed"):
            await task
    ours = {task for task in asyncio.all_tasks() - before if "aiohttp/web" not in repr(task)}
    assert not ours
    with pytest.raises(dreamgrid.ConnectionFailed, match="closed"):
        await client.projects.create(model=MODEL, prompt="x")


async def test_who_canceled_a_project_and_why_is_told(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client)
    await stub.send(
        socket.JobError(
            project_id=project.id,
            is_from_worker=False,
            error="artistCanceled",
            error_message="the project was canceled by an administrator of this grid: too large",
        )
    )
    with pytest.raises(dreamgrid.ProjectCanceled, match="administrator of this grid: too large"):
        await project.wait(timeout_s=45)
