"""Which settings count: typed ones before the environment's before the file's."""

from pathlib import Path

import pytest

from dreamgrid.cli.exits import BAD_INPUT, FAILED
from dreamgrid.cli.owner import settings_from
from dreamgrid.errors import ConfigError
from tests.cli.conftest import Call
from tests.cli.processes import Grid, running


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "worker.toml"
    path.write_text(
        '[worker]\nserver = "https://file.example"\nkey = "dgk_file"\nname = "file"\nthreads = 3\n'
    )
    return path


@pytest.fixture(autouse=True)
def no_grid_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DREAMGRID_URL", raising=False)
    monkeypatch.delenv("DREAMGRID_API_KEY", raising=False)


def test_what_is_typed_comes_first(file: Path) -> None:
    settings = settings_from(file, {"name": "typed", "threads": None})
    assert (settings.name, settings.threads) == ("typed", 3)
    assert (settings.server, settings.key) == ("https://file.example", "dgk_file")


def test_the_key_of_one_grid_never_goes_to_another(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings_from(file, {"server": "https://typed.example"}).key is None
    monkeypatch.setenv("DREAMGRID_URL", "https://environment.example")
    settings = settings_from(file)
    assert (settings.server, settings.key) == (None, None)  # the environment is looked at later


def test_a_key_of_the_environment_comes_before_that_of_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DREAMGRID_API_KEY", "dgk_environment")
    settings = settings_from(file)
    assert (settings.server, settings.key) == ("https://file.example", None)


def test_a_worker_runs_from_its_file_alone(idle_grid: Grid, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(idle_grid.ready["api_key"])
    file = tmp_path / "worker.toml"
    file.write_text(
        f'[worker]\nserver = "{idle_grid.ready["url"]}"\nkey_file = "{tmp_path / "key"}"\n'
        'name = "from-a-file"\nmodels = ["pattern-v1"]\n'
    )
    with running("work", "--json", "--config", str(file), data=tmp_path / "w") as worker:
        assert worker.ready["event"] == "Joined"
        assert worker.ready["name"] == "from-a-file"
        assert worker.ready["models"] == ["pattern-v1"]


@pytest.mark.parametrize("command", [("work",), ("work", "plan"), ("work", "download", "x")])
def test_every_command_of_workers_names_the_line_of_a_mistake(
    call: Call, tmp_path: Path, command: tuple[str, ...]
) -> None:
    file = tmp_path / "worker.toml"
    file.write_text("[worker]\nthreads = 'many'\n")
    ran = call(*command, environment={"DREAMGRID_WORKER_CONFIG": str(file)})
    assert ran.returncode == BAD_INPUT
    assert f"{file}, line 2: threads takes a whole number" in ran.stderr


def test_a_file_of_a_key_that_is_not_there_is_told_with_its_line(file: Path) -> None:
    file.write_text('[worker]\nname = "file"\nkey_file = "/nowhere/key"\n')
    with pytest.raises(ConfigError) as told:
        settings_from(file)
    reason = "key_file /nowhere/key cannot be read: No such file or directory"
    assert str(told.value) == f"{file}, line 3: {reason}"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [("threads = 'many'", "threads takes a whole number"), ("key_file = '/x/y'", "key_file /x/y")],
)
def test_the_doctor_finds_a_mistake_in_the_file_and_looks_at_the_rest(
    call: Call, tmp_path: Path, line: str, complaint: str
) -> None:
    file = tmp_path / "worker.toml"
    file.write_text(f"[worker]\n{line}\n")
    ran = call("work", "doctor", "--config", str(file), "--json", environment={})
    found = {row["subject"]: row for row in ran.last_json["findings"]}
    assert (ran.returncode, found["settings"]["level"]) == (FAILED, "problem")
    assert f"{file}, line 2: {complaint}" in found["settings"]["text"]
    assert "processor" in found
    assert "grid" not in found
