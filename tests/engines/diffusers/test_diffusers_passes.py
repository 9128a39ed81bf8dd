"""Several jobs in one pass of a real pipeline with tiny weights: each as if it were alone."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

pytest.importorskip("peft", reason="needs torch and more: make diffusers")
pytest.importorskip("diffusers", reason="needs torch and more: make diffusers")

import torch

from dreamgrid.engines import remembered
from dreamgrid.engines.base import Engine, Job, OnStep, Step
from dreamgrid.engines.diffusers import batching
from dreamgrid.engines.diffusers import engine as engine_module
from dreamgrid.engines.diffusers.batching import Proof, Proofs
from dreamgrid.engines.diffusers.engine import DiffusersEngine
from dreamgrid.engines.diffusers.passes import Pass
from dreamgrid.engines.safety import ContentFilter
from dreamgrid.errors import RenderCanceled
from dreamgrid.protocol.params import ControlNet
from dreamgrid.protocol.renders import ImageRender

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SD = "sd-v1-5"
WIDE = Proof(width=4, alone_s=1.0, together_s=1.0)


def render(seed: int = 5, **changes: object) -> ImageRender:
    settings: dict[str, object] = {
        "model": SD, "prompt": "a red fox", "steps": 2, "guidance": 3.0,
        "seed": seed, "sampler": "euler", "width": 64, "height": 32,
    }  # fmt: skip
    return ImageRender(**(settings | changes))  # type: ignore[arg-type]


def nothing(_step: Step) -> None:
    """A worker that only wants the result."""


def jobs(*seeds: int, on_step: OnStep = nothing) -> list[Job]:
    return [Job(render=render(seed), inputs={}, on_step=on_step) for seed in seeds]


def files(engine: DiffusersEngine, some: Sequence[Job]) -> list[bytes]:
    return [finish().data for finish in engine.render_together(some)]


@pytest.fixture
def engine(
    engines: Callable[[str], Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DiffusersEngine]:
    """With nothing proved yet, and where how long something takes decides nothing."""
    monkeypatch.setattr(remembered.settings, "folder", tmp_path)
    for name in ("WORTH_IT", "LONGEST_ALONE_S"):
        monkeypatch.setattr(batching, name, 1e9)
    monkeypatch.setattr(batching, "PROVED_AT", 1)
    monkeypatch.setattr(ContentFilter, "objections", lambda *_: ())  # takes longer than the rest
    monkeypatch.setattr(Proof, "width_for", lambda one, count: one.width if count > 1 else 1)
    monkeypatch.setattr(engine_module, "LONGEST_ALONE_S", 1e9)
    one = cast(DiffusersEngine, engines(SD))
    monkeypatch.setattr(one, "_proofs", Proofs())
    monkeypatch.setattr(one, "_unproven", None)
    yield one
    assert one._model is not None
    one._model._base.vae.disable_slicing()


@pytest.fixture
def widths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How wide each pass is."""
    seen: list[int] = []
    run = Pass.run

    def note(one: Pass, *args: Any, **options: Any) -> list[Any]:
        seen.append(one._width)
        return run(one, *args, **options)

    monkeypatch.setattr(Pass, "run", note)
    return seen


def plant(
    engine: DiffusersEngine, monkeypatch: pytest.MonkeyPatch, factor: Callable[[Any], Any]
) -> None:
    """A network whose every number is one multiplication: no library rounds it by its shape."""
    assert engine._model is not None
    network = engine._model._base.unet
    monkeypatch.setattr(
        network, "forward", lambda sample, *_, **__: (sample * factor(sample),), raising=True
    )


@pytest.mark.parametrize(
    ("factor", "width"),
    [
        (lambda _: 0.5, 4),
        (lambda rows: 0.5 + len(rows) / 64, 1),
        (lambda rows: 0.5 + rows[0].mean() / 64, 1),
    ],
    ids=["the same", "by width", "by neighbour"],
)
def test_a_quiet_moment_proves_whether_pictures_may_share_a_pass(
    engine: DiffusersEngine,
    monkeypatch: pytest.MonkeyPatch,
    widths: list[int],
    factor: Callable[[Any], Any],
    width: int,
) -> None:
    plant(engine, monkeypatch, factor)
    assert engine.together(render(), ()) == (engine.together(render(9), ())[0], 1)
    engine.generate(render(), {}, nothing)
    assert widths == [1], "nothing is proved yet"
    engine.learn(lambda: False)
    assert engine.together(render(), ())[1] == width
    monkeypatch.setattr(engine, "_proofs", Proofs())  # from the disk
    assert engine.together(render(), ())[1] == width
    widths.clear()
    alone = [engine.generate(render(seed), {}, nothing).data for seed in (11, 12, 13)]
    assert widths == [1, 1, 1], "who is alone is made alone"
    widths.clear()
    assert files(engine, jobs(11, 12, 13)) == alone
    assert widths == ([4] if width == 4 else [1, 1, 1])
    assert alone == [engine.generate(render(seed), {}, nothing).data for seed in (11, 12, 13)]


def test_with_a_real_network_whatever_is_proved_holds(
    engine: DiffusersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.generate(render(), {}, nothing)
    engine.learn(lambda: False)
    alone = [engine.generate(render(seed), {}, nothing).data for seed in (21, 22, 23, 24)]
    assert files(engine, jobs(21, 22, 23, 24)) == alone
    assert len(set(alone)) == 4


def test_only_what_differs_in_nothing_but_prompts_and_seed_may_share_a_pass(
    engine: DiffusersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine._proofs.note(engine._kind_of(render()) or "", WIDE)
    kind, most = engine.together(render(), ())
    assert most == 4
    assert engine.together(render(6, previews=3), ()) == (kind, 4)
    assert engine.together(render(prompt="a blue sea"), ()) == (kind, 4)
    for other in ({"guidance": 2.5}, {"steps": 3}, {"sampler": "euler_a"}):
        assert engine.together(render(**other), ())[0] != kind
    net = ControlNet(name="canny")
    assert engine.together(render(control_net=net), ())[1] == 1
    assert engine.together(render(), ("startingImage",))[1] == 1
    for other in (
        {"width": 32},
        {"steps": 3},
        {"sampler": "euler_ancestral"},
        {"sampler": "lcm"},
        {"scheduler": "karras"},
    ):
        assert engine.together(render(**other), ())[1] == 1, "not proved"


def test_who_is_canceled_leaves_the_pass_and_each_sees_its_own_steps(
    engine: DiffusersEngine, monkeypatch: pytest.MonkeyPatch, widths: list[int]
) -> None:
    plant(engine, monkeypatch, lambda _: 0.5)
    engine._proofs.note(engine._kind_of(render()) or "", WIDE)
    alone = files(engine, jobs(31)) + files(engine, jobs(33))
    told: list[int] = []
    shown: list[bytes] = []

    def watch(step: Step) -> None:
        kept = Proofs().of(engine._kind_of(render()) or "")
        assert kept is not None
        assert kept.deaths == 1, "should the process die now, the next one knows"
        told.append(step.step)
        assert step.preview is not None
        shown.append(step.preview())

    def stop(_step: Step) -> None:
        told.append(0)
        raise RenderCanceled("told to stop")

    widths.clear()
    some = [*jobs(31, on_step=watch), *jobs(32, on_step=stop), *jobs(33, on_step=watch)]
    first, canceled, last = engine.render_together(some)
    assert Proofs().of(engine._kind_of(render()) or "") == WIDE
    assert widths == [4]
    assert told == [1, 0, 1, 2, 2], "a canceled job hears no more"
    assert len(set(shown)) == 4
    assert [first().data, last().data] == alone
    with pytest.raises(RenderCanceled):
        canceled()
    with pytest.raises(RenderCanceled):
        engine.render_together(jobs(1, 2, on_step=stop))


def test_a_pass_that_does_not_fit_is_made_one_by_one_and_not_tried_again(
    engine: DiffusersEngine, monkeypatch: pytest.MonkeyPatch, widths: list[int]
) -> None:
    plant(engine, monkeypatch, lambda _: 0.5)
    assert engine._model is not None
    network = engine._model._base.unet
    forward = network.forward

    def small(sample: Any, *args: Any, **options: Any) -> Any:
        if len(sample) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(sample, *args, **options)

    monkeypatch.setattr(network, "forward", small)
    engine._proofs.note(engine._kind_of(render()) or "", WIDE)
    plan = engine._model.plan
    assert len(files(engine, jobs(41, 42))) == 2
    assert widths == [4, 1, 1]
    assert engine._model.plan == plan
    assert engine.together(render(), ())[1] == 1
    monkeypatch.setattr(engine, "_proofs", Proofs())
    monkeypatch.setattr(remembered.settings, "folder", None)
    monkeypatch.setattr(engine, "_proofs", Proofs())
    engine.generate(render(), {}, nothing)
    engine.learn(lambda: False)
    assert engine.together(render(), ())[1] == 1


def test_a_job_that_comes_ends_the_proof_which_is_taken_up_later(
    engine: DiffusersEngine, monkeypatch: pytest.MonkeyPatch, widths: list[int]
) -> None:
    plant(engine, monkeypatch, lambda _: 0.5)
    engine.learn(lambda: False)
    assert widths == [], "there is nothing to find out"
    engine.generate(render(), {}, nothing)
    engine.learn(lambda: True)
    assert widths == [1, 1]
    assert engine.together(render(), ())[1] == 1
    assert Proofs().of(engine._kind_of(render()) or "") is None, "it is to be found out yet"
    engine.learn(lambda: False)
    assert engine.together(render(), ())[1] == 4
    widths.clear()
    engine.learn(lambda: False)
    assert widths == [], "it is known"


def test_what_comes_only_once_is_not_found_out(
    engine: DiffusersEngine, monkeypatch: pytest.MonkeyPatch, widths: list[int]
) -> None:
    plant(engine, monkeypatch, lambda _: 0.5)
    monkeypatch.setattr(batching, "PROVED_AT", 2)
    for some in (render(), msgspec.structs.replace(render(), steps=3)):
        engine.generate(some, {}, nothing)
        engine.learn(lambda: False)
    assert widths == [1, 1]
    engine.generate(render(), {}, nothing)
    engine.learn(lambda: False)
    assert engine.together(render(), ())[1] == 4


def test_a_proof_that_ends_its_process_is_not_tried_again(
    engine: DiffusersEngine, monkeypatch: pytest.MonkeyPatch, widths: list[int]
) -> None:
    engine.generate(render(), {}, nothing)

    def die(*_: object) -> Proof:
        known = Proofs().of(engine._kind_of(render()) or "")  # what the next process will read
        assert known is not None
        assert known.width == 1
        raise SystemExit("killed")

    monkeypatch.setattr(engine_module, "prove", die)
    with pytest.raises(SystemExit):
        engine.learn(lambda: False)
    monkeypatch.setattr(engine, "_proofs", Proofs())
    engine.generate(render(), {}, nothing)
    widths.clear()
    engine.learn(lambda: False)
    assert widths == []


def test_pictures_that_take_long_alone_are_not_even_tried(
    engine: DiffusersEngine, monkeypatch: pytest.MonkeyPatch, widths: list[int]
) -> None:
    monkeypatch.setattr(engine_module, "LONGEST_ALONE_S", 0.0)
    engine.generate(render(), {}, nothing)
    engine.learn(lambda: False)
    assert widths == [1]


def test_what_decides_the_rounding_decides_what_is_known(
    engine: DiffusersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = {
        engine._kind_of(render()),
        engine._kind_of(render(width=128)),
        engine._kind_of(render(guidance=1.0)),
        engine._kind_of(render(sampler="euler_ancestral")),
        engine._kind_of(render(sampler="lcm")),
        engine._kind_of(render(scheduler="karras")),
        engine._kind_of(render(steps=1)),
    }
    monkeypatch.setattr(torch, "__version__", "another")
    kinds.add(engine._kind_of(render()))
    assert len(kinds) == 8
    assert engine._kind_of(msgspec.structs.replace(render(), model="not loaded")) is None
