"""What a flood by one account does to the first job of another.

The real queue and choice on a clock of their own. One account has 20 000 jobs in the queue, of
every model that the workers serve, when others come now and then with one job each. Their wait is
counted in lengths of the longest job: after one length at most every worker had to choose anew. The
peer is the same grid with a queue that is served in the order of arrival.
"""

import heapq
import random
import statistics
from collections.abc import Callable

import msgspec

from benchmarks.jobs import Loads, new_project, new_worker
from benchmarks.simulated import SimulatedGrid

MODELS = ("picture", "video", "sound")
WORKERS = 4
FLOOD = 20_000
NEWCOMERS = 500
SHORTEST_S, LONGEST_S = 4.0, 12.0
BETWEEN_S = 40.0
LIMIT = 1.0
"""Longest wait of a newcomer, in lengths of the longest job."""


class Flood(msgspec.Struct, frozen=True, kw_only=True):
    """What the benchmark found.

    Attributes:
        newcomers: Accounts that came into the flood, with one job each.
        median: Half of them waited no longer than this, in lengths of the longest job.
        longest: None of them waited longer than this.
        in_order_of_arrival: How long the first of them waits in a queue without accounts.
        limit: What `longest` must not exceed.
    """

    newcomers: int
    median: float
    longest: float
    in_order_of_arrival: int
    limit: float = LIMIT


def run(rounds: int, say: Callable[[str], None]) -> Flood:
    """Lets newcomers come into `rounds` floods."""
    waits: list[float] = []
    for seed in range(rounds):
        waits += _waits(random.Random(seed))
        say(f"{seed + 1}/{rounds} longest wait {max(waits):.2f} jobs")
    return Flood(
        newcomers=len(waits),
        median=round(statistics.median(waits), 2),
        longest=round(max(waits), 2),
        in_order_of_arrival=round(_behind_the_flood(random.Random(0))),
    )


def _waits(chance: random.Random) -> list[float]:
    """How long each newcomer waited, in lengths of the longest job."""
    loads = Loads()
    grid = SimulatedGrid(
        [new_worker(*MODELS) for _ in range(WORKERS)],
        lambda job, worker: chance.uniform(SHORTEST_S, LONGEST_S),
    )
    flood = [
        new_project("flood", chance.choice(MODELS), jobs=4, created_ms=grid.now_ms, loads=loads)
        for _ in range(FLOOD // 4)
    ]
    grid.submit(*flood)
    came = []
    for number in range(NEWCOMERS):
        grid.advance(chance.expovariate(1 / BETWEEN_S))
        project = new_project(
            f"newcomer-{number}",
            chance.choice(MODELS),
            jobs=1,
            created_ms=grid.now_ms,
            loads=loads,
        )
        grid.submit(project)
        came += project.jobs
    grid.advance(2 * LONGEST_S)
    started = [job.started_ms for job in came if job.started_ms is not None]
    assert len(started) == NEWCOMERS, "a newcomer is still waiting"
    return [
        (start_ms - job.created_ms) / 1000 / LONGEST_S
        for start_ms, job in zip(started, came, strict=True)
    ]


def _behind_the_flood(chance: random.Random) -> float:
    """The same wait where jobs are taken in the order of arrival."""
    free_at_s = [0.0] * WORKERS
    for _ in range(FLOOD):
        heapq.heapreplace(free_at_s, free_at_s[0] + chance.uniform(SHORTEST_S, LONGEST_S))
    return free_at_s[0] / LONGEST_S


def tell(found: Flood, say: Callable[[str], None]) -> None:
    """Prints the result for people."""
    say(
        f"  {found.newcomers} newcomers in a flood waited {found.median:.2f} lengths of the "
        f"longest job (median), {found.longest:.2f} at most (aim: at most {found.limit:.0f}); "
        f"in the order of arrival the first one waits {found.in_order_of_arrival}"
    )
