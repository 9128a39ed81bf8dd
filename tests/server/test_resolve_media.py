"""Videos and sound: what may be asked of them, what becomes of it, and what it costs."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from dreamgrid.errors import InvalidRequest, MissingAsset
from dreamgrid.protocol.params import AudioParams, Lora, VideoParams
from dreamgrid.protocol.renders import AudioRender, VideoRender
from dreamgrid.server import pricing
from dreamgrid.server.catalog import Catalog
from dreamgrid.server.config import ServerConfig

LIMITS = ServerConfig(data_dir=Path("unused"))
SIDE = {"min": 480, "max": 1280, "step": 16, "default": 640}
TIERS = {
    "v": {
        "type": "video",
        "benchmark": {"sec": 60},
        "width": SIDE,
        "height": SIDE,
        "maxPixels": 921_600,
        "fps": {"allowed": [16, 32], "default": 16},
        "motionFps": 16,
        "frames": {"min": 17, "max": 161, "step": 4, "default": 81},
        "steps": {"min": 4, "max": 8, "default": 4},
        "shift": {"min": 1, "max": 8, "default": 5},
        "videoStart": {"min": 0, "default": 0},
        "outpaintPosition": {"allowed": ["center", "left"], "default": "center"},
        "generateAudio": {"default": False},
        "comfySampler": {"allowed": ["euler", "uni_pc"], "default": "euler"},
    },
    "a": {
        "type": "audio",
        "benchmark": {"sec": 10},
        "steps": {"min": 1, "max": 16, "default": 8},
        "duration": {"min": 5, "max": 600, "default": 30},
        "bpm": {"min": 30, "max": 300, "default": 120},
        "timesignature": {"allowed": ["3", "4"], "default": "4"},
        "keyscale": {"allowed": ["C major", "A minor"], "default": "C major"},
        "composerMode": {"default": True},
        "instruct": {"maxLength": 20, "required": True},
    },
}
MODELS = [
    {
        "id": "film-v1",
        "name": "Film",
        "SID": 9001,
        "tier": "v",
        "media": "video",
        "inputs": ["referenceImage", "referenceImageEnd", "referenceAudio"],
        "anyInputs": ["referenceImage", "referenceImageEnd"],
        "sizePresets": [
            {
                "label": "W",
                "id": "wide",
                "width": 960,
                "height": 544,
                "ratio": "30:17",
                "aspect": "1.76",
            }
        ],
    },
    {"id": "song-v1", "name": "Song", "SID": 9002, "tier": "a", "media": "audio"},
]
LORAS = [
    {"loraId": "warm", "name": "Warm", "modelIds": ["film-v1"], "ui": {"min": -2, "max": 2}},
]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    file = tmp_path / "models.json"
    file.write_bytes(msgspec.json.encode({"models": MODELS, "tiers": TIERS, "loras": LORAS}))
    return Catalog.load([file])


def film(catalog: Catalog, **fields: Any) -> VideoRender:
    params = VideoParams(**{"model": "film-v1", "prompt": "waves"} | fields)
    render = catalog.resolve(params, LIMITS, lambda: 5)[0]
    assert isinstance(render, VideoRender)
    return render


def song(catalog: Catalog, **fields: Any) -> AudioRender:
    params = AudioParams(**{"model": "song-v1", "prompt": "a waltz", "instruct": "softly"} | fields)
    render = catalog.resolve(params, LIMITS, lambda: 5)[0]
    assert isinstance(render, AudioRender)
    return render


def test_what_is_left_open_becomes_the_tiers_default(catalog: Catalog) -> None:
    video = film(catalog)
    assert (video.width, video.height, video.frames, video.fps) == (640, 640, 81, 16)
    assert (video.steps, video.guidance, video.shift, video.sampler) == (4, 1.0, 5, "euler")
    assert (video.outpaint_position, video.generate_audio) == ("center", False)
    assert (video.output_format, video.detailer_strength) == ("mp4", None)
    sound = song(catalog)
    assert (sound.duration_s, sound.bpm, sound.time_signature) == (30, 120, "4")
    assert (sound.key_scale, sound.composer_mode, sound.output_format) == ("C major", True, "mp3")


def test_a_model_may_choose_what_a_request_leaves_open() -> None:
    def music(**fields: Any) -> AudioRender:
        params = AudioParams(model="dreamlet-music-v1", prompt="a sad waltz", **fields)
        render = Catalog.load().resolve(params, LIMITS, lambda: 5)[0]
        assert isinstance(render, AudioRender)
        return render

    free = music()
    assert (free.bpm, free.time_signature, free.key_scale) == (None, None, None)
    assert (free.duration_s, free.creativity) == (30, 0.85)
    told = music(bpm=90, key_scale="a minor")
    assert (told.bpm, told.time_signature, told.key_scale) == (90, None, "A minor")
    with pytest.raises(InvalidRequest, match="bpm"):
        music(bpm=1000)


@pytest.mark.parametrize(
    ("text", "takes_s"),
    [("Yes.", 1.3), ("It costs $1,250,000.", 6.3), ("1. Go\n2. Stop\n3. Wait", 9.7)],
)
def test_a_text_of_numbers_and_pauses_is_given_the_time_that_it_takes(
    text: str, takes_s: float
) -> None:
    """The times are what dreamlet-voice-v1 takes at half its speed."""
    params = AudioParams(model="dreamlet-voice-v1", prompt=text)
    render = Catalog.load().resolve(params, LIMITS, lambda: 5)[0]
    assert isinstance(render, AudioRender)
    assert takes_s < render.duration_s < takes_s + 4


@pytest.mark.parametrize(
    ("asked", "made"), [(17, 17), (18, 17), (20, 21), (82, 81), (84, 85), (161, 161), (160, 161)]
)
def test_frames_come_to_the_nearest_count_that_the_model_makes(
    catalog: Catalog, asked: int, made: int
) -> None:
    assert film(catalog, frames=asked).frames == made


def test_frames_count_motion_and_not_the_frames_made_up_between(catalog: Catalog) -> None:
    assert film(catalog, fps=32).motion_fps == 16
    assert film(catalog, fps=16).motion_fps == 16


def test_sides_of_a_video_come_down_to_the_tiers_step(catalog: Catalog) -> None:
    video = film(catalog, width=854, height=480)
    assert (video.width, video.height) == (848, 480)


def test_a_video_may_have_the_size_of_a_preset(catalog: Catalog) -> None:
    video = film(catalog, size_preset="wide")
    assert (video.width, video.height) == (960, 544)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"frames": 16}, "frames 16 is not allowed: 17 to 161"),
        ({"frames": 10**400}, "more than 64 bits"),
        ({"fps": 24}, "choose one of 16, 32"),
        ({"fps": float("nan")}, "choose one of 16, 32"),
        ({"width": 479, "height": 640}, "width 479"),
        ({"width": 1280, "height": 1280}, "makes at most 921600"),
        ({"shift": float("inf")}, "shift inf"),
        ({"shift": 9}, "shift 9 is not allowed: 1 to 8"),
        ({"video_start_s": -1}, "video start -1 is not allowed: at least 0"),
        ({"video_start_s": float("inf")}, "video start inf"),
        ({"outpaint_position": "up"}, "choose one of center, left"),
        ({"detailer_strength": 0.5}, "film-v1 has no setting detailer strength"),
        ({"count": 5}, "count 5 is not allowed: 1 to 4"),
        ({"output_format": "mp3"}, "does not make 'mp3' files: use mp4, webm, mov"),
        ({"assets": ("referenceVideo",)}, "does not take the input 'referenceVideo'"),
        ({"points": ((0.0, 1.0),)}, "film-v1 has no setting points; leave it out"),
        ({"keyframes": (3,)}, "film-v1 has no setting keyframes; leave it out"),
        ({"loras": (Lora(id="cold"),)}, "has no LoRA 'cold'; it takes: warm"),
        ({"loras": (Lora(id="warm"),) * 9}, "9 LoRAs were asked for"),
        ({"sampler": "ddim"}, "sampler 'ddim'"),
        ({"prompt": " "}, "the prompt is empty"),
    ],
)
def test_a_video_that_cannot_be_is_refused_with_what_can(
    catalog: Catalog, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        film(catalog, **fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"duration_s": 4.9}, "duration 4.9 is not allowed: 5 to 600"),
        ({"bpm": float("nan")}, "bpm nan"),
        ({"time_signature": "7"}, "choose one of 3, 4"),
        ({"key_scale": "H major"}, "choose one of C major, A minor"),
        ({"speaker": "anna"}, "song-v1 has no setting speaker"),
        ({"instruct": None}, "needs the setting instruct"),
        ({"instruct": "x" * 21}, "the instruct has 21 characters"),
        ({"lyrics": "x" * 4001}, "the lyrics has 4001 characters"),
        ({"lyrics": "a\0b"}, "NUL"),
    ],
)
def test_sound_that_cannot_be_is_refused_with_what_can(
    catalog: Catalog, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        song(catalog, **fields)


def test_points_and_key_frames_are_for_models_that_take_such_inputs() -> None:
    catalog, model = Catalog.load(), "minimax-h3-ref2va-fp8_r2v_turbo"
    given: dict[str, Any] = {"model": model, "assets": ("referenceImage",)}
    video = film(catalog, points=((3.0, 4.0),), keyframes=(0, 8), **given)
    assert (video.points, video.keyframes) == (((3.0, 4.0),), (0, 8))
    with pytest.raises(InvalidRequest, match="point y -1"):
        film(catalog, points=((0.0, -1.0),), **given)


def test_what_speaks_does_not_sing() -> None:
    with pytest.raises(InvalidRequest, match="dreamlet-voice-v1 speaks and does not sing"):
        song(Catalog.load(), model="dreamlet-voice-v1", instruct=None, lyrics="la")


def test_names_may_be_written_in_any_case(catalog: Catalog) -> None:
    assert song(catalog, key_scale=" a MINOR").key_scale == "A minor"


def test_a_loras_strength_is_brought_into_its_range(catalog: Catalog) -> None:
    wanted = (Lora(id="warm", strength=-7.0), Lora(id="warm"))
    assert [lora.strength for lora in film(catalog, loras=wanted).loras] == [-2, 1]


def test_inputs_that_a_model_needs_are_asked_for_by_name(catalog: Catalog) -> None:
    with pytest.raises(MissingAsset, match="at least one of: referenceImage, referenceImageEnd"):
        catalog.check_inputs(VideoParams(model="film-v1"))
    catalog.check_inputs(VideoParams(model="film-v1", assets=("referenceImageEnd",)))


def test_a_video_costs_by_its_steps_pixels_and_frames(catalog: Catalog) -> None:
    def render_us(**fields: Any) -> int:
        return pricing.quote(catalog.model("film-v1"), [film(catalog, **fields)]).job.render_us

    assert render_us() == 60_000_000
    assert render_us(steps=8) == 120_000_000
    assert render_us(frames=161) == -(-60_000_000 * 161 // 81)
    assert render_us(width=960, height=640) == 90_000_000


def test_an_upscaled_video_has_the_size_that_its_shorter_side_asks_for(catalog: Catalog) -> None:
    upscaler: dict[str, Any] = {
        "model": "flashvsr_v1.1_tiny_long_bf16",
        "assets": ("referenceVideo",),
    }

    def size(**fields: Any) -> tuple[int, int]:
        (render,) = catalog.resolve(VideoParams(**upscaler, **fields), LIMITS, lambda: 1)
        assert isinstance(render, VideoRender)
        assert (render.detail_preference, render.processing_speed) == ("stable", "stable")
        return render.width, render.height

    assert size() == size(upscale_resolution=1440) == (2520, 1440)
    assert size(upscale_resolution=1080) == (1890, 1080)
    assert size(upscale_resolution=1080, width=1080, height=1920) == (1080, 1920)


def test_each_picture_and_video_that_goes_into_a_video_adds_to_its_price(catalog: Catalog) -> None:
    model = catalog.model("minimax-h3-ref2va-fp8_r2v")
    renders = catalog.resolve(VideoParams(model=model.id, prompt="waves"), LIMITS, lambda: 1)

    def render_s(*assets: str) -> float:
        return pricing.quote(model, renders, assets=assets).job.render_us / 1e6

    alone = render_s()
    assert render_s("referenceImage") == render_s("contextImage1") == alone + 18
    assert render_s("referenceImage", "contextImage2", "keyframeImage1") == alone + 54
    assert render_s("referenceVideo1", "contextImage1") == alone + 108
    assert render_s("referenceAudio1") == alone


def test_sound_costs_by_its_length_and_steps(catalog: Catalog) -> None:
    def render_us(**fields: Any) -> int:
        return pricing.quote(catalog.model("song-v1"), [song(catalog, **fields)]).job.render_us

    assert render_us() == 10_000_000
    assert render_us(duration_s=60) == 20_000_000
    assert render_us(duration_s=7.5, steps=16) == 5_000_000


def test_every_result_but_the_first_has_a_seed_of_its_own(catalog: Catalog) -> None:
    params = VideoParams(model="film-v1", prompt="waves", count=3, seed=9)
    seeds = iter([21, 22])
    renders = catalog.resolve(params, LIMITS, lambda: next(seeds))
    assert [render.seed for render in renders] == [9, 21, 22]
