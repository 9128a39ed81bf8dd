"""Videos, their sound, and music by pipelines with tiny random weights."""

import io
from typing import Any, cast

import av
import msgspec
import numpy as np
import pytest
from av.container import InputContainer

pytest.importorskip("peft", reason="needs torch and more: make diffusers")
pytest.importorskip("diffusers", reason="needs torch and more: make diffusers")

import torch

from dreamgrid.engines.base import Step
from dreamgrid.engines.diffusers.engine import DiffusersEngine
from dreamgrid.engines.diffusers.family import samplings
from dreamgrid.engines.diffusers.results import artifact_of
from dreamgrid.engines.diffusers.sampling import scheduler_for
from dreamgrid.protocol.renders import AnyRender, AudioRender, VideoRender
from tests.engines.diffusers.wishes import (
    FROM_PICTURE,
    FROM_TEXT,
    GUIDED,
    MUSIC,
    SHOWN,
    SOUNDING,
    Engines,
    inputs_of,
    model_of,
    nothing,
    picture,
    render,
)

# Between libraries, about each other: nothing that our code can change.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`FluxPosEmbed` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm`:FutureWarning"),
]


def frames_and_rate(data: bytes) -> tuple[int, float]:
    with cast(InputContainer, av.open(io.BytesIO(data))) as container:
        rate = container.streams.video[0].average_rate
        assert rate is not None
        return len(list(container.decode(video=0))), float(rate)


def test_a_video_has_its_frames_and_the_last_picture_counts(engines: Engines) -> None:
    engine = engines(FROM_PICTURE)
    first = engine.generate(render(FROM_PICTURE), inputs_of(FROM_PICTURE), nothing)
    both = engine.generate(
        render(FROM_PICTURE),
        {"referenceImage": picture(), "referenceImageEnd": picture("blue")},
        nothing,
    )
    assert first.data != both.data
    assert frames_and_rate(both.data) == (9, 16)


def sound_of(data: bytes) -> tuple[str, float, float]:
    """Its encoding, its length in seconds, and how loud it is."""
    with cast(InputContainer, av.open(io.BytesIO(data))) as container:
        stream = container.streams.audio[0]
        frames = [frame.to_ndarray() for frame in container.decode(stream)]
        samples = np.concatenate(frames, axis=1)
        return (
            stream.codec_context.name,
            samples.shape[1] / stream.rate,
            float(np.std(samples.astype(np.float32))),
        )


def test_a_video_has_the_sound_that_its_model_made_unless_it_is_not_wanted(
    engines: Engines,
) -> None:
    engine = engines(SOUNDING)
    made = engine.generate(render(SOUNDING, steps=1, trim_end_frame=True), {}, nothing)
    assert frames_and_rate(made.data) == (8, 8)
    codec, length_s, loudness = sound_of(made.data)
    assert codec == "aac"
    assert length_s == pytest.approx(1.0, abs=0.05)  # as long as the frames that are shown
    assert loudness > 1e-4
    silent = engine.generate(render(SOUNDING, steps=1, generate_audio=False), {}, nothing)
    with cast(InputContainer, av.open(io.BytesIO(silent.data))) as container:
        assert not container.streams.audio


def test_what_is_seen_and_heard_is_what_the_pipeline_alone_makes(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Any] = []

    def keep(wish: AnyRender, made: Any, *others: Any) -> Any:
        kept.append(made)
        return artifact_of(wish, made, *others)

    monkeypatch.setattr("dreamgrid.engines.diffusers.engine.artifact_of", keep)
    engine = cast(DiffusersEngine, engines(GUIDED))
    wish = render(GUIDED, steps=2)
    engine.generate(wish, {}, nothing)
    assert isinstance(wish, VideoRender)
    assert engine._model is not None
    alone = engine._model._base(
        prompt=wish.prompt,
        negative_prompt="",
        guidance_scale=wish.guidance,
        num_inference_steps=2,
        width=wish.width,
        height=wish.height,
        num_frames=wish.frames,
        frame_rate=wish.fps,
        generator=torch.Generator().manual_seed(wish.seed),
        output_type="np",
    )
    assert np.array_equal(kept[0].frames, alone.frames)
    assert torch.equal(kept[0].audio, alone.audio)


def test_uni_pc_makes_videos_with_the_noise_levels_that_the_pipeline_expects(
    engines: Engines,
) -> None:
    engine = engines(GUIDED)
    steps: list[tuple[int, int]] = []
    wish = render(GUIDED, steps=2, sampler="uni_pc")
    made = engine.generate(wish, {}, lambda step: steps.append((step.step, step.step_count)))
    assert steps == [(1, 2), (2, 2)]
    assert engine.generate(wish, {}, nothing).data == made.data
    assert frames_and_rate(made.data) == (9, 8)
    base = model_of(engine).scheduler
    levels = []
    for sampler in ("euler", "uni_pc"):
        scheduler = scheduler_for(base, samplings()["flow"], sampler, None, None)
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 0.125, 8), device="cpu", mu=1.5)
        levels.append(scheduler.sigmas)
    assert torch.allclose(*levels, atol=1e-5)


def test_first_and_last_pictures_count_as_much_as_asked(engines: Engines) -> None:
    engine = engines(SHOWN)
    first, last = {"referenceImage": picture()}, {"referenceImageEnd": picture("blue")}
    made = [
        engine.generate(render(SHOWN, steps=1, **strengths), inputs, nothing).data
        for inputs, strengths in (
            (first, {}),
            (first, {"first_frame_strength": 0.3}),
            (last, {}),
            (first | last, {}),
            (first | last, {"last_frame_strength": 0.3}),
        )
    ]
    assert len(set(made)) == len(made)


def test_what_a_pipeline_cannot_size_is_rendered_larger_and_cut(engines: Engines) -> None:
    made = engines(SHOWN).generate(
        render(SHOWN, steps=1, width=72, height=66), {"referenceImage": picture()}, nothing
    )
    with cast(InputContainer, av.open(io.BytesIO(made.data))) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (72, 66)


def test_music_has_its_length_and_tells_its_steps(engines: Engines) -> None:
    told: list[tuple[int, int]] = []

    def on_step(step: Step) -> None:
        assert step.preview is None
        told.append((step.step, step.step_count))

    wish = AudioRender(
        model=MUSIC,
        prompt="a walk by the sea",
        lyrics="a fox",
        steps=4,
        guidance=1.0,
        seed=5,
        duration_s=5.0,
        bpm=90.0,
        key_scale="C major",
        time_signature="4",
        language="en",
        shift=3.0,
        output_format="flac",
    )
    engine = engines(MUSIC)
    made = engine.generate(wish, {}, on_step)
    assert told[-1] == (made.steps, made.steps)
    with cast(InputContainer, av.open(io.BytesIO(made.data))) as container:
        sound = container.streams.audio[0]
        samples = sum(frame.samples for frame in container.decode(sound))
        assert samples / (sound.rate or 1) == pytest.approx(5.0, abs=0.2)
    assert engine.generate(wish, {}, nothing).data == made.data
    other = engine.generate(msgspec.structs.replace(wish, seed=6), {}, nothing)
    assert other.data != made.data


def test_frames_between_are_made_for_a_higher_rate(engines: Engines) -> None:
    made = engines(FROM_TEXT).generate(
        render(FROM_TEXT, fps=32, output_format="webm", trim_end_frame=True), {}, nothing
    )
    assert made.content_type == "video/webm"
    assert frames_and_rate(made.data) == (16, 32)
