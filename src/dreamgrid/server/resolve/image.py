"""The rules of models that make pictures. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.params import STARTING_IMAGE, ImageParams
from dreamgrid.protocol.renders import ImageRender
from dreamgrid.server.catalog_entries import (
    ImageTier,
    LegacyImageTier,
    LoraSpec,
    ModelSpec,
    NumberRange,
    Preset,
    SizeLimits,
    StringChoice,
)
from dreamgrid.server.resolve import prompts, request
from dreamgrid.server.resolve.request import RandomSeed, RequestLimits
from dreamgrid.server.resolve.settings import check_range, whole_setting
from dreamgrid.server.resolve.sizes import check_pixels, size_asked, stepped
from dreamgrid.server.samplers import NameChoice, sampler_choice, scheduler_choice

DEFAULT_STRENGTH = 0.5
"""How much a starting image is changed when the app does not say."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageRules:
    """What the pictures of one model may look like. None: the model lacks that setting."""

    spec: ModelSpec
    steps: NumberRange
    guidance: NumberRange | None
    sampler: NameChoice | None
    scheduler: NameChoice | None
    vae: StringChoice | None
    size: SizeLimits
    presets: Mapping[str, Preset]
    loras: Mapping[str, LoraSpec]

    @classmethod
    def of(cls, spec: ModelSpec, tier: ImageTier, loras: Mapping[str, LoraSpec]) -> "ImageRules":
        """The rules of a checked model with an image tier."""
        assert spec.size is not None, "every image model states its sizes"
        sampler: StringChoice | None
        scheduler: StringChoice | None
        if isinstance(tier, LegacyImageTier):
            sampler, scheduler, vae = tier.sampler, tier.scheduler, None
        else:
            sampler, scheduler, vae = tier.comfy_sampler, tier.comfy_scheduler, tier.vae
        return cls(
            spec=spec,
            steps=tier.steps,
            guidance=tier.guidance,
            sampler=sampler_choice(sampler),
            scheduler=scheduler_choice(scheduler),
            vae=vae,
            size=spec.size,
            presets={preset.id: preset for preset in spec.size_presets},
            loras=loras,
        )

    def resolve(
        self, params: ImageParams, limits: RequestLimits, random_seed: RandomSeed
    ) -> tuple[ImageRender, ...]:
        """One render per job. The first gets the seed that was asked for, the others random ones.

        Raises:
            InvalidRequest: A value that the model or the server does not allow; says which are.
        """
        spec = self.spec
        request.check_routing(spec, params)
        request.check_count(params.count, "image", limits)
        steps = whole_setting("steps", params.steps, self.steps)
        width, height = self._size(params)
        first = ImageRender(
            model=spec.id,
            prompt=prompts.prompt_of(spec, params, limits.max_prompt_chars),
            negative_prompt=prompts.negative_prompt_of(spec, params, limits.max_prompt_chars),
            width=width,
            height=height,
            steps=steps,
            guidance=request.guidance_of(self.guidance, params.guidance),
            seed=request.seed_of(params.seed, random_seed),
            strength=self._strength(params),
            sampler=self.sampler.pick(params.sampler) if self.sampler else None,
            scheduler=self.scheduler.pick(params.scheduler) if self.scheduler else None,
            vae=self._vae(params.vae),
            loras=request.loras_of(spec, self.loras, params.loras),
            control_net=request.control_net_of(spec, params.control_net),
            assets=params.assets,
            previews=max(0, min(params.previews, steps, spec.max_previews)),
            output_format=request.output_format(spec, params.output_format),
        )
        others = (
            msgspec.structs.replace(first, seed=random_seed()) for _ in range(params.count - 1)
        )
        return (first, *others)

    @property
    def base_work(self) -> int:
        """Steps x pixels of the benchmark: default steps at the default size."""
        return int(self.steps.default) * self.size.width * self.size.height

    def work(self, render: ImageRender, steps: int) -> int:
        """Steps x pixels of a render with that many steps."""
        return steps * render.width * render.height

    def _vae(self, name: str | None) -> str | None:
        if self.vae is None or name is None:
            return None if self.vae is None else self.vae.default
        if name not in self.vae.allowed:
            raise InvalidRequest(
                f"vae {name[:64]!r} is not offered by this model: "
                f"choose one of {', '.join(self.vae.allowed)}"
            )
        return name

    def _strength(self, params: ImageParams) -> float | None:
        if STARTING_IMAGE not in params.assets:
            return None
        if not self.spec.strength:
            return 1.0
        if params.strength is None:
            return DEFAULT_STRENGTH
        check_range("strength", params.strength, 0, 1)
        return float(params.strength)

    def _size(self, params: ImageParams) -> tuple[int, int]:
        """Pixels: as asked for, each side down to the model's step, else its default."""
        asked = size_asked(self.spec.id, self.presets, params)
        if asked is None:
            return self.size.width, self.size.height
        for field, side in zip(("width", "height"), asked, strict=True):
            check_range(field, side, self.size.min, self.size.max)
        width, height = (stepped(side, self.size.step) for side in asked)
        check_pixels(self.spec.id, width, height, self.size.max_pixels)
        return width, height
