import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import typer

import dreamgrid
from dreamgrid.cli.app import app
from dreamgrid.engines.base import EngineSpec
from dreamgrid.engines.registry import FoundEngine, Registry, find_engines
from dreamgrid.protocol.rest import ActiveProjects, ProjectAnswer
from tests.cli.conftest import Call
from tests.cli.processes import COMMAND, Grid, Ran, clean, run, running, start

PATTERN = ("--model", "pattern-v1")
HEAD = {"png": b"\x89PNG\r\n\x1a\n", "jpg": b"\xff\xd8\xff", "webp": b"RIFF"}


@pytest.fixture
def generate(grid: Grid, call: Call) -> Call:
    """`dreamgrid generate "A red apple!" ARGUMENTS` with the shared grid."""

    def generate(*arguments: str) -> Ran:
        words = ("generate", "A red apple!", *PATTERN)
        return call(*words, *arguments, environment=grid.environment)

    return generate


def test_pictures_are_saved_and_their_price_is_told(generate: Call, tmp_path: Path) -> None:
    ran = generate("--count", "2", "--size", "256x128", "--seed", "7")
    assert (ran.returncode, ran.stderr) == (0, "")
    files = sorted((tmp_path / "dreamgrid-out").iterdir())
    assert [path.suffix for path in files] == [".png", ".png"]
    for path in files:
        assert path.name.startswith("a-red-apple-")
        assert str(path.relative_to(tmp_path)) in ran.stdout
        data = path.read_bytes()
        width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
        assert (data[:8], width, height) == (HEAD["png"], 256, 128)
    assert "seed 7" in ran.stdout
    assert "2 pictures in " in ran.stdout
    assert " spark, by pattern-v1" in ran.stdout


def test_json_is_one_line_with_all_that_a_program_wants(generate: Call, tmp_path: Path) -> None:
    ran = generate("--count", "2", "--seed", "7", "--json", "--out", "here")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert len(ran.stdout.splitlines()) == 1
    made = ran.last_json
    assert made["event"] == "completed"
    assert made["seeds"][0] == 7
    assert len(set(made["seeds"])) == 2
    assert float(made["cost"]) > 0
    assert (made["token"], made["failed"]) == ("spark", 0)
    assert [(tmp_path / file).is_file() for file in made["files"]] == [True, True]


@pytest.mark.parametrize("kind", ["png", "jpg", "webp"])
def test_the_same_seed_makes_the_same_file_of_any_kind(
    generate: Call, tmp_path: Path, kind: str
) -> None:
    made = [generate("--seed", "3", "--format", kind, "--json").last_json for _ in range(2)]
    first, second = (tmp_path / one["files"][0] for one in made)
    assert first != second
    assert first.suffix == f".{kind}"
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(HEAD[kind])


def test_a_picture_can_begin_with_another_one(generate: Call, tmp_path: Path) -> None:
    first = generate("--seed", "1", "--json").last_json["files"][0]
    again = ("--image", first, "--seed", "2", "--json")
    kept = generate(*again, "--strength", "0").last_json["files"][0]
    changed = generate(*again, "--strength", "1").last_json["files"][0]
    pillow = pytest.importorskip("PIL.Image")
    pixels = [pillow.open(tmp_path / file).tobytes() for file in (first, kept, changed)]
    assert pixels[0] == pixels[1]
    assert pixels[0] != pixels[2]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--model", "nope"], 2, "known are: "),
        (["--model", "dreamlet"], 2, "did you mean dreamlet-v1 or "),
        (["--model", "dreamlet-v2"], 2, "did you mean dreamlet-v1"),
        (["and", "a", "moon"], 2, "put it in quotes"),
        (["--steps", "1000"], 2, "pattern-v1 allows 1 to 50"),
        (["--count", "17"], 2, "1 to 16"),
        (["--size", "9x9"], 2, "64 to 2048"),
        (["--size", "99"], 2, "write it as 512x512"),
        (["--size", "tall"], 2, "square"),
        (["--image", "no-such-file.png"], 2, "there is no file"),
        (["--strength", "0.5"], 2, "--strength needs --image"),
        (["--seed", "-2"], 2, "0 to 4294967295"),
        (["--format", "bmp"], 2, "bmp"),
        (["--max-cost", "0.000001"], 1, "'dreamgrid estimate' tells prices"),
        (["--max-cost", "nan"], 2, "give a number of tokens"),
        (["--workers", "fxo, gxo"], 2, "only fxo, gxo may render it"),
        (["--workers", "fxo", "--skip-workers", "FXO"], 2, "none is left"),
        (["--count", "many"], 2, "--count"),
        (["--key", "wrong"], 3, "refused the API key"),
        (["--server", "http://127.0.0.1:9"], 3, "nobody listens there"),
        (["--server", "no address"], 2, "no server address"),
        (["--out", "/dev/null/x"], 1, "cannot write /dev/null"),
    ],
)
def test_a_mistake_is_one_clear_line_and_its_exit_code(
    generate: Call, arguments: list[str], code: int, says: str
) -> None:
    ran = generate(*arguments)
    assert ran.returncode == code, ran.stderr
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


def test_a_mistake_is_a_json_line_for_programs(generate: Call) -> None:
    ran = generate("--steps", "1000", "--json")
    assert (ran.returncode, ran.stderr) == (2, "")
    assert ran.last_json == {
        "event": "failed",
        "error": "InvalidRequest",
        "message": "steps is 1000: pattern-v1 allows 1 to 50",
    }


def test_what_takes_too_long_is_canceled(idle_grid: Grid, call: Call) -> None:
    ran = call("generate", "x", *PATTERN, "--timeout", "0.2", environment=idle_grid.environment)
    assert ran.returncode == 1
    assert "not finished after 0.2 s" in ran.stderr
    assert asyncio.run(unfinished(idle_grid)) == []


async def unfinished(grid: Grid) -> list[str]:
    """Projects of the account that still wait or run."""
    async with dreamgrid.AsyncClient(grid.ready["url"], grid.ready["api_key"]) as client:
        active = await client._http.bare("/api/v1/artist/projects/active", ActiveProjects)
        return [project["id"] for project in active.projects]


async def some_finished(grid: Grid) -> bool:
    """Whether an unfinished project of the account has a finished picture."""
    async with dreamgrid.AsyncClient(grid.ready["url"], grid.ready["api_key"]) as client:
        for project_id in await unfinished(grid):
            path = f"/v2/projects/{project_id}"
            answer = await client._http.rest("GET", path, ProjectAnswer)
            if answer.project.completed_jobs:
                return True
    return False


def test_ctrl_c_cancels_the_project_and_says_so(idle_grid: Grid, tmp_path: Path) -> None:
    process = start("generate", "x", *PATTERN, environment=idle_grid.environment, cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not asyncio.run(unfinished(idle_grid)):
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "canceled; nothing is charged for what was not finished\n"
    assert asyncio.run(unfinished(idle_grid)) == []


def test_pictures_that_were_finished_before_ctrl_c_are_saved(grid: Grid, tmp_path: Path) -> None:
    asked = ("generate", "a cat", *PATTERN, "--count", "16", "--size", "1024x1024", "--steps", "50")
    process = start(*asked, "--out", "kept", "--json", environment=grid.environment, cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not asyncio.run(some_finished(grid)):
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    last = json.loads(output.splitlines()[-1])
    assert process.returncode == 130
    assert (last["event"], last["canceled"]) == ("interrupted", True)
    assert 1 <= len(last["files"]) < 16
    assert all((tmp_path / file).stat().st_size > 0 for file in last["files"])


def test_without_a_grid_one_is_started_for_the_moment(tmp_path: Path) -> None:
    data = tmp_path / "data"
    environment = {"DREAMGRID_DATA": str(data)}
    # What a grid that was killed leaves behind must not disturb.
    data.mkdir()
    stale = {"url": "http://127.0.0.1:9", "api_key": "k", "pid": 1}
    (data / "running.json").write_text(json.dumps(stale))
    ran = run("generate", "x", *PATTERN, "--json", environment=environment, cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (tmp_path / ran.last_json["files"][0]).is_file()


def test_an_engine_that_lacks_something_says_what_to_install(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = EngineSpec(
        name="dreamlet",
        models=tuple,
        create=lambda _: pytest.fail("it has no model"),
        missing="pip install -e '.[embedded]' in the clone",
    )
    engine = FoundEngine(name="dreamlet", reference="", spec=lacking, models=())
    registry = Registry(engines=(*find_engines().engines, engine))
    monkeypatch.setattr("dreamgrid.cli.grid.find_engines", lambda: registry)
    ran = call("generate", "x", *PATTERN, environment={"DREAMGRID_DATA": str(tmp_path / "data")})
    assert ran.returncode == 0
    assert "pip install -e '.[embedded]' in the clone" in ran.stderr


def test_two_at_once_without_a_grid_take_turns(tmp_path: Path) -> None:
    environment = {"DREAMGRID_DATA": str(tmp_path / "data")}
    both = [start("generate", "x", *PATTERN, "--json", environment=environment) for _ in range(2)]
    for process in both:
        said, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
        assert json.loads(said)["event"] == "completed"


def test_flags_win_over_the_environment_and_that_over_this_machines_grid(
    grid: Grid, idle_grid: Grid, call: Call
) -> None:
    here = {"DREAMGRID_DATA": str(grid.data)}

    def workers(*flags: str, environment: dict[str, str]) -> Any:
        listed = call("models", "--json", *flags, environment=environment).last_json
        return {model["id"]: model["workers"] for model in listed}["pattern-v1"]

    assert workers(environment=here) == 1
    assert workers(environment=here | idle_grid.environment) == 0
    flags = ("--server", grid.ready["url"], "--key", grid.ready["api_key"])
    assert workers(*flags, environment=here | idle_grid.environment) == 1


def test_in_a_terminal_the_picture_appears_while_it_is_painted(grid: Grid, tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    leader, follower = pty.openpty()
    environment = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LINES": "40"}
    process = subprocess.Popen(
        [*COMMAND, "generate", "a red apple", *PATTERN, "--steps", "40"],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=clean(grid.environment | environment | {"COLUMNS": "100"}),
        cwd=tmp_path,
    )
    os.close(follower)
    shown = b""
    while chunk := _read(leader):
        shown += chunk
    os.close(leader)
    text = shown.decode()
    assert process.wait(60) == 0, text
    assert text.count("▀") > 1000
    assert "seed " in text
    assert "dreamgrid-out/a-red-apple-" in text
    assert "\x1b[?25h" in text, "the cursor is hidden for good"


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that the other side is closed
        return b""


def test_the_demo_paints_saves_and_says_what_to_try_next(tmp_path: Path) -> None:
    environment = {"DREAMGRID_DATA": str(tmp_path / "data")}
    ran = run("demo", "a red apple", environment=environment, cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    (picture,) = (tmp_path / "dreamgrid-out").iterdir()
    assert picture.read_bytes().startswith(HEAD["png"])
    assert ran.stdout.count("dreamgrid-out/a-red-apple-") == 2
    assert " spark, by " in ran.stdout
    assert ran.stdout.count(" generate ") == 2
    assert " up" in ran.stdout


def test_models_and_keys_for_people(grid: Grid, call: Call) -> None:
    shown = call("models", environment=grid.environment)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "pattern-v1" in shown.stdout
    assert "1 to 50 (8)" in shown.stdout
    assert "flux1-schnell-fp8" not in shown.stdout  # no worker serves it
    assert "dreamgrid models --all" in shown.stdout
    everything = call("models", "--all", environment=grid.environment | {"COLUMNS": "200"}).stdout
    assert "flux1-schnell-fp8" in everything
    assert "Flux.1 [schnell]" in everything

    made = call("keys", "create", "phone", environment=grid.environment)
    secret = made.stdout.strip()
    assert made.returncode == 0
    assert "not shown again" in made.stderr
    assert call("keys", "list", "--key", secret, environment=grid.environment).returncode == 0


def test_a_grid_without_workers_says_so(idle_grid: Grid, call: Call) -> None:
    shown = call("models", environment=idle_grid.environment)
    assert shown.returncode == 0
    assert "models have no worker now; dreamgrid models --all lists them" in shown.stdout


def test_the_owner_grants_more_to_spend(grid: Grid, call: Call) -> None:
    first = call("grant", "local", "0.5", "--json", environment=grid.environment).last_json
    again = call("grant", "local", "2", "--json", environment=grid.environment).last_json
    assert Decimal(again["spark"]) - Decimal(first["spark"]) == 2
    lines = call("grant", "local", "1", environment=grid.environment).stdout
    assert " spark, 1000 sogni\n" in lines
    below = call("grant", "local", "-5", environment=grid.environment)
    assert below.returncode == 2
    assert "below zero" in below.stderr
    assert call("grant", "nobody", "1", environment=grid.environment).returncode == 2
    assert call("grant", "local", "much", environment=grid.environment).returncode == 2


def test_a_revoked_key_is_useless(grid: Grid, call: Call) -> None:
    made = call("keys", "create", "tablet", "--json", environment=grid.environment).last_json
    listed = call("keys", "list", "--json", environment=grid.environment).last_json
    shown = next(key for key in listed if key["id"] == made["id"])
    assert "key" not in shown
    revoke = ("keys", "revoke", made["id"])
    assert call(*revoke, environment=grid.environment).returncode == 0
    again = call(*revoke, environment=grid.environment)
    assert again.returncode == 2
    assert "keys list" in again.stderr
    assert call("keys", "list", "--key", made["key"], environment=grid.environment).returncode == 3


def test_help_and_version_load_neither_server_nor_client(call: Call) -> None:
    program = (
        "import sys\nfrom dreamgrid.cli.app import app\n"
        "try: app(['generate', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'aiohttp', 'numpy', 'PIL', 'dreamgrid.server', 'dreamgrid.worker'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "Make pictures from words" in ran.stdout
    assert call("--version", environment={}).stdout == f"dreamgrid {dreamgrid.__version__}\n"


def test_a_model_that_no_worker_offers_is_refused_and_says_what_to_do(
    idle_grid: Grid, call: Call
) -> None:
    asked = ("generate", "x", "--model", "dreamlet-v1", "--timeout", "0.1")
    ran = call(*asked, environment=idle_grid.environment)
    assert ran.returncode == 1
    assert "dreamgrid work --model dreamlet-v1" in ran.stderr


def test_on_a_grid_that_was_just_started_the_first_worker_is_waited_for(tmp_path: Path) -> None:
    with running("serve", "--json", "--port", "0", data=tmp_path / "data") as young:
        asked = ("generate", "x", *PATTERN, "--json")
        process = start(*asked, environment=young.environment, cwd=tmp_path)
        work = ("work", "--json", "--model", "pattern-v1")
        with running(*work, data=tmp_path / "worker", environment=young.environment):
            output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert json.loads(output.splitlines()[-1])["event"] == "completed"


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("dreamgrid gen", "generate"),
        ("dreamgrid projects ", "watch"),
        ("dreamgrid generate apple --mo", "--model"),
        ("dreamgrid generate apple --network ", "relaxed"),
        ("dreamgrid grant local -5 --token ", "sogni"),
        ("dreamgrid keys create shop --scope ", "render"),
    ],
)
def test_a_shell_completes_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, offered: str
) -> None:
    monkeypatch.setenv("_DREAMGRID_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
    with pytest.raises(SystemExit) as ended:
        typer.main.get_command(app)(args=[], prog_name="dreamgrid")
    said = capsys.readouterr()
    assert (ended.value.code, said.err) == (0, "")
    assert offered in said.out.split()


def test_words_without_quotes_are_shown_with_them(generate: Call) -> None:
    said = generate("and", "a", "moon", "--seed", "3").stderr
    assert 'put it in quotes: dreamgrid generate "A red apple! and a moon"' in said
