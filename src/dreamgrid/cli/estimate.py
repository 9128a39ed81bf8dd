"""`dreamgrid estimate`: what something would cost, before it is asked for."""

from typing import Annotated

import typer

import dreamgrid
from dreamgrid.cli import exits, options
from dreamgrid.cli.asking import ask
from dreamgrid.cli.making import Wish
from dreamgrid.cli.stdout import stdout
from dreamgrid.protocol.amounts import plain
from dreamgrid.protocol.params import TokenType


def estimate(
    model: Annotated[str, typer.Argument(help="Id of a model; see 'dreamgrid models'.")],
    count: options.Count = 1,
    size: options.Size = None,
    steps: options.Steps = None,
    strength: Annotated[
        float | None, typer.Option(help="Of pictures: how much to change a starting image.")
    ] = None,
    duration: options.Duration = None,
    fps: Annotated[float | None, typer.Option(help="Of videos: frames per second.")] = None,
    network: options.Network = None,
    token: Annotated[TokenType, typer.Option(help="Currency to pay with.")] = "spark",
    server: options.Server = None,
    key: options.Key = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Tell what something would cost. Nothing is made and nothing is charged.

    For example:

    - `dreamgrid estimate dreamlet-v1 --count 4 --size 1024x1024`
    - `dreamgrid estimate dreamlet-music-v1 --duration 60`
    """
    exits.speaks_json.set(as_json)
    settings = {
        "count": count,
        "steps": steps,
        "strength": strength,
        "duration_s": duration,
        "fps": fps,
        "network": network,
        "token_type": token,
    }
    # The media of the wish does not matter here: the model's own decides.
    asked = Wish(media="image", settings=settings, size=size).for_model(model)

    async def price(client: dreamgrid.AsyncClient) -> dreamgrid.CostEstimate:
        return await client.projects.estimate_cost(**asked)

    cost = ask(price, server, key, data)
    if as_json:
        exits.say_json(
            {
                "model": model,
                "token": cost.token_type,
                "cost": plain(cost.token),
                "spark": plain(cost.spark),
                "sogni": plain(cost.sogni),
                "usd": plain(cost.usd),
                "seconds": cost.render_s,
            }
        )
        return
    console = stdout()
    console.print(f"[bold]{cost}[/]  [dim]about {plain(cost.usd)} USD[/]")
    if cost.total_s is not None:
        console.print(f"[dim]finished in about {cost.total_s:.0f} s")
