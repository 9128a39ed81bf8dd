"""Commands that take words: what they say when the words came without quotes."""

from typing import Any

import typer
from typer.core import TyperCommand


class Saying(TyperCommand):
    """A command whose one argument is a prompt or a text."""

    allow_extra_args = True

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the command line.

        Raises:
            typer.BadParameter: There are more words than one argument.
        """
        rest = super().parse_args(ctx, args)
        if ctx.args and not ctx.resilient_parsing:  # a shell that completes a line sees half of it
            (argument,) = (one.name for one in self.params if one.param_type_name == "argument")
            words = " ".join([ctx.params[argument], *ctx.args])
            raise typer.BadParameter(f'put it in quotes: dreamgrid {ctx.info_name} "{words}"')
        return rest
