"""What a person sees while waiting: a bar in the terminal, or in a notebook."""

import html
import sys
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from dreamgrid.client.job import Job
from dreamgrid.protocol.params import AnyParams
from dreamgrid.states import JobState, ProjectState


class Shown(Protocol):
    """What is looked at of a project; see `dreamgrid.Project`."""

    @property
    def params(self) -> AnyParams:
        """What was asked for."""

    @property
    def state(self) -> ProjectState:
        """Where it stands."""

    @property
    def finished(self) -> bool:
        """Whether it has ended."""

    @property
    def progress(self) -> int:
        """How much of it is done, in percent."""

    @property
    def queue_position(self) -> int | None:
        """Place in the queue."""

    @property
    def queue_status(self) -> Literal["waiting", "no-workers"] | None:
        """Whether anybody can render it."""

    @property
    def jobs(self) -> tuple[Job[Any], ...]:
        """Its renders."""


class Bar(Protocol):
    """Shows how far a project is; used as a context."""

    def __enter__(self) -> Self:
        """Begins to show."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stops to show."""

    def update(self, project: Shown) -> None:
        """Something happened."""


class NoBar:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return

    def update(self, project: Shown) -> None:
        """Something happened."""


class TerminalBar(NoBar):
    """One line that keeps itself up to date, drawn by rich. Silent if nobody looks."""

    def __init__(self) -> None:
        from rich import progress  # noqa: PLC0415 (heavy, and seldom needed)
        from rich.console import Console  # noqa: PLC0415

        # To stderr: a program's own output stays what it is.
        console = Console(stderr=True)
        self._bar = progress.Progress(
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.TaskProgressColumn(),
            progress.TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("waiting", total=100)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def update(self, project: Shown) -> None:
        """Something happened."""
        self._bar.update(self._task, description=words_of(project), completed=project.progress)


class NotebookBar(NoBar):
    """A bar below the cell, with the newest previews."""

    def __init__(self) -> None:
        display: Any = sys.modules["IPython.display"]
        self._html = display.HTML
        self._shown = display.display(self._html("waiting"), display_id=True)

    def update(self, project: Shown) -> None:
        """Something happened."""
        self._shown.update(self._html(as_html(project)))


def bar() -> Bar:
    """The bar that suits the place where this runs."""
    return NotebookBar() if in_notebook() else TerminalBar()


def in_notebook() -> bool:
    """Whether somebody looks at this in a notebook."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell" and "IPython.display" in sys.modules


def words_of(project: Shown) -> str:
    """Where a project stands, in a few words."""
    count = project.params.count
    done = sum(job.state is JobState.COMPLETED for job in project.jobs)
    if project.state is ProjectState.QUEUED and project.queue_status == "no-workers":
        return "waiting for a worker"
    if project.state is ProjectState.QUEUED and project.queue_position:
        return f"place {project.queue_position} in the queue"
    if project.state is ProjectState.PROCESSING:
        return "rendering" if count == 1 else f"rendering, {done} of {count} done"
    return str(project.state)


def as_html(project: Shown) -> str:
    """A project as a notebook shows it."""
    pictures = "".join(
        f'<img src="{html.escape(job.preview_url)}" style="height: 8em; margin: 2px">'
        for job in project.jobs
        if job.preview_url and not project.finished
    )
    prompt = project.params.prompt
    shown = html.escape(prompt if len(prompt) <= 80 else prompt[:79] + "…")
    return (
        f"<div><b>{html.escape(project.params.model)}</b> {shown}<br>"
        f'<progress max="100" value="{project.progress}"></progress> '
        f"{project.progress} % {html.escape(words_of(project))}<br>{pictures}</div>"
    )
