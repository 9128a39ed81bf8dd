"""The order in which the engines of a model are asked."""

import pytest

from dreamgrid.engines.choice import in_turn


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
