import io
from typing import Any

import pytest
from rich.console import Console

import dreamgrid
from dreamgrid.cli.halfblocks import UPPER_HALF, HalfBlocks, can_show
from dreamgrid.cli.screen import LiveScreen

pillow = pytest.importorskip("PIL.Image")

ABOUT: dict[str, Any] = {"project_id": "P", "job_id": "J", "job_index": 0}


def terminal(width: int = 80, height: int = 30, colors: str = "truecolor") -> Console:
    return Console(
        file=io.StringIO(),
        force_terminal=True,
        color_system=colors,  # type: ignore[arg-type]
        width=width,
        height=height,
        legacy_windows=False,
    )


def shown_by(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def picture(width: int = 4, height: int = 4) -> bytes:
    """The upper half red, the lower half blue."""
    canvas = pillow.new("RGB", (width, height), (255, 0, 0))
    canvas.paste((0, 0, 255), (0, height // 2, width, height))
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    return buffer.getvalue()


def test_two_pixels_share_a_cell() -> None:
    console = terminal()
    console.print(HalfBlocks(picture(4, 2), columns=4, rows=1), end="")
    cell = f"\x1b[38;2;255;0;0;48;2;0;0;255m{UPPER_HALF}\x1b[0m"
    assert shown_by(console) == cell * 4 + "\n"


@pytest.mark.parametrize(
    ("size", "columns", "rows", "expected"),
    [
        ((64, 64), 64, 40, (64, 32)),
        ((64, 64), 80, 10, (20, 10)),
        ((1024, 512), 32, 40, (32, 8)),
        ((512, 1024), 80, 20, (20, 20)),
        ((1000, 3), 50, 50, (50, 1)),
    ],
)
def test_a_picture_keeps_its_shape_and_fits(
    size: tuple[int, int], columns: int, rows: int, expected: tuple[int, int]
) -> None:
    console = terminal(width=200, height=100)
    console.print(HalfBlocks(picture(*size), columns=columns, rows=rows), end="")
    lines = shown_by(console).splitlines()
    assert (lines[0].count(UPPER_HALF), len(lines)) == expected


def test_only_a_terminal_with_colors_can_show_pictures() -> None:
    assert can_show(terminal())
    assert can_show(terminal(colors="256"))
    assert not can_show(terminal(colors="standard"))
    assert not can_show(Console(file=io.StringIO()))


def test_the_status_line_follows_what_happens() -> None:
    console = terminal()
    with LiveScreen(console, previews=False) as screen:
        screen.begin(2)

        def after(event: dreamgrid.Event) -> str:
            before = len(shown_by(console))
            screen.show(event)  # type: ignore[arg-type]
            screen._live.refresh()
            return shown_by(console)[before:]

        queued = dreamgrid.Queued(
            project_id="P", position=4, estimated_start_s=7.2, no_workers=False
        )
        assert "3 ahead in the queue, starts in about 7 s" in after(queued)
        nobody = dreamgrid.Queued(
            project_id="P", position=1, estimated_start_s=None, no_workers=True
        )
        assert "waiting for a worker that can render this" in after(nobody)
        assert "w1 loads the model" in after(dreamgrid.Assigned(**ABOUT, worker="w1"))
        progressed = dreamgrid.Progressed(**ABOUT, step=5, step_count=10, fraction=0.5, eta_s=9.0)
        line = after(progressed)
        for words in ("painting", "25%", "step 5/10", "0 of 2 pictures", "9 s left"):
            assert words in line
        retried = dreamgrid.JobRetried(**ABOUT, attempt=1, max_attempts=3, message="it went away")
        assert "trying again, because it went away" in after(retried)


def test_whoever_waits_for_paused_workers_is_told_so() -> None:
    console = terminal(width=160)
    with LiveScreen(console, previews=False) as screen:
        screen.show(
            dreamgrid.Queued(
                project_id="P",
                position=1,
                estimated_start_s=None,
                no_workers=True,
                reason="studio-pc could, but it is paused",
                waits_for="workers_paused",
            )
        )
        screen._live.refresh()
    assert (
        "waiting for a worker that can render this (studio-pc could, but it is paused); "
        "Ctrl-C cancels"
    ) in shown_by(console)


def test_a_preview_that_is_no_picture_harms_nothing() -> None:
    console = terminal()
    with LiveScreen(console) as screen:
        assert screen.wants_previews
        screen.show(dreamgrid.Previewed(**ABOUT, data=b"no picture", url=""))
        screen.show(dreamgrid.Previewed(**ABOUT, data=picture(), url=""))
    assert UPPER_HALF in shown_by(console)


@pytest.mark.parametrize("count", [1, 3, 4, 16])
@pytest.mark.parametrize("height", [8, 24, 50])
def test_any_number_of_pictures_fits_on_the_screen(count: int, height: int) -> None:
    console = terminal(width=80, height=height)
    with LiveScreen(console) as screen:
        screen.begin(count)
        for index in range(count):
            screen.show_result(index, picture(64, 64))
        lines = console.render_lines(screen._picture(), pad=False)
    assert len(lines) <= height
    assert all(sum(segment.cell_length for segment in line) <= 80 for line in lines)
