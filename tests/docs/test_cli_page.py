"""What the page about the command line promises is so for every command."""

import re
from pathlib import Path
from typing import Any

import typer

from dreamgrid.cli.app import app

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")
_, SECTION, _ = re.split(r"^## (?=JSON|Exit)", PAGE, flags=re.MULTILINE)
FOLLOWED = {"work", "work download", "dev", "migrate", "move"}
"""They print a line whenever something happens."""


def promised() -> dict[str, set[str]]:
    """The fields of each command as the page tells them."""
    rows = re.findall(r"^\| (`.+?`) \| (.+) \|$", SECTION, re.MULTILINE)
    return {
        command: set(re.findall(r"\b\w+\b", fields.rpartition("list of ")[2]))
        for commands, fields in rows
        for command in re.findall(r"`(.+?)`", commands)
    }


def leaves(command: Any, before: str = "") -> dict[str, Any]:
    """Every command that runs something."""
    found = {}
    for name, below in getattr(command, "commands", {}).items():
        if not getattr(below, "commands", None) or below.invoke_without_command:
            found[before + name] = below
        found |= leaves(below, f"{before}{name} ")
    return found


def test_every_command_with_json_is_on_the_page() -> None:
    root = typer.main.get_command(app)
    known = {
        name for name, one in leaves(root).items() if any("--json" in p.opts for p in one.params)
    }
    assert known == promised().keys() | FOLLOWED


def test_every_command_shows_how_it_is_called() -> None:
    root = typer.main.get_command(app)
    silent = [name for name, one in leaves(root).items() if "dreamgrid " not in (one.help or "")]
    assert silent == ["version"]
