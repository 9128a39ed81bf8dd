"""Text to token ids: WordPiece over a plain-text vocabulary, without any dependency.

The vocabulary holds one token per line; the line number is the id. A token that continues a word
starts with `##`. The first four lines are `[PAD]`, `[UNK]`, `[CLS]` and `[SEP]`.
"""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

PADDING, UNKNOWN, START, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
SPECIAL_TOKENS = (PADDING, UNKNOWN, START, END)

# A prompt longer than this is cut: the text encoder has learned no later positions.
MAX_TOKENS = 48

# Longer "words" are noise (base64, a held-down key) and would cost quadratic time to split.
MAX_WORD_CHARACTERS = 64


class Tokenizer:
    """Splits text into the longest pieces that the vocabulary knows, from left to right."""

    def __init__(self, tokens: Sequence[str]) -> None:
        """Takes the vocabulary in id order.

        Raises:
            ValueError: the four special tokens do not come first, or a token comes twice.
        """
        if tuple(tokens[:4]) != SPECIAL_TOKENS:
            raise ValueError(f"a vocabulary starts with {', '.join(SPECIAL_TOKENS)}")
        self.tokens = tuple(tokens)
        self._ids = {token: index for index, token in enumerate(tokens)}
        if len(self._ids) != len(tokens):
            raise ValueError("a vocabulary names each token once")
        self._longest_piece = max(len(token) for token in tokens)

    @classmethod
    def from_file(cls, path: Path) -> "Tokenizer":
        """Reads a vocabulary file: UTF-8, one token per line."""
        return cls(path.read_text(encoding="utf-8").splitlines())

    def encode(self, text: str) -> list[int]:
        """Returns ids with start and end tokens, at most MAX_TOKENS of them; "" is a valid text."""
        pieces = [piece for word in split_words(text) for piece in self._split_word(word)]
        return [self._ids[token] for token in (START, *pieces[: MAX_TOKENS - 2], END)]

    def _split_word(self, word: str) -> list[str]:
        """One word as vocabulary pieces, or as one unknown token if any part of it is unknown."""
        if len(word) > MAX_WORD_CHARACTERS:
            return [UNKNOWN]
        pieces: list[str] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            for end in range(min(len(word), start + self._longest_piece), start, -1):
                if prefix + word[start:end] in self._ids:
                    pieces.append(prefix + word[start:end])
                    start = end
                    break
            else:
                return [UNKNOWN]
        return pieces


def split_words(text: str) -> list[str]:
    """Lower-cases, drops accents and control characters, and splits off every punctuation mark."""
    words: list[str] = []
    inside_word = False
    for character in unicodedata.normalize("NFD", text.lower()):
        category = unicodedata.category(character)
        if category == "Mn":
            continue  # the accent of the letter before it
        if character.isspace() or category.startswith("C"):
            inside_word = False
        elif category.startswith("P") or (character.isascii() and not character.isalnum()):
            words.append(character)
            inside_word = False
        elif inside_word:
            words[-1] += character
        else:
            words.append(character)
            inside_word = True
    return words
