"""What people see: bars in the terminal and in notebooks, and how objects show themselves."""

import asyncio
import base64
import io
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

import dreamgrid
from dreamgrid.client import progress
from dreamgrid.protocol import heard, socket
from tests.client import stub as wire
from tests.client.mill import png
from tests.client.stub import JOB_A, Stub


async def finish(stub: Stub, project: dreamgrid.Project[dreamgrid.Result]) -> None:
    stub.files[f"{JOB_A}-complete"] = png()
    url = stub.file_url(f"{JOB_A}-complete")
    await stub.send(
        wire.started(project.id),
        wire.progress(project.id, 10),
        wire.result(project.id, url=url),
        wire.completed(project.id),
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_a_terminal_shows_a_bar_and_a_pipe_shows_nothing(
    stub: Stub, client: dreamgrid.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for out, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr("rich.console.Console", lambda stderr, out=out: Console(file=out))
        project = await wire.submitted(stub, client)
        waiting = asyncio.create_task(project.wait(progress=True, timeout_s=45))
        await finish(stub, project)
        await waiting
        assert ("100%" in out.getvalue()) == shown


async def test_words_say_where_a_project_stands(stub: Stub, client: dreamgrid.AsyncClient) -> None:
    project = await wire.submitted(stub, client, count=2)
    assert progress.words_of(project) == "place 1 in the queue"
    await stub.send(wire.started(project.id), wire.result(project.id, url="http://x/y"))
    async for event in project.events():
        if isinstance(event, dreamgrid.JobCompleted):
            break
    assert progress.words_of(project) == "rendering, 1 of 2 done"
    assert "rendering, 1 of 2 done" in project._repr_html_()
    assert "http://x/y" in str(project.to_dict())


class Shown:
    """A cell's output."""

    def __init__(self) -> None:
        self.pages: list[str] = []

    def update(self, page: str) -> None:
        self.pages.append(page)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """Enough of IPython to be taken for a notebook."""
    shown = Shown()
    ipython: Any = ModuleType("IPython")
    ipython.get_ipython = type("ZMQInteractiveShell", (), {})
    display: Any = ModuleType("IPython.display")
    display.HTML = str

    def show(page: str, *, display_id: bool) -> Shown:
        assert display_id
        shown.update(page)
        return shown

    display.display = show
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return shown


async def test_a_notebook_shows_a_bar_below_the_cell(
    stub: Stub, client: dreamgrid.AsyncClient, notebook: Shown
) -> None:
    project = await wire.submitted(stub, client, prompt="<b>not markup</b>")
    waiting = asyncio.create_task(project.wait(progress=True, timeout_s=45))
    await finish(stub, project)
    await waiting
    assert 'value="100"' in notebook.pages[-1]
    assert "&lt;b&gt;not markup" in notebook.pages[-1]


async def test_a_picture_shows_itself_by_its_address_and_once_read_by_its_bytes(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client)
    await finish(stub, project)
    (image,) = await project.wait(timeout_s=45)
    assert isinstance(image, dreamgrid.Image)
    assert image._repr_png_() is None
    assert f'src="{image.url}"' in (image._repr_html_() or "")
    assert await image.read() == png()
    assert image._repr_png_() == png()
    assert image._repr_html_() is None
    pytest.importorskip("PIL")
    assert (await image.to_pillow()).size == (8, 8)


async def test_a_picture_that_was_saved_as_it_is_shows_itself(
    stub: Stub, client: dreamgrid.AsyncClient, tmp_path: Path
) -> None:
    project = await wire.submitted(stub, client)
    await finish(stub, project)
    (image,) = await project.wait(timeout_s=45)
    assert isinstance(image, dreamgrid.Image)
    await image.save(tmp_path / "as-it-is.png", metadata=False)
    assert image._repr_png_() == png()


async def test_a_picture_that_is_no_png_or_jpeg_keeps_its_bytes_in_the_page(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    webp = b"RIFF\x1a\0\0\0WEBPVP8L"
    project = await wire.submitted(stub, client)
    await finish(stub, project)
    stub.files[f"{JOB_A}-complete"] = webp
    (image,) = await project.wait(timeout_s=45)
    assert isinstance(image, dreamgrid.Image)
    assert f'src="{image.url}"' in (image._repr_html_() or "")
    image.content_type = "image/webp"  # as a server tells it
    await image.read()
    inside = base64.b64encode(webp).decode()
    assert f'src="data:image/webp;base64,{inside}"' in (image._repr_html_() or "")
    assert (image._repr_png_(), image._repr_jpeg_()) == (None, None)


async def test_a_preview_is_a_picture(stub: Stub, client: dreamgrid.AsyncClient) -> None:
    pytest.importorskip("PIL")
    project = await wire.submitted(stub, client, previews=3)
    stub.files[f"{JOB_A}-preview"] = png(16, 8)
    await stub.send(wire.started(project.id), wire.progress(project.id, 5, has_image=True))
    async for event in project.events():
        if isinstance(event, dreamgrid.Previewed):
            assert event.to_pillow().size == (16, 8)
            assert event._repr_png_() == png(16, 8)
            break
    assert project.jobs[0].preview_url is not None
    assert project.jobs[0].preview_url in project._repr_html_()


async def test_a_render_that_counts_no_steps_shows_its_share(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    project = await wire.submitted(stub, client)
    await stub.send(
        wire.started(project.id),
        heard.Progress(project_id=project.id, job_id=JOB_A, progress=0.25),
        socket.JobEta(project_id=project.id, job_id=JOB_A, eta_s=30),
    )
    async for event in project.events():
        if isinstance(event, dreamgrid.Progressed) and event.eta_s == 30:
            break
    assert (project.progress, project.jobs[0].progress) == (25, 25)
    assert project.eta is not None
