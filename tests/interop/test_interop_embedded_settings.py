"""Every setting of the embedded models through the newest published SDKs: honoured, or refused.

What reaches the engine is compared whole with what was asked for, and what the engine makes of it
is looked at as the app gets it. The engines' own tests tell how each setting shows in a result.
"""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import pytest

pytest.importorskip("av")
pytest.importorskip("onnxruntime")
pytest.importorskip("PIL")

import av
from PIL import Image

from dreamgrid.engines.base import Engine
from dreamgrid.engines.dreamlet import ENHANCER, MODEL, UPSCALER
from dreamgrid.engines.dreamlet.video.ids import FROM_IMAGES, FROM_TEXT
from dreamgrid.engines.music import MODEL as MUSIC
from dreamgrid.engines.registry import find_engines
from dreamgrid.engines.voice import MODEL as VOICE
from dreamgrid.protocol.params import ControlNet
from dreamgrid.protocol.renders import AnyRender, AudioRender, ImageRender, VideoRender
from tests.engines.audio.sounds import decoded
from tests.interop.grid import Grid
from tests.interop.sdks import SDKS, App, Driver, Sdk, SdkError, file
from tests.interop.test_interop_images import fetch
from tests.interop.worker import ScriptedWorker, scripted_worker

NEWEST = tuple(sdk for sdk in SDKS if sdk.recovers)
MODELS = (MODEL, ENHANCER, UPSCALER, FROM_TEXT, FROM_IMAGES, MUSIC, VOICE)


@pytest.fixture(params=NEWEST, ids=str)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    """The newest SDK of each language, which knows every setting."""
    chosen: Sdk = request.param
    if chosen.command[0] == "node":
        request.getfixturevalue("javascript")
    return chosen


@pytest.fixture
async def worker(grid: Grid) -> AsyncIterator[ScriptedWorker]:
    """A worker for the embedded models."""
    async with scripted_worker(grid.direct_url, grid.key, models=MODELS) as connected:
        yield connected


@pytest.fixture(scope="module")
def engines() -> dict[str, Engine]:
    """The engine of each model, as a worker finds it."""
    created: dict[str, Engine] = {}
    for engine in find_engines().engines:
        if wanted := set(engine.models) & set(MODELS):
            created |= dict.fromkeys(wanted, engine.spec.create(1))
    return created


def png(color: str, side_px: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side_px, side_px), color).save(out, "PNG")
    return out.getvalue()


YELLOW = png("khaki", 64)
HALF = Image.new("L", (64, 64))
HALF.paste(255, (32, 0, 64, 64))
_HALF = io.BytesIO()
HALF.save(_HALF, "PNG")
MASK = _HALF.getvalue()


class Made:
    """What was asked of the engine, and what the app got."""

    def __init__(self, render: AnyRender, data: bytes, url: str) -> None:
        self.render, self.data = render, data
        self.file_type = url.partition("?")[0].rpartition(".")[2]


async def make(
    app: App,
    driver: Driver,
    worker: ScriptedWorker,
    engines: Mapping[str, Engine],
    asked: Mapping[str, Any],
) -> Made:
    """One project through the SDK, rendered by the real engine."""
    project = await app.create(**asked)
    finished = await driver.waiting_for(project)
    job = await worker.job()
    render = job.assign.render
    inputs = {role: await job.input(role) for role in render.assets}
    engine = engines[render.model]
    engine.load(render.model)
    artifact = await asyncio.to_thread(engine.generate, render, inputs, lambda _: None)
    assert job.assign.output.content_type == artifact.content_type
    if artifact.last_frame is not None:
        await job.give_last_frame(artifact.last_frame)
    await job.render(bytes(artifact.data))
    (url,) = await finished
    return Made(render, await fetch(url), url)


# ── honoured ─────────────────────────────────────────────────────────────────────────────────────

PICTURE: dict[str, Any] = {
    "modelId": MODEL,
    "positivePrompt": "a red apple",
    "sizePreset": "custom",
    "width": 256,
    "height": 256,
    "steps": 2,
    "guidance": 2,
    "seed": 5,
}
PLAIN = ImageRender(
    model=MODEL,
    prompt="a red apple",
    width=256,
    height=256,
    steps=2,
    guidance=2,
    seed=5,
    sampler="euler",
    scheduler="simple",
)
GIVEN = {"startingImage": file(YELLOW), "startingImageStrength": 0.25}
INPAINT = {
    "name": "inpaint",
    "image": file(MASK),
    "strength": 0.75,
    "mode": "cn_priority",
    "guidanceStart": 0.25,
    "guidanceEnd": 0.75,
}
PICTURES: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({"positivePrompt": "a castle"}, {"prompt": "a castle"}),
    ({"negativePrompt": "leaves"}, {"negative_prompt": "leaves"}),
    ({"stylePrompt": "at night"}, {"prompt": "a red apple, at night"}),
    ({"width": 384, "height": 256}, {"width": 384, "height": 256}),
    ({"steps": 3}, {"steps": 3}),
    ({"guidance": 3.5}, {"guidance": 3.5}),
    ({"seed": 6}, {"seed": 6}),
    ({"outputFormat": "jpg"}, {"output_format": "jpg"}),
    (GIVEN, {"assets": ("startingImage",), "strength": 0.75}),
    ({"contextImages": [file(YELLOW)]}, {"assets": ("contextImage1",)}),
    (
        GIVEN | {"controlNet": INPAINT},
        {
            "assets": ("startingImage", "cnImage"),
            "strength": 0.75,
            "control_net": ControlNet(
                name="inpaint", strength=0.75, mode="cn_priority", start=0.25, end=0.75
            ),
        },
    ),
)


async def test_every_setting_of_a_picture_is_seen_in_it(
    app: App, driver: Driver, worker: ScriptedWorker, engines: dict[str, Engine]
) -> None:
    plain = await make(app, driver, worker, engines, PICTURE)
    assert (plain.render, plain.file_type) == (PLAIN, "png")
    for asked, wanted in PICTURES:
        made = await make(app, driver, worker, engines, PICTURE | asked)
        assert isinstance(made.render, ImageRender)
        assert made.render == msgspec.structs.replace(PLAIN, **wanted)
        assert made.file_type == made.render.output_format
        with Image.open(io.BytesIO(made.data)) as picture:
            assert picture.size == (made.render.width, made.render.height)
        assert made.data != plain.data


FILM: dict[str, Any] = {
    "type": "video",
    "modelId": FROM_TEXT,
    "positivePrompt": "a castle, zoom in",
    "negativePrompt": "clouds",
    "stylePrompt": "at night",
    "width": 640,
    "height": 480,
    "frames": 9,
    "fps": 32,
    "steps": 5,
    "guidance": 2.5,
    "shift": 3,
    "seed": 6,
    "outputFormat": "mp4",
}
MOVING = VideoRender(
    model=FROM_TEXT,
    prompt="a castle, zoom in, at night",
    negative_prompt="clouds",
    width=640,
    height=480,
    frames=9,
    fps=32,
    motion_fps=16,
    steps=5,
    guidance=2.5,
    shift=3,
    seed=6,
    sampler="euler",
    scheduler="simple",
)
ENDS = {"referenceImage": file(YELLOW), "referenceImageEnd": file(YELLOW)}
FILMS = (
    (FILM, MOVING),
    (
        FILM | ENDS | {"modelId": FROM_IMAGES, "fps": 16},
        msgspec.structs.replace(
            MOVING,
            model=FROM_IMAGES,
            fps=16,
            assets=("referenceImage", "referenceImageEnd"),
        ),
    ),
)


@pytest.mark.parametrize(("asked", "wanted"), FILMS, ids=["words", "pictures"])
async def test_every_setting_of_a_video_is_seen_in_it(
    app: App,
    driver: Driver,
    worker: ScriptedWorker,
    engines: dict[str, Engine],
    asked: dict[str, Any],
    wanted: VideoRender,
) -> None:
    made = await make(app, driver, worker, engines, asked)
    assert (made.render, made.file_type) == (wanted, "mp4")
    with av.open(io.BytesIO(made.data), "r") as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (wanted.width, wanted.height)
        assert stream.average_rate == wanted.fps
        shown = len(list(container.decode(video=0)))
    assert shown == (wanted.frames - 1) * wanted.fps / wanted.motion_fps + 1


SONG: dict[str, Any] = {
    "type": "audio",
    "modelId": MUSIC,
    "positivePrompt": "a calm waltz",  # these SDKs send no negative prompt for sound
    "stylePrompt": "for piano",
    "duration": 7,
    "bpm": 90,
    "timesignature": "3",
    "keyscale": "A minor",
    "lyrics": "[verse] la",
    "language": "de",
    "composerMode": False,
    "promptStrength": 3.5,
    "creativity": 1.2,
    "steps": 3,
    "seed": 9,
    "outputFormat": "flac",
}
PLAYED = AudioRender(
    model=MUSIC,
    prompt="a calm waltz, for piano",
    duration_s=7,
    bpm=90,
    time_signature="3",
    key_scale="A minor",
    lyrics="[verse] la",
    language="de",
    composer_mode=False,
    prompt_strength=3.5,
    creativity=1.2,
    steps=3,
    guidance=1,
    seed=9,
    output_format="flac",
)
SPEECH: dict[str, Any] = {
    "type": "audio",
    "modelId": VOICE,
    "positivePrompt": "Good morning.",
    "speaker": "heart",
    "language": "en",
    "instruct": "very slowly",
    "duration": 20,
    "steps": 1,
    "seed": 3,
    "outputFormat": "flac",
}
SPOKEN = AudioRender(
    model=VOICE,
    prompt="Good morning.",
    speaker="heart",
    language="en",
    instruct="very slowly",
    duration_s=20,
    steps=1,
    guidance=1,
    seed=3,
    output_format="flac",
)


async def test_every_setting_of_music_is_heard_in_it(
    app: App, driver: Driver, worker: ScriptedWorker, engines: dict[str, Engine]
) -> None:
    made = await make(app, driver, worker, engines, SONG)
    assert (made.render, made.file_type) == (PLAYED, "flac")
    sound = decoded(made.data)
    assert sound.duration_s == 7
    recipe = json.loads(sound.tags["comment"])
    assert (recipe["bpm"], recipe["key_scale"], recipe["seed"]) == (90, "A minor", 9), recipe


async def test_every_setting_of_speech_is_heard_in_it(
    app: App, driver: Driver, worker: ScriptedWorker, engines: dict[str, Engine]
) -> None:
    slow = await make(app, driver, worker, engines, SPEECH)
    assert (slow.render, slow.file_type) == (SPOKEN, "flac")
    fast = await make(app, driver, worker, engines, SPEECH | {"instruct": "speed 1.5"})
    assert decoded(fast.data).codec == "flac"
    assert decoded(fast.data).duration_s < 0.7 * decoded(slow.data).duration_s


# ── refused ──────────────────────────────────────────────────────────────────────────────────────

REFUSED: dict[str, tuple[dict[str, Any], tuple[tuple[dict[str, Any], str], ...]]] = {
    "pictures": (
        PICTURE,
        (
            ({"positivePrompt": ""}, "the prompt is empty"),
            ({"steps": 51}, "steps 51 is not allowed: 1 to 50"),
            ({"guidance": 5.5}, "guidance 5.5 is not allowed: 1 to 5"),
            ({"seed": 2**32}, "seed 4294967296 is not allowed"),
            ({"width": 255}, "greater or equal 256, got 255"),
            ({"height": 2056}, "equal 2048, got 2056"),
            ({"count": 600}, "count 600 is not allowed"),
            ({"sizePreset": "huge"}, "no size preset 'huge': use square"),
            ({"sampler": "DPM++ 2M"}, "Invalid sampler"),
            ({"scheduler": "Karras"}, "Invalid scheduler"),
            ({"outputFormat": "gif"}, "'gif' is unknown: use png, jpg or webp"),
            ({"loras": ["x"], "loraStrengths": [1]}, "no LoRA 'x'; it takes: none"),
            ({"controlNet": INPAINT | {"name": "canny"}}, "ControlNets: inpaint"),
            ({"controlNet": INPAINT}, "needs a picture to paint in"),
            ({"contextImages": [file(YELLOW)] * 2}, "does not take the input 'contextImage2'"),
            ({"modelId": ENHANCER}, "needs the input startingImage"),
            ({"modelId": UPSCALER}, "steps 2 is not allowed: 1 to 1"),
        ),
    ),
    "videos": (
        FILM,
        (
            ({"frames": 8}, "frames 8 is not allowed: 9 to 321"),
            ({"frames": 322}, "frames 322 is not allowed: 9 to 321"),
            ({"fps": 25}, "25"),
            ({"width": 464}, "464"),
            ({"width": 1040}, "1040"),
            ({"steps": 31}, "steps 31 is not allowed: 4 to 30"),
            ({"guidance": 6}, "guidance 6"),
            ({"shift": 9}, "shift 9"),
            ({"teacacheThreshold": 0.5}, "teacache"),
            ({"outputFormat": "gif"}, "mp4"),
            ({"sampler": "ddim"}, "sampler"),
            ({"referenceImage": file(YELLOW)}, "referenceImage"),
            ({"modelId": FROM_IMAGES}, "referenceImage"),
            ({"loras": ["x"], "loraStrengths": [1]}, "LoRA"),
        ),
    ),
    "music": (
        SONG,
        (
            ({"duration": 4}, "is not allowed: 5 to 300"),
            ({"bpm": 30}, "is not allowed: 40 to 220"),
            ({"timesignature": "7"}, "choose one of 2, 3, 4, 6"),
            ({"keyscale": "H major"}, "choose one of C major"),
            ({"language": "xx"}, "choose one of en"),
            ({"creativity": 3}, "is not allowed: 0 to 2"),
            ({"promptStrength": 11}, "is not allowed: 0 to 10"),
            ({"steps": 17}, "steps 17 is not allowed: 1 to 16"),
            ({"guidance": 3}, "is not allowed: 1 to 1"),
            ({"shift": 3}, "no setting shift"),
            ({"speaker": "heart"}, "no setting speaker"),
            ({"instruct": "gently"}, "no setting instruct"),
            ({"outputFormat": "ogg"}, "'ogg' is unknown: use mp3, flac or wav"),
        ),
    ),
    "speech": (
        SPEECH,
        (
            ({"duration": 601}, "is not allowed: 1 to 600"),
            ({"speaker": "anna"}, "choose one of heart"),
            ({"language": "de"}, "choose one of en"),
            ({"instruct": "x" * 201}, "at most 200 are allowed"),
            ({"steps": 2}, "steps 2 is not allowed: 1 to 1"),
            ({"keyscale": "A minor"}, "no setting key scale"),
            ({"lyrics": "la"}, "leave lyrics out"),
            ({"creativity": 1}, "no setting creativity"),
            ({"referenceText": "hm"}, "no setting reference text"),
            ({"outputFormat": "ogg"}, "'ogg' is unknown: use mp3, flac or wav"),
        ),
    ),
}


@pytest.mark.parametrize("media", REFUSED)
async def test_what_a_model_cannot_do_is_refused_with_the_reason(
    app: App, driver: Driver, media: str
) -> None:
    before = await app.spark()
    base, table = REFUSED[media]
    for asked, reason in table:
        told = await refusal(app, driver, base | asked)
        assert reason in told, f"{list(asked)}: {told}"
    assert await app.spark() == before


async def refusal(app: App, driver: Driver, asked: Mapping[str, Any]) -> str:
    """What an app is told: by the SDK at once, or by the server."""
    try:
        project = await app.create(**asked)
    except SdkError as error:
        return str(error)
    told = await driver.until("project", type="error", projectId=project)
    return str(told["data"]["error"]["message"])
