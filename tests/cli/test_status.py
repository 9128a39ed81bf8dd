"""What `dreamgrid status` shows; `test_media_commands.py` asks a real grid."""

import io
import json
import os
from decimal import Decimal
from pathlib import Path

from rich.console import Console

from dreamgrid import Balance
from dreamgrid.cli.status import Status, _table
from dreamgrid.server.folder_lock import held
from tests.cli.conftest import Call


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


def test_a_grid_that_runs_here_and_cannot_be_reached_is_told_with_the_reason(
    call: Call, tmp_path: Path
) -> None:
    here = {"DREAMGRID_DATA": str(tmp_path)}
    elsewhere = {"url": "http://127.0.0.1:9", "api_key": "k", "pid": os.getpid()}
    (tmp_path / "running.json").write_text(json.dumps(elsewhere))
    with held(tmp_path):
        for command in (("status",), ("keys", "list")):
            ran = call(*command, environment=here)
            assert ran.returncode == 3
            assert f"process {os.getpid()}) is at http://127.0.0.1:9" in ran.stderr
            assert "nobody listens there" in ran.stderr
            assert "waiting" not in ran.stderr
    assert call("keys", "list", environment=here).returncode == 0  # what was left stops nobody
    assert not (tmp_path / "running.json").exists()
