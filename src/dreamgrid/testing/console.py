"""Orders to a running test grid, a line each: what `dreamgrid dev` understands."""

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any, cast, get_args

from dreamgrid.errors import InvalidRequest
from dreamgrid.testing.behaviour import Behaviour, Does
from dreamgrid.testing.faults import Faults
from dreamgrid.testing.local_grid import Grid
from dreamgrid.testing.worker import ScriptedWorker

HELP = """\
worker [BEHAVIOUR] [name=N] [models=A,B] [slots=2] [render=5] [times=1]   adds a worker
set NAME BEHAVIOUR [render=5] [times=1] [retryable=no]   what it does from now on
crash NAME, leave NAME, back NAME   it goes without a word, it goes, it comes back
faults [cut=0.1] [repeat=0.2] [swap=0.1] [delay=0.5] [seed=7]   a bad network
faults [disk_error=0.1] [kill=0.01]   the server's disk fills up; the server dies, and comes back
faults   nothing fails any more; what an order does not name stays as it was
advance SECONDS   lets time pass at once
restart, kill   stops the server, or kills it, and starts it again
workers   lists them
help   this list
quit   ends the grid, as Ctrl-C does
behaviours: """ + ", ".join(get_args(Does))

Answer = dict[str, Any]


class Console:
    """Does what lines say.

    Args:
        grid: The grid that they are about; with a network if faults are to be had.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._orders: dict[str, Callable[[list[str], dict[str, str]], Awaitable[Answer]]] = {
            "worker": self._worker,
            "set": self._set,
            "crash": self._crash,
            "leave": self._leave,
            "back": self._back,
            "faults": self._faults,
            "advance": self._advance,
            "restart": self._restart,
            "kill": self._kill,
            "workers": self._workers,
            "help": self._help,
        }

    async def do(self, line: str) -> Answer:
        """Does what a line says; what to tell about it.

        Raises:
            InvalidRequest: It cannot be understood, or there is no such worker.
        """
        word, *rest = line.split() or ["help"]
        order = self._orders.get(word)
        if order is None:
            raise InvalidRequest(f"there is no order '{word}'; try help")
        given = dict(one.split("=", 1) for one in rest if "=" in one)
        try:
            return await order([one for one in rest if "=" not in one], given)
        except (ValueError, ArithmeticError) as error:
            raise InvalidRequest(f"'{line}' is not understood: {error}; try help") from None

    async def _worker(self, words: list[str], given: dict[str, str]) -> Answer:
        behaviour = _behaviour(words[0] if words else "finish", given)
        models = given.pop("models", "")
        name = given.pop("name", None)
        if name is not None and any(one.name == name for one in self._grid.workers):
            raise InvalidRequest(f"there is a worker {name} already")
        slots = _whole(given.pop("slots", "1"))
        _nothing_left(given)
        made = await self._grid.worker(
            behaviour, models=tuple(models.split(",")) if models else None, name=name, slots=slots
        )
        return {"worker": made.name} | dataclasses.asdict(made.behaviour)

    async def _set(self, words: list[str], given: dict[str, str]) -> Answer:
        worker = self._called(words)
        worker.behaviour = _behaviour(words[1] if len(words) > 1 else "finish", given)
        _nothing_left(given)
        return {"worker": worker.name} | dataclasses.asdict(worker.behaviour)

    async def _crash(self, words: list[str], given: dict[str, str]) -> Answer:
        _nothing_left(given)
        worker = self._called(words)
        await worker.crash()
        return {"worker": worker.name, "state": worker.state}

    async def _leave(self, words: list[str], given: dict[str, str]) -> Answer:
        _nothing_left(given)
        worker = self._called(words)
        await worker.leave()
        return {"worker": worker.name, "state": worker.state}

    async def _back(self, words: list[str], given: dict[str, str]) -> Answer:
        _nothing_left(given)
        worker = self._called(words)
        await self._grid.reconnect(worker)
        return {"worker": worker.name, "state": worker.state}

    async def _faults(self, words: list[str], given: dict[str, str]) -> Answer:
        if words:
            raise ValueError(f"{words[0]} is no setting")
        network = self._grid.network
        if network is None:
            raise InvalidRequest("this grid has no network that could have faults")
        wanted: dict[str, Any] = {}
        if "seed" in given:
            wanted["seed"] = _whole(given.pop("seed"))
        names = {name: name for name in ("cut", "repeat", "swap", "disk_error", "kill")}
        names["delay"] = "delay_s"
        wanted |= {names[name]: _number(given.pop(name)) for name in list(given) if name in names}
        _nothing_left(given)
        network.faults = dataclasses.replace(network.faults, **wanted) if wanted else Faults()
        return dataclasses.asdict(network.faults)

    async def _advance(self, words: list[str], given: dict[str, str]) -> Answer:
        _nothing_left(given)
        if len(words) != 1:
            raise ValueError("by how many seconds?")
        seconds = _number(words[0])
        if not 0 <= seconds <= 10_000_000:
            raise ValueError("at least 0 seconds, and at most a few months")
        await self._grid.advance(seconds)
        return {"advanced": seconds}

    async def _restart(self, words: list[str], given: dict[str, str]) -> Answer:
        del words, given
        await self._grid.restart()
        return {"restarted": self._grid.url}

    async def _kill(self, words: list[str], given: dict[str, str]) -> Answer:
        del words, given
        await self._grid.kill()
        return {"killed": self._grid.url}

    async def _workers(self, words: list[str], given: dict[str, str]) -> Answer:
        del words, given
        return {
            "workers": [
                {"name": one.name, "state": one.state, "asked": len(one.renders)}
                | dataclasses.asdict(one.behaviour)
                for one in self._grid.workers
            ]
        }

    async def _help(self, words: list[str], given: dict[str, str]) -> Answer:
        del words, given
        return {"help": HELP}

    def _called(self, words: list[str]) -> ScriptedWorker:
        name = words[0] if words else ""
        for worker in self._grid.workers:
            if worker.name == name:
                return worker
        there = ", ".join(worker.name for worker in self._grid.workers) or "none yet"
        raise InvalidRequest(f"there is no worker '{name}'; there are: {there}")


def _behaviour(does: str, given: dict[str, str]) -> Behaviour:
    """What a worker is to do; takes its settings out of `given`."""
    times = given.pop("times", None)
    return Behaviour(
        does=cast("Does", does),  # it looks itself
        render_s=_number(given.pop("render", "0")),
        times=None if times is None else _whole(times),
        retryable=given.pop("retryable", "yes") != "no",
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"'{text}' is no number") from None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"'{text}' is no whole number") from None


def _nothing_left(given: dict[str, str]) -> None:
    if given:
        raise ValueError(f"there is no setting '{next(iter(given))}' here")
