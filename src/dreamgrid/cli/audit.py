"""`dreamgrid audit`: proves the books of a grid on this machine."""

import msgspec
import typer
from rich.text import Text

from dreamgrid.cli import exits, options
from dreamgrid.cli.addresses import store_address
from dreamgrid.cli.folder import DATABASE, data_dir
from dreamgrid.cli.stdout import stdout
from dreamgrid.errors import ConfigError


def audit(
    data: options.Data = None, store: options.Store = None, as_json: options.Json = False
) -> None:
    """Prove that the money of a grid adds up, whether or not it runs. Changes nothing.

    All entries sum to zero, no job is charged twice, nothing is held for what has ended, and every
    balance is what its entries say. Ends with code 0 when all of that is true, else with 1.

    For example:

    - `dreamgrid audit`
    - `dreamgrid audit --data ./grid --json`
    - `dreamgrid audit --store postgresql://grid@db.example.org/grid`
    """
    from dreamgrid.server.store.choice import audit_at  # noqa: PLC0415 (loads the store)
    from dreamgrid.server.whereabouts import missing_database, without_user  # noqa: PLC0415

    exits.speaks_json.set(as_json)
    store = store_address(store)
    if not store and (advice := missing_database(data_dir(data))):
        raise ConfigError(advice)
    where = without_user(store) if store else str(data_dir(data) / DATABASE)
    report = audit_at(store, data_dir(data) / DATABASE)
    if as_json:
        told = {"event": "audited", "clean": report.clean, **msgspec.to_builtins(report)}
        exits.say_json(told)
    else:
        console = stdout(soft_wrap=True)
        for found in report.findings:
            console.print(Text(f"{found.check}: ", "bold red") + Text(", ".join(found.rows)))
            console.print(Text(f"  {found.message}\n  {found.advice}"), style="dim")
        counted = ", ".join(f"{number:,} {name}s" for name, number in report.counted.items())
        verdict = Text("the books add up", "bold green")
        if not report.clean:
            verdict = Text(f"{len(report.findings)} findings", "bold red")
        console.print(verdict + Text(f"   {counted} in {where}", "dim"))
    if not report.clean:
        raise typer.Exit(exits.FAILED)
