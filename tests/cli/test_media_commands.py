"""Video, music and speech from the command line, by the embedded engines; prices and sizes."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.processes import Grid
from tests.client.mill import MUSIC, SPEECH

pytest.importorskip("av", reason="needs PyAV: pip install -e '.[embedded]' in the clone")


def test_a_video_is_made_and_saved(grid: Grid, call: Call, tmp_path: Path) -> None:
    ran = call(
        *("video", "a sailboat, zoom in", "--duration", "1", "--steps", "4", "--seed", "3"),
        "--json",
        environment=grid.environment,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    (file,) = ran.last_json["files"]
    data = (tmp_path / file).read_bytes()
    assert file.endswith(".mp4")
    assert data[4:8] == b"ftyp"
    assert float(ran.last_json["cost"]) > 0


def test_a_video_begins_with_a_picture_of_ours(grid: Grid, call: Call, tmp_path: Path) -> None:
    picture = call(
        *("generate", "a sun", "--model", "pattern-v1", "--json"), environment=grid.environment
    ).last_json["files"][0]
    ran = call(
        *("video", "it glows", "--first", picture, "--duration", "1", "--steps", "4", "--json"),
        environment=grid.environment,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "i2v" in ran.last_json["model"]  # the one that takes a picture


def test_every_option_of_a_picture_is_told_in_its_file(
    grid: Grid, call: Call, tmp_path: Path
) -> None:
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (64, 64), "khaki").save(tmp_path / "plain.png")
    ran = call(
        *("generate", "a red apple", "--model", "dreamlet-v1", "--size", "128x96"),
        *("--steps", "3", "--guidance", "3.5", "--seed", "9", "--negative", "leaves"),
        *("--style", "at night", "--sampler", "euler", "--scheduler", "simple"),
        *("--image", "plain.png", "--strength", "0.75", "--format", "png", "--json"),
        environment=grid.environment,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    with image.open(tmp_path / ran.last_json["files"][0]) as picture:
        assert (picture.format, picture.size) == ("PNG", (128, 96))
        told = json.loads(picture.text["dreamgrid"])
    assert told == {
        "model": "dreamlet-v1",
        "prompt": "a red apple, at night",
        "negative_prompt": "leaves",
        "width": 128,
        "height": 96,
        "steps": 3,
        "guidance": 3.5,
        "seed": 9,
        "inputs": "startingImage",
        "strength": 0.75,
    }


def test_every_option_of_a_video_is_told_in_its_file(
    grid: Grid, call: Call, tmp_path: Path
) -> None:
    av = pytest.importorskip("av")
    ran = call(
        *("video", "a castle, zoom in", "--duration", "1", "--fps", "24", "--size", "640x480"),
        *("--steps", "4", "--guidance", "2.5", "--shift", "3", "--seed", "9"),
        *("--negative", "clouds", "--style", "at night", "--format", "webm", "--json"),
        environment=grid.environment,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    with av.open(str(tmp_path / ran.last_json["files"][0])) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (640, 480, 24)
        assert "webm" in container.format.name
        tags = {name.lower(): value for name, value in container.metadata.items()}
    told = json.loads(tags["comment"])
    assert (told["prompt"], told["negative_prompt"]) == ("a castle, zoom in, at night", "clouds")
    assert (told["steps"], told["guidance"], told["shift"], told["seed"]) == (4, 2.5, 3, 9)


@pytest.mark.parametrize(("kind", "head"), [("wav", b"RIFF"), ("flac", b"fLaC")])
def test_music_is_made_in_the_format_that_was_asked_for(
    grid: Grid, call: Call, tmp_path: Path, kind: str, head: bytes
) -> None:
    ran = call(
        *("music", "a calm piano", "--duration", "5", "--bpm", "90", "--scale", "A minor"),
        *("--format", kind, "--loop", "--prompt-strength", "6.5", "--json"),
        environment=grid.environment,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    (file,) = ran.last_json["files"]
    made = (tmp_path / file).read_bytes()
    assert made.startswith(head)
    for setting in (b'"bpm": 90.0', b'"composer_mode": false', b'"prompt_strength": 6.5'):
        assert setting in made


def test_a_text_is_spoken(grid: Grid, call: Call, tmp_path: Path) -> None:
    ran = call(
        *("speak", "Good morning.", "--seed", "77", "--duration", "20"),
        environment=grid.environment,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    (file,) = (tmp_path / "dreamgrid-out").iterdir()
    assert file.suffix == ".mp3"
    assert b'"seed": 77' in file.read_bytes()
    assert "1 piece in " in ran.stdout


def test_what_does_not_fit_is_refused_with_what_does(grid: Grid, call: Call) -> None:
    ran = call("music", "a waltz", "--bpm", "5000", environment=grid.environment)
    assert ran.returncode == 2
    assert "bpm" in ran.stderr
    ran = call("video", "a wave", "--size", "huge", environment=grid.environment)
    assert ran.returncode == 2
    assert "huge" in ran.stderr


def test_the_estimate_is_what_is_charged(grid: Grid, call: Call) -> None:
    asked = ("--count", "2", "--size", "256x256", "--steps", "4")
    estimate = call("estimate", "pattern-v1", *asked, "--json", environment=grid.environment)
    made = call(
        *("generate", "a sun", "--model", "pattern-v1", *asked, "--json"),
        environment=grid.environment,
    )
    assert float(estimate.last_json["cost"]) == float(made.last_json["cost"]) > 0
    told = call("estimate", "pattern-v1", *asked, environment=grid.environment)
    assert " spark" in told.stdout


def test_too_dear_is_not_even_begun(grid: Grid, call: Call) -> None:
    before = call("account", "balance", "--json", environment=grid.environment).last_json
    ran = call(
        *("generate", "a sun", "--model", "pattern-v1", "--max-cost", "0.0001"),
        environment=grid.environment,
    )
    assert ran.returncode != 0
    assert "would cost" in ran.stderr
    assert call("account", "balance", "--json", environment=grid.environment).last_json == before


def test_sizes_have_names(grid: Grid, call: Call) -> None:
    listed = call("presets", "pattern-v1", "--json", environment=grid.environment).last_json
    assert {"id": "square", "label": "Square", "width": 512, "height": 512} in listed
    assert "512x512" in call("presets", "pattern-v1", environment=grid.environment).stdout


def test_a_picture_is_made_finer(grid: Grid, call: Call, tmp_path: Path) -> None:
    first = call(
        *("generate", "a sun", "--model", "pattern-v1", "--size", "64x64", "--json"),
        environment=grid.environment,
    ).last_json["files"][0]
    ran = call(
        *("enhance", first, "--prompt", "a sun", "--model", "pattern-v1", "--json"),
        environment=grid.environment,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    (better,) = ran.last_json["files"]
    assert (tmp_path / better).read_bytes() != (tmp_path / first).read_bytes()


def test_without_a_model_the_enhancing_one_is_taken_and_the_size_kept(
    grid: Grid, call: Call, tmp_path: Path
) -> None:
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (96, 72), "teal").save(tmp_path / "plain.png")
    ran = call("enhance", "plain.png", "--json", environment=grid.environment)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.last_json["model"] == "dreamlet-enhance-v1"
    assert Path(ran.last_json["files"][0]).name.startswith("plain-")
    with image.open(tmp_path / ran.last_json["files"][0]) as finer:
        assert finer.size == (96, 72)
    upscale = ("--model", "dreamlet-upscale-v1", "--times", "4")
    ran = call("enhance", "plain.png", *upscale, "--json", environment=grid.environment)
    assert (ran.returncode, ran.stderr) == (0, "")
    with image.open(tmp_path / ran.last_json["files"][0]) as larger:
        assert larger.size == (384, 288)


def test_only_what_the_mask_shows_white_is_painted(grid: Grid, call: Call, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (64, 64), "yellow").save(tmp_path / "plain.png")
    mask = image.new("L", (64, 64))
    mask.paste(255, (40, 0, 64, 64))
    mask.save(tmp_path / "mask.png")
    asked = ("generate", "a red apple", "--image", "plain.png", "--mask", "mask.png")
    ran = call(
        *asked,
        "--size",
        "64x64",
        "--steps",
        "4",
        "--format",
        "png",
        "--json",
        environment=grid.environment,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    with image.open(tmp_path / ran.last_json["files"][0]) as painted:
        assert painted.getpixel((5, 32)) == (255, 255, 0)
        assert painted.crop((44, 0, 64, 64)).getextrema() != ((255, 255), (255, 255), (0, 0))
    ran = call("generate", "an apple", "--mask", "mask.png", environment=grid.environment)
    assert ran.returncode == 2
    assert "--mask needs --image" in ran.stderr


def test_a_model_of_another_medium_is_refused_before_anything_is_made(
    grid: Grid, call: Call, tmp_path: Path
) -> None:
    models = json.loads(call("models", "--all", "--json", environment=grid.environment).stdout)
    known = {model["id"] for model in models}
    before = call("projects", "list", "--json", environment=grid.environment).last_json
    for command, model, makes, better in (
        ("generate", MUSIC, "music", "music"),
        ("generate", SPEECH, "speech", "speak"),
        ("music", SPEECH, "speech", "speak"),
        ("speak", MUSIC, "music", "music"),
        ("music", "qwen3_tts_1.7b_voice_clone_bf16", "speech", "speak"),
        ("music", "qwen3_tts_1.7b_voice_design_bf16", "speech", "speak"),
        ("speak", "minimax_music3", "music", "music"),
        ("speak", "dreamlet-v1", "pictures", "generate"),
    ):
        assert model in known
        ran = call(command, "a piano", "--model", model, environment=grid.environment)
        assert ran.returncode == 2
        assert f"{model} makes {makes}: use 'dreamgrid {better}'" in ran.stderr
    # A voice to be described speaks; that no worker has it is another matter.
    design = ("speak", "hello", "--model", "qwen3_tts_1.7b_voice_design_bf16", "--timeout", "1")
    assert "use 'dreamgrid" not in call(*design, environment=grid.environment).stderr
    assert call("projects", "list", "--json", environment=grid.environment).last_json == before


def test_a_timeout_below_nothing_is_refused(grid: Grid, call: Call) -> None:
    ran = call("generate", "an apple", "--timeout", "-1", environment=grid.environment)
    assert ran.returncode == 2
    assert "--timeout" in ran.stderr


def test_the_grid_at_a_glance(grid: Grid, call: Call) -> None:
    seen = call("status", "--json", environment=grid.environment).last_json
    assert seen["url"] == grid.ready["url"]
    assert seen["username"] == "local"
    assert seen["workers"]["pattern-v1"] == 1
    shown = call("status", environment=grid.environment).stdout
    assert "pattern-v1" in shown
    assert json.dumps(seen["url"]).strip('"') in shown


@pytest.mark.parametrize("flags", [(), ("--key", "dgk_1")], ids=["nothing", "only a key"])
def test_without_any_grid_the_status_says_how_to_get_one(
    call: Call, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    ran = call("status", *flags, environment={"DREAMGRID_DATA": str(tmp_path / "nothing")})
    assert ran.returncode == 2
    assert "dreamgrid up" in ran.stderr
    assert ("--server URL" in ran.stderr) == bool(flags)


def test_a_key_alone_is_for_the_grid_on_this_machine(grid: Grid, call: Call) -> None:
    here = {"DREAMGRID_DATA": str(grid.data)}
    ran = call("status", "--json", "--key", grid.ready["api_key"], environment=here)
    assert ran.last_json["url"] == grid.ready["url"]
    ran = call("status", "--key", "dgk_of_nobody", environment=here)
    assert ran.returncode == 3
