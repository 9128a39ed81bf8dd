"""The workers that are connected, and what they take."""

from collections.abc import Callable

import pytest

from dreamgrid.server.worker_flags import ANYBODY, Targeting
from dreamgrid.server.workers import MAX_REMEMBERED, Workers, WorkerSession, names_of
from tests.support.live import worker

UUID = "7F3A5C1E-1D2B-4E6F-8A90-5B4C3D2E1F00"


def leave(workers: Workers, session: WorkerSession) -> None:
    workers.remove(session)


def drain(workers: Workers, session: WorkerSession) -> None:
    workers.drain(session, drained=True)


def pause(workers: Workers, session: WorkerSession) -> None:
    workers.pause(session, paused=True)


def hold_back(workers: Workers, session: WorkerSession) -> None:
    workers.hold_back(session, held_back=True)


@pytest.mark.parametrize("stop", [leave, drain, pause, hold_back])
def test_what_is_served_follows_the_workers(
    stop: Callable[[Workers, WorkerSession], None],
) -> None:
    workers, session = Workers(), worker("m1")
    assert not workers.serves("fast", "m1")
    workers.add(session)
    assert workers.serves("fast", "m1")
    assert not workers.serves("relaxed", "m1")
    assert not workers.serves("fast", "m2")
    assert not workers.serves("fast", "m1", Targeting(skipped=frozenset({"one"})))
    stop(workers, session)
    assert not workers.serves("fast", "m1")
    assert workers.resting("fast", "m1", ANYBODY) == (() if stop is leave else (session,))
    assert not workers.resting("fast", "m2", ANYBODY)
    assert not workers.resting("fast", "m1", Targeting(skipped=frozenset({"one"})))


def test_a_worker_that_may_go_on_serves_again() -> None:
    workers, session = Workers(), worker("m1")
    workers.add(session)
    workers.pause(session, paused=True)
    assert workers.counts("fast") == {}
    workers.pause(session, paused=False)
    assert workers.serves("fast", "m1")
    assert workers.counts("fast") == {"m1": 1}


def test_memory_does_not_grow_with_the_number_of_questions() -> None:
    workers = Workers()
    for number in range(MAX_REMEMBERED + 10):
        workers.serves("fast", f"m{number}")
    assert len(workers._able) <= MAX_REMEMBERED


def test_a_worker_is_meant_by_its_name_its_owner_and_its_id() -> None:
    assert names_of(f"ACCOUNT/{UUID}", "Studio", "Ada") == {UUID.lower(), "studio", "ada"}


def test_an_id_must_look_like_one_and_a_name_must_not() -> None:
    assert names_of("ACCOUNT/x/ada", UUID, "mallory") == {"mallory"}
    assert names_of("ACCOUNT/ada", "", "mallory") == {"mallory"}
