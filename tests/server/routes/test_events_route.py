"""Watching a project over HTTP: every change once and in order, whatever breaks in between."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.support.grid import Grid
from tests.support.wire import PATIENCE_S, PNG, App


class Stream:
    """The events of one connection, read as a browser's EventSource does."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.last_id = ""

    async def next(self) -> dict[str, Any] | None:
        """The next event; None when the server has ended the stream."""
        event: dict[str, Any] = {}
        async with asyncio.timeout(PATIENCE_S):
            while line := (await self.answer.content.readline()).decode():
                name, _, value = line.rstrip("\n").partition(": ")
                match name:
                    case "id":
                        self.last_id = value
                    case "event":
                        event["event"] = value
                    case "data":
                        event.update(json.loads(value))
                    case "" if event and line == "\n":
                        return event
        return None

    async def rest(self) -> list[dict[str, Any]]:
        """All events up to the end of the stream."""
        found = []
        while (event := await self.next()) is not None:
            found.append(event)
        return found

    async def until(self, kind: str) -> dict[str, Any]:
        """The next event of this kind."""
        while event := await self.next():
            if event["event"] == kind:
                return event
        raise AssertionError(f"the stream ended without {kind}")


@asynccontextmanager
async def watching(
    grid: Grid, project: str, *, after: str = "", key: str | None = None
) -> AsyncIterator[Stream]:
    headers = {"api-key": grid.key if key is None else key} | (
        {"Last-Event-ID": after} if after else {}
    )
    url = f"{grid.url}/v1/projects/{project}/events"
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "text/event-stream"
        yield Stream(answer)


async def accepted(app: App) -> str:
    """A project that the server has stored; its id."""
    project = await app.request()
    await app.wait_state("queued", jobID=project)
    return project


def states(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events if event["event"] != "progress"]


async def test_a_watcher_sees_everything_from_the_queue_to_the_result(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await accepted(app)
    async with watching(grid, project) as stream:
        queued = await stream.until("queued")
        assert (queued["number"], queued["projectId"]) == (1, project)
        job = await worker.assigned()
        taken = await stream.until("assigned")
        assert (taken["jobId"], taken["worker"], taken["attempt"]) == (job.job_id, "w1", 1)
        await worker.start(job)
        await stream.until("started")
        await worker.progress(job, 2)
        progress = await stream.until("progress")
        assert (progress["step"], progress["stepCount"]) == (2, 4)
        assert "number" not in progress
        await worker.finish(job)
        done = await stream.until("job_completed")
        async with grid.http.get(done["resultUrl"]) as answer:
            assert await answer.read() == PNG
        assert states(await stream.rest()) == ["completed"]


async def test_whoever_comes_late_is_told_all_of_it(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await app.request()
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted", jobID=project)
    async with watching(grid, project) as stream:
        events = await stream.rest()
    assert states(events) == ["queued", "assigned", "job_completed", "completed"]
    assert [event["number"] for event in events] == [1, 2, 3, 4]


async def test_whoever_comes_back_is_told_only_what_is_new(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await accepted(app)
    async with watching(grid, project) as stream:
        await stream.until("assigned")
        last = stream.last_id
    job = await worker.assigned()
    await worker.start(job)
    await worker.finish(job)
    async with watching(grid, project, after=last) as stream:
        assert states(await stream.rest()) == ["started", "job_completed", "completed"]


async def test_a_restart_of_the_server_loses_no_event_and_repeats_none(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await accepted(app)
    seen: list[dict[str, Any]] = []
    async with watching(grid, project) as stream:
        seen += [await stream.until("queued"), await stream.until("assigned")]
        await worker.start(await worker.assigned())
        seen.append(await stream.until("started"))
        await grid.restart()
        assert states(await stream.rest()) == []
        last = stream.last_id
    async with watching(grid, project, after=last) as stream:
        grid.clock.advance(grid.config.lease_s + 1)
        await grid.ticked()
        seen.append(await stream.until("retried"))
        back = await grid.worker("w2")
        await back.finish(await back.assigned())
        seen += await stream.rest()
    assert [event["number"] for event in seen if "number" in event] == [1, 2, 3, 4, 5, 6, 7]
    assert states(seen)[3:] == ["retried", "assigned", "job_completed", "completed"]


async def test_who_does_not_follow_is_told_what_has_happened_so_far(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await accepted(app)
    job = await worker.assigned()
    url = f"{grid.url}/v1/projects/{project}/events?follow=false"
    async with grid.http.get(url, headers={"api-key": grid.key}) as answer:
        assert states(await Stream(answer).rest()) == ["queued", "assigned"]
    async with grid.http.get(f"{url}&after=2", headers={"api-key": grid.key}) as answer:
        assert states(await Stream(answer).rest()) == []
    await worker.finish(job)
    await app.wait_state("jobCompleted", jobID=project)
    async with grid.http.get(f"{url}&after=2", headers={"api-key": grid.key}) as answer:
        assert states(await Stream(answer).rest()) == ["job_completed", "completed"]


async def test_a_cancel_ends_the_stream(grid: Grid) -> None:
    app = await grid.app()
    await grid.worker(models=("dreamlet-v1",))
    project = await accepted(app)
    async with watching(grid, project) as stream:
        await stream.until("queued")
        await app.cancel(project)
        assert states(await stream.rest()) == ["canceled"]


async def test_nobody_watches_the_project_of_another_account(grid: Grid) -> None:
    app = await grid.app()
    project = await accepted(app)
    other = await grid.account("bob")
    for key, status in ((other, 404), ("", 401)):
        headers = {"api-key": key} if key else {}
        url = f"{grid.url}/v1/projects/{project}/events"
        async with grid.http.get(url, headers=headers) as answer:
            assert answer.status == status
            assert set(await answer.json()) == {"status", "message", "errorCode"}


async def test_a_number_that_is_none_is_refused(grid: Grid) -> None:
    app = await grid.app()
    project = await accepted(app)
    url = f"{grid.url}/v1/projects/{project}/events"
    for headers, query in (({"Last-Event-ID": "yesterday"}, ""), ({}, "?after=-1")):
        async with grid.http.get(url + query, headers={"api-key": grid.key, **headers}) as answer:
            assert answer.status == 400


@pytest.mark.parametrize("canceled", [False, True])
async def test_whoever_knows_the_last_event_is_told_that_there_is_no_more(
    grid: Grid, canceled: bool
) -> None:
    """204 ends a browser's EventSource; a stream without an event would have it wait for ever."""
    app, worker = await grid.app(), await grid.worker()
    project = await accepted(app)
    job = await worker.assigned()
    if canceled:
        await app.cancel(project)
    else:
        await worker.finish(job)
        await app.wait_state("jobCompleted", jobID=project)
    async with watching(grid, project) as stream:
        await stream.rest()
        last = int(stream.last_id)
    url = f"{grid.url}/v1/projects/{project}/events"
    for known in (last, last + 1):
        for asked, header in ((f"?after={known}", {}), ("", {"Last-Event-ID": str(known)})):
            headers = {"api-key": grid.key} | header
            async with grid.http.get(url + asked, headers=headers) as answer:
                assert (answer.status, await answer.read()) == (204, b"")
    async with watching(grid, project, after=str(last - 1)) as stream:
        assert len(await stream.rest()) == 1


async def test_the_newest_event_of_a_project_that_goes_on_is_no_end(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    project = await accepted(app)
    job = await worker.assigned()
    async with watching(grid, project) as stream:
        await stream.until("assigned")
        last = stream.last_id
    async with watching(grid, project, after=last) as stream:
        await worker.finish(job)
        assert states(await stream.rest()) == ["job_completed", "completed"]
