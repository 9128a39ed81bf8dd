from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.processes import Grid, running


def test_what_an_administrator_does_is_in_the_log(idle_grid: Grid, call: Call) -> None:
    def admin(*arguments: str) -> object:
        ran = call("admin", *arguments, "--json", environment=idle_grid.environment)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.last_json

    assert admin("grant", "local", "5", "--reason", "a gift") != []
    admin("limits", "local", "--running", "3", "--priority", "-2")
    admin("ban", "app", "broken-app", "-r", "too loud")
    admin("ban", "app", "broken-app", "--lift")
    refunded = admin("refund", "6F1E9D1C-2A6B-4B6E-9C61-5B0C4D1F2A33")
    assert refunded == {
        "event": "refunded",
        "jobs": 0,
        "amount": "0",
        "token": "spark",
    }
    again = call("admin", "refund", "6F1E9D1C", environment=idle_grid.environment)
    assert "nothing to refund" in again.stdout
    log = admin("log")
    assert isinstance(log, list)
    assert [one["action"] for one in log[:4]] == ["unblock app", "block app", "limits", "grant"]
    assert log[3]["reason"] == "a gift"
    assert admin("workers") == []
    accounts = admin("accounts", "loc")
    assert isinstance(accounts, list)
    assert accounts[0]["limits"] == {"maxRunningJobs": 3, "priority": -2}
    admin("limits", "local")


@pytest.mark.parametrize("command", [("accounts",), ("workers",), ("log",)])
def test_lists_are_for_people_too(idle_grid: Grid, call: Call, command: tuple[str, ...]) -> None:
    ran = call("admin", *command, environment=idle_grid.environment)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("worker", "nobody", "pause"), 2),
        (("requeue", "nothing"), 2),
        (("cancel", "nothing"), 2),
        (("ban", "account", "local"), 2),
        (("grant", "local", "much"), 2),
    ],
)
def test_what_makes_no_sense_ends_with_its_code(
    idle_grid: Grid, call: Call, command: tuple[str, ...], code: int
) -> None:
    ran = call("admin", *command, environment=idle_grid.environment)
    assert ran.returncode == code
    assert ran.stderr


def test_others_are_refused(idle_grid: Grid, call: Call) -> None:
    made = call(
        "keys", "create", "--scope", "read", "--json", environment=idle_grid.environment
    ).last_json
    environment = idle_grid.environment | {"DREAMGRID_API_KEY": made["key"]}
    assert call("admin", "accounts", environment=environment).returncode == 3


def test_a_log_without_entries_says_so(call: Call, tmp_path: Path) -> None:
    with running("serve", "--json", "--port", "0", data=tmp_path / "data") as new:
        assert call("admin", "log", environment=new.environment).stdout == "nothing yet\n"
