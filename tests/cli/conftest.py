import asyncio
import contextvars
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dreamgrid.cli import main
from tests.cli.processes import Grid, Ran, clean, running
from tests.support.known import remember_workers

Call = Callable[..., Ran]


@pytest.fixture(scope="session")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    """A whole grid that many tests share."""
    data = tmp_path_factory.mktemp("grid") / "data"
    with running("up", "--json", "--port", "0", data=data) as one:
        yield one


@pytest.fixture(scope="session")
def idle_grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    """A server whose workers are away: what is sent there waits."""
    data = tmp_path_factory.mktemp("idle") / "data"
    asyncio.run(remember_workers(data, ["pattern-v1"], seen_s=time.time()))
    with running("serve", "--json", "--port", "0", data=data) as one:
        yield one


@pytest.fixture
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where commands of `call` keep what they remember; not there yet."""
    return tmp_path_factory.mktemp("config") / "config.toml"


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    config: Path,
) -> Call:
    """`dreamgrid ARGUMENTS` in this process, in an empty folder: as a process, only quicker."""

    def call(*arguments: str, environment: dict[str, str]) -> Ran:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["dreamgrid", *arguments])
            patch.chdir(tmp_path)
            for name in [name for name in os.environ if name.startswith("DREAMGRID_")]:
                patch.delenv(name)
            for name, value in clean(environment).items():
                patch.setenv(name, value)
            patch.setenv("DREAMGRID_CONFIG", str(config))
            capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                contextvars.copy_context().run(main)  # what it sets ends with it
            said = capsys.readouterr()
            code = ended.value.code or 0
            assert isinstance(code, int)
            return Ran(code, said.out, said.err)

    return call
