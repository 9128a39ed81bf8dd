"""The commands and options that the pages for operators name are there."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from dreamgrid.cli.app import app

DOCS = Path(__file__).parents[2] / "docs"
ROOT: Any = typer.main.get_command(app)
LINE = re.compile(
    r"(?:^|`|\bexec (?:\S+ ){1,2}-- |exec server )dreamgrid ([^`\n#]+(?:\\\n[^`\n#]+)*)",
    re.MULTILINE,
)


def unknown(words: list[str]) -> str:
    """The first word of a command line that is no command and no option of it; empty: none."""
    command = ROOT
    known = {option for parameter in ROOT.params for option in parameter.opts}
    for word in words:
        below = getattr(command, "commands", {})
        if word.startswith("--"):
            if word.partition("=")[0] not in known:
                return word
        elif word in below:
            command = below[word]
            known |= {
                option
                for parameter in command.params
                for option in (*parameter.opts, *parameter.secondary_opts)
            }
        elif below and not word.startswith(("-", "$", "'", '"')) and word.isalpha():
            return word
    return ""


@pytest.mark.parametrize("name", ["operations.md", "scale.md", "worker.md", "administration.md"])
def test_what_a_page_tells_to_run_can_be_run(name: str) -> None:
    lines = LINE.findall((DOCS / name).read_text("utf-8"))
    assert lines
    found = {line: unknown(line.replace("\\\n", " ").split()) for line in lines}
    assert {line: word for line, word in found.items() if word} == {}
