"""How fast to speak, read from the words of an instruction. Pure."""

import re

from dreamgrid.errors import RenderRefused

SLOWEST = 0.5
FASTEST = 2.0

_PACES = {
    "very slow": 0.65,
    "slow": 0.8,
    "normal": 1.0,
    "fast": 1.25,
    "quick": 1.25,
    "very fast": 1.5,
    "very quick": 1.5,
}
_FILLING = re.compile(
    r"\b(please|speak|talk|read|say|it|this|at|in|an?|the|pace|tempo|speed(?!\W*\d))\b"
    r"|(?<!\d)\.|\.(?!\d)|[^\w.]+"
)
_NUMBER = re.compile(r"(?:speed|rate)\s*(\d+(?:\.\d+)?)\s*x?|(\d+(?:\.\d+)?)\s*x?\s*(?:speed)?")


def speed_of(instruct: str | None) -> float:
    """The speed that an instruction asks for; 1 is the voice's own, 2 twice as fast.

    Known are `slowly`, `fast`, `quickly`, `normal`, each with `very` before it, and `speed 1.2`.

    Raises:
        RenderRefused: It asks for anything else; the message says what can be asked.
    """
    words = " ".join(_FILLING.sub(" ", (instruct or "").lower()).split())
    if not words:
        return 1.0
    number = _NUMBER.fullmatch(words)
    if number:
        speed = float(number[1] or number[2])
        if not SLOWEST <= speed <= FASTEST:
            raise RenderRefused(f"speed {speed:g} is not between {SLOWEST:g} and {FASTEST:g}")
        return speed
    word = words.removesuffix("ly") if words.removesuffix("ly") in _PACES else words
    word = word.removesuffix("er") if word.removesuffix("er") in _PACES else word
    if word not in _PACES:
        raise RenderRefused(
            "this voice can only be told how fast to speak, such as 'slowly', 'very fast' or "
            f"'speed 1.2', not {instruct!r:.80}"
        )
    return _PACES[word]
