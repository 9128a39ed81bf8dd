"""The page about limits names every one of them, with the value that the server has."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from dreamgrid.protocol import codec, socket
from dreamgrid.server import app, app_sockets, application, http, limits, outbox
from dreamgrid.server.config import Rate, ServerConfig

PAGE = Path(__file__).parents[2] / "docs" / "limits.md"
NAMED = re.compile(r"\| [^|]+ \| `(\w+)` \| ([^|]+) \| [^|]+ \|")

LIMITS = {
    "guesses_per_minute",
    "signups_per_hour",
    "unclaimed_kept_s",
    "media_kept_s",
    "history_kept_s",
    "run_factor",
    "min_run_s",
}
NOT_ABOUT_CALLERS = {"max_attempts"}

FIXED: dict[str, float] = {
    "one message of an app": codec.MAX_CLIENT_MESSAGE_BYTES,
    "one job request in it": codec.MAX_REQUEST_BYTES,
    "one message of a worker": codec.MAX_WORKER_MESSAGE_BYTES,
    "unreadable messages": app_sockets.MAX_BAD_FRAMES,
    "events that an app switches": socket.MAX_SWITCHES,
    "frames that wait": outbox.MAX_WAITING,
    "or 8 MiB": outbox.MAX_WAITING_BYTES,
    "body of an API request": application.MAX_BODY_BYTES,
    "how long that body takes": http.BODY_WITHIN_S,
    "no whole request": app.SILENT_S,
    "a message of 16 KiB": limits.BYTES_PER_TOKEN,
}


def written(name: str, value: Any) -> str:
    """A value as the page writes it."""
    if isinstance(value, Rate):
        return f"{value.per_s:,} a second, {value.burst:,} at once"
    if name.endswith("_bytes"):
        return size(value)
    if name.endswith("_s"):
        return duration(value)
    if name.endswith("_factor"):
        return f"{value:g} times"
    return f"{value:,}"


def duration(value_s: float) -> str:
    if value_s == 0:
        return "no limit"
    for unit, unit_s, least in (("days", 86400, 2), ("hours", 3600, 1), ("minutes", 60, 1)):
        if value_s >= least * unit_s:
            return "1 hour" if value_s == 3600 else f"{value_s / unit_s:g} {unit}"
    return f"{value_s:g} seconds"


def size(value: int) -> str:
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if value >> shift:
            return f"{value >> shift} {unit}"
    return f"{value} bytes"


def test_the_page_tells_every_setting_that_limits_callers_and_its_default() -> None:
    told = dict(NAMED.findall(PAGE.read_text("utf-8")))
    defaults = {field.name: field.default for field in dataclasses.fields(ServerConfig)}
    wanted = {
        name: written(name, value)
        for name, value in defaults.items()
        if name in LIMITS
        or isinstance(value, Rate)
        or (name.startswith("max_") and name not in NOT_ABOUT_CALLERS)
    }
    assert told == wanted


@pytest.mark.parametrize("what", FIXED)
def test_the_page_tells_the_fixed_limits(what: str) -> None:
    value: float = FIXED[what]
    (row,) = [line for line in PAGE.read_text("utf-8").splitlines() if what in line]
    if "seconds" in row:
        assert f"{value:.0f} seconds" in row
    elif value >= 16 * 1024:
        assert size(int(value)) in row
    else:
        assert f"{value:,}" in row
