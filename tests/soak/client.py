"""An app that asks for pictures until it is told to stop, or is killed: `client JOURNAL STOP`.

It writes down what it asked for and what it heard, and a later run of it takes up where the killed
one was, as a careful app does.
"""

import asyncio
import os
import random
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import dreamgrid

TRANSIENT = (
    dreamgrid.ConnectionFailed,
    dreamgrid.ModelNotServed,  # no worker has come yet
    dreamgrid.ServerUnavailable,
    dreamgrid.ServerRestarting,
    dreamgrid.TooManyRequests,
    dreamgrid.WaitTimeout,
)
AT_ONCE = 6


class Journal:
    """What survives a kill: one line for each thing that is certain."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+", encoding="ascii")
        self._file.seek(0)
        whole = [line for line in self._file if line.endswith("\n")]  # the last may be cut off
        self.lines = [tuple(line.split()) for line in whole]

    def write(self, *words: str) -> None:
        self._file.write(f"{' '.join(words)}\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def unfinished(self) -> dict[str, int]:
        asked = {line[1]: int(line[2]) for line in self.lines if line[0] == "asked"}
        for line in self.lines:
            if line[0] == "ended":
                asked.pop(line[1], None)
        return asked


async def see_to(client: dreamgrid.AsyncClient, journal: Journal, project_id: str, n: int) -> None:
    """Asks for a project as often as needed, and writes down how it ended."""
    while True:
        try:
            project = await client.projects.create(
                model="pattern-v1",
                prompt="a red apple",
                width=64,
                height=64,
                count=n,
                seed=7,
                project_id=project_id,
            )
            journal.write("accepted", project_id)
            images = await project.wait(timeout_s=30)
            read = [len(await image.read()) for image in images]
            assert len(read) == n
            assert min(read) > 50
            journal.write("ended", project_id, "completed")
            return
        except dreamgrid.ProjectFailed:
            journal.write("ended", project_id, "failed")
            return
        except TRANSIENT as error:
            journal.write("again", project_id, type(error).__name__)
            await asyncio.sleep(0.3)


async def ask(journal: Journal, stopped: Callable[[], bool]) -> None:
    async with dreamgrid.AsyncClient(app_id="soak") as client:
        open_ones = [
            asyncio.create_task(see_to(client, journal, project_id, n))
            for project_id, n in journal.unfinished().items()
        ]
        while open_ones or not stopped():
            if len(open_ones) < AT_ONCE and not stopped():
                project_id, n = str(uuid.uuid4()).upper(), random.randint(1, 3)
                journal.write("asked", project_id, str(n))
                open_ones.append(asyncio.create_task(see_to(client, journal, project_id, n)))
            done, left = await asyncio.wait(open_ones, timeout=0.05)
            open_ones = list(left)
            for task in done:
                task.result()


if __name__ == "__main__":
    asyncio.run(ask(Journal(Path(sys.argv[1])), Path(sys.argv[2]).exists))
