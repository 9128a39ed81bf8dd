"""A picture in the terminal: every character cell shows two pixels, one above the other."""

import io
from collections.abc import Iterator
from functools import lru_cache

from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style

UPPER_HALF = "▀"


def can_show(console: Console) -> bool:
    """Whether this terminal has enough colours, and this Python the library to decode pictures."""
    if not console.is_terminal or console.color_system not in {"truecolor", "256"}:
        return False
    try:
        "▀".encode(console.encoding)
        import PIL.Image  # noqa: F401, PLC0415 (optional: the extra 'embedded')
    except (ImportError, UnicodeEncodeError):
        return False
    return True


class HalfBlocks:
    """An encoded picture as coloured half blocks. Decoded once, drawn as often as needed.

    Args:
        data: The encoded picture, of any kind that Pillow knows.
        columns: Widest that it may be.
        rows: Highest that it may be.

    Raises:
        OSError: It is no picture.
    """

    def __init__(self, data: bytes, *, columns: int, rows: int) -> None:
        self._lines = list(_lines(data, columns, rows))
        self.columns = max((len(line) for line in self._lines), default=0)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self._lines:
            yield from line
            yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self.columns, self.columns)


def _lines(data: bytes, columns: int, rows: int) -> Iterator[list[Segment]]:
    from PIL import Image  # noqa: PLC0415 (optional: the extra 'embedded')

    with Image.open(io.BytesIO(data)) as picture:
        picture.draft("RGB", (columns * 2, rows * 4))
        shown = picture.convert("RGB")
    scale = min(columns / shown.width, rows * 2 / shown.height)
    width = max(1, round(shown.width * scale))
    height = max(2, round(shown.height * scale / 2) * 2)
    shown = shown.resize((width, height), Image.Resampling.BOX)
    pixels = shown.tobytes()
    stride = width * 3
    for top in range(0, height * stride, 2 * stride):
        line = []
        for at in range(top, top + stride, 3):
            above, below = pixels[at : at + 3], pixels[at + stride : at + stride + 3]
            line.append(Segment(UPPER_HALF, _style(above, below)))
        yield line


@lru_cache(maxsize=8192)
def _style(above: bytes, below: bytes) -> Style:
    return Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below))
