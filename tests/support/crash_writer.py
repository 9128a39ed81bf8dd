"""A process that writes to a store until it is killed: prints each thing once it is durable.

python -m tests.support.crash_writer BACKEND FOLDER
"""

import asyncio
import sys
from pathlib import Path

from dreamgrid.server.store.base import ProjectRow, Store, SubmitResult
from dreamgrid.states import ProjectState
from tests.support.stores import ADA, BACKENDS, NOW, account, acquisition, end, project


def say(what: str, row: ProjectRow) -> None:
    """One line, at once: this is stored."""
    sys.stdout.write(f"{what} {row.id}\n")
    sys.stdout.flush()


async def write_one(store: Store) -> None:
    """A project from its submission to its end."""
    row = project(1)
    if (await store.submit(row)).result is not SubmitResult.CREATED:
        return
    say("submitted", row)
    (job,) = row.jobs
    if await store.acquire([acquisition(job)], NOW) != [True]:
        return
    say("assigned", row)
    if (await store.end_job(end(job, project_state=ProjectState.COMPLETED))).accepted:
        say("completed", row)


async def write_for_ever(store: Store) -> None:
    await store.open()
    await store.create_account(account(ADA), {"spark": 1_000_000})

    async def again_and_again() -> None:
        while True:
            await write_one(store)

    await asyncio.gather(*(again_and_again() for _ in range(8)))


if __name__ == "__main__":
    asyncio.run(write_for_ever(BACKENDS[sys.argv[1]](Path(sys.argv[2])).store()))
