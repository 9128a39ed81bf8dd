"""After any disconnect, on either side, every change of state is told once and in order."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

import dreamgrid
from dreamgrid.client import watching
from dreamgrid.client.connection import Backoff
from dreamgrid.client.history import History
from dreamgrid.protocol import socket
from dreamgrid.protocol.project_events import ProjectEvent
from dreamgrid.protocol.worker import WORKER_PATH
from tests.cli.processes import running
from tests.client import stub as wire
from tests.client.mill import PICTURE, png
from tests.client.stub import JOB_A, JOB_B, Stub
from tests.client.test_history import PARAMS, make_image
from tests.support.known import remember_workers
from tests.support.wire import Worker, hello_of, welcomed

P = "EEEEEEEE-EEEE-4EEE-8EEE-EEEEEEEEEEEE"
NAMES = {
    "assigned": "Assigned",
    "started": "Started",
    "retried": "JobRetried",
    "job_completed": "JobCompleted",
    "job_failed": "JobFailed",
    "completed": "Completed",
}


class Step(NamedTuple):
    """One line of a project's true story."""

    type: Any
    job_id: str | None = None
    attempt: int | None = None

    def logged(self, number: int, project_id: str = P) -> ProjectEvent:
        return ProjectEvent(
            number=number,
            type=self.type,
            time=0,
            project_id=project_id,
            job_id=self.job_id,
            index=None if self.job_id is None else (JOB_A, JOB_B).index(self.job_id),
            attempt=self.attempt,
            worker="w1",
            reason="genfailure",
        )

    def fold(self, told: History) -> None:
        """As the frame of the socket."""
        event = self.logged(0)
        if self.type == "queued":
            told.on_state(wire.queued(P))
        else:
            watching._fold_event(told, event)

    @property
    def told(self) -> tuple[Any, ...]:
        """As the event that people see."""
        return (NAMES[self.type], self.job_id)


def current(story: list[Step]) -> list[Step]:
    """What a server repeats to whoever comes back at this point."""
    last = {step.job_id: step for step in story if step.job_id is not None}
    found = [step for step in last.values() if step.type != "retried"]
    if not any(step.type in ("assigned", "started") for step in found):
        found.insert(0, Step("queued"))
    return found


@st.composite
def stories(draw: st.DrawFn) -> list[Step]:
    """True stories of a project with two jobs, up to some point of it."""
    lanes = []
    for job in (JOB_A, JOB_B):
        lane = []
        lost = draw(st.integers(0, 3))
        for attempt in range(1, lost + 2):
            lane.append(Step("assigned", job, attempt))
            if draw(st.booleans()):
                lane.append(Step("started", job, attempt))
            if attempt <= lost:
                lane.append(Step("retried", job, attempt))
        lane.append(Step(draw(st.sampled_from(["job_completed", "job_failed"])), job, lost + 1))
        lanes.append(lane)
    story = [Step("queued")]
    while any(lanes):
        story.append(draw(st.sampled_from([lane for lane in lanes if lane])).pop(0))
    story.append(Step("completed"))
    return story[: draw(st.integers(1, len(story)))]


@given(story=stories(), data=st.data())
def test_whatever_was_missed_is_told_once_and_in_order(story: list[Step], data: Any) -> None:
    """The socket is lost and comes back again and again; the log is read up to any later moment."""
    told = History(P, PARAMS, make_image)
    heard, known = data.draw(st.integers(1, len(story))), 0
    for step in story[:heard]:
        step.fold(told)
    while heard < len(story) or data.draw(st.booleans()):
        back = data.draw(st.integers(heard, len(story)))  # when the new socket begins
        read = data.draw(st.integers(back, len(story)))  # when the log is read
        lost = data.draw(st.integers(back, len(story)))  # when the new socket breaks
        told.on_reconnect()
        for number, step in enumerate(story[known:read], known + 1):
            watching._fold_event(told, step.logged(number))
        known = read
        for step in current(story[:back]) + story[back:lost]:
            step.fold(told)
        heard = max(lost, read)
    if not told.finished:
        told.log.end()
    events = asyncio.run(read_all(told))
    assert states_of(events) == [step.told for step in story if step.type != "queued"]


async def read_all(told: History) -> list[dreamgrid.Event]:
    return [event async for event in told.log.read()]


def states_of(events: Sequence[dreamgrid.Event]) -> list[tuple[Any, ...]]:
    """Changes of state, without places in line and progress."""
    return [
        (type(event).__name__, getattr(event, "job_id", None))
        for event in events
        if type(event).__name__ in NAMES.values()
    ]


def log_of(project_id: str, *steps: Step) -> Callable[[web.Request], web.Response]:
    """A server's answer to who asks for a log."""

    def answer(request: web.Request) -> web.Response:
        assert request.query["follow"] == "false"
        after = int(request.query["after"])
        blocks = [
            b"id: %d\nevent: %b\ndata: %b\n\n"
            % (number, step.type.encode(), msgspec.json.encode(step.logged(number, project_id)))
            for number, step in enumerate(steps, 1)
            if number > after
        ]
        return web.Response(body=b"".join(blocks), content_type="text/event-stream")

    return answer


BEGAN = (Step("queued"), Step("assigned", JOB_A, 1), Step("started", JOB_A, 1))
LOST = (Step("retried", JOB_A, 1), Step("assigned", JOB_A, 2), Step("started", JOB_A, 2))


def numbered(frame: Any, assignment: int) -> Any:
    return msgspec.structs.replace(frame, assignment=assignment)


async def began(stub: Stub, client: dreamgrid.AsyncClient) -> dreamgrid.Project:
    """A project whose first attempt was heard to start."""
    project = await wire.submitted(stub, client)
    await stub.send(numbered(wire.started(project.id), 1))
    async for event in project.events():
        if isinstance(event, dreamgrid.Started):
            return project
    raise AssertionError("it ended")


async def story_of(project: dreamgrid.Project) -> list[str]:
    return [name for name, _ in states_of([event async for event in project.events()])]


async def test_frames_of_a_new_connection_wait_for_the_log(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await began(stub, client)
    asked, answered = asyncio.Event(), asyncio.Event()

    async def later(request: web.Request) -> web.Response:
        asked.set()
        await answered.wait()
        return log_of(project.id, *BEGAN, *LOST)(request)

    stub.answer(f"/v1/projects/{project.id}/events", later)
    await stub.drop()
    await stub.connected(2)
    await stub.send(
        numbered(wire.started(project.id), 2),
        wire.result(project.id),
        wire.completed(project.id),
    )
    await asyncio.wait_for(asked.wait(), 10)
    assert not project.finished
    answered.set()
    assert await story_of(project) == [
        "Started",
        "JobRetried",
        "Assigned",
        "Started",
        "JobCompleted",
        "Completed",
    ]
    assert not stub.asked(f"/v2/projects/{project.id}"), "the log has told all there is"


async def test_a_log_that_cannot_be_read_at_once_is_asked_for_again(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await began(stub, client)
    path = f"/v1/projects/{project.id}/events"
    broken = lambda _: wire.error(500, 500, "not now")  # noqa: E731
    stub.answer(path, broken, broken, log_of(project.id, *BEGAN, *LOST))
    await stub.drop()
    await stub.connected(2)
    await stub.send(wire.result(project.id), wire.completed(project.id))
    assert (await story_of(project)).count("JobRetried") == 1
    assert len(stub.asked(path)) == 3


async def test_a_server_whose_logs_cannot_be_read_is_asked_for_the_record(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await began(stub, client)
    broken = [lambda _: wire.error(500, 500, "never")] * 100
    stub.answer(f"/v1/projects/{project.id}/events", *broken)
    done = wire.job_record(project.id, "jobCompleted")
    stub.records[project.id] = wire.record(project.id, "completed", completed_jobs=(done,))
    await stub.drop()
    assert await story_of(project) == ["Started", "JobCompleted", "Completed"]


async def test_what_was_read_before_a_second_drop_does_not_let_the_next_frames_go_ahead(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await began(stub, client)
    first, answered = asyncio.Event(), asyncio.Event()

    async def early(request: web.Request) -> web.Response:
        first.set()
        await answered.wait()
        return log_of(project.id, *BEGAN)(request)  # as it was before the second drop

    stub.answer(f"/v1/projects/{project.id}/events", early, log_of(project.id, *BEGAN, *LOST))
    await stub.drop()
    await asyncio.wait_for(first.wait(), 10)
    await stub.drop()
    await stub.connected(3)
    await stub.send(numbered(wire.started(project.id), 2))
    answered.set()
    await stub.send(wire.result(project.id), wire.completed(project.id))
    assert await story_of(project) == [
        "Started",
        "JobRetried",
        "Assigned",
        "Started",
        "JobCompleted",
        "Completed",
    ]


async def test_a_flood_of_frames_is_not_kept_waiting(
    stub: Stub, client: dreamgrid.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dreamgrid.client.tracked.MAX_HELD", 3)
    project = await began(stub, client)
    never = asyncio.Event()

    async def silent(request: web.Request) -> web.Response:
        del request
        await never.wait()
        raise AssertionError

    stub.answer(f"/v1/projects/{project.id}/events", silent)
    await stub.drop()
    await stub.connected(2)
    await stub.send(
        numbered(wire.progress(project.id, 3), 1),
        wire.result(project.id),
        wire.completed(project.id),
    )
    assert await story_of(project) == ["Started", "JobCompleted", "Completed"]


async def test_what_an_old_attempt_still_says_is_no_news(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await began(stub, client)
    retry = socket.JobRetry(
        project_id=project.id,
        job_id=JOB_A,
        job_index=0,
        attempt=1,
        max_attempts=3,
        is_from_worker=True,
        error="genfailure",
        error_message="",
        assignment=1,
    )
    await stub.send(
        retry,
        numbered(wire.progress(project.id, 7), 1),
        numbered(wire.started(project.id), 1),
        retry,
        numbered(wire.initiating(project.id), 2),
        wire.queued(project.id),
        wire.result(project.id),
        wire.completed(project.id),
    )
    events = [event async for event in project.events()]
    assert [name for name, _ in states_of(events)] == [
        "Started",
        "JobRetried",
        "Assigned",
        "JobCompleted",
        "Completed",
    ]
    assert not any(isinstance(event, dreamgrid.Progressed) for event in events)


async def test_a_project_of_ones_own_that_is_taken_up_begins_with_its_log(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project_id = "CCCCCCCC-CCCC-4CCC-8CCC-CCCCCCCCCCCC"
    stub.answer(f"/v1/projects/{project_id}/events", log_of(project_id, *BEGAN, *LOST))
    behind = wire.job_record(project_id, "jobProgress", performed_steps=4)
    stub.records[project_id] = wire.record(project_id, "processing", worker_jobs=(behind,))
    project = await client.projects.attach(project_id)
    assert project.jobs[0].step == 4
    await stub.send(wire.result(project_id), wire.completed(project_id))
    assert await story_of(project) == [
        "Assigned",
        "Started",
        "JobRetried",
        "Assigned",
        "Started",
        "JobCompleted",
        "Completed",
    ]


# ── a real server ────────────────────────────────────────────────────────────────────────────────


class Waiting:
    """Keeps a client from dialling until it may."""

    def __init__(self, client: dreamgrid.AsyncClient) -> None:
        self.over = asyncio.Event()
        self.over.set()
        self._dial = client._http.open_socket
        client._http.open_socket = self._open  # type: ignore[method-assign]

    async def _open(self, query: Any) -> aiohttp.ClientWebSocketResponse:
        await self.over.wait()
        return await self._dial(query)


async def worker_of(
    http: aiohttp.ClientSession, url: str, key: str, worker_id: str | None = None
) -> Worker:
    said = hello_of(models=(PICTURE,), worker_id=worker_id)
    worker = Worker(
        await http.ws_connect(f"{url}{WORKER_PATH}", headers={"api-key": key}), http, said
    )
    await worker.send(said)
    await welcomed(worker)
    return worker


async def logged(
    http: aiohttp.ClientSession, url: str, key: str, project_id: str, kind: str, attempt: int
) -> None:
    """Returns when the server has stored that."""
    path = f"{url}/v1/projects/{project_id}/events"
    async with http.get(path, headers={"api-key": key}) as stream:
        async for line in stream.content:
            if line.startswith(b"data: "):
                event = msgspec.json.decode(line.removeprefix(b"data: "))
                if (event["type"], event.get("attempt")) == (kind, attempt):
                    return
    raise AssertionError(f"the log ends without {kind} {attempt}")


async def test_a_live_loop_hears_what_happened_while_its_killed_server_came_back(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    serve = ("serve", "--json", "--port", str(unused_tcp_port))
    data = tmp_path / "data"
    await remember_workers(data, [PICTURE], seen_s=time.time())
    seen: list[dreamgrid.Event] = []
    async with aiohttp.ClientSession() as http:
        with running(*serve, data=data) as first:
            url, key = first.ready["url"], first.ready["api_key"]
            client = dreamgrid.AsyncClient(url, key)
            client._tracker.connection.backoff = Backoff(first_s=0.05, limit_s=0.1)
            door = Waiting(client)
            project = await client.projects.create(model=PICTURE, prompt="a")
            worker = await worker_of(http, url, key)
            await worker.start(await worker.assigned())
            live = project.events()
            async for event in live:
                seen.append(event)
                if isinstance(event, dreamgrid.Started):
                    break
            door.over.clear()
            first.process.kill()
            first.process.wait()
        async with client:
            with running(*serve, data=data):
                # The worker has forgotten the render in a restart of its own, and is given it anew.
                worker = await worker_of(http, url, key, worker.hello.worker_id)
                again = await worker.assigned()
                await worker.start(again)
                await logged(http, url, key, project.id, "started", 2)
                door.over.set()
                await worker.finish(again, png())
                async with asyncio.timeout(60):
                    seen += [event async for event in live]
    job = project.jobs[0].id
    assert states_of(seen) == [
        ("Assigned", job),
        ("Started", job),
        ("JobRetried", job),
        ("Assigned", job),
        ("Started", job),
        ("JobCompleted", job),
        ("Completed", None),
    ]
    (lost,) = [event for event in seen if isinstance(event, dreamgrid.JobRetried)]
    assert lost.attempt == 1
