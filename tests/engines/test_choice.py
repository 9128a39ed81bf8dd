"""The order in which the engines of a model are asked, and which are."""

import pytest

from dreamgrid.engines.choice import able, in_turn
from dreamgrid.protocol.renders import ImageRender
from tests.worker.puppet_rivals import MODEL, Rival


@pytest.mark.parametrize(
    ("took_s", "order"),
    [
        ({}, "abc"),
        ({"b": 1.0}, "abc"),  # nobody knows whether that is quick
        ({"a": 2.0, "b": 1.0}, "bac"),
        ({"a": 2.0, "b": 1.9}, "abc"),  # hardly quicker: chance
        ({"a": 3.0, "b": 2.0, "c": 1.0}, "cba"),
        ({"a": 2.0, "c": 1.0}, "cab"),
    ],
)
def test_the_quicker_comes_first_and_else_what_the_owner_prefers(
    took_s: dict[str, float], order: str
) -> None:
    assert "".join(in_turn("abc", took_s)) == order


def test_an_engine_is_asked_only_when_it_is_wanted() -> None:
    asked: list[str] = []

    def engine_of(name: str) -> Rival:
        asked.append(name)
        return Rival(name, ("odd",) if name == "a" else (), takes_inputs=False)

    render = ImageRender(
        model=MODEL, prompt="odd", width=8, height=8, steps=1, guidance=1.0, seed=1
    )
    objections: list[str] = []
    found = able("abc", engine_of, render, (), objections)
    assert asked == []
    next(found)
    assert (asked, objections) == (["a", "b"], ["a cannot make odd"])
    assert (len(list(found)), asked) == (1, ["a", "b", "c"])
