"""The published SDKs behind a plain load balancer before several nodes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.interop.grid import Cable
from tests.interop.sdks import SDKS, App, Driver, Sdk
from tests.interop.worker import png, scripted_worker
from tests.server.nodes.conftest import MakeNode, address, make_node

__all__ = ["address", "make_node"]

NEWEST = [sdk for sdk in SDKS if sdk.recovers]


@asynccontextmanager
async def balanced(*urls: str) -> AsyncIterator[str]:
    """Hands each connection to the next of the servers that takes it."""
    cable = Cable()
    await cable.lay()
    cable.plug_into(*urls)
    try:
        yield cable.url
    finally:
        await cable.take_up()


@pytest.mark.parametrize("sdk", NEWEST, ids=str, indirect=True)
async def test_an_app_behind_a_balancer_gets_its_picture_through_a_takeover(
    make_node: MakeNode, driver: Driver, sdk: Sdk
) -> None:
    one, two, three = await make_node(), await make_node(), await make_node()
    key = one.key
    async with balanced(one.url, two.url, three.url) as url:
        async with scripted_worker(two.url, key, models=("pattern-v1", "dreamlet-v1")):
            await driver.send(
                "open",
                app="app",
                options={
                    "appId": f"app-of-{sdk}",
                    "restEndpoint": url,
                    "socketEndpoint": url.replace("http:", "ws:"),
                    "network": "fast",
                    "apiKey": key,
                },
            )
            app = App(driver, "app")
            await app.call("projects.waitForModels")
        project = await app.create(modelId="dreamlet-v1")  # which nobody serves any more
        finished = await driver.waiting_for(project)
        await driver.until("project", type="queued", projectId=project)
        again = driver.until_next("connected")
        await one.stop()
        await again
        async with scripted_worker(three.url, key, models=("dreamlet-v1",)) as worker:
            await (await worker.job()).render(png(1))
            assert len(await finished) == 1
        assert await app.spark() >= 0, "what is asked over HTTP arrives too"
