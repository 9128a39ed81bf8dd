"""Text to token ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.engines.dreamlet import WEIGHTS
from dreamgrid.engines.dreamlet.tokenizer import (
    MAX_TOKENS,
    SPECIAL_TOKENS,
    Tokenizer,
    split_words,
)

SMALL = Tokenizer([*SPECIAL_TOKENS, "red", "apple", "##s", "app", "##le", "a", ",", "cafe"])
SHIPPED = Tokenizer.from_file(WEIGHTS / "vocabulary.txt")


def pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    return [tokenizer.tokens[index] for index in tokenizer.encode(text)[1:-1]]


def test_the_longest_known_piece_wins() -> None:
    assert pieces(SMALL, "red apples") == ["red", "apple", "##s"]


def test_case_accents_and_spaces_do_not_matter() -> None:
    assert pieces(SMALL, "  RED\tCafé ") == ["red", "cafe"]


def test_punctuation_stands_alone() -> None:
    assert pieces(SMALL, "red,apple") == ["red", ",", "apple"]


def test_a_word_with_an_unknown_part_is_one_unknown_token() -> None:
    assert pieces(SMALL, "red applex") == ["red", "[UNK]"]


def test_an_endless_word_is_unknown_instead_of_slow() -> None:
    assert pieces(SMALL, "a" * 100_000) == ["[UNK]"]


def test_the_empty_text_is_a_start_and_an_end() -> None:
    assert [SMALL.tokens[index] for index in SMALL.encode("")] == ["[CLS]", "[SEP]"]


@given(st.text(max_size=300))
def test_any_text_gives_a_bounded_frame_of_known_ids(text: str) -> None:
    ids = SHIPPED.encode(text)
    assert 2 <= len(ids) <= MAX_TOKENS
    assert SHIPPED.tokens[ids[0]] == "[CLS]"
    assert SHIPPED.tokens[ids[-1]] == "[SEP]"
    assert all(0 < index < len(SHIPPED.tokens) for index in ids)


@given(
    st.lists(st.sampled_from([token for token in SHIPPED.tokens if token.isalpha()]), max_size=9)
)
def test_known_words_come_back_as_they_went_in(words: list[str]) -> None:
    assert pieces(SHIPPED, " ".join(words)) == words


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=40))
def test_plain_words_are_spelled_out_without_loss(word: str) -> None:
    assert "".join(piece.removeprefix("##") for piece in pieces(SHIPPED, word)) == word


@given(st.text(max_size=100))
def test_splitting_keeps_no_spaces_and_no_capitals(text: str) -> None:
    for word in split_words(text):
        assert word
        assert not any(character.isspace() for character in word)
        assert not any(character.isascii() and character.isupper() for character in word)


def test_a_vocabulary_without_special_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="starts with"):
        Tokenizer(["a", "b", "c", "d"])


def test_a_vocabulary_that_repeats_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="once"):
        Tokenizer([*SPECIAL_TOKENS, "a", "a"])
