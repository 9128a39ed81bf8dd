"""Runs a command's coroutine: the fastest event loop there is, and what signals mean."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import typer

from dreamgrid.cli.exits import INTERRUPTED

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs `work`; Ctrl-C cancels it once, and a second Ctrl-C ends the process at once.

    Raises:
        typer.Exit: It was interrupted.
    """

    async def main() -> T:
        task = asyncio.create_task(work)
        _on_signal(task.cancel)
        return await task

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(main())
    except asyncio.CancelledError:
        raise typer.Exit(INTERRUPTED) from None


def serve(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Runs a server or worker until a signal asks it to stop; a second one ends it at once."""

    async def main() -> None:
        stop = asyncio.Event()
        _on_signal(stop.set)
        await work(stop)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())


def _on_signal(first: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    asked = False

    def handle() -> None:
        nonlocal asked
        if asked:
            os._exit(INTERRUPTED)
        asked = True
        first()

    for number in _SIGNALS:
        loop.add_signal_handler(number, handle)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 (optional: the extra 'server')
    except ImportError:
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
