"""A test grid in the foreground: orders in, answers out, and time as it passes."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from contextlib import suppress

from rich.console import Console as Terminal
from rich.markup import escape

from dreamgrid.cli import exits, loop
from dreamgrid.errors import DreamgridError
from dreamgrid.testing.console import Answer, Console
from dreamgrid.testing.faults import Faults
from dreamgrid.testing.local_grid import Grid, grid

TURN_S = 0.25
"""How often the grid's clock follows the real one."""


def develop(*, port: int, workers: list[str], faults: str, balance: int, as_json: bool) -> None:
    """Runs a test grid until it is told to quit, or a signal comes."""
    exits.speaks_json.set(as_json)
    terminal = Terminal(highlight=False, soft_wrap=True)

    async def serve(stop: asyncio.Event) -> None:
        async with grid(balance=balance, faults=Faults(), port=port) as one:
            console = Console(one)
            for order in (f"faults {faults}", *workers):
                await console.do(order)
            _welcome(one, terminal, as_json=as_json)
            async with asyncio.TaskGroup() as group:
                busy = asyncio.Lock()
                clock = group.create_task(_follow_time(one, busy))
                reader = group.create_task(_obey(console, terminal, stop, busy, as_json=as_json))
                await stop.wait()
                clock.cancel()
                reader.cancel()

    loop.serve(serve)


async def _follow_time(one: Grid, busy: asyncio.Lock) -> None:
    before_s = time.monotonic()
    while True:
        await asyncio.sleep(TURN_S)
        now_s = time.monotonic()
        async with busy:  # not while the server restarts
            await one.advance(now_s - before_s)
        before_s = now_s


async def _obey(
    console: Console, terminal: Terminal, stop: asyncio.Event, busy: asyncio.Lock, *, as_json: bool
) -> None:
    orders: asyncio.Queue[str] = asyncio.Queue()
    # A thread of its own, which nobody waits for: it hangs in a read when the grid ends.
    reading = (asyncio.get_running_loop(), orders)
    threading.Thread(target=_read_orders, args=reading, daemon=True).start()
    while (order := (await orders.get()).strip()) not in ("quit", "exit"):
        try:
            async with busy:
                answer = await console.do(order)
        except (DreamgridError, OSError) as error:
            exits.report(error, advises=False)  # an order has no --help
            continue
        if as_json:
            exits.say_json({"event": "done", "order": order} | answer)
        else:
            terminal.print(escape(_words(answer)))
    stop.set()


def _read_orders(loop: asyncio.AbstractEventLoop, orders: asyncio.Queue[str]) -> None:
    """Hands over what is typed, or comes from a pipe or a file. The grid runs on at its end."""
    rest = b""
    with suppress(OSError, RuntimeError):  # no stdin; or the grid has ended
        while data := os.read(0, 4096):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                loop.call_soon_threadsafe(orders.put_nowait, line.decode(errors="replace"))


def _words(answer: Answer) -> str:
    if "help" in answer:
        return str(answer["help"])
    if "workers" in answer:
        lines = [_words(worker) for worker in answer["workers"]]
        return "\n".join(lines) or "no workers; 'worker' adds one"
    return ", ".join(f"{name} {value}" for name, value in answer.items() if value is not None)


def _welcome(one: Grid, terminal: Terminal, *, as_json: bool) -> None:
    if as_json:
        names = [worker.name for worker in one.workers]
        exits.say_json({"event": "ready", "url": one.url, "api_key": one.key, "workers": names})
        return
    terminal.print("[bold green]a grid for development is up[/]; nothing of it is kept\n")
    terminal.print(f"  export DREAMGRID_URL={one.url}")
    terminal.print(f"  export DREAMGRID_API_KEY={one.key}\n")
    terminal.print("[dim]Orders: help lists them. Ctrl-C ends it.[/]")
