"""The owner's file: what it may say, and what it says when something in it is wrong."""

import os
import re
from pathlib import Path

import msgspec
import pytest

from dreamgrid.errors import ConfigError
from dreamgrid.worker.settings import ALLOWED, Folders, Settings, config_file, read_settings

PAGE = Path(__file__).parents[2] / "docs" / "worker.md"


def write(folder: Path, text: str) -> Path:
    file = folder / "worker.toml"
    file.write_text(text)
    return file


def test_everything_may_be_left_out(tmp_path: Path) -> None:
    assert read_settings(write(tmp_path, "")) == Settings()
    assert read_settings(write(tmp_path, "[worker]\n")) == Settings()


def test_the_example_of_the_page_is_understood(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    settings = read_settings(write(tmp_path, example))
    assert settings.gpus == (0, 1)
    assert settings.folders.diffusers
    config = settings.config("https://grid.example.org", "dgk_x", tmp_path)
    config.validate()
    assert settings.rest_rules(tmp_path).hours


def test_the_page_and_the_errors_know_every_key() -> None:
    told = re.findall(r"^\| `([a-z_.]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    keys = {*Settings.__struct_fields__, *(f"folders.{n}" for n in Folders.__struct_fields__)}
    assert set(ALLOWED) == keys
    assert set(told) == keys - {"folders"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[worker]\n\nthreads = 'many'", "line 3: threads takes a whole number"),
        ("[worker]\nthreads = -1", "line 2: threads takes a whole number"),
        ("[worker]\nnetwork = 'slow'", 'line 2: network takes "fast" or "relaxed"'),
        ("[worker]\nmodels = 'one'", "line 2: models takes a list of ids"),
        ("[worker]\nmodels = ['one', 2]", "line 2: models takes a list of ids"),
        ("[worker]\ngive_way_percent = 101", "line 2: give_way_percent takes .* to 100"),
        ("[worker]\nname = 'x'\nthread = 1", "line 3: there is no thread; did you mean threads"),
        ("[worker]\nqqqq = 1", "line 2: there is no qqqq; there are: comfyui_url, engines"),
        ("[worker]\nhours = ['9-5']", "line 2: hours: '9-5' is no time: write 22:00-07:00"),
        ("# mine\n[wroker]\nname = 'x'", r"line 2: there is no wroker here; write \[worker\]"),
        ("[worker]\nname = x", "line 2: this is not TOML: Invalid value; text stands in quotes"),
        ("[worker]\nname = 'a'\nname = 'b'\n", "line 3: this is not TOML: Cannot overwrite"),
        ("[worker\nname = 'x'", "line 1: this is not TOML: Expected ']'"),
        ("worker = 3", r"line 1: worker is a section: write \[worker\]"),
        ("[[worker]]\nname = 'x'", r"line 1: worker is a section: write \[worker\]"),
        ("[worker]\n'name' = 3", "line 2: name takes at most 64 characters"),
        (f"[worker]\nname = '{'x' * 65}'", "line 2: name takes at most 64 characters"),
        ("worker.name = 3", "line 1: name takes at most 64 characters"),
        ("\nworker = {name = 3}", "line 2: name takes at most 64 characters"),
        ("[worker]\nfolders.diffusers = 3", "line 2: folders.diffusers takes the path"),
        ("[worker]\nfolders = {comfyui = 3}", "line 2: folders.comfyui takes the path"),
        (
            "[worker]\nname = 'x'\n[worker.folders]\n\ndiffusers = 1",
            "line 5: folders.diffusers takes the path",
        ),
        ("[worker.folders]\ndifusers = ''", "line 2: there is no difusers; did you mean diffusers"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_is_allowed(
    text: str, says: str, tmp_path: Path
) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigError, match=says) as error:
        read_settings(file)
    assert str(file) in str(error.value)


def test_a_file_that_is_named_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("DREAMGRID_WORKER_CONFIG", raising=False)
    assert config_file(None) is None
    usual = tmp_path / "dreamgrid" / "worker.toml"
    usual.parent.mkdir()
    usual.touch()
    assert config_file(None) == usual
    monkeypatch.setenv("DREAMGRID_WORKER_CONFIG", str(tmp_path / "other.toml"))
    named = config_file(None)
    assert named == tmp_path / "other.toml"
    with pytest.raises(ConfigError, match=r"there is no .*other\.toml: look at --config"):
        read_settings(named)


def test_engines_hear_of_folders_unless_the_environment_tells_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("DREAMGRID_COMFYUI_FOLDER", "DREAMGRID_DIFFUSERS_MODELS"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_CACHE", "/mine")
    folders = Folders(hugging_face="/theirs", comfyui="/comfy", diffusers="~/weights")
    Settings(folders=folders).show_engines()
    assert os.environ["HF_HUB_CACHE"] == "/mine"
    assert os.environ["DREAMGRID_COMFYUI_FOLDER"] == "/comfy"
    assert os.environ["DREAMGRID_DIFFUSERS_MODELS"] == str(Path.home() / "weights")


def test_the_key_may_lie_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("dgk_secret\n")
    assert Settings(key_file=str(tmp_path / "key")).api_key() == "dgk_secret"
    assert Settings(key="dgk_x", key_file=str(tmp_path / "none")).api_key() == "dgk_x"
    assert Settings().api_key() is None
    with pytest.raises(ConfigError, match=r"key_file .* cannot be read"):
        Settings(key_file=str(tmp_path / "none")).api_key()


def test_a_setting_of_the_file_is_one_of_the_worker(tmp_path: Path) -> None:
    settings = Settings(name="pc", models=("a-v1",), threads=3, network="relaxed")
    config = settings.config("https://grid.example.org", "dgk_x", tmp_path)
    for name in ("name", "models", "threads", "network", "filter_threshold"):
        assert getattr(config, name) == msgspec.structs.asdict(settings)[name]


def test_a_file_that_is_not_there_is_named_once(tmp_path: Path) -> None:
    path = tmp_path / "nothere.toml"
    with pytest.raises(ConfigError) as told:
        read_settings(path)
    assert str(told.value).count(str(path)) == 1
    assert "look at --config" in str(told.value)
