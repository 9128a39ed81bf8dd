"""`dreamgrid account`: who we are, remembered between commands and readable by us alone."""

import stat
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.processes import Grid

PASSWORD = {"DREAMGRID_PASSWORD": "correct horse"}


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """A person with no grid on this machine."""
    return {"DREAMGRID_DATA": str(tmp_path / "no-data")}


def test_somebody_signs_up_works_and_signs_out(
    grid: Grid, call: Call, config: Path, nowhere: dict[str, str]
) -> None:
    pytest.importorskip("eth_account", reason="signing in by name needs 'dreamgrid[wallet]'")
    url = grid.ready["url"]
    who = ("--username", "Clara", "--email", "clara@example.org")
    made = call(
        *("account", "signup", "--server", url, *who, "--json"), environment=nowhere | PASSWORD
    )
    assert (made.returncode, made.last_json["username"]) == (0, "Clara")
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert "correct horse" not in config.read_text()
    status = call("status", "--json", environment=nowhere).last_json
    assert (status["url"], status["username"]) == (url, "Clara")
    picture = call(*("generate", "a sun", "--model", "pattern-v1", "--json"), environment=nowhere)
    assert picture.returncode == 0
    history = call("account", "history", "--json", environment=nowhere).last_json
    assert {line["kind"] for line in history} == {"credit", "debit"}
    key = config.read_text()

    assert call("account", "logout", "--json", environment=nowhere).returncode == 0
    assert not config.exists()
    config.write_text(key)  # the key itself is worth nothing any more
    assert call("account", "balance", environment=nowhere).returncode == 3
    config.unlink()

    again = call(
        *("account", "login", "--server", url, "--username", "clara", "--json"),
        environment=nowhere | PASSWORD,
    )
    assert again.returncode == 0
    assert call("account", "logout", environment=nowhere).returncode == 0


def test_the_history_says_which_project_and_model_it_was(grid: Grid, call: Call) -> None:
    asked = ("generate", "a sun", "--model", "pattern-v1", "--json")
    project = call(*asked, environment=grid.environment).last_json["project"]
    history = call("account", "history", "--json", environment=grid.environment).last_json
    paid = next(line for line in history if line["kind"] == "debit")
    earned = next(line for line in history if line["job"])
    assert (paid["project"], paid["model"], paid["job"]) == (project, "pattern-v1", None)
    assert (earned["project"], earned["model"]) == (project, "pattern-v1")
    shown = call("account", "history", environment=grid.environment).stdout
    assert project in shown
    assert f"-{paid['amount']} {paid['token']}" in shown


def test_a_wrong_password_is_told_and_nothing_is_kept(
    grid: Grid, call: Call, config: Path, nowhere: dict[str, str]
) -> None:
    pytest.importorskip("eth_account", reason="signing in by name needs 'dreamgrid[wallet]'")
    ran = call(
        *("account", "login", "--server", grid.ready["url"], "--username", "nobody"),
        environment=nowhere | PASSWORD,
    )
    assert ran.returncode == 3
    assert "error:" in ran.stderr
    assert not config.exists()


def test_a_key_is_enough_to_sign_in(
    grid: Grid, call: Call, config: Path, nowhere: dict[str, str]
) -> None:
    flags = ("--server", grid.ready["url"], "--key", grid.ready["api_key"])
    assert call("account", "login", *flags, environment=nowhere).returncode == 0
    assert float(call("account", "balance", "--json", environment=nowhere).last_json["spark"]) > 0
    assert call("account", "logout", environment=nowhere).returncode == 0
    # The key was not made for this: others may use it.
    assert call("account", "balance", environment=grid.environment).returncode == 0


def test_environment_and_flags_win_over_the_login(
    grid: Grid, idle_grid: Grid, call: Call, config: Path, nowhere: dict[str, str]
) -> None:
    flags = ("--server", idle_grid.ready["url"], "--key", idle_grid.ready["api_key"])
    assert call("account", "login", *flags, environment=nowhere).returncode == 0

    def asked(*more: str, environment: dict[str, str]) -> str:
        return str(call("status", "--json", *more, environment=environment).last_json["url"])

    assert asked(environment=nowhere) == idle_grid.ready["url"]
    assert asked(environment=nowhere | grid.environment) == grid.ready["url"]
    other_key = {"DREAMGRID_API_KEY": "dgk_of_nobody"}
    assert call("status", environment=nowhere | other_key).returncode == 3
    here = ("--server", grid.ready["url"], "--key", grid.ready["api_key"])
    assert asked(*here, environment=nowhere) == grid.ready["url"]


def test_a_broken_file_is_named(call: Call, config: Path, nowhere: dict[str, str]) -> None:
    config.write_text("server = http://unquoted")
    ran = call("status", environment=nowhere)
    assert ran.returncode == 2
    assert str(config) in ran.stderr


@pytest.mark.parametrize("broken", [b"server = http://unquoted", b"server = 3", b"\xff\xfe"])
def test_a_broken_file_does_not_keep_anybody_from_signing_out(
    call: Call, config: Path, nowhere: dict[str, str], broken: bytes
) -> None:
    config.write_bytes(broken)
    ran = call("account", "logout", environment=nowhere)
    assert (ran.returncode, ran.stdout) == (0, "signed out\n")
    kept = config.with_name("config.toml.broken")
    assert str(kept) in ran.stderr
    assert kept.read_bytes() == broken, "a key that was in it is lost"
    assert not config.exists()
    config.write_bytes(broken)
    told = call("account", "logout", "--json", environment=nowhere).last_json
    assert (told["event"], told["set_aside"]) == ("logged_out", str(kept))
    assert call("account", "logout", environment=nowhere).returncode == 2, "signed out already"


def test_whoever_is_not_signed_in_cannot_sign_out(
    call: Call, config: Path, nowhere: dict[str, str]
) -> None:
    ran = call("account", "logout", environment=nowhere)
    assert ran.returncode == 2
    assert "dreamgrid account login" in ran.stderr


def test_a_history_that_goes_on_says_how_to_see_more(grid: Grid, call: Call) -> None:
    call("generate", "a sun", "--model", "pattern-v1", environment=grid.environment)
    cut = call("account", "history", "--limit", "1", environment=grid.environment)
    assert "--offset 1 reads on" in cut.stderr
    programs = call("account", "history", "--limit", "1", "--json", environment=grid.environment)
    assert (len(programs.last_json), programs.stderr) == (1, "")
    beyond = call("account", "history", "--offset", "9999", environment=grid.environment)
    assert (beyond.stdout, beyond.stderr) == ("nothing yet\n", "")
