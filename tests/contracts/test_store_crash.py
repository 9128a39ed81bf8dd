"""A process that writes is killed without warning: what it was told is stored, is stored."""

import asyncio
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from dreamgrid.states import JobState, ProjectState
from tests.support.stores import ADA, BACKENDS, open_rows

ROOT = Path(__file__).parents[2]
LINES = 400


async def lines_until_killed(*arguments: str) -> list[tuple[str, str]]:
    """What the writer said was stored before it was killed in the middle of its work."""
    writer = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.crash_writer",
        *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert writer.stdout is not None
    said = [await writer.stdout.readline() for _ in range(LINES)]
    writer.kill()
    said += (await writer.stdout.read()).splitlines()
    await writer.wait()
    words = [line.decode().split() for line in said if line]
    return [(what, project_id) for what, project_id in words]


@pytest.mark.parametrize("backend", BACKENDS)
async def test_whatever_was_acknowledged_survives_a_kill(backend: str, tmp_path: Path) -> None:
    databases = BACKENDS[backend](tmp_path)
    told: dict[str, set[str]] = defaultdict(set)
    for what, project_id in await lines_until_killed(backend, str(tmp_path)):
        told[what].add(project_id)
    assert len(told["completed"]) > LINES // 4

    store = databases.store()
    await store.open()
    rows = {project_id: await store.project(project_id) for project_id in told["submitted"]}
    open_ids = {row.id for row in await open_rows(store)}
    balance = (await store.balances(ADA))["spark"]
    house = (await store.balances("house"))["spark"]
    await store.close()

    for project_id, row in rows.items():
        assert row is not None
        if project_id in told["assigned"]:
            assert row.jobs[0].state is not JobState.QUEUED
        if project_id in told["completed"]:
            assert (row.state, row.charged_micros) == (ProjectState.COMPLETED, 1)
    assert open_ids.isdisjoint(told["completed"])
    assert house.posted_micros >= len(told["completed"])
    assert balance.posted_micros + house.posted_micros == 1_000_000
    assert balance.held_micros == len(open_ids)
