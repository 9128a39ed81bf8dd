"""The way of the synchronous door into its loop."""

import asyncio
import gc
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import pytest

from dreamgrid.client import door, portal, sync
from dreamgrid.client.door import Door, same
from dreamgrid.client.portal import Portal
from dreamgrid.errors import ConnectionFailed


class Sleeper:
    async def nap(self, naps: int = 1) -> int:
        for _ in range(naps):
            await asyncio.sleep(0)
        return naps

    async def sleep(self, asleep: threading.Event) -> None:
        asleep.set()
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        pass


class SleeperDoor(Door):
    nap = same(Sleeper.nap)
    sleep = same(Sleeper.sleep)


@pytest.fixture
def sleeper() -> Iterator[SleeperDoor]:
    inner = Sleeper()
    way = Portal(inner.aclose)
    yield SleeperDoor(way, inner)
    way.close()


def interrupted(call: Callable[[], object], step: int) -> bool:
    """Presses Ctrl-C before a line of the door's code, counted from 0. False: there is none."""
    ours, before = {door.__file__, portal.__file__}, sys.gettrace()
    passed: set[tuple[str, int]] = set()

    def trace(frame: FrameType, kind: str, _: object) -> Any:
        line = (frame.f_code.co_filename, frame.f_lineno)
        if line[0] not in ours:
            return None
        # A `with` is passed again at its end, where Python itself lets nothing come between.
        if kind == "line" and line not in passed:
            if len(passed) == step:
                raise KeyboardInterrupt
            passed.add(line)
        return trace

    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_ctrl_c_between_any_two_steps_of_a_call_leaves_nothing_behind(
    sleeper: SleeperDoor,
) -> None:
    assert sleeper.nap() == 1
    steps = 0
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        while interrupted(sleeper.nap, steps):
            steps += 1
            assert sleeper.nap(2) == 2
    assert steps > 5
    assert [str(warning.message) for warning in heard] == []


def test_a_call_with_wrong_arguments_fails_where_it_is_made(sleeper: SleeperDoor) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'nups'"):
        sleeper.nap(nups=3)  # type: ignore[call-arg]
    assert sleeper.nap(3) == 3


def test_a_closed_portal_says_so(sleeper: SleeperDoor) -> None:
    sleeper._portal.close()
    with pytest.raises(ConnectionFailed, match="this client is closed"):
        sleeper.nap()


def test_who_waits_in_another_thread_hears_that_the_portal_was_closed(
    sleeper: SleeperDoor,
) -> None:
    asleep = threading.Event()
    with ThreadPoolExecutor(1) as elsewhere:
        sleeping = elsewhere.submit(sleeper.sleep, asleep)
        assert asleep.wait(60)
        sleeper._portal.close()
        with pytest.raises(ConnectionFailed, match="this client was closed meanwhile"):
            sleeping.result(10)


class Story:
    async def events(self) -> AsyncIterator[int]:
        for number in range(5):
            yield number

    async def aclose(self) -> None:
        pass


def reading(way: Portal, story: Story) -> Iterator[object]:
    """A loop over events that stands at the second one."""
    numbers = sync.Project(way, story).events()
    next(numbers)
    return numbers


def test_a_loop_over_events_may_be_forgotten_after_its_client() -> None:
    story = Story()
    way = Portal(story.aclose)
    numbers = reading(way, story)
    way.close()
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        del numbers
        gc.collect()
    assert complaints == []


def test_a_loop_over_events_may_be_collected_in_the_loops_own_thread() -> None:
    class Ring:
        """Only the collector of cycles can free it."""

        def __init__(self, numbers: Iterator[object]) -> None:
            self.ring, self.numbers = self, numbers

    story = Story()
    way = Portal(story.aclose)
    gc.disable()
    try:
        Ring(reading(way, story))
        with ThreadPoolExecutor(1) as threads:
            assert threads.submit(way.run, gc.collect).result(20) > 0
    finally:
        gc.enable()
    way.close()
