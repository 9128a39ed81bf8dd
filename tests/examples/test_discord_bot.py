"""examples/discord_bot.py on a real server, with somebody who asks in place of Discord."""

import asyncio
import importlib.util
import re
import runpy
import signal
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

import dreamgrid.testing
from tests.cli.processes import clean

EXAMPLE = Path(__file__).parents[2] / "examples" / "discord_bot.py"


class Asker:
    """Somebody who wrote a command: what they see of the answer."""

    def __init__(self) -> None:
        self.response = self
        self.seen: list[str] = []
        self.files: list[bytes] = []
        self.told = asyncio.Event()
        self.thinking = False

    async def defer(self, *, thinking: bool) -> None:
        self.thinking = thinking

    async def edit_original_response(
        self, *, content: str, attachments: tuple[Any, ...], allowed_mentions: Any
    ) -> None:
        assert self.thinking, "Discord was not answered at once"
        assert allowed_mentions.to_dict() == {"parse": []}
        self.seen.append(content)
        self.files += [file.fp.read() for file in attachments]
        self.told.set()


@pytest.fixture(scope="module")
def example() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own, about the standard library
        pytest.importorskip("discord")
    spec = importlib.util.spec_from_file_location(EXAMPLE.stem, EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def grid() -> AsyncIterator[dreamgrid.testing.Grid]:
    async with dreamgrid.testing.grid() as one:
        yield one


@pytest.fixture
async def bot(example: ModuleType, grid: dreamgrid.testing.Grid) -> AsyncIterator[Any]:
    async with example.Bot(grid.client) as one:
        yield one


async def ask(bot: Any, prompt: str) -> Asker:
    """`/paint PROMPT`, as Discord hands it to the bot's command."""
    asker = Asker()
    (command,) = bot.tree.get_commands()
    assert command.name == "paint"
    await command.callback(cast("Any", asker), prompt)
    return asker


async def test_who_asks_sees_the_picture_and_what_it_cost(
    bot: Any, grid: dreamgrid.testing.Grid
) -> None:
    await grid.worker()
    asker = await ask(bot, "a *red* apple")
    await asyncio.gather(*bot.tasks)
    (picture,) = asker.files
    assert picture.startswith(b"\x89PNG")
    (result,) = await grid.client.projects.list_recent()
    charge = await (await grid.client.projects.attach(result.project_id)).charge()
    assert asker.seen[-1] == f"**a \\*red\\* apple**\n{charge}, seed {result.seed}"
    assert bot.tasks == set()


async def test_a_message_is_changed_at_most_once_a_second(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [
        dreamgrid.Progressed(
            project_id="P",
            job_id="J",
            job_index=0,
            step=step,
            step_count=20,
            fraction=step / 20,
            eta_s=None,
        )
        for step in range(1, 21)
    ]
    now_s = 0.0

    class Project:
        async def events(self) -> AsyncIterator[dreamgrid.Event]:
            nonlocal now_s
            for step in steps:
                yield step
                now_s += 0.25

    clock = type("Clock", (), {"time": lambda _: now_s})()
    monkeypatch.setattr(example.asyncio, "get_running_loop", lambda: clock)
    said = [words async for words in example.stages(cast("Any", Project()))]
    assert said == ["5%", "25%", "45%", "65%", "85%"]


async def test_what_the_grid_refuses_is_told(bot: Any) -> None:
    asker = await ask(bot, "a red apple")
    await asyncio.gather(*bot.tasks)
    assert "That did not work: " in asker.seen[-1]


async def test_a_bot_that_is_closed_cancels_what_is_unfinished_and_says_so(
    bot: Any, grid: dreamgrid.testing.Grid
) -> None:
    worker = await grid.worker("fall_silent")
    asker = await ask(bot, "a red apple")
    await worker.fell_silent()
    await asker.told.wait()
    await bot.close()
    assert asker.seen[-1].endswith("The bot was stopped; what was not delivered is not charged.")
    (record,) = await grid.client.projects.list_projects()
    assert (await grid.client.projects.attach(record.id)).state == "canceled"


RUN = """
import asyncio, runpy, sys, discord

async def start(bot, token):
    print("started with", token, flush=True)
    await asyncio.Event().wait()

discord.Client.start = start
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def test_ctrl_c_ends_the_bot_without_a_word(example: ModuleType) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(EXAMPLE)],
        env=clean({"DREAMGRID_URL": "http://127.0.0.1:9", "DISCORD_TOKEN": "a-token"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started with a-token\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert not re.search("Traceback|never|Unclosed", said), said


def test_a_bot_without_a_token_says_so() -> None:
    ran = subprocess.run(
        [sys.executable, str(EXAMPLE)], env=clean({}), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert "DISCORD_TOKEN is not set" in ran.stderr


def test_without_discords_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "discord", None)
    with pytest.raises(SystemExit, match="pip install"):
        runpy.run_path(str(EXAMPLE))
