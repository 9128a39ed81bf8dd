"""Bars for what takes long, on stderr."""

from contextlib import ExitStack

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from dreamgrid.cli import exits


class Bars:
    """One bar for each thing that is moved, on stderr."""

    def __init__(self, stack: ExitStack, *, quiet: bool) -> None:
        self._tasks: dict[str, TaskID] = {}
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=exits.stderr(), disable=quiet)
        stack.enter_context(self._progress)

    def show(self, what: str, done: int, total: int) -> None:
        """Moves the bar of `what`."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what)
        self._progress.update(self._tasks[what], completed=done, total=total)
