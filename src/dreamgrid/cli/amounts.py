"""Amounts of money that people type: one way to read them, and to say what is wrong with one."""

import re
from decimal import Decimal
from typing import Any

import typer
from typer.core import TyperCommand

_BELOW_ZERO = re.compile(r"-[0-9][0-9.,]*")


def amount(text: str, *, of: str = "the amount") -> Decimal:
    """The amount that somebody typed.

    Args:
        text: Such as `100` or `0.5`.
        of: What it is, for the message.

    Raises:
        typer.BadParameter: It is no number.
    """
    try:
        typed = Decimal(text)
    except ArithmeticError:
        typed = Decimal("NaN")
    if not typed.is_finite():
        raise typer.BadParameter(f"{of} '{text}' is no number: write it as 100 or 0.5")
    return typed


class Giving(TyperCommand):
    """A command that gives money: takes `-5` for the amount that it was meant as, not an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the command line.

        Raises:
            typer.BadParameter: The amount is below zero.
        """
        for word in args:
            if _BELOW_ZERO.fullmatch(word) and not ctx.resilient_parsing:
                raise typer.BadParameter(
                    f"the amount {word} is below zero, and what was given cannot be taken back; "
                    "'dreamgrid admin limits' and 'dreamgrid keys create --max-per-day' hold "
                    "spending down"
                )
        return super().parse_args(ctx, args)
