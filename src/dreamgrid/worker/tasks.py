"""A task group for code that wants one plain error, and a wait that cleaning up needs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """An `asyncio.TaskGroup` that raises the error that ended it, with the group as its cause.

    The first error cancels all other tasks, so any further one is a consequence of it.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from group


async def wait_ended(task: asyncio.Task[object]) -> None:
    """Waits until a task has ended in whatever way; a cancel of this call is raised only then."""
    canceled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            canceled = error
    if canceled is not None:
        raise canceled
