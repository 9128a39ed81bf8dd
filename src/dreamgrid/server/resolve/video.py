"""The rules of models that make videos. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.assets import KEYFRAME_ROLES, VIDEO_ROLES
from dreamgrid.protocol.params import VIDEO_SETTINGS, VideoParams
from dreamgrid.protocol.renders import VideoRender
from dreamgrid.server.catalog_entries import LoraSpec, ModelSpec, NumberRange, Preset, VideoTier
from dreamgrid.server.resolve import prompts, request
from dreamgrid.server.resolve.request import RandomSeed, RequestLimits
from dreamgrid.server.resolve.settings import check_range, settle, whole_setting
from dreamgrid.server.resolve.sizes import check_pixels, size_asked, stepped
from dreamgrid.server.samplers import NameChoice, sampler_choice, scheduler_choice

MAX_POINTS = 100
"""Most points on a subject."""

_ONE_STEP = NumberRange(min=1, max=1, default=1)
_ONE_FRAME = NumberRange(min=1, max=1, default=1)
_DEFAULT_FPS = 24.0


@dataclass(frozen=True, kw_only=True, eq=False)
class VideoRules:
    """What the videos of one model may look like."""

    spec: ModelSpec
    tier: VideoTier
    steps: NumberRange
    frames: NumberRange
    sampler: NameChoice | None
    scheduler: NameChoice | None
    presets: Mapping[str, Preset]
    loras: Mapping[str, LoraSpec]

    @classmethod
    def of(cls, spec: ModelSpec, tier: VideoTier, loras: Mapping[str, LoraSpec]) -> "VideoRules":
        """The rules of a checked model with a video tier."""
        return cls(
            spec=spec,
            tier=tier,
            steps=tier.steps or _ONE_STEP,
            frames=tier.frames or _ONE_FRAME,
            sampler=sampler_choice(tier.comfy_sampler),
            scheduler=scheduler_choice(tier.comfy_scheduler),
            presets={preset.id: preset for preset in spec.size_presets},
            loras=loras,
        )

    def resolve(
        self, params: VideoParams, limits: RequestLimits, random_seed: RandomSeed
    ) -> tuple[VideoRender, ...]:
        """One render per job. The first gets the seed that was asked for, the others random ones.

        Raises:
            InvalidRequest: A value that the model or the server does not allow; says which are.
        """
        spec = self.spec
        request.check_routing(spec, params)
        request.check_count(params.count, "video", limits)
        settings = self._settings(params)
        width, height = self._size(params, settings["upscale_resolution"])
        fps = self._fps(params.fps)
        first = VideoRender(
            model=spec.id,
            prompt=prompts.prompt_of(spec, params, limits.max_prompt_chars),
            negative_prompt=prompts.negative_prompt_of(spec, params, limits.max_prompt_chars),
            width=width,
            height=height,
            frames=self._frames(params.frames),
            fps=fps,
            motion_fps=min(fps, self.tier.motion_fps or fps),
            steps=whole_setting("steps", params.steps, self.steps),
            guidance=request.guidance_of(self.tier.guidance, params.guidance),
            seed=request.seed_of(params.seed, random_seed),
            sampler=self.sampler.pick(params.sampler) if self.sampler else None,
            scheduler=self.scheduler.pick(params.scheduler) if self.scheduler else None,
            loras=request.loras_of(spec, self.loras, params.loras),
            control_net=request.control_net_of(spec, params.control_net),
            assets=params.assets,
            points=self._points(params),
            keyframes=self._keyframes(params),
            output_format=request.output_format(spec, params.output_format),
            **settings,
        )
        others = (
            msgspec.structs.replace(first, seed=random_seed()) for _ in range(params.count - 1)
        )
        return (first, *others)

    @property
    def base_work(self) -> int:
        """Steps x pixels x frames of the benchmark: the tier's defaults."""
        pixels = int(self.tier.width.default) * int(self.tier.height.default)
        return int(self.steps.default) * pixels * int(self.frames.default)

    def work(self, render: VideoRender, steps: int) -> int:
        """Steps x pixels x frames of a render with that many steps."""
        return steps * render.width * render.height * render.frames

    def _settings(self, params: VideoParams) -> dict[str, Any]:
        return {
            name: settle(name, getattr(params, name), getattr(self.tier, name), model=self.spec.id)
            for name in VIDEO_SETTINGS
        }

    def _size(self, params: VideoParams, shorter_side: float | None) -> tuple[int, int]:
        """Pixels: as asked for, each side down to the tier's step, else the tier's default.

        Args:
            params: What was asked for.
            shorter_side: Of an upscaler: which size to bring the default to.
        """
        width, height = int(self.tier.width.default), int(self.tier.height.default)
        asked = size_asked(self.spec.id, self.presets, params)
        if asked is None and shorter_side is not None:
            share = shorter_side / min(width, height)
            asked = round(width * share), round(height * share)
        if asked is None:
            return width, height
        sides = []
        allowed = (self.tier.width, self.tier.height)
        for field, side, limit in zip(("width", "height"), asked, allowed, strict=True):
            check_range(field, side, limit.min, limit.max)
            sides.append(stepped(side, limit.step))
        width, height = sides
        check_pixels(self.spec.id, width, height, self.tier.max_pixels)
        return width, height

    def _frames(self, frames: int | None) -> int:
        """As many as asked for, brought to the nearest count that the model can make.

        Models make frames in groups, and clients compute the number from a duration, each by its
        own rounding.
        """
        if frames is None:
            return int(self.frames.default)
        check_range("frames", frames, self.frames.min, self.frames.max)
        low, step = int(self.frames.min), int(self.frames.step or 1)
        most = (int(self.frames.max) - low) // step
        return low + step * min(most, round((frames - low) / step))

    def _fps(self, fps: float | None) -> float:
        if self.tier.fps is None:
            if fps is not None:
                check_range("fps", fps, 1, 120)
            return float(fps or _DEFAULT_FPS)
        settled: float = settle("fps", fps, self.tier.fps, model=self.spec.id)
        return float(settled)

    def _refuse_without(self, name: str, value: object, roles: frozenset[str]) -> None:
        """Refuses a setting about inputs that the model does not take."""
        if value and roles.isdisjoint(self.spec.inputs):
            raise InvalidRequest(f"{self.spec.id} has no setting {name}; leave it out")

    def _points(self, params: VideoParams) -> tuple[tuple[float, float], ...]:
        self._refuse_without("points", params.points, VIDEO_ROLES)
        check_range("number of points", len(params.points), 0, MAX_POINTS)
        for x, y in params.points:
            check_range("point x", x, 0, 16384)
            check_range("point y", y, 0, 16384)
        return params.points

    def _keyframes(self, params: VideoParams) -> tuple[int, ...]:
        self._refuse_without("keyframes", params.keyframes, KEYFRAME_ROLES)
        for index in params.keyframes[:100]:
            check_range("key frame index", index, 0, self.frames.max)
        return params.keyframes[:100]
