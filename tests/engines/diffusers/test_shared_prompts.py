"""Jobs with prompts of their own in one pass, for each family of pictures: each as if alone."""

import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("peft", reason="needs torch and more: make diffusers")
pytest.importorskip("diffusers", reason="needs torch and more: make diffusers")

import safetensors.torch
import torch

from dreamgrid.engines import remembered
from dreamgrid.engines.base import Engine, Job, OnStep, Step
from dreamgrid.engines.diffusers import batching
from dreamgrid.engines.diffusers import engine as engine_module
from dreamgrid.engines.diffusers.batching import Proof, Proofs
from dreamgrid.engines.diffusers.engine import DiffusersEngine
from dreamgrid.engines.diffusers.family import Texts, families
from dreamgrid.engines.diffusers.texts import UnlikeTexts, encoded, lengths, some_like
from dreamgrid.engines.safety import ContentFilter
from dreamgrid.errors import RenderCanceled, RenderRefused
from dreamgrid.protocol.params import Lora
from dreamgrid.protocol.renders import ImageRender
from tests.engines.diffusers import tiny, tiny_parts

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`FluxPosEmbed` is deprecated:FutureWarning"),
]

SD, QWEN, Z_IMAGE = "sd-v1-5", "qwen_image_2512_fp8", "z_image_bf16"
SHARING = [
    model
    for model in tiny.FAMILIES
    if any(model in family.weights and family.texts for family in families())
]
WIDE = Proof(width=4, alone_s=1.0, together_s=1.0)


def render(model: str, seed: int = 5, **changes: object) -> ImageRender:
    settings: dict[str, object] = {
        "model": model, "prompt": "a red fox", "negative_prompt": "the sea", "steps": 2,
        "guidance": 3.0, "seed": seed, "sampler": "euler", "width": 32, "height": 32,
    }  # fmt: skip
    return ImageRender(**(settings | changes))  # type: ignore[arg-type]


def nothing(_step: Step) -> None:
    """A worker that only wants the result."""


def job(one: ImageRender, on_step: OnStep = nothing) -> Job:
    return Job(render=one, inputs={}, on_step=on_step)


def several(model: str) -> list[ImageRender]:
    """Of different people, each with words of their own, equally many."""
    return [
        render(model, 11),
        render(model, 12, prompt="a blue sea", negative_prompt="red fox"),
        render(model, 13, prompt="walk the fox", negative_prompt="the fox", output_format="jpg"),
        render(model, 11, prompt="walk by sea", negative_prompt="the sea"),
    ]


def files(engine: DiffusersEngine, some: Sequence[ImageRender]) -> list[bytes]:
    return [finish().data for finish in engine.render_together([job(one) for one in some])]


@pytest.fixture
def fresh(
    engines: Callable[[str], Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], DiffusersEngine]]:
    """An engine with nothing proved yet, and where how long something takes decides nothing."""
    monkeypatch.setattr(remembered.settings, "folder", tmp_path)
    for name in ("WORTH_IT", "LONGEST_ALONE_S"):
        monkeypatch.setattr(batching, name, 1e9)
    monkeypatch.setattr(batching, "PROVED_AT", 1)
    for module in (batching, engine_module):  # four take twice as long, eight families long
        monkeypatch.setattr(module, "WIDTHS", (2,))
    monkeypatch.setattr(ContentFilter, "objections", lambda *_: ())  # takes longer than the rest
    monkeypatch.setattr(Proof, "width_for", lambda one, count: one.width if count > 1 else 1)
    used: list[DiffusersEngine] = []

    def of(model: str) -> DiffusersEngine:
        one = cast(DiffusersEngine, engines(model))
        monkeypatch.setattr(one, "_proofs", Proofs())
        monkeypatch.setattr(one, "_unproven", None)
        used.append(one)
        return one

    yield of
    for one in used:
        assert one._model is not None
        one._model._base.vae.disable_slicing()


def plant(
    engine: DiffusersEngine, monkeypatch: pytest.MonkeyPatch, text_of: Callable[[int], int]
) -> None:
    """A network that multiplies each picture with a number made of texts.

    No library rounds that by its shape, so what is the same stays so to the last bit.

    Args:
        engine: Its model is loaded.
        monkeypatch: Takes it away again.
        text_of: Takes a picture's place in the pass; gives the place of the text that it gets.
    """
    assert engine._model is not None
    base = engine._model._base
    network = getattr(base, "transformer", None) or base.unet

    def rows(value: Any, count: int) -> bool:
        return isinstance(value, torch.Tensor | list) and len(value) == count

    def forward(*args: Any, **options: Any) -> Any:
        kept = {**options, **(options.get("added_cond_kwargs") or {})}
        sample = args[0] if args else kept.pop("hidden_states")
        told = [
            *args[2:],
            *(kept[name] for name in sorted(kept) if "text" in name or "pro" in name),
        ]
        told += [kept[name] for name in ("encoder_hidden_states",) if name in kept]
        told = [value for value in told if rows(value, len(sample))]
        assert told, "no text reaches the network"
        made = []
        for number, one in enumerate(sample):
            words = b"".join(value[text_of(number)].numpy().tobytes() for value in told)
            made.append(one * (0.5 + zlib.crc32(words) / 2**35))
        return (made,) if isinstance(sample, list) else (torch.stack(made),)

    monkeypatch.setattr(network, "forward", forward)


@pytest.mark.parametrize("model", SHARING)
def test_jobs_with_prompts_of_their_own_share_a_pass_once_that_is_proved(
    fresh: Callable[[str], DiffusersEngine], monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    engine = fresh(model)
    plant(engine, monkeypatch, lambda own: own)
    engine.generate(render(model), {}, nothing)
    engine.learn(lambda: False)
    some = several(model)[:2]
    kinds = {engine.together(one, ()) for one in some}
    assert len(kinds) == 1, "they may share"
    assert kinds.pop()[1] == 2
    alone = [engine.generate(one, {}, nothing).data for one in some]
    assert alone[0] != alone[1]
    widths: list[int] = []
    of = engine._pass

    def seen(*args: Any, width: int) -> Any:
        widths.append(width)
        return of(*args, width=width)

    monkeypatch.setattr(engine, "_pass", seen)
    assert files(engine, some) == alone
    assert widths == [2]


@pytest.mark.parametrize("model", SHARING)
def test_where_a_neighbours_prompt_shows_in_a_picture_nothing_is_shared(
    fresh: Callable[[str], DiffusersEngine], monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    engine = fresh(model)
    plant(engine, monkeypatch, lambda _own: 0)
    engine.generate(render(model), {}, nothing)
    engine.learn(lambda: False)
    assert engine.together(render(model), ())[1] == 1


@pytest.mark.parametrize("model", SHARING)
def test_with_a_real_network_each_picture_follows_its_own_prompt(
    fresh: Callable[[str], DiffusersEngine], model: str
) -> None:
    """As near as rounding lets it be: whether it is the same to the last bit is for the proof."""
    engine = fresh(model)
    some = [msgspec.structs.replace(one, output_format="png") for one in several(model)]
    alone = [engine.generate(one, {}, nothing).data for one in some]
    engine._proofs.note(engine._kind_of(some[0]) or "", WIDE)
    for data, expected in zip(files(engine, some), alone, strict=True):
        pixels = [
            np.asarray(Image.open(io.BytesIO(kept)).convert("RGB")).astype(int)
            for kept in (data, expected)
        ]
        assert np.abs(pixels[0] - pixels[1]).max() <= 2


def test_only_texts_that_are_as_long_share_a_pass_where_their_length_counts(
    fresh: Callable[[str], DiffusersEngine],
) -> None:
    longer = {"prompt": "a red fox by the sea"}
    fixed, exact, filled = (fresh(model) for model in (SD, QWEN, Z_IMAGE))

    def kind(engine: DiffusersEngine, model: str, **changes: Any) -> str:
        return engine.together(render(model, **changes), ())[0]

    assert kind(fixed, SD, **longer) == kind(fixed, SD)
    assert kind(exact, QWEN, **longer) != kind(exact, QWEN)
    assert kind(exact, QWEN, negative_prompt="sea") != kind(exact, QWEN)
    assert kind(exact, QWEN, negative_prompt="sea", guidance=1.0) == kind(exact, QWEN, guidance=1.0)
    assert kind(filled, Z_IMAGE, **longer) == kind(filled, Z_IMAGE)
    assert kind(filled, Z_IMAGE, prompt="sea " * 33) != kind(filled, Z_IMAGE)
    assert kind(filled, Z_IMAGE, guidance=0.5) != kind(filled, Z_IMAGE, guidance=0.0)


@pytest.mark.parametrize("model", [QWEN, Z_IMAGE])
def test_texts_that_turn_out_to_be_unlike_are_rendered_one_by_one(
    fresh: Callable[[str], DiffusersEngine], monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    engine = fresh(model)
    some = [render(model, 11), render(model, 12, prompt="sea " * 40)]
    alone = [engine.generate(one, {}, nothing).data for one in some]
    for one in some:
        engine._proofs.note(engine._kind_of(one) or "", WIDE)
    (family,) = (family for family in families() if model in family.weights)
    assert engine._model is not None
    assert family.texts is not None
    with pytest.raises(UnlikeTexts):
        encoded(engine._model._base, family.texts, some)
    assert files(engine, some) == alone


def test_a_refused_prompt_and_a_canceled_job_end_alone(
    fresh: Callable[[str], DiffusersEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = fresh(SD)
    plant(engine, monkeypatch, lambda own: own)
    some = several(SD)
    engine._proofs.note(engine._kind_of(some[0]) or "", WIDE)
    alone = [engine.generate(one, {}, nothing).data for one in some]
    steps: list[int] = []
    shown: list[bytes] = []

    def watch(step: Step) -> None:
        steps.append(step.step)
        assert step.preview is not None
        shown.append(step.preview())

    def stop(_step: Step) -> None:
        raise RenderCanceled("told to stop")

    finishes = engine.render_together(
        [
            job(some[0], watch),
            job(render(SD, prompt="a nude girl"), watch),
            job(some[1], stop),
            job(some[2], watch),
        ]
    )
    assert steps == [1, 1, 2, 2]
    assert len(set(shown)) == 4, "each sees its own picture"
    assert [finishes[0]().data, finishes[3]().data] == [alone[0], alone[2]]
    with pytest.raises(RenderRefused):
        finishes[1]()
    with pytest.raises(RenderCanceled):
        finishes[2]()


def test_jobs_with_the_same_loras_share_a_pass_and_others_do_not(
    fresh: Callable[[str], DiffusersEngine], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    engine = fresh(SD)
    name = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    torch.manual_seed(1)
    layers = {
        f"{name}.lora_A.weight": torch.randn(4, 64),
        f"{name}.lora_B.weight": torch.randn(64, 4),
    }
    (folder / "loras").mkdir(exist_ok=True)
    safetensors.torch.save_file(layers, folder / "loras" / "shared.safetensors")
    plant(engine, monkeypatch, lambda own: own)
    lora, weak = (Lora(id="shared", strength=strength) for strength in (1.0, 0.5))
    some = [render(SD, 21, loras=(lora,)), render(SD, 22, prompt="a blue sea", loras=(lora,))]
    engine.generate(some[0], {}, nothing)
    engine.learn(lambda: False)
    kind, most = engine.together(some[0], ())
    assert most == 2
    assert engine.together(some[1], ()) == (kind, most)
    assert engine.together(render(SD, loras=(weak,)), ())[1] == 1
    assert engine.together(render(SD), ())[1] == 1
    alone = [engine.generate(one, {}, nothing).data for one in some]
    assert files(engine, some) == alone
    assert engine._model is not None
    assert not engine._model._base.get_active_adapters()


def test_texts_for_a_proof_are_like_the_given_one_and_differ_where_they_can() -> None:
    assert len(set(some_like("a red fox by the sea", 4, lambda _: True))) == 4
    assert len(set(some_like("", 4, lambda _: True))) == 4
    assert some_like("fox", 4, lambda _: False) == ["fox"] * 4
    exact = some_like("a red fox", 4, lambda text: len(text.split()) == 3)
    assert exact[0] == "a red fox"
    assert len(set(exact)) == 3
    assert {len(text.split()) for text in exact} == {3}


def test_a_length_counts_what_the_tokenizer_makes_of_a_text() -> None:
    words = tiny_parts.word_tokenizer()
    exact = Texts(encoded=("prompt_embeds",), lengths_of=1)
    assert lengths(words, exact, render(QWEN)) == (3, 2)
    assert lengths(words, exact, render(QWEN, guidance=1.0)) == (3, 0)
    assert lengths(words, Texts(encoded=("prompt_embeds",)), render(SD)) == (0, 0)
    words.chat_template = "the {{ messages[0]['content'] }}"
    assert lengths(words, exact, render(QWEN)) == (4, 3)
