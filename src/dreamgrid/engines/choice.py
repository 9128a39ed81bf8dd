"""Which of several engines renders a job. The one owner of the rule; pure.

A job goes to the first engine that can do what it asks for (`first_able`), of those in the order
that `in_turn` gives: the one that was measured quicker comes before the one that its owner prefers.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TypeVar

from dreamgrid.engines.base import Engine, Selective
from dreamgrid.protocol.renders import AnyRender

QUICKER = 0.9
"""An engine is quicker when it needs less than this share of the other one's time: less is chance,
and the other one may have the model loaded."""

Name = TypeVar("Name", bound=str)


def in_turn(engines: Sequence[Name], took_s: Mapping[Name, float]) -> tuple[Name, ...]:
    """Engines in the order in which they are asked.

    Args:
        engines: In the owner's order.
        took_s: What each needed for the same render, where it was measured.
    """
    rest, ordered = list(engines), []
    while rest:
        best = rest[0]
        for other in rest[1:]:
            known = best in took_s and other in took_s
            if known and took_s[other] < QUICKER * took_s[best]:
                best = other
        rest.remove(best)
        ordered.append(best)
    return tuple(ordered)


def able(
    engines: Sequence[str],
    engine_of: Callable[[str], Engine],
    render: AnyRender,
    roles: Collection[str],
    objections: list[str],
) -> Iterator[Engine]:
    """The engines that can make something, in the order given. The next is asked when it is wanted.

    Args:
        engines: Their references. A single one is not asked: it says itself what is wrong.
        engine_of: Builds an engine, or finds the one that was built.
        render: What to make.
        roles: Of the inputs that the job brings.
        objections: Gets what those object that were asked and cannot.
    """
    for reference in engines:
        try:
            engine = engine_of(reference)
            objection = ""
            if len(engines) > 1 and isinstance(engine, Selective):
                objection = engine.objection(render, roles)
        except Exception as error:  # whatever is wrong with one, another may do it
            if len(engines) == 1:
                raise
            objection = f"{reference} cannot be used: {type(error).__name__}: {error}"
        if objection:
            objections.append(objection)
        else:
            yield engine
