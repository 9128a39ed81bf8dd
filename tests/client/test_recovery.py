"""What happens to projects when the socket or the server goes away. Nothing, as far as possible."""

import asyncio
from collections import Counter

import pytest
from aiohttp import web

import dreamgrid
from dreamgrid.protocol import rest, socket
from dreamgrid.protocol.job_request import JobRequest
from tests.client import stub as wire
from tests.client.stub import JOB_A, JOB_B, Stub

LOST = "projectLost"


async def reconnected(stub: Stub, count: int = 2) -> None:
    """Drops the connection and waits for the next one."""
    await stub.drop()
    await stub.connected(count)


async def test_results_that_came_while_away_are_taken_from_the_record(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client, count=2)
    await stub.send(wire.started(project.id, JOB_A, 0), wire.progress(project.id, 5))
    stub.records[project.id] = wire.record(
        project.id,
        "completed",
        completed_jobs=(
            wire.job_record(project.id, "jobCompleted", JOB_A, seed_used=7),
            wire.job_record(project.id, "jobCompleted", JOB_B, seed_used=8, job_index=1),
        ),
    )
    await reconnected(stub)
    images = await project.wait(timeout_s=45)
    assert [(image.job_id, image.seed) for image in images] == [(JOB_A, 7), (JOB_B, 8)]


async def test_a_project_goes_on_by_live_frames_after_a_drop(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client)
    await stub.send(wire.started(project.id), wire.progress(project.id, 5))
    running = wire.job_record(project.id, "jobProgress")
    stub.records[project.id] = wire.record(project.id, "processing", worker_jobs=(running,))
    await reconnected(stub)
    # The server repeats what is current; then it goes on.
    await stub.send(
        wire.started(project.id),
        wire.progress(project.id, 5),
        wire.progress(project.id, 6),
        wire.result(project.id),
        wire.result(project.id),
        wire.completed(project.id),
        wire.completed(project.id),
    )
    await project.wait(timeout_s=45)
    story = [event async for event in project.events()]
    assert Counter(type(event).__name__ for event in story) == {
        "Queued": 1,
        "Started": 1,
        "Progressed": 1,
        "JobCompleted": 1,
        "Completed": 1,
    }


async def test_a_drop_by_itself_fails_nothing(stub: Stub, client: dreamgrid.AsyncClient) -> None:
    project = await wire.submitted(stub, client)
    stub.records[project.id] = wire.record(project.id, "queued")
    for count in range(2, 6):
        await reconnected(stub, count)
    assert not project.finished
    assert project.error is None
    assert stub.frames.empty(), "a request that the server has was sent again"


async def test_a_request_that_was_lost_on_its_way_is_sent_again_unchanged(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    creating = asyncio.create_task(client.projects.create(model=wire.MODEL, prompt="x", seed=3))
    first = await stub.received(JobRequest)
    await reconnected(stub)
    assert await stub.received(JobRequest) == first
    await stub.send(wire.queued(first.project_id))
    assert (await creating).id == first.project_id


async def test_a_project_that_the_server_forgot_fails_only_after_asking_again(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client)
    await reconnected(stub)
    with pytest.raises(dreamgrid.ProjectFailed, match=LOST):
        await project.wait(timeout_s=45)
    assert len(stub.asked(f"/v2/projects/{project.id}")) == 3
    assert stub.frames.empty(), "a project that was lost after its start must not start again"


async def test_a_404_in_passing_does_not_fail_a_project(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client)
    done = wire.job_record(project.id, "jobCompleted")
    stub.records[project.id] = wire.record(project.id, "completed", completed_jobs=(done,))
    nothing = lambda _: wire.error(404, 404, "no such route")  # noqa: E731
    stub.answer(f"/v2/projects/{project.id}", nothing, nothing)
    await reconnected(stub)
    assert len(await project.wait(timeout_s=45)) == 1


async def test_a_server_that_cannot_tell_yet_does_not_fail_a_project(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client)
    done = wire.job_record(project.id, "jobCompleted")
    stub.records[project.id] = wire.record(project.id, "completed", completed_jobs=(done,))
    later = lambda _: wire.error(503, 1001, "starting", **{"Retry-After": "0"})  # noqa: E731
    stub.answer(f"/v2/projects/{project.id}", *[later] * 7)
    client._http._sleep = lambda _: asyncio.sleep(0)
    await reconnected(stub)
    assert len(await project.wait(timeout_s=45)) == 1


async def test_a_request_refused_by_a_restarting_server_is_sent_after_the_restart(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    creating = asyncio.create_task(client.projects.create(model=wire.MODEL, prompt="x"))
    first = await stub.received(JobRequest)
    await stub.send(wire.failed(first.project_id, 1001, "restarting"))
    await stub.drop(socket.CLOSE_RESTART)
    assert await stub.received(JobRequest) == first
    await stub.send(wire.queued(first.project_id))
    project = await creating
    assert project.error is None


async def test_a_cancel_survives_a_drop(stub: Stub, client: dreamgrid.AsyncClient) -> None:
    project = await wire.submitted(stub, client)
    canceling = asyncio.create_task(project.cancel())
    await stub.received(socket.CancelRequest)
    await stub.drop()
    await stub.received(socket.CancelRequest)
    await stub.send(socket.CancelConfirmation(project_id=project.id, did_cancel=True))
    await canceling
    assert project.state is dreamgrid.ProjectState.CANCELED


async def test_a_completed_project_whose_result_frame_was_missed_is_looked_up(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client)
    running = wire.job_record(project.id, "jobProgress")
    behind = wire.record(project.id, "processing", worker_jobs=(running,))
    done = wire.job_record(project.id, "jobCompleted", seed_used=9)
    stub.records[project.id] = wire.record(project.id, "completed", completed_jobs=(done,))
    # The record lags one look behind the frame.
    stub.answer(f"/v2/projects/{project.id}", lambda _: wire.ok(rest.ProjectAnswer(project=behind)))
    await stub.send(wire.completed(project.id))
    (image,) = await project.wait(timeout_s=45)
    assert image.seed == 9


async def test_a_project_that_nothing_is_heard_of_is_looked_up(
    stub: Stub, client: dreamgrid.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dreamgrid.client.tracked.QUIET_S", 0.05)
    project = await wire.submitted(stub, client)
    stub.records[project.id] = wire.record(project.id, "failed", reason="4104")
    with pytest.raises(dreamgrid.ProjectFailed) as caught:
        await project.wait(timeout_s=45)
    assert caught.value.code == 4104


async def test_steps_may_go_back_after_a_drop_because_another_worker_may_have_it(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client)
    await stub.send(wire.started(project.id), wire.progress(project.id, 15))
    async for event in project.events():
        if isinstance(event, dreamgrid.Progressed):
            break
    running = wire.job_record(project.id, "jobProgress")
    stub.records[project.id] = wire.record(project.id, "processing", worker_jobs=(running,))
    await reconnected(stub)
    await stub.send(wire.progress(project.id, 2), wire.progress(project.id, 1))
    async for event in project.events():
        if isinstance(event, dreamgrid.Progressed) and event.step != 15:
            assert event.step == 2
            break
    assert project.jobs[0].step == 2


async def test_a_key_that_is_revoked_meanwhile_ends_the_wait_but_not_the_project(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client)
    stub.refuse_with = socket.CLOSE_AUTHENTICATION
    await stub.drop()
    with pytest.raises(dreamgrid.AuthenticationFailed):
        await project.wait(timeout_s=45)
    assert project.state is dreamgrid.ProjectState.QUEUED


async def test_a_stream_that_has_no_more_to_tell_leaves_the_end_to_the_record(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project_id = "CCCCCCCC-CCCC-4CCC-8CCC-CCCCCCCCCCCC"
    running = wire.job_record(project_id, "jobProgress")
    request = {"app_id": "another-app", "client_request_data": None}
    stub.records[project_id] = wire.record(
        project_id, "processing", worker_jobs=(running,), **request
    )
    none_left = [lambda _: web.Response(status=204)] * 1000
    stub.answer(f"/v1/projects/{project_id}/events", *none_left)
    project = await client.projects.attach(project_id)
    done = wire.job_record(project_id, "jobCompleted", seed_used=7)
    stub.records[project_id] = wire.record(
        project_id, "completed", completed_jobs=(done,), **request
    )
    assert [image.seed for image in await project.wait(timeout_s=45)] == [7]
