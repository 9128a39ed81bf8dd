"""Files as ComfyUI writes them, as the files that were asked for."""

import io
import wave
from collections.abc import Sequence
from typing import cast

import av
import numpy as np
import pytest
from av.container import InputContainer
from PIL import Image

from dreamgrid.engines.comfyui.results import artifact_of, small_jpeg
from dreamgrid.engines.safety import ContentFilter
from dreamgrid.engines.video_file import VideoFile
from dreamgrid.errors import EngineError
from dreamgrid.protocol.params import OutputFormat
from dreamgrid.protocol.renders import AudioRender, ImageRender, VideoRender


@pytest.fixture(scope="module")
def judge() -> ContentFilter:
    return ContentFilter()


def video_render(**changes: object) -> VideoRender:
    settings: dict[str, object] = {
        "model": "wan_v2.2-14b-fp8_t2v",
        "prompt": "a walk by the sea",
        "steps": 4,
        "guidance": 1,
        "seed": 7,
        "width": 64,
        "height": 48,
        "frames": 9,
        "fps": 16,
        "motion_fps": 16,
        "output_format": "mp4",
    }
    return VideoRender(**(settings | changes))  # type: ignore[arg-type]


def opened(data: bytes) -> InputContainer:
    return cast(InputContainer, av.open(io.BytesIO(data)))


def written_video(count: int = 9, fps: float = 16, kind: OutputFormat = "mp4") -> bytes:
    with VideoFile(64, 48, fps, kind) as file:
        for index in range(count):
            file.add(np.full((48, 64, 3), 20 * index, np.uint8))
    return file.data


def with_sound(video: bytes) -> bytes:
    out = io.BytesIO()
    with opened(video) as source, av.open(out, "w", format="mp4") as target:
        pictures = target.add_stream_from_template(source.streams.video[0])
        sound = target.add_stream("aac", rate=48000)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = pictures
                target.mux(packet)
        tone = 0.3 * np.sin(np.arange(27_000, dtype=np.float32) / 20)[None]  # as long as the video
        frame = av.AudioFrame.from_ndarray(tone, "fltp", "mono")
        frame.rate = 48000
        target.mux([*sound.encode(frame), *sound.encode(None)])
    return out.getvalue()


def loudness(data: bytes) -> float:
    with opened(data) as container:
        parts = [frame.to_ndarray() for frame in container.decode(audio=0)]
    return float(np.std(np.concatenate(parts, axis=1)))


def shades(data: bytes) -> Sequence[int]:
    with opened(data) as container:
        return [
            round(float(frame.to_ndarray(format="rgb24").mean()))
            for frame in container.decode(video=0)
        ]


def kind_and_rate(data: bytes) -> tuple[str, float]:
    with opened(data) as container:
        rate = container.streams.video[0].average_rate
        assert rate is not None
        return container.format.name, float(rate)


def test_a_video_that_is_what_was_asked_for_stays_as_it_is(judge: ContentFilter) -> None:
    data = written_video()
    assert artifact_of(video_render(), data, 4, judge).data == data
    loud = with_sound(data)
    assert artifact_of(video_render(), loud, 4, judge).data == loud


def test_a_video_in_another_container_is_encoded_anew(judge: ContentFilter) -> None:
    made = artifact_of(video_render(output_format="webm"), written_video(), 4, judge)
    assert made.content_type == "video/webm"
    assert kind_and_rate(made.data)[0] == "matroska,webm"
    assert shades(made.data) == pytest.approx(shades(written_video()), abs=3)


def test_frames_between_are_made_where_more_are_asked_for(judge: ContentFilter) -> None:
    made = artifact_of(video_render(fps=32), written_video(), 4, judge)
    assert kind_and_rate(made.data)[1] == 32
    assert shades(made.data) == pytest.approx([10 * index for index in range(17)], abs=4)


def test_the_last_frame_is_left_out_when_asked_for(judge: ContentFilter) -> None:
    made = artifact_of(video_render(trim_end_frame=True), written_video(), 4, judge)
    assert shades(made.data) == pytest.approx([20 * index for index in range(8)], abs=3)


def test_a_video_that_is_encoded_anew_keeps_its_sound(judge: ContentFilter) -> None:
    made = artifact_of(video_render(fps=32), with_sound(written_video()), 4, judge)
    assert loudness(made.data) == pytest.approx(loudness(with_sound(written_video())), rel=0.2)
    assert kind_and_rate(made.data)[1] == 32


def test_sound_that_is_not_wanted_is_left_out(judge: ContentFilter) -> None:
    data = with_sound(written_video())
    made = artifact_of(video_render(generate_audio=False), data, 4, judge)
    with opened(made.data) as container:
        assert not container.streams.audio
        assert len(list(container.decode(video=0))) == 9


def test_a_video_that_is_too_fast_is_an_error(judge: ContentFilter) -> None:
    with pytest.raises(EngineError, match="24 frames per second instead of 16"):
        artifact_of(video_render(), written_video(fps=24), 4, judge)


def test_what_is_no_file_of_its_kind_is_an_error(judge: ContentFilter) -> None:
    for render in (
        video_render(),
        ImageRender(model="m", prompt="p", steps=1, seed=1, guidance=1, width=8, height=8),
        AudioRender(
            model="m", prompt="p", steps=1, seed=1, guidance=1, duration_s=1, output_format="wav"
        ),
    ):
        with pytest.raises(EngineError, match="no readable file"):
            artifact_of(render, b"nothing of the kind", 4, judge)


def test_sound_gets_the_format_that_was_asked_for(judge: ContentFilter) -> None:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 24000, 24000, "NONE", ""))
        file.writeframes(np.zeros(24000, np.int16).tobytes())
    render = AudioRender(
        model="m", prompt="p", steps=1, seed=1, guidance=1, duration_s=1, output_format="flac"
    )
    made = artifact_of(render, out.getvalue(), 4, judge)
    assert made.content_type == "audio/flac"
    with opened(made.data) as container:
        assert container.format.name == "flac"
        assert container.duration == 1_000_000  # microseconds


def test_previews_are_small_jpegs_without_other_formats() -> None:
    out = io.BytesIO()
    Image.new("RGB", (2048, 1024)).save(out, "PNG")
    assert Image.open(io.BytesIO(small_jpeg(out.getvalue()))).size == (512, 256)
    strange = io.BytesIO()
    Image.new("RGB", (8, 8)).save(strange, "TIFF")
    with pytest.raises(OSError, match="cannot identify"):
        small_jpeg(strange.getvalue())
