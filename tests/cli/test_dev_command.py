"""`dreamgrid dev`: a grid whose workers do as they are told over stdin."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

import dreamgrid
from tests.cli.processes import COMMAND, clean, start


def test_orders_come_in_and_json_lines_go_out(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "dev", "--json", "--port", "0", "--worker", "fail retryable=no"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        cwd=tmp_path,
        env=clean({}),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        ready = json.loads(process.stdout.readline())
        assert ready["workers"] == ["worker-1"]
        small: dict[str, Any] = {
            "model": "pattern-v1",
            "prompt": "a sun",
            "width": 64,
            "height": 64,
        }
        with dreamgrid.Client(url=ready["url"], api_key=ready["api_key"]) as client:
            project = client.projects.create_image(**small)
            with pytest.raises(dreamgrid.ProjectFailed, match="told to fail"):
                project.wait(timeout_s=60)
            print("set worker-1 finish render=1", file=process.stdin, flush=True)
            answer = json.loads(process.stdout.readline())
            assert (answer["event"], answer["does"]) == ("done", "finish")
            assert len(client.projects.create_image(**small).wait(timeout_s=60)) == 1
        print("dance", file=process.stdin, flush=True)
        assert json.loads(process.stdout.readline())["event"] == "failed"
        print("quit", file=process.stdin, flush=True)
        assert process.wait(timeout=60) == 0


def test_a_mistyped_order_sends_nobody_to_a_help_that_is_not_there() -> None:
    ended = subprocess.run(
        [*COMMAND, "dev", "--port", "0"],
        input="dance\nquit\n",
        capture_output=True,
        text=True,
        timeout=60,
        env=clean({}),
        check=True,
    )
    assert ended.stderr == "error: there is no order 'dance'; try help\n"


def test_without_orders_it_runs_until_a_signal() -> None:
    process = start("dev", "--json", "--port", "0")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["event"] == "ready"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
