"""`dreamgrid projects`: what was asked for is found again by another process."""

import io
import re
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest

import dreamgrid
from dreamgrid.cli.projects import event_name
from dreamgrid.protocol.project_events import EventType
from tests.cli.conftest import Call
from tests.cli.processes import Grid

ASKED = ("generate", "a sun", "--model", "pattern-v1", "--size", "64x64", "--json")
NOBODY = "00000000-0000-4000-8000-000000000000"


def squeezed(table: str) -> str:
    """A table without the spaces that only align it."""
    return re.sub(r" *\n", "\n", re.sub(r" +", " ", table))


def test_a_finished_project_is_listed_shown_and_downloaded(
    grid: Grid, call: Call, tmp_path: Path
) -> None:
    made = call(*ASKED, "--count", "2", "--seed", "7", environment=grid.environment).last_json
    listed = call("projects", "list", "--json", environment=grid.environment).last_json
    row = next(one for one in listed if one["id"] == made["project"])
    assert (row["state"], row["delivered"], row["count"]) == ("completed", 2, 2)
    assert float(row["cost"]) == float(made["cost"])
    assert made["project"] in call("projects", "list", environment=grid.environment).stdout

    shown = call("projects", "show", made["project"], "--json", environment=grid.environment)
    assert [job["seed"] for job in shown.last_json["jobs"]] == made["seeds"]
    assert {job["state"] for job in shown.last_json["jobs"]} == {"delivered"}
    told = call("projects", "show", made["project"], environment=grid.environment).stdout
    assert "pattern-v1" in told
    assert f" {Decimal(made['cost']).normalize():f} {made['token']}\n" in squeezed(told)

    saved = call(
        *("projects", "download", made["project"], "--out", "again", "--json"),
        environment=grid.environment,
    ).last_json
    assert len(saved["files"]) == 2
    for old, new in zip(made["files"], saved["files"], strict=True):
        assert (tmp_path / old).read_bytes() == (tmp_path / new).read_bytes()


def test_a_table_in_a_pipe_is_as_wide_as_it_is(grid: Grid, call: Call) -> None:
    made = call(*ASKED, environment=grid.environment).last_json
    for command in (("models", "--all"), ("explain", made["project"]), ("projects", "list")):
        wide = call(*command, environment=grid.environment | {"COLUMNS": "10000"}).stdout
        narrow = call(*command, environment=grid.environment | {"COLUMNS": "60"}).stdout
        piped = call(*command, environment=grid.environment | {"COLUMNS": ""}).stdout
        assert max(map(len, narrow.splitlines())) <= 60, "COLUMNS decides where it is set"
        assert piped == wide != narrow, command


def test_a_project_that_was_canceled_is_listed_and_found_by_the_beginning_of_its_id(
    idle_grid: Grid, call: Call
) -> None:
    with dreamgrid.Client(idle_grid.ready["url"], idle_grid.ready["api_key"]) as client:
        project = client.projects.create(model="pattern-v1", prompt="never")
        project.cancel()
    listed = call("projects", "list", "--json", environment=idle_grid.environment).last_json
    row = next(one for one in listed if one["id"] == project.id)
    assert row["state"] == "canceled"
    shown = call("projects", "show", project.id[:13], "--json", environment=idle_grid.environment)
    assert shown.last_json["id"] == project.id
    for command in (("projects", "show"), ("explain",)):
        words = squeezed(call(*command, project.id, environment=idle_grid.environment).stdout)
        assert "canceled\n" in words
        assert "artistCanceled" not in words
    assert "it ended: canceled" in words


def test_a_finished_project_is_watched_from_its_first_event(grid: Grid, call: Call) -> None:
    made = call(*ASKED, environment=grid.environment).last_json
    ran = call("projects", "watch", made["project"], "--json", environment=grid.environment)
    assert ran.returncode == 0
    kinds = [line for line in ran.stdout.splitlines() if '"job_completed"' in line]
    assert len(kinds) == 1
    assert ran.last_json["event"] == "completed"


def test_what_was_made_is_deleted_after_a_question(
    grid: Grid, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = call(*ASKED, "--count", "2", environment=grid.environment).last_json
    delete = ("projects", "delete", made["project"])
    ran = call(*delete, environment=grid.environment)
    assert (ran.returncode, "add --yes" in ran.stderr) == (2, True), "nobody is there to be asked"
    terminal = io.StringIO("n\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    ran = call(*delete, environment=grid.environment)
    assert f"Delete everything of {made['project']} for good?" in ran.stdout
    assert ran.returncode != 0

    one = call(*delete, "--result", "2", "--yes", "--json", environment=grid.environment).last_json
    assert (one["event"], one["projects"]) == ("deleted", [made["project"]])
    ran = call(*delete, "--result", "2", "--yes", environment=grid.environment)
    assert (ran.returncode, "has no result" in " ".join(ran.stderr.split())) == (2, True)
    ran = call(*delete, "--result", "3", "--yes", environment=grid.environment)
    assert (ran.returncode, "has no result 3" in " ".join(ran.stderr.split())) == (2, True)
    shown = call("projects", "show", made["project"], "--json", environment=grid.environment)
    assert [job["seed"] for job in shown.last_json["jobs"]] == made["seeds"], "its record stays"
    assert call(*delete, "--yes", environment=grid.environment).returncode == 0
    listed = call("projects", "list", "--json", environment=grid.environment).last_json
    assert made["project"] not in {row["id"] for row in listed}


def test_of_several_projects_all_are_deleted_or_none(
    grid: Grid, idle_grid: Grid, call: Call
) -> None:
    ids = [call(*ASKED, environment=grid.environment).last_json["project"] for _ in range(2)]
    ran = call("projects", "delete", *ids, NOBODY, "--yes", environment=grid.environment)
    assert ran.returncode == 2
    listed = call("projects", "list", "--json", environment=grid.environment).last_json
    assert set(ids) <= {row["id"] for row in listed}
    ran = call("projects", "delete", *ids, "--yes", "--json", environment=grid.environment)
    assert ran.last_json["projects"] == ids
    with dreamgrid.Client(idle_grid.ready["url"], idle_grid.ready["api_key"]) as client:
        project = client.projects.create(model="pattern-v1", prompt="never")
        ran = call("projects", "delete", project.id, "--yes", environment=idle_grid.environment)
        assert (ran.returncode, "cancel it first" in ran.stderr) == (2, True)
        project.cancel()


def test_a_project_of_nobody_is_refused(grid: Grid, call: Call) -> None:
    for words in (("show",), ("watch",), ("cancel",), ("download",)):
        ran = call("projects", *words, NOBODY, environment=grid.environment)
        assert ran.returncode == 2, words
        assert "project" in ran.stderr
    ran = call("projects", "show", "yesterday", environment=grid.environment)
    assert ran.returncode == 2


def test_a_character_or_two_are_not_enough_to_mean_a_project(grid: Grid, call: Call) -> None:
    made = call(*ASKED, environment=grid.environment).last_json
    for words in ("show", "watch", "cancel", "download"):
        ran = call("projects", words, made["project"][:3], environment=grid.environment)
        assert ran.returncode == 2, words
        assert "at least 4 characters" in ran.stderr


def test_every_event_has_the_name_that_event_streams_and_webhooks_give_it() -> None:
    told = {event_name(kind) for kind in dreamgrid.Event.__subclasses__()}
    assert set(get_args(EventType)) <= told
    assert "job_withheld" in told, "what only this end tells"


def test_a_list_that_leaves_projects_out_says_how_to_see_more(grid: Grid, call: Call) -> None:
    call(*ASKED, environment=grid.environment)
    cut = call("projects", "list", "--limit", "1", environment=grid.environment)
    assert "--limit 100 finds older ones" in cut.stderr
    programs = call("projects", "list", "--limit", "1", "--json", environment=grid.environment)
    assert (len(programs.last_json), programs.stderr) == (1, "")
    assert call("projects", "list", "--limit", "100", environment=grid.environment).stderr == ""
