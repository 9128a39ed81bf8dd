"""The command for people with a GPU, as far as it can be tried without one."""

import re
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("peft", reason="needs torch and more: make diffusers")
pytest.importorskip("diffusers", reason="needs torch and more: make diffusers")

import diffusers
import torch
from benchmarks import gpu, real_weights
from benchmarks.gpu import Measurement, Report, no_room

from dreamgrid.engines.diffusers import memory

GB = 1e9


def test_whatever_a_gpu_is_asked_for_torch_has() -> None:
    files = [Path(one.__file__ or "") for one in (gpu, real_weights, memory)]
    asked = {name for file in files for name in re.findall(r"torch\.cuda\.(\w+)", file.read_text())}
    assert {"mem_get_info", "reset_peak_memory_stats", "max_memory_allocated"} <= asked
    assert {name for name in asked if not callable(getattr(torch.cuda, name))} == set()


def test_the_networks_are_as_large_as_the_real_ones_and_take_no_memory_before_they_are_made() -> (
    None
):
    for make, billions in ((real_weights.stable_diffusion_xl, 2.2), (real_weights.flux, 11.9)):
        network = make()
        assert network.num_parameters() / GB == pytest.approx(billions, rel=0.05)
        assert {(one.device.type, one.dtype) for one in network.parameters()} == {
            ("meta", torch.bfloat16)
        }


def test_a_network_is_filled_with_numbers_that_stay_finite() -> None:
    network = real_weights.filled(
        real_weights.without_numbers(
            lambda: diffusers.AutoencoderKL(
                block_out_channels=(32, 64),
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
            )
        )
    ).float()
    with torch.no_grad():
        made = network.decode(torch.randn(1, 4, 8, 8)).sample
    assert torch.isfinite(made).all()
    assert made.std() > 0


def test_the_most_memory_of_a_picture_is_counted_from_its_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    did: list[str] = []
    monkeypatch.setattr(real_weights, "device", lambda: "cuda")
    for name in ("synchronize", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda name=name: did.append(name))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 7_000)
    assert real_weights._peak_bytes(lambda: did.append("render")) == 7_000
    assert did == ["synchronize", "reset_peak_memory_stats", "render", "synchronize"]


def test_a_report_names_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "device", lambda: "cuda")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Large GPU")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (60_000, 80_000))
    told = msgspec.json.decode(msgspec.json.encode(gpu.described()), type=Report)
    assert (told.gpu, told.memory_bytes) == ("Large GPU", 80_000)


def test_what_there_is_no_room_for_is_not_begun(tmp_path: Path) -> None:
    parameters = 12_000_000_000
    assert no_room(parameters, tmp_path, 64 * GB, 64 * GB) == ""
    assert "main memory" in no_room(parameters, tmp_path, 16 * GB, 64 * GB)
    assert "disk" in no_room(parameters, tmp_path, 64 * GB, 16 * GB)


@pytest.mark.parametrize("minutes", [8.0, 0.0])
def test_what_fails_or_has_no_time_left_is_told_and_the_rest_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, minutes: float
) -> None:
    def made(one: Measurement) -> None:
        one.found.parameters = 5

    def failed(one: Measurement) -> None:
        raise RuntimeError("CUDA error: no kernel image\nand more")

    monkeypatch.setattr(Measurement, "_make", made)
    monkeypatch.setattr(Measurement, "_beside", failed)
    for part in ("_passes", "_idle", "_switch"):
        monkeypatch.setattr(Measurement, part, lambda one: None)
    kept: list[bytes] = []
    report = gpu.run(
        gpu.WITHOUT_GPU,
        minutes,
        lambda _: None,
        lambda report: kept.append(msgspec.json.encode(report)),
        tmp_path,
    )
    (one,) = report.sizes
    if minutes:
        assert one.parameters == 5
        assert one.left_out == {"engine": "RuntimeError: CUDA error: no kernel image"}
        assert len(kept) == 5
    else:
        assert one.left_out == {"weights": "0 s were left"}
        assert len(kept) == 1
    assert list(tmp_path.iterdir()) == []
