"""What happens to a worker, as lines that a person reads."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from dreamgrid.cli.telling import tell
from dreamgrid.worker import events
from dreamgrid.worker.config import WorkerConfig

JOB = "01A20550-1234-7000-8000-0123456789AB"


@pytest.mark.parametrize(
    "event",
    [
        events.JobFinished(job_id=JOB, size_bytes=1, render_s=1.0),
        events.JobFailed(job_id=JOB, error="RenderFailed", message="", detail="no memory"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_a_job_is_named_as_explain_takes_it(event: events.WorkerEvent, tmp_path: Path) -> None:
    lane = WorkerConfig(server_url="http://127.0.0.1:1", api_key="", data_dir=tmp_path)
    said = io.StringIO()
    tell(Console(file=said, width=200), lane, event)
    assert said.getvalue().startswith(f"{JOB} ")
