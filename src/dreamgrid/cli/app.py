"""The command `dreamgrid`: which commands there are, and how all of them end."""

import logging
import sys
from typing import Annotated

import typer
from rich.logging import RichHandler

import dreamgrid
from dreamgrid.cli import audit, demo, exits, generate, grant, keys, models, serve, up, work
from dreamgrid.errors import DreamgridError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="An open network for AI image generation that you run yourself.",
    epilog="Start with: dreamgrid demo",
)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"dreamgrid {dreamgrid.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Tell on stderr what goes on inside.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and end.", is_eager=True, callback=_show_version
        ),
    ] = False,
) -> None:
    handler = RichHandler(show_path=False, console=exits.stderr())
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s", datefmt="[%X]", handlers=[handler])


app.command()(demo.demo)
app.command()(generate.generate)
app.command()(up.up)
app.command()(serve.serve)
app.command()(work.work)
app.command()(models.models)
app.command()(grant.grant)
app.command()(audit.audit)
app.add_typer(keys.app, name="keys")


@app.command()
def version() -> None:
    """Show the version."""
    _show_version(asked=True)


def run() -> None:
    """Runs the command that the process was started with, and ends the process."""
    exits.speaks_json.set(False)
    try:
        app()
    except BrokenPipeError:
        exits.quit_quietly()
    except (DreamgridError, OSError) as error:
        exits.report(error)
        sys.exit(exits.code_of(error))
