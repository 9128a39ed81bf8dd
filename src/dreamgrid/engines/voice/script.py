"""What to say, as the pieces that a voice speaks in one breath each. Pure.

A text becomes paragraphs, sentences, and where a sentence is very long its clauses. Each piece
carries the pause that follows it.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MAX_PHONEMES = 300
"""Longest piece; a voice slows down and loses its melody over more."""

SENTENCE_PAUSE_S = 0.38
PARAGRAPH_PAUSE_S = 0.8
CLAUSE_PAUSE_S = 0.12

_PARAGRAPHS = re.compile(r"\n\s*\n")
_CLAUSE_END = re.compile(r"(?<=[,;:—])\s+")
_SAID = re.compile(r"\w")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch of speech: its phonemes, and the silence after it in seconds."""

    phonemes: str
    pause_s: float


def readable(text: str) -> str:
    """The text in composed letters, without control characters and broken code points."""
    composed = unicodedata.normalize("NFC", text.encode(errors="replace").decode())
    return "".join(
        char for char in composed if char in "\n\t" or unicodedata.category(char)[0] != "C"
    )


def pieces(
    text: str,
    *,
    sentences_of: Callable[[str], list[str]],
    phonemes_of: Callable[[str], str],
) -> list[Piece]:
    """A text as pieces; empty when there is nothing in it that can be said.

    Args:
        text: What to say.
        sentences_of: Splits a paragraph.
        phonemes_of: How a sentence sounds; empty when it has no known letter.
    """
    found: list[Piece] = []
    for paragraph in _PARAGRAPHS.split(readable(text)):
        spoken = [phonemes_of(one) for one in sentences_of(paragraph) if _SAID.search(one)]
        for phonemes in filter(_SAID.search, spoken):
            *clauses, last = _breaths(phonemes)
            found += [Piece(phonemes=clause, pause_s=CLAUSE_PAUSE_S) for clause in clauses]
            found.append(Piece(phonemes=last, pause_s=SENTENCE_PAUSE_S))
        if found:
            found[-1] = Piece(phonemes=found[-1].phonemes, pause_s=PARAGRAPH_PAUSE_S)
    return found


def _breaths(phonemes: str) -> list[str]:
    """A sentence in parts of at most `MAX_PHONEMES`: cut after clauses, else between words."""
    parts: list[str] = []
    for clause in _CLAUSE_END.split(phonemes):
        for part in _words_together(clause):
            if parts and len(parts[-1]) + 1 + len(part) <= MAX_PHONEMES:
                parts[-1] += f" {part}"
            else:
                parts.append(part)
    return parts


def _words_together(clause: str) -> Iterator[str]:
    if len(clause) <= MAX_PHONEMES:
        yield clause
        return
    line = ""
    for word in clause.split():
        for start in range(0, len(word), MAX_PHONEMES):  # a word that never ends
            part = word[start : start + MAX_PHONEMES]
            if line and len(line) + 1 + len(part) > MAX_PHONEMES:
                yield line
                line = part
            else:
                line = f"{line} {part}" if line else part
    yield line
