"""What `dreamgrid status` shows; `test_media_commands.py` asks a real grid."""

import io
from decimal import Decimal

from rich.console import Console

from dreamgrid import Balance
from dreamgrid.cli.status import Status, _table


def shown(workers: dict[str, int]) -> str:
    balance = Balance(spark=Decimal(5), sogni=Decimal(0))
    seen = Status(
        url="http://grid", username="Clara", balance=balance, workers=workers, unfinished=0
    )
    out = io.StringIO()
    Console(file=out, width=100).print(_table(seen))
    return out.getvalue()


def test_a_grid_whose_workers_are_all_paused_is_not_said_to_have_none() -> None:
    assert "nothing: no worker takes jobs now\n" in shown({})
    assert "connected" not in shown({})


def test_every_model_is_shown_with_how_many_workers_offer_it() -> None:
    lines = shown({"pattern-v1": 2, "bloom-v1": 1})
    assert lines.index("bloom-v1 x 1") < lines.index("pattern-v1 x 2")
    assert "nothing: no worker" not in lines
