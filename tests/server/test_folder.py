"""The data folder: one server at a time, and nothing in it for strangers."""

import os

import pytest

from dreamgrid.server.folder_lock import FolderInUse
from tests.server.conftest import MakeGrid
from tests.support.grid import Grid


async def test_a_second_server_is_kept_out_of_the_folder(grid: Grid, make_grid: MakeGrid) -> None:
    second = make_grid()
    with pytest.raises(FolderInUse, match=f"{grid.config.data_dir} \\(process {os.getpid()}\\)"):
        await second.start()
    await second.http.close()
    assert (await grid.get("/v1/account/me"))[0] == 200
    await grid.restart()
