"""The examples and the code in the documentation do what they say, on a real grid."""

import ast
import asyncio
import contextlib
import importlib.util
import inspect
import os
import pty
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from types import CodeType
from typing import Any

import aiohttp
import nbclient
import nbformat
import pytest
import typer
import uvicorn

import dreamgrid
from dreamgrid.cli.app import app
from dreamgrid.protocol.worker import WORKER_PATH
from tests.cli.processes import Grid, clean, running
from tests.client import mill
from tests.support.wire import Worker, hello_of, welcomed

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SAVES = {
    "quickstart": ["apple.png"],
    "sync_batch": ["batch/a-red-apple.png", "batch/a-castle.png", "batch/a-green-tree.png"],
    "image_to_image": ["changed-30.png", "changed-60.png", "changed-90.png"],
    "webhook_receiver": ["told.png"],
    "watch_events": ["picture-0.png", "picture-1.png"],
    "video": ["waves.mp4"],
    "music": ["song.mp3", "words.mp3"],
    "batch_csv": ["batch-csv/001/0.png", "batch-csv/002/0.png"],
    "resume": ["castle-0.png", "castle-1.png"],
    "terminal_previews": ["terminal.png"],
}
SHOWN = ("dreamlet-v1", mill.VIDEO, mill.VIDEO_OF_IMAGE, mill.MUSIC, mill.SPEECH)
"""Models that the page and the examples name."""


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    data = tmp_path_factory.mktemp("grid") / "data"
    with running("up", "--json", "--port", "0", data=data) as one, helped(one):
        yield one


@contextmanager
def helped(grid: Grid) -> Iterator[None]:
    """A second worker for what the first one cannot render here: it makes the same file always."""
    loop = asyncio.new_event_loop()
    started, finish = threading.Event(), asyncio.Event()

    async def work() -> None:
        headers = {"api-key": grid.ready["api_key"]}
        async with dreamgrid.AsyncClient(grid.ready["url"], headers["api-key"]) as client:
            await client.projects.wait_for_models(timeout_s=60)
            here = {model.id for model in await client.projects.get_available_models()}
        hello = hello_of("helper", models=tuple({*SHOWN} - here), slots=4)
        address = grid.ready["url"] + WORKER_PATH
        async with aiohttp.ClientSession() as http:
            worker = Worker(await http.ws_connect(address, headers=headers), http, hello)
            await worker.send(hello)
            async with mill.rendering(await welcomed(worker)):
                started.set()
                await finish.wait()
            await worker.leave()

    thread = threading.Thread(target=loop.run_until_complete, args=(work(),))
    thread.start()
    try:
        assert started.wait(60), "the helper did not start"
        yield
    finally:
        loop.call_soon_threadsafe(finish.set)
        thread.join()
        loop.close()


@pytest.mark.parametrize(
    "path", [path for path in EXAMPLES if path.stem in SAVES], ids=lambda path: path.stem
)
def test_the_example_runs_and_saves_what_it_says(grid: Grid, tmp_path: Path, path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        cwd=tmp_path,
        env=clean(grid.environment),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    for name in SAVES[path.stem]:
        assert name in ran.stdout
        assert (tmp_path / name).stat().st_size > 1000


def test_previews_are_drawn_in_a_terminal(grid: Grid, tmp_path: Path) -> None:
    screen, terminal = pty.openpty()
    try:
        drawing = subprocess.Popen(
            [sys.executable, str(ROOT / "examples" / "terminal_previews.py")],
            cwd=tmp_path,
            env=clean(grid.environment),
            stdout=terminal,
            stderr=subprocess.STDOUT,
        )
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # how Linux says that nobody writes any more
            while part := os.read(screen, 65536):
                shown += part
        assert drawing.wait(timeout=100) == 0, shown
    finally:
        os.close(screen)
    assert shown.count(b"\x1b[38;2;") % 40 == 0
    assert shown.count(b"\x1b[38;2;") >= 40 * 20
    assert b"terminal.png seed " in shown


def test_the_program_on_the_first_page_says_only_what_matters(grid: Grid, tmp_path: Path) -> None:
    ((_, program),) = python_blocks("README.md")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        env=clean(grid.environment),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    first, second, cost = ran.stdout.splitlines()
    assert (first.split()[0], second.split()[0]) == ("apple-0.png", "apple-1.png")
    assert cost.endswith(" spark")
    assert (tmp_path / "apple-1.png").stat().st_size > 1000


def run_batch(table: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The example of a batch, given a table."""
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / "batch_csv.py"), table.name],
        cwd=table.parent,
        env=clean(environment),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_batch_takes_a_table_as_spreadsheets_write_it(grid: Grid, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("prompt,seed\r\na red apple,1\r\n", encoding="utf-8-sig")
    ran = run_batch(table, **grid.environment)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (tmp_path / "batch-csv" / "001" / "0.png").is_file()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read table.csv: No such file"),
        (b"words\nan apple\n", "no column 'prompt'"),
        (b"", "no column 'prompt'"),
        (b"prompt\nein \xc4pfelchen\n", "not UTF-8"),
        (b"prompt,count\na tree,\na house,many\n", "row 2: count and seed are whole numbers"),
        (b"prompt,seed\na tree,1.5\n", "row 1: count and seed are whole numbers"),
        (b"prompt,count\na tree,0\n", "row 1: needs a prompt, and a count of 1 or more"),
        (b"prompt,count\n,1\n", "row 1: needs a prompt"),
    ],
)
def test_a_batch_without_a_table_says_so_in_a_line(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    table = tmp_path / "table.csv"
    if content is not None:
        table.write_bytes(content)
    ran = run_batch(table)
    assert ran.returncode == 1
    assert words in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_a_row_that_cannot_be_made_does_not_stop_the_others(grid: Grid, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("prompt,count\na red apple,1\na castle,100000\n")
    ran = run_batch(table, **grid.environment)
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert "2: " in ran.stdout
    assert (tmp_path / "batch-csv" / "001" / "0.png").is_file()


async def test_a_row_of_a_batch_whose_answer_was_lost_is_made_once(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("batch_csv", ROOT / "examples" / "batch_csv.py")
    assert spec is not None
    assert spec.loader is not None
    batch = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "batch_csv", batch)
    spec.loader.exec_module(batch)
    monkeypatch.setattr(batch, "WAIT_S", 0.0)
    async with dreamgrid.AsyncClient(grid.ready["url"], grid.ready["api_key"]) as client:
        generate, before = client.projects.generate, await client.projects.list_projects()
        answers_lost = iter([True, True, False])

        async def behind_a_bad_network(**settings: Any) -> list[dreamgrid.Result]:
            results = await generate(**settings)
            if next(answers_lost):
                raise dreamgrid.ConnectionFailed("the line is dead")
            return results

        monkeypatch.setattr(client.projects, "generate", behind_a_bad_network)
        row = batch.Row(7, "a cat", seed=5)
        (image,) = await batch.made(client, "pattern-v1", row, Decimal(1))
        assert (image.seed, len(await image.read()) > 1000) == (5, True)
        _, *older = await client.projects.list_projects()
        assert [one.id for one in older[:1]] == [one.id for one in before[:1]]
    assert capsys.readouterr().out == "7: the line is dead; trying again\n" * 2


async def test_the_web_application_paints_for_a_browser_and_tells_it_again(
    grid: Grid, unused_tcp_port: int
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "examples" / "fastapi_app.py"), str(unused_tcp_port)),
        env=clean(grid.environment),
        stderr=subprocess.PIPE,
    )
    address = f"http://127.0.0.1:{unused_tcp_port}"
    assert process.stderr is not None
    try:
        async with asyncio.timeout(100), aiohttp.ClientSession() as browser:
            while address not in (line := (await process.stderr.readline()).decode()):
                assert line, "it ended before it was ready"
            async with browser.get(address) as page:
                assert "<form>" in await page.text()
            async with browser.post(f"{address}/pictures", json={"prompt": "a tree"}) as answer:
                number = (await answer.json())["id"]
            for _ in range(2):
                async with browser.get(f"{address}/pictures/{number}/events") as stream:
                    told = await stream.text()
                assert '"kind": "JobCompleted"' in told
                assert told.rstrip().endswith('"last": true}')
            async with browser.get(f"{address}/pictures/nonsense/events") as answer:
                assert answer.status == 404
    finally:
        process.terminate()
        _, said = await process.communicate()
        assert b"Application shutdown complete" in said
        assert b"Error" not in said


def test_the_notebook_shows_pictures_and_a_bar(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in grid.environment.items():
        monkeypatch.setenv(name, value)
    notebook: Any = nbformat.reads(  # type: ignore[no-untyped-call]
        (ROOT / "examples" / "notebook.ipynb").read_text("utf-8"), as_version=4
    )
    assert not any(cell.get("outputs") for cell in notebook.cells), "kept without outputs"
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=100, resources=resources).execute()
    shown = [
        set(output.get("data", ()))
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type != "stream"
    ]
    assert any("image/png" in one for one in shown)
    assert any("text/html" in one for one in shown)
    assert "error" not in {
        output.output_type for cell in notebook.cells for output in cell.get("outputs", ())
    }
    assert (tmp_path / "castle.png").stat().st_size > 1000


SAVED_BY_THE_PAGE = {
    "docs/sdk.md": ("apple.png", "finer.png", "castle.png", "calm.png"),
    "docs/migration.md": ("apple.png",),
    "docs/start/app-developer.md": ("apple.png",),
    "docs/guides/image.md": ("apple.png", "finer.png", "larger.png"),
    "docs/guides/image-to-image.md": ("green.png", "mended.png"),
    "docs/guides/video.md": ("waves.mp4", "rolling.mp4"),
    "docs/guides/music.md": ("song.mp3",),
    "docs/guides/speech.md": ("hello.mp3",),
    "docs/guides/cost.md": (),
    "docs/guides/cancel-and-resume.md": ("tree.png",),
    "docs/guides/web-server.md": (),
    "docs/guides/notebook.md": ("apple.png",),
}
"""Pages that are read from top to bottom, and files that their code saves."""

SAID_BY_THE_PAGE = {
    "docs/sdk.md": "allows 1 to",
    "docs/guides/cost.md": "max_cost",
    "docs/guides/cancel-and-resume.md": "Completed",
}


def python_blocks(page: str) -> list[tuple[int, str]]:
    """The python blocks of a page, each with the number of its first line."""
    text = (ROOT / page).read_text("utf-8")
    return [
        (text.count("\n", 0, match.start(1)) + 1, match[1])
        for match in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    ]


def compiled(page: str, line: int, block: str) -> CodeType:
    source = "\n" * (line - 1) + block
    code: CodeType = compile(source, page, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return code


async def run_blocks(page: str, names: dict[str, Any]) -> None:
    """Runs the python blocks of a page one after the other, like the cells of a notebook."""
    for line, block in python_blocks(page):
        running = eval(compiled(page, line, block), names)
        if inspect.isawaitable(running):
            await running


PAGES_WITH_A_CLIENT = ["docs/webhooks.md"]
"""Their code begins with an open `client`."""


@pytest.mark.parametrize("page", PAGES_WITH_A_CLIENT)
def test_the_code_of_the_page_runs_from_top_to_bottom(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert python_blocks(page)

    async def run() -> None:
        url, key = grid.ready["url"], grid.ready["api_key"]
        async with dreamgrid.AsyncClient(url, key) as client:
            await run_blocks(page, {"client": client, "dreamgrid": dreamgrid})

    asyncio.run(run())


@pytest.mark.parametrize("page", SAVED_BY_THE_PAGE)
def test_the_code_of_a_page_about_the_sdk_runs_from_top_to_bottom(
    grid: Grid,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    page: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in grid.environment.items():
        monkeypatch.setenv(name, value)
    names: dict[str, Any] = {}

    async def run() -> None:
        assert python_blocks(page)
        await run_blocks(page, names)
        if "app" in names:
            await look_at(names["app"])
        if isinstance(client := names.get("client"), dreamgrid.AsyncClient):
            await client.aclose()

    asyncio.run(run())
    assert SAID_BY_THE_PAGE.get(page, "") in capsys.readouterr().out
    for name in SAVED_BY_THE_PAGE[page]:
        assert (tmp_path / name).stat().st_size > 1000


async def look_at(app: Any) -> None:
    """Uses the web application of the page as a browser does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        free.listen()  # who asks before it serves waits
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
        serving = asyncio.create_task(server.serve([free]))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/pictures"
        async with aiohttp.ClientSession() as browser:
            async with browser.post(address, params={"prompt": "a tree"}) as answer:
                number = (await answer.json())["id"]
            async with browser.get(f"{address}/{number}") as answer:
                assert (await answer.json())["state"] in {"queued", "processing", "completed"}
            async with browser.get(f"{address}/nonsense") as answer:
                assert answer.status == 404
            async with browser.post(address, params={"prompt": "x" * 20_000}) as answer:
                assert answer.status == 400
        server.should_exit = True
        await serving


def test_every_guide_is_run() -> None:
    guides = {f"docs/guides/{page.name}" for page in (ROOT / "docs" / "guides").glob("*.md")}
    assert guides <= set(SAVED_BY_THE_PAGE)


def flags_of(command: Any) -> dict[str, str]:
    """Every flag of a command, and what its help says."""
    return {
        name: getattr(one, "help", None) or ""
        for one in command.params
        for name in one.opts
        if name.startswith("--")
    }


def commands() -> dict[str, dict[str, str]]:
    """Every command with its flags, as the program itself has them."""
    found: dict[str, dict[str, str]] = {}
    root: Any = typer.main.get_command(app)
    for name, command in root.commands.items():
        below = getattr(command, "commands", {})
        if not below or command.invoke_without_command:
            found[name] = flags_of(command)
        for sub, one in below.items():
            found[f"{name} {sub}".strip()] = flags_of(one)
    return found


def test_every_command_is_on_the_page_and_every_flag_says_what_it_does() -> None:
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    for command, flags in commands().items():
        first, *rest = command.split()
        lines = re.findall(rf"^\| `dreamgrid {first}\b.*", page, re.MULTILINE)
        assert any(all(word in line for word in rest) for line in lines), command
        for flag, said in flags.items():
            assert said or flag in page, f"{flag} of {command}"


FIRST_PAGES = sorted(f"docs/start/{page.name}" for page in (ROOT / "docs" / "start").iterdir())


def test_every_first_page_is_one_click_away() -> None:
    assert len(FIRST_PAGES) == 3
    assert all(f"]({page})" in (ROOT / "README.md").read_text("utf-8") for page in FIRST_PAGES)


@pytest.mark.parametrize("page", ["docs/cli.md", "README.md", *FIRST_PAGES])
def test_every_command_line_on_the_page_is_understood(page: str) -> None:
    known = commands()
    text = (ROOT / page).read_text("utf-8")
    lines = re.findall(r"^(?:    )?dreamgrid (.+)$", text, re.MULTILINE)
    assert lines
    for line in lines:
        words = re.sub(r'"[^"]*"', "X", line.partition("#")[0]).split()
        two = " ".join(words[:2])
        name = two if two in known else words[0]
        assert name in known, line
        unknown = {word for word in words if word.startswith("--")} - set(known[name])
        assert not unknown, line


def test_nothing_in_the_examples_depends_on_this_machine() -> None:
    assert {path.stem for path in EXAMPLES} == {*SAVES, "fastapi_app", "discord_bot"}
    for path in EXAMPLES:
        assert os.sep + "tmp" not in path.read_text("utf-8")
