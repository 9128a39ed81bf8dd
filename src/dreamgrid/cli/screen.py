"""What a person sees while pictures are made: where things stand, a bar, and the pictures."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

import dreamgrid
from dreamgrid.cli.halfblocks import HalfBlocks, can_show
from dreamgrid.client.events import AnyEvent

if TYPE_CHECKING:
    from dreamgrid.client.results import Result
    from dreamgrid.protocol.params import Media

WORDS: "dict[Media, tuple[str, str]]" = {
    "image": ("painting", "pictures"),
    "video": ("filming", "videos"),
    "audio": ("playing", "pieces"),
}
"""What a worker does, and what several results are called."""

_BAR_COLUMNS = 20
_LARGEST_COLUMNS = 64
_SMALLEST_COLUMNS = 16
_ROWS_FOR_WORDS = 8


class Screen:
    """Shows nothing: for programs, pipes and files. `LiveScreen` shows something."""

    wants_previews = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return

    def say(self, status: str) -> None:
        """Where things stand, in words."""

    def begin(self, count: int, media: "Media" = "image") -> None:
        """So many results of that kind were asked for."""

    def show(self, event: "AnyEvent[Result]") -> None:
        """Something happened."""

    def show_result(self, index: int, data: bytes) -> None:
        """A picture is finished."""


class LiveScreen(Screen):
    """A status line that keeps itself up to date, and the pictures above it if there is room.

    Args:
        console: Where to draw. Must be a terminal.
        previews: Whether to show the pictures. None: if the terminal can.
    """

    def __init__(self, console: Console, *, previews: bool | None = None) -> None:
        self._console = console
        self.wants_previews = can_show(console) and previews is not False
        self._status = "starting"
        self._spinner = Spinner("dots", style="cyan")
        self._count = 1
        self._doing, self._several = WORDS["image"]
        self._fractions: dict[int, float] = {}
        self._pictures: dict[int, HalfBlocks] = {}
        self._steps = ""
        self._eta_s: float | None = None
        self._eta_at = 0.0
        self._finished = False
        self._live = Live(
            console=console, get_renderable=self._picture, refresh_per_second=12, transient=False
        )

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._finished = True
        self._live.__exit__(kind, error, trace)

    def say(self, status: str) -> None:
        """Where things stand, in words."""
        self._status = status

    def begin(self, count: int, media: "Media" = "image") -> None:
        """So many results of that kind were asked for."""
        self._count = count
        self._doing, self._several = WORDS[media]

    def show(self, event: "AnyEvent[Result]") -> None:
        """Something happened."""
        match event:
            case dreamgrid.Queued():
                self._fractions.clear()
                self._status = _place(event)
            case dreamgrid.Assigned(worker=worker):
                self._status = f"{worker} loads the model" if worker else "loading the model"
            case dreamgrid.Started():
                self._status = self._doing
            case dreamgrid.Progressed():
                self._status = self._doing
                self._fractions[event.job_index] = event.fraction
                self._steps = f"step {event.step}/{event.step_count}"
                self._eta_s, self._eta_at = event.eta_s, time.monotonic()
            case dreamgrid.Previewed() if self.wants_previews:
                self._draw(event.job_index, event.data)
            case dreamgrid.JobRetried():
                self._fractions.pop(event.job_index, None)
                self._status = f"trying again, because {event.message}"
            case dreamgrid.JobCompleted() | dreamgrid.JobFailed():
                self._fractions[event.job_index] = 1.0
            case _:
                pass

    def show_result(self, index: int, data: bytes) -> None:
        """A picture is finished."""
        if self.wants_previews:
            self._draw(index, data)

    def _draw(self, index: int, data: bytes) -> None:
        across = min(self._count, 4)
        columns = min(_LARGEST_COLUMNS, self._console.width // across - 2)
        rows = max(2, (self._console.height - _ROWS_FOR_WORDS) // -(-self._count // across))
        if columns < _SMALLEST_COLUMNS:
            return
        try:
            self._pictures[index] = HalfBlocks(data, columns=columns, rows=min(rows, columns // 2))
        except OSError:
            return  # a preview that cannot be decoded is no reason to fail

    def _picture(self) -> RenderableType:
        parts: list[RenderableType] = []
        if self._pictures:
            parts.append(Columns([self._pictures[index] for index in sorted(self._pictures)]))
        if not self._finished:
            parts.append(self._line())
        return Group(*parts)

    def _line(self) -> RenderableType:
        line = Table.grid(padding=(0, 1))
        if not self._fractions:
            line.add_row(self._spinner, Text(self._status, overflow="ellipsis", no_wrap=True))
            return line
        done = sum(self._fractions.values()) / self._count
        words = [f"{done:4.0%}", self._steps]
        if self._count > 1:
            finished = sum(fraction >= 1 for fraction in self._fractions.values())
            words.append(f"{finished} of {self._count} {self._several}")
        left_s = self._left_s()
        if left_s is not None:
            words.append(f"{left_s:.0f} s left")
        line.add_row(
            self._spinner,
            Text(self._status, no_wrap=True),
            ProgressBar(total=1.0, completed=done, width=_BAR_COLUMNS, complete_style="cyan"),
            Text("  ".join(words), overflow="ellipsis", no_wrap=True),
        )
        return line

    def _left_s(self) -> float | None:
        """Seconds left of the newest estimate; none once it has run out."""
        if self._eta_s is None:
            return None
        left_s = self._eta_s - (time.monotonic() - self._eta_at)
        return left_s if left_s >= 1 else None


def _place(event: dreamgrid.Queued) -> str:
    if event.no_workers:
        why = f" ({event.reason})" if event.waits_for == "workers_paused" else ""
        return f"waiting for a worker that can render this{why}; Ctrl-C cancels"
    place = "in the queue"
    if event.position is not None:
        ahead = event.position - 1
        place = "next in the queue" if ahead == 0 else f"{ahead} ahead in the queue"
    if event.estimated_start_s is not None:
        place += f", starts in about {max(1, round(event.estimated_start_s))} s"
    return place
