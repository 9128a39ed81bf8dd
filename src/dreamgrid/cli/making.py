"""From settings to files: what `generate` and `demo` have in common."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

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
from dreamgrid.protocol.params import ImageFormat

_CANCEL_S = 10.0
_WORKER_S = 20.0
"""How long to wait for the first worker that offers the model."""

_ASK_AGAIN_S = 0.5
_PREVIEWS = 12
_SIZE = re.compile(r"([0-9]{1,6}) *[xX] *([0-9]{1,6})")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to make; the fields mean the same as in `projects.create`."""

    prompt: str
    model: str | None = None
    count: int = 1
    size: str | None = None
    steps: int | None = None
    guidance: float | None = None
    seed: int | None = None
    negative_prompt: str = ""
    style_prompt: str = ""
    starting_image: Path | None = None
    strength: float | None = None
    output_format: ImageFormat = "png"


@dataclass(frozen=True, kw_only=True)
class Made:
    """Finished pictures on disk.

    Attributes:
        project_id: The project that made them.
        model: The model that made them.
        files: Where they are, in order.
        seeds: Their seeds, in the same order.
        failed: How many of the pictures asked for are missing.
        charge: What it cost. None: the server does not say.
        seconds: From the request to the last file.
    """

    project_id: str
    model: str
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
        files: The pictures that were finished before, on disk.
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
            f"its pictures are charged{saved}"
        )


async def default_model(client: dreamgrid.AsyncClient) -> str:
    """The first model of the catalogue that makes pictures and has a worker.

    Raises:
        ServerUnavailable: No worker offers one.
    """
    available = {model.id for model in await client.projects.wait_for_models(timeout_s=20)}
    for model in await client.projects.get_supported_models():
        if model.media == "image" and model.id in available:
            return model.id
    raise ServerUnavailable("no connected worker makes pictures; 'dreamgrid models' shows what is")


async def make(
    client: dreamgrid.AsyncClient,
    settings: Settings,
    *,
    out: Path,
    screen: Screen,
    timeout_s: float | None = None,
) -> Made:
    """Makes the pictures, shows how, and saves them; canceled, it cancels the project too.

    Raises:
        ModelNotServed: No worker offers the model.
        WaitTimeout: It took longer than `timeout_s`, and was canceled.
        ProjectFailed: No picture could be made.
        OSError: They cannot be written to `out`.
    """
    await asyncio.to_thread(out.mkdir, parents=True, exist_ok=True)
    began = time.monotonic()
    width, height, size_preset = _size(settings.size)
    if settings.model is None:
        screen.say("looking for a model")
    screen.begin(settings.count)
    create = partial(
        client.projects.create,
        model=settings.model or await default_model(client),
        prompt=settings.prompt,
        count=settings.count,
        width=width,
        height=height,
        size_preset=size_preset,
        steps=settings.steps,
        guidance=settings.guidance,
        seed=settings.seed,
        negative_prompt=settings.negative_prompt,
        style_prompt=settings.style_prompt,
        starting_image=settings.starting_image,
        strength=settings.strength,
        output_format=settings.output_format,
        previews=_PREVIEWS if screen.wants_previews else 0,
    )
    project = await _accepted(create, screen, min(_WORKER_S, timeout_s or _WORKER_S))
    try:
        async with asyncio.timeout(timeout_s):
            files, seeds = await _follow(project, out, screen)
    except asyncio.CancelledError:
        screen.say("canceling")
        canceled = await _cancel(project)
        kept = await _save_finished(project, out)
        raise Interrupted(project.id, canceled=canceled, files=kept) from None
    except TimeoutError:
        canceled = await _cancel(project)
        await _save_finished(project, out)
        outcome = "so it was canceled" if canceled else "and the server did not confirm a cancel"
        raise WaitTimeout(
            f"not finished after {timeout_s:g} s, {outcome}; what was finished is in {out}; "
            "--timeout allows more",
            project_id=project.id,
        ) from None
    if not files:
        raise ProjectFailed("the content filter withheld every picture", project_id=project.id)
    charge = None
    with contextlib.suppress(DreamgridError):
        charge = await project.charge()
    return Made(
        project_id=project.id,
        model=project.params.model,
        files=tuple(files),
        seeds=tuple(seeds),
        failed=settings.count - len(files),
        charge=charge,
        seconds=time.monotonic() - began,
    )


async def _accepted(
    create: Callable[[], Awaitable[dreamgrid.Project[dreamgrid.Result]]],
    screen: Screen,
    patience_s: float,
) -> dreamgrid.Project[dreamgrid.Result]:
    """Asks until the server takes it: the worker of a grid that was just started may be on its way.

    Raises:
        ModelNotServed: None came.
    """
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            return await create()
        except ModelNotServed:
            if time.monotonic() >= deadline_s:
                raise
        screen.say("waiting for a worker")
        await asyncio.sleep(_ASK_AGAIN_S)


async def _follow(
    project: dreamgrid.Project[dreamgrid.Result], out: Path, screen: Screen
) -> tuple[list[Path], list[int | None]]:
    """Shows what happens until the end, then saves what there is."""
    async for event in project.events():
        screen.show(event)
    files: list[Path] = []
    seeds: list[int | None] = []
    for image in await project.wait(timeout_s=None):
        path = await _save(project, image, out)
        screen.show_result(image.index, await asyncio.to_thread(path.read_bytes))
        files.append(path)
        seeds.append(image.seed)
    return files, seeds


async def _save(
    project: dreamgrid.Project[dreamgrid.Result], image: dreamgrid.Result, out: Path
) -> Path:
    name = f"{_slug(project.params.prompt)}-{project.id[:8].lower()}-{image.index + 1}"
    return await image.save(out / name)


async def _save_finished(
    project: dreamgrid.Project[dreamgrid.Result], out: Path
) -> tuple[Path, ...]:
    """Saves what was delivered, and so charged, before the end came early."""
    files: list[Path] = []
    with contextlib.suppress(DreamgridError, OSError, TimeoutError):
        async with asyncio.timeout(_CANCEL_S):
            for image in project.results:
                files.append(await _save(project, image, out))  # noqa: PERF401 (keeps what it has)
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


def _size(size: str | None) -> tuple[int | None, int | None, str | None]:
    """Width, height and preset that `512x512`, or the name of a preset, stands for."""
    if size is None:
        return None, None, None
    match = _SIZE.fullmatch(size.strip())
    if match is not None:
        return int(match[1]), int(match[2]), None
    if not size[:1].isalpha():
        raise InvalidRequest(f"--size is '{size[:40]}': write it as 512x512, or name a preset")
    return None, None, size


def _slug(prompt: str) -> str:
    """The prompt as part of a file name: a few plain words."""
    words = re.findall(r"[a-z0-9]+", prompt.lower())
    return "-".join(words)[:40].strip("-") or "picture"
