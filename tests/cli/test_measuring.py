"""`dreamgrid work measure`: how long models take on this machine, by hand."""

from pathlib import Path

import msgspec

from dreamgrid.cli.measuring import Known, remembered_by
from dreamgrid.engines import remembered
from dreamgrid.protocol.renders import ImageRender
from dreamgrid.worker.identity import probe_device
from dreamgrid.worker.lanes import lanes_of
from dreamgrid.worker.rest import at_work
from dreamgrid.worker.started_engines import contestants_of
from dreamgrid.worker.trials import Trial
from tests.cli.conftest import Call
from tests.worker.server_room import config_of
from tests.worker.test_lanes import BOTH, TWO


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


def test_of_what_is_remembered_only_what_still_holds_is_told_each_with_its_gpu(
    tmp_path: Path,
) -> None:
    lanes = lanes_of(config_of("http://h", tmp_path), BOTH, TWO)
    small = ImageRender(
        model="small-v1", prompt="", width=8, height=8, steps=4, guidance=1.0, seed=1
    )
    for took_s, lane in enumerate(lanes, start=1):
        (one,) = contestants_of(BOTH, lane.served_by, probe_device(lane.gpu))
        kept = Trial(
            engine=one.reference,
            name=one.name,
            measured_on=one.measured_on,
            render=msgspec.structs.replace(small, model=lane.models[0]),
            took_s=took_s,
            step_s=1.0,
        )
        gone = (
            msgspec.structs.replace(kept, measured_on="another machine"),
            msgspec.structs.replace(kept, engine="removed:ENGINE"),
            msgspec.structs.replace(kept, render=msgspec.structs.replace(small, model="lost-v1")),
        )
        lane.data_dir.mkdir(exist_ok=True)
        remembered.keep("trials", (*gone, kept), lane.data_dir)
    assert list(remembered_by(lanes, BOTH)) == [
        Known(model=model, engine=engine, took_s=took_s, step_s=1.0, made="8x8 in 4 steps", gpu=gpu)
        for model, engine, took_s, gpu in (
            ("music-v1", "composer", 1, None),
            ("small-v1", "painter", 2, 0),
            ("small-v1", "painter", 3, 1),
        )
    ]
