"""From wishes to files: what all commands that make something have in common."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import dreamgrid
from dreamgrid.cli.screen import Screen
from dreamgrid.errors import (
    DreamgridError,
    InvalidRequest,
    ModelNotServed,
    ProjectFailed,
    ServerUnavailable,
    WaitTimeout,
)
from dreamgrid.protocol.assets import (
    REFERENCE_AUDIO,
    REFERENCE_IMAGE,
    REFERENCE_IMAGE_END,
    REFERENCE_VIDEO,
)
from dreamgrid.protocol.params import Media

_CANCEL_S = 10.0
_ANSWER_S = 2.0
"""How long an interrupted request may take to be answered, so that its project can be canceled."""

_WORKER_S = 20.0
"""How long to wait for the first worker that offers the model."""

_ASK_AGAIN_S = 0.5
_PREVIEWS = 12
_VIDEO_INPUTS = {
    "reference_image": REFERENCE_IMAGE,
    "reference_image_end": REFERENCE_IMAGE_END,
    "reference_audio": REFERENCE_AUDIO,
    "reference_video": REFERENCE_VIDEO,
}
_COMMANDS: dict[str, str] = {
    "pictures": "dreamgrid generate",
    "videos": "dreamgrid video",
    "music": "dreamgrid music",
    "speech": "dreamgrid speak",
}
_OF_SPEECH = ("chars_per_second", "speaker", "instruct", "reference_text")
"""Limits of `AudioOptions` that only models which speak have."""

_SIZE = re.compile(r"([0-9]{1,6}) *[xX] *([0-9]{1,6})")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What to make.

    Attributes:
        media: `image`, `video` or `audio`.
        model: Id of a model. None: the first that fits and has a worker.
        settings: Of `projects.create`; those that are None are left to the model.
        size: `512x512`, or the name of a preset.
        speech: Of sound: whether words are to be spoken, instead of music to be played.
        finer: Of pictures: a given one is to be made finer, by the model that is there for it.
        sized_like: A picture file; where `size` says nothing, the result has its size.
        times: That many times its size. None: its size, as far as the model makes such.
    """

    media: Media
    settings: Mapping[str, Any]
    model: str | None = None
    size: str | None = None
    speech: bool = False
    finer: bool = False
    sized_like: Path | None = None
    times: float | None = None

    @property
    def count(self) -> int:
        """How many."""
        return int(self.settings.get("count", 1))

    @property
    def file_name(self) -> str:
        """A few plain words for the names of its files: of the prompt, or what it is made from."""
        source = self.sized_like.stem if self.sized_like else ""
        return _slug(self.settings.get("prompt") or "") or _slug(source) or "untitled"

    def for_model(self, model: str) -> dict[str, Any]:
        """All settings of `projects.create` that say something."""
        width, height, preset = pixels(self.size)
        sized = {"width": width, "height": height, "size_preset": preset}
        every = {"model": model, **self.settings, **sized}
        return {name: value for name, value in every.items() if value not in (None, "", ())}


@dataclass(frozen=True, kw_only=True)
class Made:
    """Finished files on disk.

    Attributes:
        project_id: The project that made them.
        model: The model that made them.
        media: What they are.
        files: Where they are, in order.
        seeds: Their seeds, in the same order.
        failed: How many of those asked for are missing.
        charge: What it cost. None: the server does not say.
        seconds: From the request to the last file.
    """

    project_id: str
    model: str
    media: Media
    files: tuple[Path, ...]
    seeds: tuple[int | None, ...]
    failed: int
    charge: dreamgrid.Charge | None
    seconds: float


class Interrupted(asyncio.CancelledError):
    """Ctrl-C, after the project was canceled as well as that was possible.

    Attributes:
        project_id: The project.
        canceled: The server has confirmed it. False: it did not answer, and the project goes on.
        files: What was finished before, on disk.
    """

    def __init__(self, project_id: str, *, canceled: bool, files: tuple[Path, ...]) -> None:
        super().__init__()
        self.project_id = project_id
        self.canceled = canceled
        self.files = files

    def __str__(self) -> str:
        kept = "".join(f"\n  {path}" for path in self.files)
        saved = f"; finished before, and saved:{kept}" if kept else ""
        if self.canceled:
            return f"canceled; nothing is charged for what was not finished{saved}"
        return (
            f"the server did not confirm the cancel: project {self.project_id} goes on there, and "
            f"its results are charged{saved}"
        )


async def check_media(client: dreamgrid.AsyncClient, wish: Wish) -> None:
    """Refuses a model that makes another kind of thing than the command, before it costs anything.

    Music and speech are such kinds, too.

    Raises:
        InvalidRequest: It does. A model that the catalogue lacks is left to the request.
    """
    for model in await client.projects.get_supported_models():
        if model.id != wish.model:
            continue
        speaks = model.media == "audio" and await _speaks(client, model.id)
        if (model.media, speaks) != (wish.media, wish.speech):
            makes = _kind(model.media, speech=speaks)
            raise InvalidRequest(f"{model.id} makes {makes}: use '{_COMMANDS[makes]}'")


async def default_model(client: dreamgrid.AsyncClient, wish: Wish, *, patience_s: float) -> str:
    """The first model of the catalogue that makes what is wished for and has a worker.

    Raises:
        ServerUnavailable: No worker offers one, nor did within `patience_s`.
    """
    found = await client.projects.wait_for_models(timeout_s=patience_s)
    available = {model.id for model in found}
    if wish.finer:
        return await client.projects.get_enhancing_model()
    for model in await client.projects.get_supported_models():
        if model.id not in available or model.media != wish.media:
            continue
        if await _fits(client, model.id, wish):
            return model.id
    what = _kind(wish.media, speech=wish.speech).replace("videos", "such videos")
    raise ServerUnavailable(f"no worker makes {what} now; 'dreamgrid models' shows what is")


async def _fits(client: dreamgrid.AsyncClient, model: str, wish: Wish) -> bool:
    """Whether a model of the right media can make what is wished for."""
    match wish.media:
        case "image":
            return True
        case "video":
            return await _fits_video(client, model, wish)
        case "audio" if wish.speech:  # one that has a voice, and needs none to imitate
            options = await client.projects.get_model_options(model)
            return isinstance(options, dreamgrid.AudioOptions) and options.speaker is not None
        case "audio":
            return not await _speaks(client, model)


async def _speaks(client: dreamgrid.AsyncClient, model: str) -> bool:
    """Whether a model of sound speaks, instead of playing music."""
    options = await client.projects.get_model_options(model)
    return any(getattr(options, name, None) is not None for name in _OF_SPEECH)


def _kind(media: str, *, speech: bool) -> str:
    """What it makes, in a word for people."""
    if media == "audio":
        return "speech" if speech else "music"
    return {"image": "pictures", "video": "videos"}[media]


async def _fits_video(client: dreamgrid.AsyncClient, model: str, wish: Wish) -> bool:
    """Whether a video model takes the inputs that were given, and needs no others."""
    config = await client.projects.get_video_asset_config(model)
    if config.assets is None:
        return True
    given = {role for name, role in _VIDEO_INPUTS.items() if wish.settings.get(name)}
    return (
        all(config.assets.get(role) != "forbidden" for role in given)
        and all(role in given for role, need in config.assets.items() if need == "required")
        and (not config.any_of or any(role in given for role in config.any_of))
    )


async def _sized(client: dreamgrid.AsyncClient, model: str, wish: Wish) -> Wish:
    """The wish with the size of its picture, where it is to follow that and Pillow can read it."""
    if wish.size is not None or wish.sized_like is None:
        return wish
    own = await asyncio.to_thread(_pixels_in, wish.sized_like)
    entries = await client.projects.get_supported_models()
    limit = next((entry.size for entry in entries if entry.id == model), None)
    times = wish.times
    if own is None or limit is None:
        if times is not None:
            raise InvalidRequest("--times needs Pillow to see how large the picture is: use --size")
        return wish
    if times is None:
        most = min(limit.max / max(own), math.sqrt(limit.max_pixels / math.prod(own)))
        times = max(min(1.0, most), limit.min / min(own))
    width, height = (math.floor(side * times + 1e-6) for side in own)
    return replace(wish, size=f"{width}x{height}")


def _pixels_in(file: Path) -> tuple[int, int] | None:
    """Width and height of a picture file. None: Pillow is missing or cannot tell."""
    try:
        from PIL import Image, ImageOps  # noqa: PLC0415 - the CLI does without
    except ImportError:
        return None
    try:
        with Image.open(file) as picture:
            return ImageOps.exif_transpose(picture).size
    except OSError:
        return None  # the request says what is wrong with it


async def make(
    client: dreamgrid.AsyncClient,
    wish: Wish,
    *,
    out: Path,
    screen: Screen,
    timeout_s: float | None = None,
) -> Made:
    """Makes it, shows how, and saves it; canceled, it cancels the project too.

    Raises:
        ModelNotServed: No worker offers the model.
        WaitTimeout: It took longer than `timeout_s`, and was canceled.
        ProjectFailed: Nothing could be made.
        OSError: They cannot be written to `out`.
    """
    await asyncio.to_thread(out.mkdir, parents=True, exist_ok=True)
    began = time.monotonic()
    wish.for_model("")  # a size that is none is refused before anybody is asked
    if wish.model is None:
        screen.say("looking for a model")
    screen.begin(wish.count, wish.media)
    patience_s = min(_WORKER_S, timeout_s or _WORKER_S)
    if wish.model is not None:
        await check_media(client, wish)
    model = wish.model or await default_model(client, wish, patience_s=patience_s)
    asked = (await _sized(client, model, wish)).for_model(model)
    if wish.media == "image" and screen.wants_previews:
        asked["previews"] = _PREVIEWS
    create = partial(client.projects.create, **asked)
    project = await _accepted(client, create, screen, patience_s)
    try:
        async with asyncio.timeout(timeout_s):
            files, seeds = await _follow(project, out / wish.file_name, screen)
    except asyncio.CancelledError:
        screen.say("canceling")
        canceled = await _cancel(project)
        kept = await _save_finished(project, out / wish.file_name)
        raise Interrupted(project.id, canceled=canceled, files=kept) from None
    except TimeoutError:
        canceled = await _cancel(project)
        await _save_finished(project, out / wish.file_name)
        outcome = "so it was canceled" if canceled else "and the server did not confirm a cancel"
        raise WaitTimeout(
            f"not finished after {timeout_s:g} s, {outcome}; what was finished is in {out}; "
            "--timeout allows more",
            project_id=project.id,
        ) from None
    if not files:
        raise ProjectFailed(
            "the content filter withheld everything; nothing is charged for it",
            project_id=project.id,
        )
    charge = None
    with contextlib.suppress(DreamgridError):
        charge = await project.charge()
    return Made(
        project_id=project.id,
        model=project.params.model,
        media=wish.media,
        files=tuple(files),
        seeds=tuple(seeds),
        failed=wish.count - len(files),
        charge=charge,
        seconds=time.monotonic() - began,
    )


async def _accepted(
    client: dreamgrid.AsyncClient,
    create: Callable[[], Awaitable[dreamgrid.Project[dreamgrid.Result]]],
    screen: Screen,
    patience_s: float,
) -> dreamgrid.Project[dreamgrid.Result]:
    """Asks until the server takes it: the worker of a grid that was just started may be on its way.

    Raises:
        ModelNotServed: None came.
        Interrupted: By Ctrl-C while the server was taking it.
    """
    deadline_s = time.monotonic() + patience_s
    while True:
        asking = asyncio.ensure_future(create())
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            await asyncio.wait([asking], timeout=_ANSWER_S)
            if not asking.done() or asking.exception() is not None:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
                raise
            project = asking.result()
            canceled = await _cancel(project)
            raise Interrupted(project.id, canceled=canceled, files=()) from None
        except ModelNotServed:
            late = time.monotonic() >= deadline_s
            if late or await client.projects.get_available_models():
                raise  # a grid with workers has had its time to start
        screen.say("waiting for a worker")
        await asyncio.sleep(_ASK_AGAIN_S)


async def _follow(
    project: dreamgrid.Project[dreamgrid.Result], stem: Path, screen: Screen
) -> tuple[list[Path], list[int | None]]:
    """Shows what happens until the end, then saves what there is."""
    async for event in project.events():
        screen.show(event)
    files: list[Path] = []
    seeds: list[int | None] = []
    for image in await project.wait(timeout_s=None):
        path = await _save(project, image, stem)
        if isinstance(image, dreamgrid.Image):
            screen.show_result(image.index, await asyncio.to_thread(path.read_bytes))
        files.append(path)
        seeds.append(image.seed)
    return files, seeds


async def _save(
    project: dreamgrid.Project[dreamgrid.Result], image: dreamgrid.Result, stem: Path
) -> Path:
    return await image.save(
        stem.with_name(f"{stem.name}-{project.id[:8].lower()}-{image.index + 1}")
    )


async def _save_finished(
    project: dreamgrid.Project[dreamgrid.Result], stem: Path
) -> tuple[Path, ...]:
    """Saves what was delivered, and so charged, before the end came early."""
    files: list[Path] = []
    with contextlib.suppress(DreamgridError, OSError, TimeoutError):
        async with asyncio.timeout(_CANCEL_S):
            for image in project.results:
                files.append(await _save(project, image, stem))  # noqa: PERF401 (keeps what it has)
    return tuple(files)


async def _cancel(project: dreamgrid.Project[dreamgrid.Result]) -> bool:
    """Cancels; whether the server confirmed it.

    Does not wait long for it: somebody is waiting to get the terminal back.
    """
    try:
        async with asyncio.timeout(_CANCEL_S):
            await project.cancel()
    except (DreamgridError, TimeoutError):
        return False
    return True


def pixels(size: str | None) -> tuple[int | None, int | None, str | None]:
    """Width, height and preset that `512x512`, or the name of a preset, stands for."""
    if size is None:
        return None, None, None
    match = _SIZE.fullmatch(size.strip())
    if match is not None:
        return int(match[1]), int(match[2]), None
    if not size[:1].isalpha():
        raise InvalidRequest(f"--size is '{size[:40]}': write it as 512x512, or name a preset")
    return None, None, size


def _slug(text: str) -> str:
    """A text as part of a file name: its words, of any language, as far as they fit."""
    return "-".join(re.findall(r"[^\W_]+", text.lower()))[:40].strip("-")
