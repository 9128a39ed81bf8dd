"""`dreamgrid work doctor`: why a worker works, or does not."""

from dataclasses import asdict
from pathlib import Path

from rich.markup import escape
from rich.table import Table

import dreamgrid
from dreamgrid.cli import exits, loop
from dreamgrid.cli.folder import data_dir
from dreamgrid.cli.owner import settings_from
from dreamgrid.cli.stdout import stdout
from dreamgrid.cli.target import find
from dreamgrid.engines.base import Finding
from dreamgrid.engines.registry import Registry, find_engines
from dreamgrid.errors import ConfigError, DreamgridError
from dreamgrid.worker.doctor import examine

_MARKS = {"good": "[green]ok[/]", "note": "[yellow]note[/]", "problem": "[bold red]problem[/]"}


def look(
    *,
    server: str | None,
    key: str | None,
    config: Path | None,
    data: Path | None,
    as_json: bool,
) -> int:
    """Shows everything that was found.

    Returns:
        The exit code: 0, or 1 with a problem.
    """
    exits.speaks_json.set(as_json)
    folder = data_dir(data)
    findings: tuple[Finding, ...]
    try:
        settings = settings_from(config, {"server": server, "key": key})
    except ConfigError as error:  # the rest of the machine is looked at all the same
        text = f"{error}; until that is mended, no worker starts, and no grid is asked"
        findings = (Finding(level="problem", subject="settings", text=text),)
        registry = find_engines()
    else:
        registry = find_engines()
        findings = loop.run(_grid(settings.server, settings.key, folder, registry))
    findings = (*examine(registry, folder), *findings)
    if as_json:
        exits.say_json({"findings": [asdict(finding) for finding in findings]})
    else:
        stdout().print(_table(findings))
    return exits.FAILED if any(found.level == "problem" for found in findings) else 0


async def _grid(
    server: str | None, key: str | None, folder: Path, registry: Registry
) -> tuple[Finding, ...]:
    """Whether the grid answers, knows the key, and has a use for this machine's models."""
    try:
        target = await find(server, key, folder)
        if target is None:
            text = "none runs on this machine and none is named"
            advice = "give --server and --key, or start one here with 'dreamgrid up'"
            return (Finding(level="note", subject="grid", text=text, advice=advice),)
        async with dreamgrid.AsyncClient(target.url, target.api_key) as client:
            me = await client.account.me()
            known = {model.id for model in await client.projects.get_supported_models()}
    except DreamgridError as error:
        advice = exits.advice_for(error)
        return (Finding(level="problem", subject="grid", text=str(error), advice=advice),)
    found = [Finding(level="good", subject="grid", text=f"{target.url} knows you as {me.username}")]
    unknown = sorted(set(registry.by_model()) - known)
    if unknown:
        advice = "its operator can add them to the catalogue"
        text = f"does not list {', '.join(unknown)}"
        found.append(Finding(level="note", subject="grid", text=text, advice=advice))
    return tuple(found)


def _table(findings: tuple[Finding, ...]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for found in findings:
        advice = f"\n[dim]{escape(found.advice)}[/]" if found.advice else ""
        table.add_row(_MARKS[found.level], escape(found.subject), escape(found.text) + advice)
    return table
