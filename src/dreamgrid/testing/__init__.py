"""A whole grid in one process, for the tests of apps: started in milliseconds, with no GPU.

    async with dreamgrid.testing.grid() as grid:
        await grid.worker()
        project = await grid.client.projects.create(model="pattern-v1", prompt="a red apple")
        (image,) = await project.wait(timeout_s=10)

The server is the real one, on a port of its own. Workers do what a test tells them: finish, fail,
crash, fall silent, object. Network and disk fail, and the server dies, where a seed says. Time
stands still until the test moves it. With pytest there is a fixture, `dreamgrid_grid`.
`docs/testing.md` tells the rest.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dreamgrid.testing.behaviour import Behaviour, Does
    from dreamgrid.testing.clock import ManualClock
    from dreamgrid.testing.faults import Faults
    from dreamgrid.testing.local_grid import Grid, grid
    from dreamgrid.testing.network import BadNetwork
    from dreamgrid.testing.worker import ScriptedWorker

__all__ = [
    "BadNetwork",
    "Behaviour",
    "Does",
    "Faults",
    "Grid",
    "ManualClock",
    "ScriptedWorker",
    "grid",
]

_HOME = {
    "BadNetwork": "network",
    "Behaviour": "behaviour",
    "Does": "behaviour",
    "Faults": "faults",
    "Grid": "local_grid",
    "ManualClock": "clock",
    "ScriptedWorker": "worker",
    "grid": "local_grid",
}


def __getattr__(name: str) -> Any:
    # Loaded when first used: pytest imports this package at every start, for its fixture.
    if name not in _HOME:
        raise AttributeError(f"module 'dreamgrid.testing' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"dreamgrid.testing.{_HOME[name]}"), name)
    globals()[name] = value
    return value
