"""A grid in one process: what starts when, and what does not start at all."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dreamgrid.cli.grid import GridOptions, embedded
from dreamgrid.errors import ConfigError, FolderInUse
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.folder_lock import held
from dreamgrid.worker.process import EngineProcess

Start = Callable[..., Awaitable[EngineProcess]]


def options_of(folder: Path, **server: Any) -> GridOptions:
    return GridOptions(server=ServerConfig(data_dir=folder, port=0, **server))


@pytest.fixture
def unstartable(monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(*_: object, **__: object) -> EngineProcess:
        pytest.fail("an engine was started")

    monkeypatch.setattr(EngineProcess, "start", start)


@pytest.mark.usefixtures("unstartable")
async def test_no_engine_starts_while_another_grid_has_the_folder(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(FolderInUse):
        async with embedded(options_of(tmp_path)):
            pytest.fail("the folder is in use")


@pytest.mark.usefixtures("unstartable")
async def test_no_engine_starts_for_a_server_with_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        async with embedded(options_of(tmp_path, worker_share_permille=-1)):
            pytest.fail("the setting is wrong")


async def test_the_engine_starts_before_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    start: Start = EngineProcess.start

    async def started(*given: Any, **named: Any) -> EngineProcess:
        process = await start(*given, **named)
        order.append("engine")
        return process

    async def serve(*_: object, **__: object) -> None:
        order.append("server")
        raise ConfigError("no server today")

    monkeypatch.setattr(EngineProcess, "start", started)
    monkeypatch.setattr("dreamgrid.server.app.run_server", serve)
    with pytest.raises(ConfigError, match="no server today"):
        async with asyncio.timeout(60), embedded(options_of(tmp_path)):
            pytest.fail("there is no server")
    assert order == ["engine", "server"]
