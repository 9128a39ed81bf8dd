"""`dreamgrid presets`: the named sizes of a model."""

from typing import Annotated

import typer
from rich.table import Table

import dreamgrid
from dreamgrid.cli import exits, options
from dreamgrid.cli.asking import ask
from dreamgrid.cli.stdout import stdout
from dreamgrid.protocol.rest import SizePreset


def presets(
    model: Annotated[str, typer.Argument(help="Id of a model; see 'dreamgrid models'.")],
    network: options.Network = None,
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """List the sizes that a model offers by name.

    For example:

    - `dreamgrid presets dreamlet-v1`
    - `dreamgrid generate "a castle" --size landscape_16_9`
    """
    exits.speaks_json.set(as_json)

    async def sizes(client: dreamgrid.AsyncClient) -> tuple[SizePreset, ...]:
        return await client.projects.get_size_presets(model, network=network or "fast")

    found = ask(sizes, server, key, data)
    if as_json:
        exits.say_json(
            [
                {"id": one.id, "label": one.label, "width": one.width, "height": one.height}
                for one in found
            ]
        )
        return
    table = Table("size", "name", "pixels", "shape", box=None, header_style="dim", pad_edge=False)
    for one in found:
        table.add_row(f"[bold]{one.id}[/]", one.label, f"{one.width}x{one.height}", one.ratio)
    console = stdout()
    console.print(table if found else f"[dim]{model} has no named sizes: use --size WIDTHxHEIGHT")
