"""How long speech is that nobody gave a length: one rule for price, render and estimate.

A tier says how many characters its slowest reader reads in a second.
"""

import math

from dreamgrid.protocol.dynamic_prompts import longest_variation

_CHARS_OF_A_DIGIT = 4  # more than itself: "7" is "seven", and often "hundred" follows
_CHARS_OF_A_PAUSE = 5
_STARTS_S = 2


def reading_s(text: str, chars_per_second: float) -> int:
    """How long a slow reader takes for a text, in whole seconds.

    Digits are read as words, and sentences end with pauses. Of a text that varies, the longest
    variation counts: all pieces of a project have one length and one price.
    """
    read = longest_variation(text, _chars)
    return math.ceil(_chars(read) / chars_per_second) + _STARTS_S


def _chars(text: str) -> int:
    """The letters of a text that is written out."""
    chars = len(text) + _CHARS_OF_A_DIGIT * sum(map(str.isdigit, text))
    return chars + _CHARS_OF_A_PAUSE * sum(map(text.count, ".!?\n"))
