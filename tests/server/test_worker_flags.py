"""Flags in prompts: which workers may render them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.errors import InvalidRequest
from dreamgrid.server.worker_flags import ANYBODY, MAX_NAMES, Targeting, take_out

ADA, BOB = frozenset({"ada", "box-1"}), frozenset({"bob", "box-2"})


@pytest.mark.parametrize("dashes", ["--", "—"])
@pytest.mark.parametrize(
    ("flag", "field"),
    [("workers", "required"), ("preferred-workers", "preferred"), ("skip-workers", "skipped")],
)
def test_each_flag_is_read_and_taken_out(dashes: str, flag: str, field: str) -> None:
    text, targeting = take_out(f"a cat {dashes}{flag}=ada,Bob on a mat")
    assert text == "a cat on a mat"
    assert targeting == Targeting(**{field: frozenset({"ada", "bob"})})


@pytest.mark.parametrize(
    ("prompt", "left"),
    [
        ("--workers=ada", ""),
        ("--workers=ada a cat", "a cat"),
        ("a cat --workers=ada", "a cat"),
        ("a cat\n--WORKERS=ADA", "a cat"),
        ("a cat, --workers=ada, 8k", "a cat, 8k"),
        ("--workers=ada --workers=ada a cat", "a cat"),
        ("a --workers=,ada,, cat", "a cat"),
    ],
)
def test_flags_may_stand_anywhere_between_spaces(prompt: str, left: str) -> None:
    assert take_out(prompt) == (left, Targeting(required=frozenset({"ada"})))


@pytest.mark.parametrize(
    "prompt",
    ["", " a  cat ", "a cat --workers ada", "pre--workers=ada", "-workers=ada", "---workers=ada"],
)
def test_a_prompt_without_flags_comes_back_as_it_was(prompt: str) -> None:
    assert take_out(prompt) == (prompt, ANYBODY)


def test_the_same_flag_twice_names_all_of_them() -> None:
    _, targeting = take_out("--workers=ada x --workers=bob")
    assert targeting.required == {"ada", "bob"}


def test_a_flag_without_names_asks_for_nobody_in_particular() -> None:
    assert take_out("a cat --workers=") == ("a cat", ANYBODY)


def test_too_many_names_are_refused() -> None:
    names = ",".join(f"w{number}" for number in range(MAX_NAMES + 1))
    with pytest.raises(InvalidRequest, match="more than 32"):
        take_out(f"--workers={names}")


def test_flags_that_leave_nobody_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="none is left"):
        take_out("--workers=ada --skip-workers=Ada,bob")


def test_only_required_workers_are_allowed() -> None:
    targeting = Targeting(required=frozenset({"ada"}))
    assert targeting.allows(ADA)
    assert not targeting.allows(BOB)


def test_skipped_workers_are_never_allowed() -> None:
    targeting = Targeting(skipped=frozenset({"box-2"}))
    assert targeting.allows(ADA)
    assert not targeting.allows(BOB)


def test_preferred_workers_are_preferred_and_the_others_allowed() -> None:
    targeting = Targeting(preferred=frozenset({"ada"}))
    assert targeting.prefers(ADA)
    assert not targeting.prefers(BOB)
    assert targeting.allows(BOB)
    assert not ANYBODY.prefers(ADA)


names = st.text(alphabet="abXYZ019-_.", min_size=1, max_size=8)


@given(
    st.lists(st.text(alphabet="abc-=—,", max_size=6), max_size=6),
    st.sets(names, max_size=4),
    st.sets(names, max_size=4),
)
def test_what_is_left_has_no_flags_and_everything_else(
    words: list[str], required: set[str], preferred: set[str]
) -> None:
    flags = [f"--workers={','.join(required)}", f"—preferred-workers={','.join(preferred)}"]
    text, targeting = take_out(" ".join([*words[:3], flags[0], *words[3:], flags[1]]))
    assert text.split() == " ".join(words).split()
    assert targeting.required == {name.casefold() for name in required}
    assert targeting.preferred == {name.casefold() for name in preferred}
    assert take_out(text) == (text, ANYBODY)
