"""`dreamgrid work plan`, and what `dreamgrid work` says before it joins."""

from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.processes import Grid, start
from tests.support.nvidia import BIG, NvidiaSmi

Z_IMAGE = "z_image_turbo_bf16"


@pytest.fixture
def fresh(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine with a large GPU and no weights."""
    driver = NvidiaSmi(tmp_path / "driver")
    driver.shows(BIG)
    return {
        "PATH": f"{driver.folder}:/bin:/usr/bin",
        "DREAMGRID_DATA": str(tmp_path / "data"),
        "DREAMGRID_DIFFUSERS_MODELS": str(tmp_path / "weights"),
        "HF_HUB_CACHE": str(tmp_path / "hub"),
        "CUDA_VISIBLE_DEVICES": "0",
    }


def test_a_fresh_machine_reads_what_it_serves_and_what_would_fit(
    call: Call, fresh: dict[str, str]
) -> None:
    ran = call("work", "plan", environment=fresh)
    assert ran.returncode == 0
    assert "Big GPU (80 GiB)" in ran.stdout
    assert "serves" in ran.stdout
    assert "dreamlet-v1" in ran.stdout
    row, advice = [line for line in ran.stdout.splitlines() if Z_IMAGE in line]
    assert row.startswith("no weights")
    assert f"dreamgrid work download {Z_IMAGE}" in advice


def test_programs_read_the_same_as_json(call: Call, fresh: dict[str, str]) -> None:
    told = call("work", "plan", "--json", environment=fresh).last_json
    assert told["machine"]["gpus"][0]["name"] == "Big GPU"
    assert "dreamlet-v1" in {row["model"] for row in told["serves"]}
    assert told["engines"]["dreamlet-v1"] == ["dreamlet"]
    states = {row["model"]: row["state"] for row in told["leaves"]}
    assert states[Z_IMAGE] == "absent"


def test_an_engine_that_is_preferred_must_be_there(call: Call, fresh: dict[str, str]) -> None:
    assert call("work", "plan", "--engine", "dreamlet", environment=fresh).returncode == 0
    ran = call("work", "plan", "--engine", "dreamle", environment=fresh)
    assert ran.returncode == 2
    assert "there is no engine dreamle; there are: " in ran.stderr


def test_a_named_model_without_weights_is_refused_with_what_to_do(
    call: Call, fresh: dict[str, str], grid: Grid
) -> None:
    ran = call("work", "--model", Z_IMAGE, environment=fresh | grid.environment)
    assert ran.returncode == 2
    assert "its weights" in ran.stderr


def test_a_worker_says_what_it_found_before_it_joins(
    grid: Grid, fresh: dict[str, str], tmp_path: Path
) -> None:
    process = start("work", "--name", "fresh", environment=fresh | grid.environment)
    assert process.stdout is not None
    told = ""
    while "fresh works for" not in told:
        line = process.stdout.readline()
        assert line, process.communicate()
        told += line
    process.terminate()
    process.communicate(timeout=60)
    assert told.startswith("machine   Big GPU (80 GiB)")
    assert "weights are not here: " in told
    assert Z_IMAGE in told
