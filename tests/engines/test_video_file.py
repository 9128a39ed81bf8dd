"""Video files, read back with the decoder that everybody uses."""

import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av")

import av

from dreamgrid.engines.video_file import Pixels, Sound, VideoFile, check_format
from dreamgrid.errors import EngineError, RenderCanceled
from dreamgrid.protocol.params import VideoFormat


def frames(count: int) -> Iterator[Pixels]:
    """A red ground with a ramp of green that moves, 64 x 48."""
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    for index in range(count):
        frame = np.zeros((48, 64, 3), np.uint8)
        frame[..., 0] = 200
        frame[..., 1] = np.roll(ramp, 2 * index)
        yield frame


def written(output_format: VideoFormat = "mp4", *, fps: float = 12, count: int = 30) -> bytes:
    settings = {"prompt": "ein Füchslein", "seed": 7}
    with VideoFile(64, 48, fps, output_format, title="a\nfox", settings=settings) as file:
        for frame in frames(count):
            file.add(frame)
    return file.data


@pytest.mark.parametrize(
    ("output_format", "codec"), [("mp4", "h264"), ("mov", "h264"), ("webm", "vp9")]
)
def test_a_file_holds_every_frame_at_its_time_in_the_colours_it_had(
    output_format: VideoFormat, codec: str
) -> None:
    with av.open(io.BytesIO(written(output_format)), "r") as container:
        (stream,) = container.streams.video
        context = stream.codec_context
        assert (context.name, context.width, context.height) == (codec, 64, 48)
        assert (context.pix_fmt, context.colorspace, context.color_range) == ("yuv420p", 1, 1)
        assert (context.color_primaries, context.color_trc) == (1, 1)
        assert stream.average_rate == 12
        assert container.duration == pytest.approx(2.5e6, abs=2000)
        read = list(container.decode(stream))
        tags = {name.lower(): text for name, text in container.metadata.items()}
    assert [frame.time for frame in read] == pytest.approx([n / 12 for n in range(30)], abs=1e-3)
    for frame, wanted in zip(read, frames(30), strict=True):
        pixels = frame.to_ndarray(format="rgb24")
        assert np.abs(pixels - wanted.astype(float)).mean() < 6
        assert pixels.mean(axis=(0, 1)) == pytest.approx(wanted.mean(axis=(0, 1)), abs=3)
    assert tags["title"] == "a fox"
    assert json.loads(tags["comment"]) == {"prompt": "ein Füchslein", "seed": 7}


@pytest.mark.parametrize(
    ("output_format", "codec"), [("mp4", "aac"), ("mov", "aac"), ("webm", "opus")]
)
@pytest.mark.parametrize("seconds", [1.0, 4.0])
def test_a_sound_is_heard_from_the_first_to_the_last_frame(
    output_format: VideoFormat, codec: str, seconds: float
) -> None:
    rate_hz = 24_000
    times_s = np.arange(round(seconds * rate_hz)) / rate_hz
    tone = (0.5 * np.sin(2 * np.pi * 440 * times_s)).astype(np.float32)[None]
    sound = Sound(samples=tone, rate_hz=rate_hz)
    with VideoFile(64, 48, 12, output_format, sound=sound) as file:
        for frame in frames(24):
            file.add(frame)
    with av.open(io.BytesIO(file.data), "r") as container:
        assert len(list(container.decode(video=0))) == 24
        container.seek(0)
        (stream,) = container.streams.audio
        assert stream.codec_context.name == codec
        heard = np.concatenate([part.to_ndarray() for part in container.decode(stream)], axis=1)
    assert heard.shape == (2, pytest.approx(96_000, abs=2048))
    first = heard[:, 24_000:40_000]
    assert np.std(first) == pytest.approx(0.5 / 2**0.5, rel=0.1)
    power = np.abs(np.fft.rfft(first[0]))
    assert np.argmax(power) * 48_000 / first.shape[1] == pytest.approx(440, abs=5)
    rest = np.std(heard[:, 60_000:90_000])
    assert rest < 0.01 if seconds < 2 else rest > 0.3


def test_an_mp4_can_be_played_while_it_is_still_downloaded() -> None:
    data = written("mp4")
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("output_format", ["mp4", "webm", "mov"])
def test_the_same_frames_give_the_same_file_whatever_lay_in_memory_before(
    output_format: VideoFormat,
) -> None:
    y, x = np.mgrid[0:64, 0:96]

    def film() -> bytes:
        with VideoFile(96, 64, 16, output_format) as file:
            for n in range(9):
                planes = (2 * x + 3 * n, 3 * y + n, 2 * (x + y) + 5 * n)
                file.add((np.stack(planes, axis=-1) % 256).astype(np.uint8))
        return file.data

    first = film()
    kept = []
    for level in range(30):
        kept.append([np.full(size, 8 * level, np.uint8) for size in range(999, 300_000, 37_000)])
        kept[level // 2].clear()  # such memory is what the encoder gets
        assert film() == first


@pytest.mark.parametrize("begun", [0, 3])
def test_a_file_that_is_given_up_leaves_nothing_behind(
    begun: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    file = VideoFile(64, 48, 12, "mp4")

    def give_up() -> None:
        with file:
            for frame in frames(begun):
                file.add(frame)
            assert list(tmp_path.iterdir())
            raise RenderCanceled("stop")

    with pytest.raises(RenderCanceled):
        give_up()
    assert file.data == b""
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_refused_before_any_work() -> None:
    with pytest.raises(EngineError, match="png is no video file"):
        check_format("png", 64, 64)
    with pytest.raises(EngineError, match="even"):
        check_format("mp4", 64, 63)
