"""Fixtures: the published SDKs, a server with a scripted worker, and one signed-in app."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.interop.grid import Grid, running_grid
from tests.interop.sdks import HERE, SDKS, App, Driver, Sdk
from tests.interop.worker import ScriptedWorker, scripted_worker
from tests.support import npm


@pytest.fixture(scope="session")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Installs the JavaScript SDKs exactly as the lock file says, once."""
    npm.install(HERE, tmp_path_factory.getbasetemp().parent)


@pytest.fixture(params=SDKS, ids=str)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    """Each published SDK in turn."""
    chosen: Sdk = request.param
    if chosen.command[0] == "node":
        request.getfixturevalue("javascript")
    else:
        pytest.importorskip("sogni_client", reason="the published Python SDK is not installed")
    return chosen


@pytest.fixture
async def grid(tmp_path: Path) -> AsyncIterator[Grid]:
    """A server with nothing in it yet."""
    async with running_grid(tmp_path) as running:
        yield running


@pytest.fixture
async def worker(grid: Grid) -> AsyncIterator[ScriptedWorker]:
    """A worker that does what the test says."""
    async with scripted_worker(grid.direct_url, grid.key) as connected:
        yield connected


@pytest.fixture
async def driver(sdk: Sdk) -> AsyncIterator[Driver]:
    """A process with the SDK in it."""
    async with Driver(sdk) as running:
        yield running


SignIn = Callable[..., Awaitable[App]]


@pytest.fixture
def sign_in(sdk: Sdk, grid: Grid, driver: Driver, worker: ScriptedWorker) -> SignIn:
    """Opens a client instance for the same account each time, connected and aware of the models."""
    del worker

    known = False

    async def signed_in(name: str, *, app_id: str | None = None) -> App:
        nonlocal known
        if sdk.api_keys:
            opened = await open_app(driver, grid, name, app_id=app_id, apiKey=grid.key)
        else:
            opened = await open_app(driver, grid, name, app_id=app_id)
            await (opened.log_in("Alice") if known else opened.sign_up("Alice"))
            known = True
        await opened.call("projects.waitForModels")
        return opened

    return signed_in


@pytest.fixture
async def app(sign_in: SignIn) -> App:
    """A signed-in app."""
    return await sign_in("app")


async def open_app(
    driver: Driver, grid: Grid, name: str, *, app_id: str | None = None, **options: object
) -> App:
    """A client instance that reaches the grid over its cable."""
    given = {
        "appId": app_id or str(uuid.uuid4()),
        "restEndpoint": grid.url,
        "socketEndpoint": grid.url.replace("http:", "ws:"),
        "network": "fast",
        **options,
    }
    await driver.send("open", app=name, options=given)
    return App(driver, name)
