"""`dreamgrid studio`: an address that signs a browser in."""

import json
import urllib.request

from tests.cli.conftest import Call
from tests.cli.processes import Grid


def opened(address: str) -> int:
    """What the server says to a browser that opens a link."""
    origin, _, secret = address.partition("/#/welcome/")
    request = urllib.request.Request(
        f"{origin}/v1/account/sign-in-links/use",
        data=json.dumps({"secret": secret}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return int(answer.status)


def test_the_first_line_of_a_grid_has_a_link_that_signs_in(grid: Grid) -> None:
    assert grid.ready["studio_url"].startswith(grid.ready["url"])
    assert opened(grid.ready["studio_url"]) == 200


def test_the_command_makes_a_fresh_link(grid: Grid, call: Call) -> None:
    told = call("studio", "--json", environment=grid.environment)
    assert told.returncode == 0
    assert opened(told.last_json["url"]) == 200
    shown = call("studio", "--no-open", environment=grid.environment)
    assert opened(shown.stdout.strip()) == 200


def test_a_key_that_may_not_do_everything_opens_the_sign_in_page(grid: Grid, call: Call) -> None:
    made = call("keys", "create", "--scope", "render", "--json", environment=grid.environment)
    environment = grid.environment | {"DREAMGRID_API_KEY": made.last_json["key"]}
    told = call("studio", "--json", environment=environment)
    assert told.last_json == {"url": grid.ready["url"]}


def test_without_a_grid_it_says_how_to_start_one(call: Call) -> None:
    told = call("studio", "--no-open", environment={"DREAMGRID_DATA": "nowhere"})
    assert told.returncode == 2
    assert "dreamgrid up" in told.stderr
