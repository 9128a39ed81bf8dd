"""How a command ends: its exit code, and one clear line about what went wrong.

0    done
1    it was tried and failed
2    the request is wrong: usage, a bad value, an unknown model, a port in use
3    no connection to the server, or the server refused the key
4    insufficient funds
130  interrupted with Ctrl-C
"""

import json
import os
import sys
from contextvars import ContextVar
from typing import NamedTuple

import typer
from rich.console import Console
from rich.markup import escape

from dreamgrid import errors

FAILED = 1
BAD_INPUT = 2
NO_CONNECTION = 3
INSUFFICIENT_FUNDS = 4
INTERRUPTED = 130

speaks_json: ContextVar[bool] = ContextVar("speaks_json", default=False)
"""Whether this command was asked for JSON; then its failure is a JSON line too."""


class _Ending(NamedTuple):
    kind: type[errors.DreamgridError]
    code: int
    advice: str


# The first that matches decides.
_ENDINGS = (
    _Ending(errors.UnknownModel, BAD_INPUT, "'dreamgrid models' lists what this grid has"),
    _Ending(errors.UnreadableMedia, BAD_INPUT, ""),
    _Ending(errors.InvalidRequest, BAD_INPUT, "the command with --help says what is possible"),
    _Ending(errors.ConfigError, BAD_INPUT, ""),
    _Ending(errors.NotFound, BAD_INPUT, ""),
    _Ending(
        errors.CostLimitExceeded,
        FAILED,
        "fewer steps or smaller pictures cost less; 'dreamgrid estimate' tells prices",
    ),
    _Ending(
        errors.SpendingCapReached,
        INSUFFICIENT_FUNDS,
        "whoever made the key sees its caps with 'dreamgrid keys list'",
    ),
    _Ending(
        errors.InsufficientFunds,
        INSUFFICIENT_FUNDS,
        "fewer steps or pictures cost less; the grid's owner can 'dreamgrid grant' more",
    ),
    _Ending(errors.ModelNotServed, FAILED, "'dreamgrid models' lists what has a worker now"),
    _Ending(
        errors.AuthenticationFailed,
        NO_CONNECTION,
        "give a key with --key or DREAMGRID_API_KEY, or sign in with 'dreamgrid account login'",
    ),
    _Ending(errors.NotAllowed, NO_CONNECTION, ""),  # who may, the refusal says itself
    _Ending(errors.OwnGridUnreachable, NO_CONNECTION, ""),
    _Ending(
        errors.FilesUnreachable,
        NO_CONNECTION,
        "the grid answers, but not where it keeps its files: its operator can look after that",
    ),
    _Ending(
        errors.ConnectionFailed,
        NO_CONNECTION,
        "check --server or DREAMGRID_URL; 'dreamgrid status' says which grid is used",
    ),
    _Ending(errors.ServerUnavailable, NO_CONNECTION, "try again in a moment"),
    _Ending(errors.ProtocolError, NO_CONNECTION, "check --server or DREAMGRID_URL"),
)
_OTHERWISE = _Ending(errors.DreamgridError, FAILED, "")


def stderr() -> Console:
    """Where remarks and errors go."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def _ending(error: Exception) -> _Ending:
    # A project that was refused carries the number of the reason, and the reason itself.
    cause = error.__cause__ if isinstance(error, errors.ProjectFailed) else None
    for row in _ENDINGS:
        if isinstance(error, row.kind) or isinstance(cause, row.kind):
            return row
    return _OTHERWISE


def code_of(error: Exception) -> int:
    """The exit code that tells a script what went wrong."""
    return _ending(error).code


def advice_for(error: Exception) -> str:
    """What to do next; empty when the error's message says it all."""
    return _ending(error).advice


def report(error: Exception, *, advises: bool = True) -> None:
    """One line about the failure and one about what to do next, on stderr; or one JSON line.

    Args:
        error: What went wrong.
        advises: Whether what helps after a command helps here too.
    """
    message, advice = _words(error)
    if speaks_json.get():
        said = {"event": "failed", "error": type(error).__name__, "message": message}
        print(json.dumps(said), flush=True)
        return
    console = stderr()
    console.print(f"[bold red]error:[/] {escape(message)}")
    if advice and advises:
        console.print(f"[dim]{escape(advice)}[/]")


def report_usage(error: typer.TyperException) -> None:
    """A command line that cannot be understood, in lines as long as they are, on stderr."""
    console = stderr()
    if message := error.format_message():  # none where the help was shown instead
        console.print(f"[bold red]error:[/] {escape(message)}")
    context: typer.Context | None = getattr(error, "ctx", None)
    if message and context is not None:
        usage = " ".join(context.command.collect_usage_pieces(context))
        console.print(f"[dim]usage: {context.command_path} {escape(usage)}[/]")
        console.print(f"[dim]'{context.command_path} --help' says what is possible[/]")


def _words(error: Exception) -> tuple[str, str]:
    if isinstance(error, OSError):
        where = f" {error.filename}" if error.filename else ""
        return f"cannot write{where}: {error.strerror or error}", "choose another folder with --out"
    return str(error) or type(error).__name__, _ending(error).advice


def note(text: str) -> None:
    """A remark for the person, on stderr; programs that asked for JSON get none."""
    if not speaks_json.get():
        stderr().print(f"[dim]{escape(text)}[/]")


def say_json(data: object) -> None:
    """One JSON line on stdout, for programs."""
    print(json.dumps(data, default=str), flush=True)


def quit_quietly() -> None:
    """Whoever read our output is gone: ends without Python's complaint about it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(FAILED)
