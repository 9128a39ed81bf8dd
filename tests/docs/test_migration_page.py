"""docs/migration.md names every call of the published Python SDK, and of ours only what exists."""

import re
from pathlib import Path
from typing import Any

import pytest

import dreamgrid
from dreamgrid.client import account, projects, stats
from dreamgrid.client.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "migration.md").read_text("utf-8")
PROSE = re.sub(r"^```.*?^```", "", PAGE, flags=re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| (.*?) ?\| (.*?) ?\| (.*?) ?\|$", re.MULTILINE)
OURS: tuple[Any, ...] = (
    *(dreamgrid.AsyncClient, dreamgrid.Project, dreamgrid.Image, dreamgrid.Job),
    *(projects.Projects, account.Account, dreamgrid.CurrentAccount, stats.Stats, dreamgrid),
)
THEIRS = ("ProjectsApi", "Project", "Job", "AccountApi", "CurrentAccount", "StatsApi")
PAID = re.compile(r"subscription|trial|token_usage|free_spark")
"""Subscriptions and payments, which the page leaves out as a whole."""


def named(text: str) -> set[str]:
    """Every name within backticks."""
    return {name for code in re.findall("`([^`]+)`", text) for name in re.findall(r"\w+", code)}


def members(kind: Any) -> set[str]:
    return {*dir(kind), *getattr(kind, "__annotations__", {})}


def test_every_call_that_the_page_names_as_ours_is_there() -> None:
    there = {*Settings.__annotations__}.union(*(members(kind) for kind in OURS))
    rows = [row[2] for row in ROW.findall(PAGE)]
    called = {
        name
        for cell in rows
        for code in re.findall("`([^`]+)`", cell)
        for name in re.findall(r"(\w+)\(", code)
    }
    assert len(called) > 40
    assert called <= there
    only_here = PAGE[PAGE.index("Without a counterpart there") : PAGE.index("asyncio. What a lost")]
    assert set(re.findall(r"`(\w+)\(\)`", only_here)) <= there


@pytest.mark.parametrize("name", THEIRS)
def test_every_call_of_the_published_python_sdk_is_on_the_page(name: str) -> None:
    published = pytest.importorskip("sogni_client", reason="the published SDK is not installed")
    calls = {
        member
        for member in dir(getattr(published, name))
        if re.fullmatch("[a-z][a-z0-9_]*", member) and not PAID.search(member)
    }
    protected, misspelled = {"emit"}, {"is_authenicated"}
    assert calls - named(PROSE) - protected - misspelled == set()


def test_every_setting_that_the_page_names_is_taken() -> None:
    settings = PAGE[PAGE.index("## Settings") : PAGE.index("## The account")]
    cells = [row[2] for row in ROW.findall(settings)[1:]]
    told = {
        re.match(r"\w+", code)[0]  # type: ignore[index]
        for cell in cells
        for code in re.findall("`([^`]+)`", cell)
    }
    assert told <= set(Settings.__annotations__)
    assert len(told) > 12
