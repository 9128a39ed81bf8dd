"""`make reference`: pages of the SDK's docstrings, with nothing missing and nothing to warn of."""

import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import dreamgrid
from dreamgrid.client import account, projects, stats, sync, webhooks

pytest.importorskip("pdoc")
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")

ROOT = Path(__file__).parents[2]
CLASSES = (
    *(dreamgrid.AsyncClient, projects.Projects, account.Account, account.Keys),
    *(stats.Stats, webhooks.Webhooks, dreamgrid.Project, dreamgrid.Image),
    *(sync.Client, sync.Projects, sync.Project, sync.Account),
)
"""Both doors: what they give to call."""


def recipe(folder: Path) -> list[str]:
    """The arguments of Python in the Makefile's recipe, with another folder to write to."""
    shown = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "reference"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (line,) = re.findall(r"^\S+/python (.+ -m pdoc .+)$", shown.replace("\\\n", " "), re.MULTILINE)
    words = re.findall(r'"([^"]+)"|(\S+)', line)
    return [(quoted or word).replace("build/reference", str(folder)) for quoted, word in words]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The pages by the names of their modules."""
    folder = tmp_path_factory.mktemp("reference")
    made = subprocess.run(
        [sys.executable, *recipe(folder)], capture_output=True, text=True, check=False
    )
    assert (made.returncode, made.stderr) == (0, "")
    return {
        ".".join(page.relative_to(folder).with_suffix("").parts): page.read_text("utf-8")
        for page in folder.rglob("*.html")
    }


def methods_of(kind: type) -> Iterator[tuple[str, str]]:
    """What can be called or read on a class: the module that defines it, and its name there."""
    for owner in kind.__mro__:
        if owner.__module__.startswith("dreamgrid."):
            for name, member in vars(owner).items():
                if not name.startswith("_") and inspect.getdoc(member):
                    yield owner.__module__, f"{owner.__qualname__}.{name}"


def test_every_public_name_is_in_the_reference(pages: dict[str, str]) -> None:
    told = set(re.findall(r'id="([^"]+)"', pages["dreamgrid"]))
    assert {name for name in dreamgrid.__all__ if name != "__version__"} <= told


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_method_is_in_the_reference(pages: dict[str, str], kind: type) -> None:
    methods = list(methods_of(kind))
    assert methods
    missing = [
        f"{module}.{name}"
        for module, name in methods
        if f'id="{name}"' not in pages.get(module, pages["dreamgrid"])
    ]
    assert missing == []
