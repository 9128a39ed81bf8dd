"""An app in a process of its own, written for one SDK; `benchmarks.sdks` compares what it costs.

It loads nothing but the standard library and the SDK, so that start and memory are the SDK's.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import time
from collections.abc import Callable
from typing import Any, Protocol

MODEL = "pattern-v1"
PROMPT = "an astronaut rides a horse on mars, cinematic light, sharp focus"


class Sdk(Protocol):
    """What this app needs of an SDK."""

    async def open(self, url: str, key: str) -> None:
        """Makes a client; connects no more than the SDK does by itself."""

    async def ask(self) -> None:
        """The cheapest request there is: what does the account have?"""

    async def models(self) -> None:
        """Waits until the models are known."""

    def listen(self, on_event: Callable[[], None]) -> None:
        """Calls back for every event of every project."""

    async def render(self, steps: int) -> int:
        """Creates a project of one picture and waits for it; how many results it has."""

    async def close(self) -> None:
        """Closes the client."""


class _Dreamgrid:
    """Ours."""

    async def open(self, url: str, key: str) -> None:
        import dreamgrid  # noqa: PLC0415 (what it takes is measured)

        self._event = dreamgrid.Event
        self._client = dreamgrid.AsyncClient(url, key)

    async def ask(self) -> None:
        await self._client.account.balance()

    async def models(self) -> None:
        await self._client.projects.wait_for_models()

    def listen(self, on_event: Callable[[], None]) -> None:
        self._client.projects.on(self._event, lambda _: on_event())

    async def render(self, steps: int) -> int:
        project = await self._client.projects.create(model=MODEL, prompt=PROMPT, steps=steps)
        return len(await project.wait(timeout_s=None))

    async def close(self) -> None:
        await self._client.aclose()


class _Published:
    """The published Python SDK."""

    async def open(self, url: str, key: str) -> None:
        from sogni_client import SogniClient  # noqa: PLC0415 (what it takes is measured)

        self._client: Any = await SogniClient.create(
            app_id=f"benchmark-{os.getpid()}",
            rest_endpoint=url,
            socket_endpoint=url.replace("http", "ws", 1),
            api_key=key,
        )

    async def ask(self) -> None:
        await self._client.account.account_balance()

    async def models(self) -> None:
        await self._client.projects.wait_for_models()

    def listen(self, on_event: Callable[[], None]) -> None:
        for kind in ("project", "job"):
            self._client.projects.on(kind, lambda _: on_event())

    async def render(self, steps: int) -> int:
        project = await self._client.projects.create(
            type="image", model_id=MODEL, positive_prompt=PROMPT, number_of_media=1, steps=steps
        )
        return len(await project.wait_for_completion())

    async def close(self) -> None:
        await self._client.aclose()


SDKS: dict[str, type[Sdk]] = {"dreamgrid": _Dreamgrid, "published": _Published}


def say(**words: object) -> None:
    """One line for whoever measures."""
    print(json.dumps(words), flush=True)


def resident_kb() -> int:
    """Memory of this process that is in RAM now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


async def start(sdk: Sdk, what: str, url: str, key: str) -> None:
    """From nothing to the first answer."""
    await sdk.open(url, key)
    await (sdk.ask() if what == "ask" else sdk.models())
    say(answered=True)
    await sdk.close()


async def many(sdk: Sdk, url: str, key: str, *, projects: int, at_once: int, steps: int) -> None:
    """Renders many projects, a number of them at once, and says what it took."""
    await sdk.open(url, key)
    await sdk.models()
    events = results = most_kb = 0

    def on_event() -> None:
        nonlocal events
        events += 1

    sdk.listen(on_event)
    left = iter(range(projects))

    async def lane() -> None:
        nonlocal results, most_kb
        for _ in left:
            made = await sdk.render(steps)
            results += made
            most_kb = max(most_kb, resident_kb())

    before_kb, began, cpu = resident_kb(), time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(min(at_once, projects)):
            group.create_task(lane())
    say(
        seconds=time.perf_counter() - began,
        cpu_s=time.process_time() - cpu,
        events=events,
        results=results,
        idle_kb=before_kb,
        most_kb=most_kb,
    )
    await sdk.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sdk", choices=SDKS)
    parser.add_argument("what", choices=("ask", "models", "many"))
    parser.add_argument("--url", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--core", type=int, required=True)
    parser.add_argument("--projects", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20)
    given = parser.parse_args()
    with contextlib.suppress(AttributeError, OSError):  # not on every system, or no such core
        os.sched_setaffinity(0, {given.core})
    sdk = SDKS[given.sdk]()
    if given.what == "many":
        numbers = {"projects": given.projects, "at_once": given.at_once, "steps": given.steps}
        asyncio.run(many(sdk, given.url, given.key, **numbers))
    else:
        asyncio.run(start(sdk, given.what, given.url, given.key))


if __name__ == "__main__":
    main()
