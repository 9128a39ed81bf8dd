"""A server may have more files open than most systems begin with."""

import subprocess
import sys
import textwrap

import pytest

from dreamgrid.server import open_files

pytest.importorskip("resource")

PROGRAM = """
import resource
from dreamgrid.server import open_files
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
open_files.allow_many()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def allowed(soft: int, hard: int) -> list[int]:
    """The limits afterwards, of a process that began with these ones."""
    program = textwrap.dedent(PROGRAM.format(soft=soft, hard=hard))
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    return [int(word) for word in said.stdout.split()]


def test_a_server_takes_what_the_system_grants_and_no_less_than_it_had() -> None:
    assert allowed(64, 256) == [256, 256]
    assert allowed(256, 256) == [256, 256]


def test_a_server_does_not_ask_for_more_than_it_can_use(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    taken: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda what: (1024, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", lambda what, limits: taken.append(limits))
    open_files.allow_many()
    assert taken == [(open_files.MOST, resource.RLIM_INFINITY)]
