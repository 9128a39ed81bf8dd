"""Ways to keep weights: which are tried, and that a smaller one renders all the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("peft", reason="needs torch and more: make diffusers")
pytest.importorskip("diffusers", reason="needs torch and more: make diffusers")

import safetensors.torch
import torch

from dreamgrid.engines import diffusers as spec
from dreamgrid.engines.base import Engine
from dreamgrid.engines.diffusers.engine import DiffusersEngine
from dreamgrid.engines.diffusers.family import families
from dreamgrid.engines.diffusers.memory import Plan, out_of_memory, part_sizes, plans_for
from dreamgrid.errors import OutOfMemory
from dreamgrid.protocol.params import Lora
from tests.engines.diffusers import tiny_pictures
from tests.engines.diffusers.wishes import nothing, pixels, render

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`FluxPosEmbed` is deprecated:FutureWarning"),
]

FLUX = "flux1-dev-fp8"


def names(free: float, *, eight_bits: bool) -> list[str]:
    pipeline = tiny_pictures.flux()
    free_bytes = sum(part_sizes(pipeline).values()) * free
    plans = plans_for("cuda", pipeline, eight_bits=eight_bits, free_bytes=free_bytes)
    return [plan.name for plan in plans]


def test_what_cannot_fit_is_not_tried_and_the_smallest_always_is() -> None:
    rest = ["parts, tiled", "layers, tiled"]
    assert names(9, eight_bits=False) == ["whole", "parts", *rest]
    assert names(9, eight_bits=True) == ["whole", "whole, 8 bits", "parts", "parts, 8 bits", *rest]
    assert names(1.29, eight_bits=True)[0] == "whole, 8 bits"
    assert names(0.01, eight_bits=True) == rest


def test_only_models_that_promise_no_more_are_kept_in_eight_bits() -> None:
    for family in families():
        assert set(family.eight_bits) == {model for model in family.weights if "fp8" in model}


def test_without_a_gpu_large_pictures_may_be_decoded_piece_by_piece() -> None:
    pipeline = tiny_pictures.flux()
    whole, tiled = plans_for("cpu", pipeline, eight_bits=True)
    whole.arrange(pipeline)
    assert not pipeline.vae.use_tiling
    tiled.arrange(pipeline)
    assert pipeline.vae.use_tiling


def test_memory_that_is_too_small_is_known_by_its_words() -> None:
    with pytest.raises(RuntimeError) as failed:
        torch.empty(2**46, dtype=torch.uint8)
    assert out_of_memory(failed.value)
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not out_of_memory(RuntimeError("shapes cannot be multiplied"))


@pytest.fixture
def fresh(engines: Callable[[str], Engine]) -> DiffusersEngine:
    """An engine of its own: what is rounded stays so."""
    engines(FLUX)  # writes its weights
    one = spec.ENGINE.create(1)
    one.load(FLUX)
    assert isinstance(one, DiffusersEngine)
    return one


def test_a_network_in_eight_bits_renders_nearly_the_same_with_loras_too(
    fresh: DiffusersEngine, folder: Path
) -> None:
    model = fresh._model
    assert model is not None
    write_lora(model._base.transformer, folder / "loras")
    wishes = (render(FLUX), render(FLUX, loras=(Lora(id="brush", strength=1.0),)))
    before = [fresh.generate(wish, {}, nothing).data for wish in wishes]
    whole = part_sizes(model._base)["transformer"]
    model._plans = [Plan(name="parts, 8 bits", place=lambda _: None, eight_bits=True)]
    assert model.shrink()
    assert part_sizes(model._base)["transformer"] < whole / 2  # from 32 bits here
    for wish, usual in zip(wishes, before, strict=True):
        made = fresh.generate(wish, {}, nothing).data
        assert made != usual
        assert abs(pixels(made).astype(int) - pixels(usual)).mean() < 8
        assert fresh.generate(wish, {}, nothing).data == made
    adapters = [p.dtype for n, p in model._base.transformer.named_parameters() if "lora" in n]
    assert adapters == []  # taken off again


def write_lora(network: Any, folder: Path) -> None:
    torch.manual_seed(1)
    layers = {}
    for name, part in network.named_modules():
        if name.endswith("attn.to_q"):
            layers[f"transformer.{name}.lora_A.weight"] = torch.randn(4, part.in_features)
            layers[f"transformer.{name}.lora_B.weight"] = torch.randn(part.out_features, 4)
    folder.mkdir(exist_ok=True)
    safetensors.torch.save_file(layers, folder / "brush.safetensors")


def test_a_decoder_that_runs_out_of_memory_decodes_piece_by_piece(
    fresh: DiffusersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fresh._model
    assert model is not None
    decoder = model._base.vae
    decode = decoder.decode

    def fits_in_tiles_only(*args: object, **options: object) -> Any:
        if not decoder.use_tiling:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return decode(*args, **options)

    monkeypatch.setattr(decoder, "decode", fits_in_tiles_only)
    assert fresh.generate(render(FLUX), {}, nothing).steps == 3
    assert model.plan == "whole, tiled"
    monkeypatch.setattr(decoder, "decode", _never)
    with pytest.raises(OutOfMemory, match="does not fit into the memory of this worker"):
        fresh.generate(render(FLUX), {}, nothing)


def _never(*args: object, **options: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
