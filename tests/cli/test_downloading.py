"""`dreamgrid work download`, as people and programs see it."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from dreamgrid.cli.exits import BAD_INPUT, FAILED, INTERRUPTED
from tests.cli.conftest import Call
from tests.cli.processes import start
from tests.support.hub import REPOSITORY, Hub

MODEL = "sd_xl_turbo_1.0_fp16"


@pytest.fixture
def served() -> Iterator[Hub]:
    with Hub().running() as one:
        yield one


@pytest.fixture
def environment(served: Hub, tmp_path: Path) -> dict[str, str]:
    return {
        "HF_ENDPOINT": served.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_CACHE": str(tmp_path / "hf" / "hub"),
        "DREAMGRID_DIFFUSERS_MODELS": str(tmp_path / "weights"),
    }


def test_weights_come_and_are_not_fetched_twice(
    call: Call, served: Hub, environment: dict[str, str], tmp_path: Path
) -> None:
    ran = call("work", "download", MODEL, environment=environment)
    assert ran.returncode == 0
    assert "licence: openrail++" in ran.stdout
    folder = tmp_path / "weights" / MODEL
    assert f"is whole: {folder}" in ran.stdout
    assert (folder / "model_index.json").is_file()
    served.asked.clear()
    again = call("work", "download", MODEL, "--json", environment=environment)
    assert again.last_json == {"event": "Downloaded", "model": MODEL, "folder": str(folder)}
    assert served.asked == []


def test_a_dry_run_only_says_how_much_there_is(
    call: Call, served: Hub, environment: dict[str, str], tmp_path: Path
) -> None:
    ran = call("work", "download", MODEL, "--dry-run", "--json", environment=environment)
    assert ran.last_json["event"] == "Found"
    assert ran.last_json["size_bytes"] > 300_000
    assert served.asked == []
    assert not (tmp_path / "weights").exists()


def test_ctrl_c_is_clean_and_the_same_command_goes_on(
    call: Call, served: Hub, environment: dict[str, str], tmp_path: Path
) -> None:
    served.breaks_after = [4000, 100_000]
    served.holds.clear()  # nothing more comes until the test says so
    process = start("work", "download", MODEL, "--json", environment=environment)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["event"] == "Found"
    served.stopped.wait(60)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED
    assert "Traceback" not in errors
    assert not (tmp_path / "weights" / MODEL).exists()
    served.holds.set()
    served.breaks_after = []
    ran = call("work", "download", MODEL, environment=environment)
    assert ran.returncode == 0
    assert (tmp_path / "weights" / MODEL).is_dir()


def test_control_nets_and_loras_come_to_where_the_engine_looks(
    call: Call, served: Hub, environment: dict[str, str], tmp_path: Path
) -> None:
    served.files = {"config.json": b"{}", "diffusion_pytorch_model.safetensors": b"net"}
    wish = ("sd-v1-5", "--control-net", "canny", "--lora", f"ink={REPOSITORY}")
    refused = call("work", "download", *wish, environment=environment)
    assert "has no lllyasviel/control_v11p_sd15_canny" in refused.stderr  # this hub has one only
    ran = call("work", "download", "--lora", f"ink={REPOSITORY}", environment=environment)
    assert ran.returncode == 0
    assert (tmp_path / "weights" / "loras" / "ink.safetensors").read_bytes() == b"net"
    again = call("work", "download", "--lora", f"ink={REPOSITORY}", environment=environment)
    assert "is here already" in again.stdout


def test_wishes_that_cannot_be_are_refused(call: Call, environment: dict[str, str]) -> None:
    for wish, told in (
        ((), "name a model, or a LoRA"),
        (("sd-v1-5", "--control-net", "crayon"), "sd-v1-5 has no ControlNet crayon: canny"),
        (("chroma1-hd_fp8_scaled", "--control-net", "all"), "none that is known"),
        (("--lora", "ink=../secret"), "is no LoRA"),
        (("--lora", "../ink=a/b"), "is no LoRA"),
    ):
        ran = call("work", "download", *wish, environment=environment)
        assert ran.returncode == BAD_INPUT
        assert told in ran.stderr


def test_a_model_without_a_source_is_refused(call: Call, environment: dict[str, str]) -> None:
    ran = call("work", "download", "unheard-v1", environment=environment)
    assert ran.returncode == BAD_INPUT
    assert "no source of weights is known for unheard-v1" in ran.stderr


def test_a_closed_repository_says_how_it_opens(
    call: Call, served: Hub, environment: dict[str, str]
) -> None:
    served.status = 401
    ran = call("work", "download", MODEL, environment=environment)
    assert ran.returncode == FAILED
    assert "accept its terms" in ran.stderr


def test_a_name_that_is_almost_right_is_told_the_right_one(
    call: Call, environment: dict[str, str]
) -> None:
    ran = call("work", "download", "z_image_turbo", environment=environment)
    assert ran.returncode == BAD_INPUT
    assert "did you mean z_image_turbo_bf16" in ran.stderr
