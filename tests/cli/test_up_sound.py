"""Music and speech from a real grid: server, worker and engine in processes of their own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("av")
pytest.importorskip("hibari")

import dreamgrid
from dreamgrid.engines import loudness
from tests.cli.processes import Grid, running
from tests.engines.audio.sounds import Sound, decoded

MUSIC = "dreamlet-music-v1"
VOICE = "dreamlet-voice-v1"


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    """`dreamgrid up` with the embedded engines."""
    data = tmp_path_factory.mktemp("sound") / "data"
    with running("up", "--json", "--port", "0", data=data) as grid:
        yield grid


@pytest.fixture
def client(grid: Grid) -> Iterator[dreamgrid.Client]:
    with dreamgrid.Client(url=grid.ready["url"], api_key=grid.ready["api_key"]) as client:
        yield client


def saved(client: dreamgrid.Client, folder: Path, **settings: Any) -> Sound:
    """The one result of a request, saved and read again."""
    project = client.projects.create_audio(**settings)
    (sound,) = project.wait(timeout_s=60)
    return decoded(sound.save(folder / "sound").read_bytes())


def test_a_song_is_composed_and_saved(grid: Grid, client: dreamgrid.Client, tmp_path: Path) -> None:
    assert {MUSIC, VOICE} <= set(grid.ready["models"])
    asked = {"prompt": "happy house", "duration_s": 6, "seed": 1, "bpm": 124}
    song = saved(client, tmp_path, model=MUSIC, **asked)
    assert (song.codec, song.sample_rate) == ("mp3float", 44_100)
    assert song.samples.shape == (2, 6 * 44_100)
    assert song.tags["title"] == "happy house"
    assert '"bpm": 124' in song.tags["comment"]
    assert loudness.integrated_lufs(song.samples, 44_100) == pytest.approx(-16, abs=1)


def test_a_text_is_spoken_and_saved(client: dreamgrid.Client, tmp_path: Path) -> None:
    text = "Hello from a real grid. This is the second sentence."
    speech = saved(client, tmp_path, model=VOICE, prompt=text, output_format="flac")
    assert (speech.codec, speech.sample_rate) == ("flac", 24_000)
    assert 2 < speech.duration_s < 6


def test_the_app_reads_why_a_text_was_refused_and_pays_nothing(client: dreamgrid.Client) -> None:
    project = client.projects.create_audio(model=VOICE, prompt="word " * 300, duration_s=5)
    failures = [event for event in project.events() if isinstance(event, dreamgrid.JobFailed)]
    assert ["5 s are allowed" in failure.message for failure in failures] == [True]
    with pytest.raises(dreamgrid.ProjectFailed, match="nothing was charged"):
        project.wait(timeout_s=60)
