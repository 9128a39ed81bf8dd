"""Commands that ask a grid one question: connect, ask, leave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import dreamgrid
from dreamgrid.cli import loop
from dreamgrid.cli.folder import data_dir
from dreamgrid.cli.target import connected

T = TypeVar("T")


def ask(
    question: Callable[[dreamgrid.AsyncClient], Awaitable[T]],
    server: str | None,
    key: str | None,
    data: Path | None,
    *,
    worker: bool = False,
) -> T:
    """The answer of the grid that the flags name, or of the one that there is.

    Args:
        question: What to ask.
        server: The flag `--server`.
        key: The flag `--key`.
        data: The flag `--data`.
        worker: Whether a grid that is started for this needs a worker.
    """

    async def asked() -> T:
        async with connected(server, key, data_dir(data), worker=worker) as (client, _):
            return await question(client)

    return loop.run(asked())
