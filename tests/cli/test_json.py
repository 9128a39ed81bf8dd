"""Every command that prints data prints it as JSON too, with the fields that the page promises."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Call
from tests.cli.processes import Grid
from tests.docs.test_cli_page import promised


def first(said: Any) -> dict[str, Any]:
    """The record, or the first one of a list."""
    record: dict[str, Any] = said[0] if isinstance(said, list) else said
    return record


def test_what_commands_print_for_programs_has_the_promised_fields(
    grid: Grid, call: Call, config: Path
) -> None:
    fields = promised()

    def told(command: str, *arguments: str) -> Any:
        ran = call(*command.split(), *arguments, "--json", environment=grid.environment)
        assert (ran.returncode, len(ran.stdout.splitlines())) == (0, 1), (command, ran)
        said = ran.last_json
        assert set(first(said)) == fields[command], command
        return said

    project = told("generate", "a sun", "--model", "pattern-v1")["project"]
    told("status")
    told("models")
    told("presets", "pattern-v1")
    told("estimate", "pattern-v1")
    told("explain", project)
    told("projects list")
    told("projects download", project)
    told("projects cancel", project)
    told("admin refund", project)
    told("projects delete", project, "--yes")
    told("account balance")
    told("account history")
    told("account login", "--server", grid.ready["url"], "--key", grid.ready["api_key"])
    told("account logout")
    told("keys create", "shown")
    told("keys list")
    told("keys revoke", "shown")
    told("grant", "local", "1")
    told("admin grant", "local", "1")
    told("admin limits", "local")
    told("admin ban", "app", "nobody")
    told("admin ban", "app", "nobody", "--lift")
    assert set(grid.ready) == fields["up"]


def test_a_project_is_shown_and_watched_for_programs(grid: Grid, call: Call) -> None:
    asked = ("generate", "a sun", "--model", "pattern-v1", "--json")
    project = call(*asked, environment=grid.environment).last_json["project"]
    shown = call("projects", "show", project, "--json", environment=grid.environment).last_json
    assert set(shown) == promised()["projects list"] | {"jobs"}
    assert set(shown["jobs"][0]) == promised()["projects show"]
    watched = call("projects", "watch", project, "--json", environment=grid.environment).stdout
    for line in watched.splitlines():
        assert {"event", "project_id"} <= json.loads(line).keys()


@pytest.mark.parametrize("command", ["accounts", "workers", "log"])
def test_lists_of_an_administrator_are_json(grid: Grid, call: Call, command: str) -> None:
    call("admin", "limits", "local", environment=grid.environment)
    ran = call("admin", command, "--json", environment=grid.environment)
    assert ran.returncode == 0
    assert first(ran.last_json)


def test_the_books_and_a_plan_are_json(grid: Grid, call: Call) -> None:
    for command in ("audit", "work plan", "work doctor"):
        arguments = ("--data", str(grid.data), "--json")
        ran = call(*command.split(), *arguments, environment=grid.environment)
        assert set(ran.last_json) == promised()[command], command
