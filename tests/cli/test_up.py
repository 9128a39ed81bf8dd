import asyncio
import io
import json
import signal
import socket
import stat
from pathlib import Path

import aiohttp
import psutil
import pytest
from rich.console import Console

import dreamgrid
from dreamgrid.cli.foreground import _welcome
from dreamgrid.cli.grid import GridOptions, GridReady
from dreamgrid.server.config import ServerConfig
from tests.cli.conftest import Call
from tests.cli.processes import Grid, running, start

UP = ("up", "--json", "--port", "0")
PATTERN = "pattern-v1"
PROJECT = "6F1E9D1C-2A6B-4B6E-9C61-5B0C4D1F2A33"


async def make(grid: Grid, **settings: object) -> list[dreamgrid.Result]:
    async with dreamgrid.AsyncClient(grid.ready["url"], grid.ready["api_key"]) as client:
        project = await client.projects.create(
            **{"model": PATTERN, "prompt": "a red apple", **settings}  # type: ignore[arg-type]
        )
        return await project.wait(timeout_s=60)


async def test_the_first_line_comes_when_it_is_ready_to_serve(grid: Grid) -> None:
    assert set(grid.ready) == {"url", "api_key", "account", "studio_url", "models"}
    assert PATTERN in grid.ready["models"]
    assert len(await make(grid, count=2)) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with running(*UP, data=tmp_path / "data") as grid:
        children = psutil.Process(grid.process.pid).children(recursive=True)
        assert children, "the engine has a process of its own"
        asyncio.run(make(grid))
        code, rest = grid.stop(number)
        assert (code, rest) == (0, "")
        assert not [child for child in children if child.is_running()]
        assert not (grid.data / "running.json").exists()
        assert grid.errors.read_text() == ""


def test_it_ends_with_apps_connected_and_renders_under_way(tmp_path: Path) -> None:
    with running(*UP, data=tmp_path / "data") as grid:

        async def stop_while_busy() -> tuple[int, str]:
            async with dreamgrid.AsyncClient(grid.ready["url"], grid.ready["api_key"]) as client:
                project = await client.projects.create(
                    model=PATTERN, prompt="x", count=16, width=2048, height=2048, steps=50
                )
                async for event in project.events():
                    if isinstance(event, dreamgrid.Progressed):
                        return await asyncio.to_thread(grid.stop)
            raise AssertionError("it never began to render")

        code, _ = asyncio.run(stop_while_busy())
        assert code == 0
        assert grid.errors.read_text() == ""


def test_state_survives_a_restart_and_a_kill(tmp_path: Path) -> None:
    data = tmp_path / "data"

    async def ask(grid: Grid) -> tuple[set[str], str]:
        async with dreamgrid.AsyncClient(grid.ready["url"], grid.ready["api_key"]) as client:
            keys = await client.account.keys.list()
            return {key.name for key in keys}, str(await client.account.balance())

    async def leave_something(grid: Grid) -> None:
        async with dreamgrid.AsyncClient(grid.ready["url"], grid.ready["api_key"]) as client:
            await client.account.keys.create("phone")
        await make(grid)

    with running(*UP, data=data) as first:
        asyncio.run(leave_something(first))
        before = asyncio.run(ask(first))
        first.process.send_signal(signal.SIGKILL)  # leaves running.json behind
        first.process.wait()
    with running(*UP, data=data) as second:
        assert asyncio.run(ask(second)) == before
        assert before[0] == {"local", "phone"}
        assert second.ready["api_key"] == first.ready["api_key"]
        assert second.ready["account"] == first.ready["account"]
        assert second.stop()[0] == 0


def test_other_commands_find_it_by_its_folder(grid: Grid, call: Call) -> None:
    note = grid.data / "running.json"
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    assert json.loads(note.read_text())["url"] == grid.ready["url"]
    ran = call("keys", "list", "--json", environment={"DREAMGRID_DATA": str(grid.data)})
    assert "local" in {key["name"] for key in ran.last_json}


def test_a_worker_does_not_take_the_place_of_the_one_that_its_grid_was_started_with(
    grid: Grid, call: Call
) -> None:
    ran = call("work", environment={"DREAMGRID_DATA": str(grid.data)})
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "'dreamgrid serve' starts a grid without" in ran.stderr
    assert grid.process.poll() is None


def test_server_and_worker_as_two_commands_do_the_same(idle_grid: Grid, tmp_path: Path) -> None:
    assert idle_grid.ready["models"] == []
    arguments = ("work", "--json", "--name", "the-worker", "--model", PATTERN)
    with running(*arguments, data=tmp_path / "w", environment=idle_grid.environment) as worker:
        assert worker.ready["event"] == "Joined"
        assert worker.ready["models"] == [PATTERN]
        assert len(asyncio.run(make(idle_grid))) == 1
        code, rest = worker.stop()
        assert code == 0
        assert [json.loads(line)["event"] for line in rest.splitlines()] == [
            "JobStarted",
            "JobFinished",
            "DrainBegan",
        ]


CATALOG = {
    "models": [
        {
            "id": "attic-v1",
            "name": "Attic",
            "SID": 5001,
            "tier": "attic",
            "media": "image",
            "networks": ["fast"],
            "size": {
                **{"width": 512, "height": 512, "min": 256, "max": 1024},
                **{"step": 8, "maxPixels": 1048576},
            },
        }
    ],
    "tiers": {
        "attic": {
            "nickname": "Attic",
            "benchmark": {"sec": 5, "secCN": 0, "secMaxPreviews": 0},
            "steps": {"min": 1, "max": 50, "default": 20},
            "guidance": {"min": 1, "max": 20, "decimals": 1, "default": 7.5},
            "sampler": {"allowed": ["Euler"], "default": "Euler"},
            "scheduler": {"allowed": ["Simple"], "default": "Simple"},
        }
    },
}


@pytest.mark.parametrize("way", ["flags", "environment"])
def test_a_server_for_others_is_set_up_by_flags_or_environment(tmp_path: Path, way: str) -> None:
    catalog = tmp_path / "attic.json"
    catalog.write_text(json.dumps(CATALOG))
    flags = {
        "catalog": str(catalog),
        "public-url": "https://grid.example.org/",
        "signup": "closed",
        "web-origin": "https://app.example.org/",
        "trusted-proxy": "192.0.2.1",
    }
    arguments: list[str] = []
    environment: dict[str, str] = {}
    for name, value in flags.items():
        if way == "flags":
            arguments += [f"--{name}", value]
        else:
            environment["DREAMGRID_" + name.upper().replace("-", "_")] = value

    async def look(grid: Grid) -> None:
        headers = {"api-key": grid.ready["api_key"]}
        async with aiohttp.ClientSession(grid.ready["url"], headers=headers) as http:
            async with http.get("/api/v1/models/list") as answer:
                assert "attic-v1" in await answer.text()
            query = {"imageId": PROJECT, "type": "startingImage", "jobId": PROJECT}
            async with http.get("/v1/image/uploadUrl", params=query) as answer:
                assert '"https://grid.example.org/blobs/' in await answer.text()
            wish = {
                **{"appid": "a", "username": "alice", "email": "a@b.org", "subscribe": 0},
                **{"walletAddress": "0x" + "a" * 40, "signature": "0x" + "1" * 130},
            }
            async with http.post("/v1/account/create", json=wish) as answer:
                assert "sign-up is closed" in await answer.text()

    serve = ("serve", "--json", "--port", "0", *arguments)
    with running(*serve, data=tmp_path / "data", environment=environment) as grid:
        asyncio.run(look(grid))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("up", "--port", "{port}"), "choose another with --port"),
        (("serve", "--port", "{port}"), "choose another with --port"),
        (("up", "--port", "0", "--data", "{file}"), "it is a file"),
        (("up", "--port", "0", "--data", "{used}"), "another dreamgrid is using"),
        (("up", "--port", "0", "--catalog", "{file}"), "test_up.py"),
        (("serve", "--port", "0", "--public-url", "grid.example.org"), "must begin with http"),
        (("up", "--port", "0", "--web-origin", "app.example.org"), "as browsers write it"),
        (("work", "--server", "{url}"), "api_key is missing"),
        (("work",), "no grid to work for"),
        (("work", "--server", "{url}", "--key", "k", "--model", "m"), "no installed engine"),
    ],
)
def test_what_cannot_start_says_why_in_a_line(
    grid: Grid, call: Call, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        values = {
            "port": taken.getsockname()[1],
            "file": Path(__file__),
            "used": grid.data,
            "url": grid.ready["url"],
        }
        ran = call(
            *(argument.format(**values) for argument in arguments),
            environment={"DREAMGRID_DATA": str(tmp_path / "data")},
        )
    assert ran.returncode == 2
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("command", ["serve", "up"])
def test_nothing_is_said_to_start_where_a_setting_is_wrong(
    command: str, call: Call, tmp_path: Path
) -> None:
    wrong = ("--port", "0", "--public-url", "grid.example.org")
    ran = call(command, *wrong, environment={"DREAMGRID_DATA": str(tmp_path / "data")})
    assert (ran.returncode, ran.stdout) == (2, "")


def test_a_worker_with_a_wrong_key_is_told_and_ends(grid: Grid, call: Call, tmp_path: Path) -> None:
    ran = call(
        *("work", "--server", grid.ready["url"], "--key", "wrong"),
        environment={"DREAMGRID_DATA": str(tmp_path / "data")},
    )
    assert ran.returncode == 3
    assert ran.stderr.startswith("error: ")


def test_a_person_gets_a_panel_with_what_to_try_next(tmp_path: Path) -> None:
    process = start("up", "--port", "0", "--data", str(tmp_path / "data"))
    assert process.stdout is not None
    shown = ""
    while "Ctrl-C ends it" not in shown:
        line = process.stdout.readline()
        assert line, process.communicate()
        shown += line
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert "http://127.0.0.1:" in shown
    assert 'dreamgrid generate "a red apple"' in shown
    assert "Stopped" in rest
    assert (process.returncode, errors) == (0, "")


def test_what_it_says_to_type_elsewhere_names_a_folder_that_is_not_the_usual_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    ready = GridReady(url="http://grid", api_key="k", account="local", studio_url="http://s")

    def told(folder: Path) -> str:
        out = io.StringIO()
        options = GridOptions(server=ServerConfig(data_dir=folder))
        Console(file=out).print(_welcome(ready, options), soft_wrap=True)
        return out.getvalue()

    commands = ("studio", 'generate "a red apple"', "models", "keys create phone")
    elsewhere, usual = told(tmp_path / "my grid"), told(tmp_path / "dreamgrid")
    for command in commands:
        assert f"dreamgrid {command} --data '{tmp_path}/my grid'\n" in elsewhere
        assert f"dreamgrid {command}\n" in usual
