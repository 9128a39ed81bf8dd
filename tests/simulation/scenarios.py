"""Histories that provoke something: what happens in them is scripted, when it happens is not.

A mixture of everything (`world.plan_of`) shows some bugs once in a hundred histories, and which
ones those are changes with whatever the server does in another order. What is made to happen here
happens in most histories, whatever the order.
"""

from dataclasses import replace

from tests.simulation.lines import FAIR, Weather
from tests.simulation.server import LEASE_S
from tests.simulation.workers import GOOD, Behaviour
from tests.simulation.world import Plan

FAILING = Behaviour("failing", render_s=2.0, fails=1.0)
CRASHING = Behaviour("crashing", crashes=1.0)
REPEATING = Behaviour("repeating", render_s=1.0, fails=0.7, repeats=1.0)
LEAVING = Behaviour("leaving", hands_back=1.0)
SLOW = Behaviour("slow", render_s=2.5 * LEASE_S)
ENDLESS = Behaviour("endless", never_ends=1.0)
OBJECTING = Behaviour("objecting", objects=1.0)

QUIET = Plan(
    lasts_s=60.0,
    flood=False,
    accounts=2,
    rich=1_000_000,
    behaviours=(GOOD, GOOD),
    weather=FAIR,
    trouble_every_s=5.0,
    troubles=(),
    actions=("ask",),
)
"""Nothing goes wrong: apps ask, good workers deliver."""

SPREADING = replace(QUIET, accounts=3, behaviours=(GOOD, GOOD, GOOD))
FLOOD = replace(QUIET, flood=True, accounts=3)
FAILURES = replace(QUIET, behaviours=(FAILING, GOOD))
HOPELESS_FAILURES = replace(QUIET, behaviours=(replace(FAILING, hopeless=0.5),))
CRASHING_WORKERS = replace(QUIET, behaviours=(CRASHING, CRASHING))
OBJECTIONS = replace(QUIET, behaviours=(OBJECTING, OBJECTING))
INTERRUPTIONS = replace(QUIET, behaviours=(LEAVING, GOOD), troubles=("lines are cut",))
ENDLESS_RENDERS = replace(QUIET, behaviours=(ENDLESS, ENDLESS))
SLOW_RENDERS = replace(QUIET, behaviours=(SLOW, SLOW))
CANCELS = replace(QUIET, behaviours=(SLOW,), actions=("ask", "cancel"))
WATCHERS = replace(QUIET, actions=("ask", "watch"))
WAITING_IN_VAIN = replace(QUIET, max_queue_s=90.0)
DEPARTURES = replace(QUIET, behaviours=(SLOW,), actions=("ask", "leave"))

ECHOES = replace(QUIET, behaviours=(REPEATING,), weather=Weather(stall=0.2))
"""What the only worker says of an attempt comes again while it is at the next one."""

SLOW_GREETINGS = replace(QUIET, accounts=3, hiccups=0.7, early_cut=0.7)
"""Apps are connected again before their connection of before has been greeted."""

UNEVEN_WORKERS = replace(QUIET, behaviours=(replace(FAILING, fails=0.3),) * 4, lasts_s=100.0)
"""Each has delivered less often than some other; some serve one model, some two."""

RESTARTS = replace(
    QUIET,
    behaviours=(SLOW,) * 4,
    troubles=("crash", "worker retires", "worker retires"),
    trouble_every_s=8.0,
)
"""The server comes back, and workers that held something do not."""

CRASHES_AND_FAILURES = replace(QUIET, behaviours=(FAILING, FAILING), troubles=("crash",))

CRASHES_WITH_A_FULL_DISK = replace(
    QUIET,
    accounts=3,
    behaviours=(FAILING,) * 4,
    troubles=("crash", "disk is full"),
    trouble_every_s=4.0,
)
"""The server crashes before what happened could be stored."""
