"""What a prompt says about time: parts that follow each other, and moves of the camera."""

import re
from dataclasses import dataclass

from dreamgrid.engines.dreamlet.video.camera import read_moves

MAX_PARTS = 8
"""More parts than these stay together in the last one."""

_FOLLOWS = re.compile(
    r"\s*(?:,?\s*\b(?:and )?(?:then|becom(?:es|ing)|(?:which |that )?"
    r"(?:turn|chang|morph|transform)(?:s|es|ing) (?:in)?to)\b,?|->|\u2192|=>)\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Script:
    """A prompt, understood.

    Attributes:
        parts: What to show, one after the other; at least one, which may be empty.
        moves: The camera's moves, as in `camera.MOVES`; empty: none was named.
    """

    parts: tuple[str, ...]
    moves: tuple[str, ...]


def read_script(prompt: str) -> Script:
    """Understands a prompt such as `a rose turns into a castle, zoom in`."""
    words, moves = read_moves(prompt)
    parts = tuple(part for part in _FOLLOWS.split(words, maxsplit=MAX_PARTS - 1) if part.strip())
    return Script(parts or ("",), moves)
