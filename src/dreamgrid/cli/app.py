"""The command `dreamgrid`: which commands there are, and how all of them end."""

import logging
import sys
from typing import Annotated

import typer
from rich.logging import RichHandler

import dreamgrid
from dreamgrid.cli import (
    account,
    admin,
    audit,
    backup,
    demo,
    dev,
    enhance,
    estimate,
    exits,
    explain,
    generate,
    grant,
    keys,
    migrate,
    models,
    move,
    presets,
    projects,
    rotate,
    serve,
    sound,
    status,
    studio,
    up,
    video,
    work,
)
from dreamgrid.cli.amounts import Giving
from dreamgrid.cli.log_lines import JsonLines
from dreamgrid.cli.prompts import Saying
from dreamgrid.errors import DreamgridError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="An open network for AI pictures, videos and sound that you run yourself.",
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
    log_json: Annotated[
        bool,
        typer.Option(
            "--log-json",
            envvar="DREAMGRID_LOG_JSON",
            help="Tell it as JSON lines, with the ids of projects and jobs.",
        ),
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and end.", is_eager=True, callback=_show_version
        ),
    ] = False,
) -> None:
    handler: logging.Handler = RichHandler(show_path=False, console=exits.stderr())
    if log_json:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonLines())
    level = logging.INFO if verbose else logging.WARNING
    if not log_json:
        handler.setFormatter(logging.Formatter("%(message)s", datefmt="[%X]"))
    logging.basicConfig(level=level, handlers=[handler])


_MAKE, _LOOK, _RUN = "Make something", "Look around", "Run a grid"

app.command(rich_help_panel=_MAKE, cls=Saying)(demo.demo)
app.command(rich_help_panel=_MAKE, cls=Saying)(generate.generate)
app.command(rich_help_panel=_MAKE, cls=Saying)(video.video)
app.command(rich_help_panel=_MAKE, cls=Saying)(sound.music)
app.command(rich_help_panel=_MAKE, cls=Saying)(sound.speak)
app.command(rich_help_panel=_MAKE)(enhance.enhance)
app.command(rich_help_panel=_LOOK)(studio.studio)
app.command(rich_help_panel=_LOOK)(status.status)
app.command(rich_help_panel=_LOOK)(models.models)
app.command(rich_help_panel=_LOOK)(presets.presets)
app.command(rich_help_panel=_LOOK)(estimate.estimate)
app.command(rich_help_panel=_LOOK)(explain.explain)
app.add_typer(projects.app, name="projects", rich_help_panel=_LOOK)
app.add_typer(account.app, name="account", rich_help_panel=_LOOK)
app.add_typer(keys.app, name="keys", rich_help_panel=_LOOK)
app.command(rich_help_panel=_RUN)(up.up)
app.command(rich_help_panel=_RUN)(dev.dev)
app.command(rich_help_panel=_RUN)(serve.serve)
app.add_typer(work.app, name="work", rich_help_panel=_RUN)
app.command(rich_help_panel=_RUN, cls=Giving)(grant.grant)
app.command(rich_help_panel=_RUN)(audit.audit)
app.command(rich_help_panel=_RUN)(backup.backup)
app.command(rich_help_panel=_RUN)(rotate.rotate)
app.command(rich_help_panel=_RUN)(migrate.migrate)
app.command(rich_help_panel=_RUN)(move.move)
app.add_typer(admin.app, name="admin", rich_help_panel=_RUN)


@app.command()
def version() -> None:
    """Show the version."""
    _show_version(asked=True)


def run() -> None:
    """Runs the command that the process was started with, and ends the process."""
    exits.speaks_json.set(False)
    try:
        if sys.stderr.isatty():
            app()
        else:  # typer draws boxes of 80 columns around what is wrong, also for files and programs
            ended = app(standalone_mode=False)
            sys.exit(ended if isinstance(ended, int) else 0)
    except typer.TyperException as error:
        exits.report_usage(error)
        sys.exit(error.exit_code)
    except typer.Abort:
        exits.note("aborted")
        sys.exit(exits.FAILED)
    except BrokenPipeError:
        exits.quit_quietly()
    except (DreamgridError, OSError) as error:
        exits.report(error)
        sys.exit(exits.code_of(error))
