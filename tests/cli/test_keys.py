from pathlib import Path

from tests.cli.conftest import Call
from tests.cli.processes import Grid, run


def test_a_key_is_made_with_a_scope_and_caps_and_listed_with_them(
    idle_grid: Grid, call: Call
) -> None:
    asked = ("--scope", "render", "--max-per-day", "5", "--json")
    made = call("keys", "create", "shop", *asked, environment=idle_grid.environment).last_json
    assert (made["scope"], made["max_per_day"], made["max_total"]) == ("render", "5", None)
    listed = call("keys", "list", "--json", environment=idle_grid.environment).last_json
    assert {one["name"]: one["scope"] for one in listed}["shop"] == "render"
    shown = call("keys", "list", environment=idle_grid.environment).stdout
    assert "5 a day" in shown


def test_a_cap_that_is_no_number_is_refused(idle_grid: Grid, call: Call) -> None:
    asked = ("keys", "create", "--max-total", "lots")
    assert call(*asked, environment=idle_grid.environment).returncode == 2


def test_a_worker_with_a_key_that_may_not_work_ends_and_says_which_one_may(
    idle_grid: Grid, call: Call, tmp_path: Path
) -> None:
    made = call(
        "keys", "create", "--scope", "read", "--json", environment=idle_grid.environment
    ).last_json
    environment = idle_grid.environment | {"DREAMGRID_API_KEY": made["key"]}
    ran = run("work", "--data", str(tmp_path / "w"), environment=environment, cwd=tmp_path)
    assert ran.returncode == 3
    assert "--scope work" in ran.stderr
