"""Braces in a prompt that make every image of a batch different. Pure.

    {red|blue} {cat|dog}   every combination, in reading order: the last group changes fastest
    {~north|south}         cyclic: all cyclic groups move on together, one option an image
    {@oak|elm}             one option at random for each image
    {@75::oak|25::elm}     the same with weights, 1 where none is written (all 0: equal chances)

Spaces around options are ignored. A batch larger than the number of combinations begins again.

What is no group stays as it was typed: braces without a `|`, such as `{}`, `{cat}` or JSON, braces
around nothing but empty options, and unbalanced ones. Groups do not nest: of braces inside braces
the inner ones are the group, and the outer ones stay text. What an option says is not looked at
again, so an expanded text is never longer than the one it came from, and the work is in
proportion to its length.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

Mode = Literal["", "~", "@"]
"""How a group picks its option: in every combination, in turns, or at random."""

_GROUP = re.compile(r"\{([^{}]*)\}")
# More digits than that are no weight that anybody means, and would overflow the sum.
_WEIGHT = re.compile(r"\s*([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*::(.*)", re.DOTALL)


class Prompts(NamedTuple):
    """The three texts of a request, or of one image."""

    positive: str
    style: str
    negative: str


@dataclass(frozen=True, slots=True)
class _Group:
    mode: Mode
    options: tuple[str, ...]
    weights: tuple[float, ...]


_Text = tuple[str | _Group, ...]


class DynamicPrompts:
    """The texts of one request, ready to be expanded for each of its images.

    The combinations of style and prompt run through completely before the negative prompt moves
    on, so that groups there do not change what the prompt alone would give.
    """

    def __init__(self, prompts: Prompts) -> None:
        self._given = prompts
        self._texts = tuple(map(_parse, prompts))

    @property
    def dynamic(self) -> bool:
        """Whether there is any group to expand."""
        return max(map(len, self._texts)) > 1

    def expand(self, index: int, source: random.Random) -> Prompts:
        """The texts of one image.

        Args:
            index: Which image of the batch, from 0.
            source: Where random groups get their choices. The same source in the same state gives
                the same texts; one seeded with the image's own seed makes them reproducible.
        """
        if not self.dynamic:
            return self._given
        left = index  # a number whose digits, one a combined group, are the options
        expanded: list[str] = []
        for text in (self._texts[1], self._texts[0], self._texts[2]):  # fastest first
            parts: list[str] = []
            for part in reversed(text):
                if isinstance(part, str):
                    parts.append(part)
                elif part.mode == "":
                    left, option = divmod(left, len(part.options))
                    parts.append(part.options[option])
                elif part.mode == "~":
                    parts.append(part.options[index % len(part.options)])
                else:
                    parts += source.choices(part.options, part.weights)
            expanded.append("".join(reversed(parts)))
        style, positive, negative = expanded
        return Prompts(positive, style, negative)


def longest_variation(text: str, length: Callable[[str], float]) -> str:
    """The text with the longest option of each group, whatever random groups will choose.

    Args:
        text: As it was typed.
        length: Tells how long an option is.
    """
    return "".join(
        part if isinstance(part, str) else max(part.options, key=length) for part in _parse(text)
    )


def _parse(text: str) -> _Text:
    """The groups of a text, with what lies around each of them; one part alone is no group."""
    if "|" not in text:  # as most prompts are
        return (text,)
    parts: list[str | _Group] = []
    read = 0
    for match in _GROUP.finditer(text):
        group = _group(match[1])
        if group is not None:
            parts += [text[read : match.start()], group]
            read = match.end()
    return (*parts, text[read:])


def _group(inside: str) -> _Group | None:
    """The group that braces around this text make, if they make one."""
    inside = inside.strip()
    mode: Mode = "~" if inside.startswith("~") else "@" if inside.startswith("@") else ""
    options = inside.removeprefix(mode).split("|")
    if len(options) == 1 or not any(option.strip() for option in options):
        return None
    weights = [1.0] * len(options)
    if mode == "@":
        for place, option in enumerate(options):
            weighted = _WEIGHT.fullmatch(option)
            if weighted is not None:
                weights[place] = float(weighted[1])
                options[place] = weighted[2]
        if not any(weights):
            weights = [1.0] * len(options)
    return _Group(mode, tuple(option.strip() for option in options), tuple(weights))
