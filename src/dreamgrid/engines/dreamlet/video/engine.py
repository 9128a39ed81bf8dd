"""Makes videos with dreamlet: key pictures by the model, frames by a camera, a file by PyAV."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from dreamgrid.engines.base import Artifact, OnStep
from dreamgrid.engines.dreamlet import pictures
from dreamgrid.engines.dreamlet.networks import Networks, networks_in
from dreamgrid.engines.dreamlet.sampler import Floats
from dreamgrid.engines.dreamlet.video import walk
from dreamgrid.engines.dreamlet.video.camera import camera_for
from dreamgrid.engines.dreamlet.video.ids import MODELS
from dreamgrid.engines.dreamlet.video.keys import Ends, Key, KeyPainter
from dreamgrid.engines.dreamlet.video.plan import Plan
from dreamgrid.engines.dreamlet.video.scene import Given, Stage
from dreamgrid.engines.dreamlet.video.script import read_script
from dreamgrid.engines.safety import ContentFilter, judged_frames
from dreamgrid.engines.starting_image import decode
from dreamgrid.engines.video_file import VideoFile, check_format
from dreamgrid.errors import EngineError, ModelNotAvailable
from dreamgrid.protocol.assets import REFERENCE_IMAGE, REFERENCE_IMAGE_END
from dreamgrid.protocol.params import CONTENT_TYPES, MAX_SEED
from dreamgrid.protocol.renders import AnyRender, VideoRender

MAX_SIDE_PX = 2048
MIN_SIDE_PX = 16
MAX_FRAMES = 10_000
MAX_STEPS = 1000
MAX_FPS = 120


class VideoEngine:
    """Makes one video at a time, with the same networks in memory as the dreamlet engine."""

    def __init__(self, weights: Path, *, threads: int = 1) -> None:
        """Takes the folder of the exported files and the number of CPU threads to use."""
        self._weights = weights
        self._threads = max(1, threads)
        self._filter = ContentFilter(threads=self._threads)

    def load(self, model: str) -> None:
        """Reads the weights; takes a fifth of a second.

        Raises:
            ModelNotAvailable: It is no model of this engine, or its files are missing or broken.
        """
        if model not in MODELS:
            raise ModelNotAvailable(f"Dreamlet Video serves {' and '.join(MODELS)}, not {model}")
        self._networks()

    def generate(self, render: AnyRender, inputs: Mapping[str, bytes], on_step: OnStep) -> Artifact:
        """Makes one video. Its steps are those of all key pictures, four of them painted at once.

        The same render gives the same file, bit for bit, whatever the number of threads.

        Raises:
            RenderCanceled: Raised by `on_step` and passed on.
            ModelNotAvailable: The files of the model are missing or broken.
            UnreadableMedia: A reference image cannot be read or is too large.
            RenderRefused: The content filter refuses the prompt.
            EngineError: A setting is out of all bounds, or it is no video.
        """
        if not isinstance(render, VideoRender):
            raise EngineError("Dreamlet Video makes videos only")
        _check(render)
        self._filter.check(render.prompt)
        film = _Film(render, inputs, self._networks(), on_step)
        to_judge = judged_frames(film.plan.frame_count)  # the last one is among them
        judged: list[Image.Image] = []
        with VideoFile(
            render.width,
            render.height,
            render.fps,
            render.output_format,
            title=render.prompt,
            settings=_settings(render),
        ) as file:
            for index, frame in enumerate(film.frames()):
                file.add(np.asarray(frame))
                if index in to_judge:
                    judged.append(frame)
        return Artifact(
            data=file.data,
            content_type=CONTENT_TYPES[render.output_format],
            steps=film.painter.step_count,
            sensitive=self._filter.objections(render.prompt, judged),
            last_frame=pictures.encode_frame(judged[-1]),
        )

    def _networks(self) -> Networks:
        return networks_in(self._weights, self._threads)


class _Film:
    """One video while it is made."""

    def __init__(
        self,
        render: VideoRender,
        inputs: Mapping[str, bytes],
        networks: Networks,
        on_step: OnStep,
    ) -> None:
        given = REFERENCE_IMAGE in inputs or REFERENCE_IMAGE_END in inputs
        self._stage = Stage(render.width, render.height, given=given)
        self._first = self._taken(inputs, REFERENCE_IMAGE, "first frame")
        self._last = self._taken(inputs, REFERENCE_IMAGE_END, "last frame")
        self._ends = Ends(
            first=None if self._first is None else self._first.canvas,
            last=None if self._last is None else self._last.canvas,
            first_strength=_share(render.first_frame_strength),
            last_strength=_share(render.last_frame_strength),
        )
        self.plan = Plan.of(render)
        script = read_script(render.prompt)
        self.painter = KeyPainter(
            render, self.plan, script.parts, networks, self._stage.canvas, self._ends, on_step
        )
        self._camera = camera_for(
            script.moves,
            render.seed,
            self.plan.second(self.plan.last),
            starts_whole=self._first is not None or self._last is None,
            ends_whole=self._last is not None,
            full=given,
        )

    def frames(self) -> Iterator[Image.Image]:
        """The frames of the file, each as soon as its key pictures are painted."""
        before: Key | None = None
        for key in self.painter.painted():
            if before is not None:
                for frame in range(before.frame + 1, key.frame):
                    share = np.float32((frame - before.frame) / (key.frame - before.frame))
                    yield self._frame(frame, before.canvas + share * (key.canvas - before.canvas))
            if key.frame < self.plan.frame_count:
                yield self._frame(key.frame, key.canvas)
            before = key

    def _frame(self, index: int, canvas: Floats) -> Image.Image:
        moment = self.plan.moment(index)
        shares = walk.detail_shares(moment, starts=self._ends.starts, ends=self._ends.ends)
        strengths = (self._ends.first_strength, self._ends.last_strength)
        given = (self._first, self._last)
        details = [
            (share * strength, picture)
            for share, strength, picture in zip(shares, strengths, given, strict=True)
            if picture is not None
        ]
        return self._stage.frame(canvas, details, self._camera.at(moment))

    def _taken(self, inputs: Mapping[str, bytes], role: str, what: str) -> Given | None:
        if role not in inputs:
            return None
        return self._stage.take(decode(inputs[role], what=f"picture for the {what}"))


def _share(strength: float | None) -> float:
    return 1.0 if strength is None else strength


def _check(render: VideoRender) -> None:
    """Refuses what no catalogue would let through; the server has its own, tighter limits.

    Raises:
        EngineError: Says which setting is wrong.
    """
    check_format(render.output_format, render.width, render.height)
    sides = (render.width, render.height)
    if min(sides) < MIN_SIDE_PX or max(sides) > MAX_SIDE_PX:
        raise EngineError(
            f"{render.width}x{render.height}: sides are {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels"
        )
    if not 1 <= render.frames <= MAX_FRAMES:
        raise EngineError(f"{render.frames} frames: 1 to {MAX_FRAMES} are possible")
    if not (1 <= render.fps <= MAX_FPS and 1 <= render.motion_fps <= render.fps):
        raise EngineError(f"{render.fps} frames per second: 1 to {MAX_FPS} are possible")
    if not 1 <= render.steps <= MAX_STEPS:
        raise EngineError(f"{render.steps} steps: 1 to {MAX_STEPS} are possible")
    if not 0 <= render.seed <= MAX_SEED:
        raise EngineError(f"seed {render.seed} is not between 0 and {MAX_SEED}")
    if not math.isfinite(render.guidance):
        raise EngineError(f"guidance {render.guidance} is no number")
    if render.shift is not None and not 0 < render.shift < math.inf:
        raise EngineError(f"shift {render.shift} is not above 0")
    for strength in (render.first_frame_strength, render.last_frame_strength):
        if strength is not None and not 0 <= strength <= 1:
            raise EngineError(f"frame strength {strength} is not between 0 and 1")


def _settings(render: VideoRender) -> dict[str, str | int | float | None]:
    """What a reader of the file needs to make the video again."""
    return {
        "model": render.model,
        "prompt": render.prompt,
        "negative_prompt": render.negative_prompt,
        "width": render.width,
        "height": render.height,
        "frames": render.frames,
        "fps": render.fps,
        "steps": render.steps,
        "guidance": render.guidance,
        "shift": render.shift,
        "seed": render.seed,
    }
