"""Docstrings as data: what a class or function says of itself and of its attributes. Pure."""

import inspect
import re
from dataclasses import dataclass, field

_SECTION = re.compile(r"^(Attributes|Args|Raises|Returns):\n", re.MULTILINE)
_ITEM = re.compile(r"^    (\w+): ", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Docstring:
    """A docstring, taken apart.

    Attributes:
        summary: Its first sentence or sentences: the first line.
        text: All of it but the sections; paragraphs are parted by blank lines.
        attributes: Name to meaning, each on one line.
    """

    summary: str = ""
    text: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


def read(text: str | None) -> Docstring:
    """Takes a docstring in Google's style apart."""
    parts = _SECTION.split(inspect.cleandoc(text or ""))
    told = parts[0].strip()
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    items = _ITEM.split(sections.get("Attributes", ""))
    meanings = dict(zip(items[1::2], items[2::2], strict=True))
    return Docstring(
        summary=_one_line(told.partition("\n\n")[0]),
        text="\n\n".join(_one_line(paragraph) for paragraph in told.split("\n\n")),
        attributes={name: _one_line(meaning) for name, meaning in meanings.items()},
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())
