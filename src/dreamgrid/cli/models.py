"""`dreamgrid models`: what this grid can make."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

import dreamgrid
from dreamgrid.cli import exits, loop, options
from dreamgrid.cli.folder import data_dir
from dreamgrid.cli.stdout import stdout
from dreamgrid.cli.target import connected
from dreamgrid.protocol.params import Network
from dreamgrid.protocol.rest import NumberRange


@dataclass(frozen=True, kw_only=True)
class _Row:
    id: str
    name: str
    media: str
    workers: int
    steps: str
    guidance: str


def models(
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
    network: options.Network = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and show every change until Ctrl-C.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Also models that no connected worker serves.")
    ] = False,
) -> None:
    """List the models that workers serve now, how many each has, and their limits.

    With --json, all models of the grid.

    For example:

    - `dreamgrid models`
    - `dreamgrid models --all`
    - `dreamgrid models --watch`
    - `dreamgrid models --json | jq -r '.[] | select(.workers > 0).id'`
    """
    exits.speaks_json.set(as_json)
    if watch:
        loop.run(_watch(server, key, data_dir(data), network or "fast", as_json=as_json))
        return
    rows = loop.run(_models(server, key, data_dir(data), network or "fast"))
    if as_json:
        exits.say_json([asdict(row) for row in rows])
        return
    served = [row for row in rows if row.workers]
    console = stdout()
    if served or everything:
        console.print(_table(rows if everything else served))
    if not everything and len(served) < len(rows):
        idle = len(rows) - len(served)
        console.print(f"[dim]{idle} models have no worker now; dreamgrid models --all lists them")


def _table(rows: Sequence[_Row]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("model", no_wrap=True, min_width=max(len(row.id) for row in rows))
    for heading in ("name", "makes", "workers", "steps", "guidance"):
        table.add_column(heading, justify="right" if heading == "workers" else "left")
    for row in rows:
        workers = f"[green]{row.workers}[/]" if row.workers else "[dim]none[/]"
        name = escape(row.name)  # such as Flux.1 [dev]
        table.add_row(f"[bold]{row.id}[/]", name, row.media, workers, row.steps, row.guidance)
    return table


async def _watch(
    server: str | None, key: str | None, data: Path, network: Network, *, as_json: bool
) -> None:
    """Prints the models that workers serve whenever they change."""
    console = stdout()
    async with connected(server, key, data) as (client, _):
        changed = asyncio.Event()
        client.projects.on(dreamgrid.ModelsChanged, lambda _: changed.set())
        await client.account.switch_network(network)
        shown: dict[str, int] | None = None
        while True:
            served = {model.id: model.worker_count for model in client.projects.available_models}
            if served == shown:
                pass  # told already
            elif as_json:
                exits.say_json({"event": "models", "workers": served})
            else:
                offers = ", ".join(f"{model} x {count}" for model, count in served.items())
                console.print(f"[dim]{datetime.now():%H:%M:%S}[/] {offers or 'no workers'}")
            shown = served
            await changed.wait()
            changed.clear()


async def _models(server: str | None, key: str | None, data: Path, network: Network) -> list[_Row]:
    async with connected(server, key, data) as (client, _):
        available = await client.projects.get_available_models(network=network)
        workers = {model.id: model.worker_count for model in available}
        rows = []
        for model in await client.projects.get_supported_models():
            limits = await client.projects.get_model_options(model.id)
            rows.append(
                _Row(
                    id=model.id,
                    name=model.name,
                    media=model.media,
                    workers=workers.get(model.id, 0),
                    steps=_range(limits.steps),
                    guidance=_range(limits.guidance),
                )
            )
        return rows


def _range(limit: NumberRange | None) -> str:
    if limit is None or limit.min == limit.max:
        return ""
    return f"{limit.min:g} to {limit.max:g} ({limit.default:g})"
