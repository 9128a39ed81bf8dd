"""Which grid a command talks to. There is one precedence, for every command.

1. flags        --server and --key
2. environment  DREAMGRID_URL and DREAMGRID_API_KEY
3. config file  written by `dreamgrid account login`
4. the grid that runs on this machine from the same data folder
5. an embedded one, for as long as the command takes
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dreamgrid
from dreamgrid.cli import exits
from dreamgrid.cli.folder import find_running
from dreamgrid.cli.saved import remembered
from dreamgrid.client.endpoint import KEY_VARIABLE, URL_VARIABLE
from dreamgrid.errors import ConfigError, FolderInUse, OwnGridUnreachable

_PATIENCE_S = 60.0
_LOOK_AGAIN_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Target:
    """A grid to talk to.

    Attributes:
        url: Its address.
        api_key: A key for it.
        embedded: Whether it was started for this command and ends with it.
    """

    url: str
    api_key: str = field(repr=False)
    embedded: bool = False


async def find(
    server: str | None, key: str | None, data: Path, *, use_login: bool = True
) -> Target | None:
    """The grid that flags, environment, configuration or this machine name; None: there is none.

    Raises:
        ConfigError: There is a key, but nothing that says for which grid.
        OwnGridUnreachable: A grid runs on this machine, and cannot be used from here.
    """
    url = server or os.environ.get(URL_VARIABLE)
    if url:
        return Target(url=url, api_key=key or os.environ.get(KEY_VARIABLE, ""))
    login = remembered() if use_login else None
    if login is not None:
        chosen = key or os.environ.get(KEY_VARIABLE) or login.api_key
        return Target(url=login.server, api_key=chosen)
    running = await find_running(data)
    if running is not None:
        chosen = key or os.environ.get(KEY_VARIABLE) or running.api_key
        return Target(url=running.url, api_key=chosen)
    if key:
        raise ConfigError(
            "--key says who you are, but not where: name the grid with --server URL or "
            f"{URL_VARIABLE}; none runs on this machine, and 'dreamgrid up' would start one"
        )
    return None


@asynccontextmanager
async def connected(
    server: str | None,
    key: str | None,
    data: Path,
    *,
    worker: bool = True,
    use_login: bool = True,
) -> AsyncIterator[tuple[dreamgrid.AsyncClient, Target]]:
    """A client of the grid that this command is for; starts one if there is none.

    Args:
        server: The flag `--server`.
        key: The flag `--key`.
        data: The data folder.
        worker: Whether an embedded grid needs a worker.
        use_login: Whether the grid that the person signed in to may be used.

    Raises:
        ConfigError: No grid is named or running, and none can be started.
        OwnGridUnreachable: A grid runs on this machine, and cannot be used from here.
    """
    target = unreachable = None
    try:
        target = await find(server, key, data, use_login=use_login)
    except OwnGridUnreachable as error:
        unreachable = error
    if target is not None:
        async with dreamgrid.AsyncClient(target.url, target.api_key) as client:
            yield client, target
        return
    embedded = _embedded(data, worker=worker, unreachable=unreachable)
    async with embedded as target, _client(target) as client:
        yield client, target


def _client(target: Target) -> dreamgrid.AsyncClient:
    return dreamgrid.AsyncClient(target.url, target.api_key)


@asynccontextmanager
async def _embedded(
    data: Path, *, worker: bool, unreachable: OwnGridUnreachable | None
) -> AsyncIterator[Target]:
    """A grid of our own, or the one that another command brings up in the meantime."""
    # Here, because it loads the whole server.
    from dreamgrid.cli.grid import GridOptions, embedded  # noqa: PLC0415
    from dreamgrid.server.config import ServerConfig  # noqa: PLC0415

    server = ServerConfig(data_dir=data, port=0)
    waited_s = 0.0
    while True:
        try:
            async with embedded(GridOptions(server=server, worker=worker)) as grid:
                for line in grid.advice:
                    exits.note(line)
                yield Target(url=grid.url, api_key=grid.api_key, embedded=True)
                return
        except FolderInUse:
            if unreachable is not None:
                raise unreachable from None  # waiting would not help
            if waited_s >= _PATIENCE_S:
                raise
        if waited_s == 0:
            exits.note("another dreamgrid command is using the data folder; waiting for it ...")
        waited_s += _LOOK_AGAIN_S
        await asyncio.sleep(_LOOK_AGAIN_S)
        running = await find_running(data)
        if running is not None:
            yield Target(url=running.url, api_key=running.api_key)
            return
