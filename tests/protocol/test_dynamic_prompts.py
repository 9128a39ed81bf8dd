"""Braces in prompts: one request, a different text for every image."""

import itertools
import random
import re
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.protocol.dynamic_prompts import DynamicPrompts, Prompts, longest_variation
from dreamgrid.protocol.reading import reading_s


def batch(positive: str, count: int, *, style: str = "", negative: str = "") -> list[Prompts]:
    """The texts of every image of a batch."""
    prompts = DynamicPrompts(Prompts(positive, style, negative))
    source = random.Random(7)
    return [prompts.expand(index, source) for index in range(count)]


def positives(text: str, count: int) -> list[str]:
    return [prompts.positive for prompts in batch(text, count)]


# ── the four kinds ───────────────────────────────────────────────────────────────────────────────


def test_a_group_gives_each_image_the_next_option() -> None:
    assert positives("a {black|white} cat", 2) == ["a black cat", "a white cat"]


def test_several_groups_give_every_combination_in_reading_order() -> None:
    assert positives("{man|woman}, {dog|cat}", 4) == [
        "man, dog",
        "man, cat",
        "woman, dog",
        "woman, cat",
    ]


def test_a_batch_larger_than_the_combinations_begins_again() -> None:
    assert positives("{a|b}", 5) == ["a", "b", "a", "b", "a"]


def test_cyclic_groups_move_on_together() -> None:
    assert positives("I {~love|hate} {~Rome|Oslo|Bern}", 4) == [
        "I love Rome",
        "I hate Oslo",
        "I love Bern",
        "I hate Rome",
    ]


def test_a_cyclic_group_takes_no_part_in_the_combinations() -> None:
    assert positives("{a|b}{~x|y}", 4) == ["ax", "by", "ax", "by"]


def test_a_random_group_takes_each_option_about_as_often() -> None:
    found = Counter(positives("{@a|b}", 2_000))
    assert set(found) == {"a", "b"}
    assert 850 < found["a"] < 1_150


def test_weights_say_how_often_an_option_is_taken() -> None:
    found = Counter(positives("{@75::a|25::b|0::c}", 2_000))
    assert set(found) == {"a", "b"}
    assert 1_400 < found["a"] < 1_600


def test_an_option_without_a_weight_weighs_one() -> None:
    found = Counter(positives("{@3::a|b}", 2_000))
    assert 1_400 < found["a"] < 1_600


def test_weights_that_are_all_zero_give_equal_chances() -> None:
    assert set(positives("{@0::a|0.0::b}", 100)) == {"a", "b"}


def test_a_weight_elsewhere_than_in_a_random_group_is_text() -> None:
    assert positives("{2::a|b}", 2) == ["2::a", "b"]


def test_a_number_too_long_to_be_a_weight_is_text() -> None:
    assert set(positives("{@" + "9" * 400 + "::a|b}", 50)) == {"9" * 400 + "::a", "b"}


def test_the_same_source_gives_the_same_choices() -> None:
    text = "{@a|b|c|d} {@e|f|g|h}"
    assert positives(text, 16) == positives(text, 16)
    assert len(set(positives(text, 16))) > 4


# ── three texts ──────────────────────────────────────────────────────────────────────────────────


def test_prompt_and_style_are_one_text_and_the_negative_prompt_moves_slowest() -> None:
    assert batch("{a|b}", 8, style="{p|q}", negative="{x|y}") == [
        Prompts(positive, style, negative)
        for negative, positive, style in itertools.product("xy", "ab", "pq")
    ]


@pytest.mark.parametrize("field", ["positive", "style", "negative"])
def test_each_of_the_three_texts_can_be_the_only_dynamic_one(field: str) -> None:
    prompts = DynamicPrompts(Prompts("p", "s", "n")._replace(**{field: "{a|b}"}))
    assert prompts.dynamic
    expanded = [prompts.expand(index, random.Random(1)) for index in range(2)]
    assert [getattr(texts, field) for texts in expanded] == ["a", "b"]


# ── what is no group ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a cat",
        "a {cat",
        "a cat}",
        "}{",
        "{}",
        "{ }",
        "{cat}",
        "{@cat}",
        "{|}",
        "{ | | }",
        "{~|}",
        '{"subject": "a cat", "camera": {"angle": "low"}}',
        "a | b",
        "{a|b",
        "a|b}",
    ],
)
def test_what_is_no_group_stays_as_it_was_typed(text: str) -> None:
    prompts = DynamicPrompts(Prompts(text, text, text))
    assert not prompts.dynamic
    assert prompts.expand(3, random.Random(1)) == Prompts(text, text, text)


def test_spaces_around_options_are_ignored_and_those_inside_kept() -> None:
    assert positives("a { ~ dark red | blue } cat", 2) == ["a dark red cat", "a blue cat"]
    assert positives("{ @ 5 :: a }", 1) == ["{ @ 5 :: a }"]
    assert set(positives("{ @ 5 :: a  | 0 :: b }", 9)) == {"a"}


def test_an_option_may_be_empty() -> None:
    assert positives("a {|red }cat", 2) == ["a cat", "a redcat"]


def test_of_braces_inside_braces_the_inner_ones_are_the_group() -> None:
    assert positives("{x|{a|b}}", 2) == ["{x|a}", "{x|b}"]


def test_what_an_option_says_is_not_expanded_again() -> None:
    assert positives("{{a|b}|c}", 2) == ["{a|c}", "{b|c}"]


# ── whatever is typed ────────────────────────────────────────────────────────────────────────────

texts = st.text(alphabet="{}|~@:19. ab", max_size=60)
modes = st.sampled_from(["", "~", "@"])
words = st.text(alphabet="abc ", min_size=1, max_size=4).map(lambda word: f"w{word}w")
groups = st.tuples(modes, st.lists(words, min_size=2, max_size=4))


@given(texts, texts, texts, st.integers(0, 10**30))
def test_no_text_is_too_strange_and_none_grows(
    positive: str, style: str, negative: str, index: int
) -> None:
    given = Prompts(positive, style, negative)
    for before, after in zip(
        given, DynamicPrompts(given).expand(index, random.Random(1)), strict=True
    ):
        assert len(after) <= len(before)


@given(texts)
def test_a_text_without_a_bar_in_braces_is_left_alone(text: str) -> None:
    if not re.search(r"\{[^{}]*\|[^{}]*\}", text):
        assert not DynamicPrompts(Prompts(text, "", "")).dynamic


@given(st.lists(groups, min_size=1, max_size=4), st.integers(0, 40))
def test_every_image_gets_one_option_of_each_group(
    made: list[tuple[str, list[str]]], index: int
) -> None:
    text = "-".join("{" + mode + "|".join(options) + "}" for mode, options in made)
    expanded = positives(text, index + 1)[index].split("-")
    for option, (mode, options) in zip(expanded, made, strict=True):
        assert option in [word.strip() for word in options]
        if mode == "~":
            assert option == options[index % len(options)].strip()


@given(st.lists(st.integers(2, 4), min_size=1, max_size=3))
def test_one_round_is_the_whole_cross_product_in_order(sizes: list[int]) -> None:
    options = [[f"{place}.{number}" for number in range(size)] for place, size in enumerate(sizes)]
    text = " ".join("{" + "|".join(group) + "}" for group in options)
    product = [" ".join(combination) for combination in itertools.product(*options)]
    assert positives(text, 2 * len(product)) == product * 2


@pytest.mark.parametrize(
    "text",
    [
        "{" * 50_000,
        "{" * 25_000 + "}" * 25_000,
        "{a|" * 16_000,
        "{a|b}" * 10_000,
        "{|" + "|" * 50_000,
    ],
)
def test_hostile_texts_cost_no_more_than_their_length(text: str) -> None:
    began = time.process_time()
    DynamicPrompts(Prompts(text, text, text)).expand(10**9, random.Random(1))
    assert time.process_time() - began < 2.0


def test_the_longest_variation_is_as_long_as_any_expansion() -> None:
    text = "{a|bb|ccc} and {@2::x|1::yyyy} {~1|22} {not a group}"
    assert longest_variation(text, len) == "ccc and yyyy 22 {not a group}"
    assert max(positives(text, 100), key=len) == "ccc and yyyy 22 {not a group}"


def test_speech_that_varies_is_as_long_as_its_longest_variation() -> None:
    short, long = "Hello.", "Hello and welcome, all of you who have come so far."
    varied = f"{{{short}|{long}|Hi.}}"
    assert reading_s(varied, 7) == reading_s(long, 7)
    assert reading_s(f"{varied} Bye.", 7) == reading_s(f"{long} Bye.", 7)
