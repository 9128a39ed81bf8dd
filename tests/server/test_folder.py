"""The data folder: one server at a time, and nothing in it for strangers."""

import os
import stat

import pytest

from dreamgrid.errors import FolderInUse
from tests.server.conftest import MakeGrid
from tests.support.grid import Grid


async def test_a_second_server_is_kept_out_of_the_folder(grid: Grid, make_grid: MakeGrid) -> None:
    second = make_grid()
    with pytest.raises(FolderInUse, match=f"{grid.config.data_dir} \\(process {os.getpid()}\\)"):
        await second.start()
    await second.http.close()
    assert (await grid.get("/v1/account/me"))[0] == 200
    await grid.restart()


async def test_nobody_else_can_read_the_database(make_grid: MakeGrid) -> None:
    grid = make_grid()
    grid.config.data_dir.mkdir(mode=0o755)
    async with grid:
        files = list(grid.config.data_dir.glob("dreamgrid.sqlite*"))
        assert {file.suffix for file in files} == {".sqlite", ".sqlite-wal", ".sqlite-shm"}
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
