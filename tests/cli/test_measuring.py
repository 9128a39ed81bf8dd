"""`dreamgrid work measure`: how long models take on this machine, by hand."""

from pathlib import Path

from dreamgrid.worker.rest import at_work
from tests.cli.conftest import Call


def test_models_are_measured_and_the_plan_knows_it_afterwards(call: Call, tmp_path: Path) -> None:
    home = {"DREAMGRID_DATA": str(tmp_path), "DREAMGRID_COMFYUI_URL": "off"}
    ran = call("work", "measure", "pattern-v1", environment=home)
    assert ran.returncode == 0
    assert "measures pattern-v1 with pattern" in ran.stderr
    (row,) = [line for line in ran.stdout.splitlines() if "pattern-v1" in line]
    assert "512x512 in" in row
    (known,) = call("work", "plan", "--json", environment=home).last_json["speeds"]
    assert (known["model"], known["engine"], known["gpu"]) == ("pattern-v1", "pattern", None)
    assert (
        f"{known['took_s']:.2f} s for 512x512 in" in call("work", "plan", environment=home).stdout
    )


def test_what_cannot_be_measured_is_told(call: Call, tmp_path: Path) -> None:
    home = {"DREAMGRID_DATA": str(tmp_path), "DREAMGRID_COMFYUI_URL": "off"}
    ran = call("work", "measure", "dreamlet-upscale-v1", "--json", environment=home)
    assert ran.returncode == 1
    assert ran.last_json == {"speeds": []}
    ran = call("work", "measure", "dreamlet-upscale-v1", environment=home)
    assert "dreamlet-upscale-v1 was not measured: it needs an input" in ran.stderr
    with at_work(tmp_path / "worker"):
        ran = call("work", "measure", environment=home)
    assert ran.returncode == 2
    assert "a worker runs from this folder" in ran.stderr
