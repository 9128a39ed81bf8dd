"""The rules of models that make music and speech. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.params import AUDIO_SETTINGS, AudioParams
from dreamgrid.protocol.reading import reading_s
from dreamgrid.protocol.renders import AudioRender
from dreamgrid.server.catalog_entries import AudioTier, LoraSpec, ModelSpec
from dreamgrid.server.resolve import prompts, request
from dreamgrid.server.resolve.request import RandomSeed, RequestLimits
from dreamgrid.server.resolve.settings import missing, settle, whole_setting
from dreamgrid.server.samplers import NameChoice, sampler_choice, scheduler_choice


@dataclass(frozen=True, kw_only=True, eq=False)
class AudioRules:
    """What the pieces of one model may sound like."""

    spec: ModelSpec
    tier: AudioTier
    sampler: NameChoice | None
    scheduler: NameChoice | None
    loras: Mapping[str, LoraSpec]

    @classmethod
    def of(cls, spec: ModelSpec, tier: AudioTier, loras: Mapping[str, LoraSpec]) -> "AudioRules":
        """The rules of a checked model with an audio tier."""
        return cls(
            spec=spec,
            tier=tier,
            sampler=sampler_choice(tier.comfy_sampler),
            scheduler=scheduler_choice(tier.comfy_scheduler),
            loras=loras,
        )

    def resolve(
        self, params: AudioParams, limits: RequestLimits, random_seed: RandomSeed
    ) -> tuple[AudioRender, ...]:
        """One render per job. The first gets the seed that was asked for, the others random ones.

        Raises:
            InvalidRequest: A value that the model or the server does not allow; says which are.
        """
        spec = self.spec
        request.check_routing(spec, params)
        request.check_count(params.count, "audio", limits)
        prompts.check_text("lyrics", params.lyrics or "", limits.max_prompt_chars)
        if params.lyrics and self.tier.chars_per_second is not None:
            raise InvalidRequest(f"{spec.id} speaks and does not sing: leave lyrics out")
        prompt = prompts.prompt_of(spec, params, limits.max_prompt_chars)
        first = AudioRender(
            model=spec.id,
            prompt=prompt,
            negative_prompt=prompts.negative_prompt_of(spec, params, limits.max_prompt_chars),
            steps=whole_setting("steps", params.steps, self.tier.steps),
            guidance=request.guidance_of(self.tier.guidance, params.guidance),
            seed=request.seed_of(params.seed, random_seed),
            sampler=self.sampler.pick(params.sampler) if self.sampler else None,
            scheduler=self.scheduler.pick(params.scheduler) if self.scheduler else None,
            loras=request.loras_of(spec, self.loras, params.loras),
            control_net=request.control_net_of(spec, params.control_net),
            assets=params.assets,
            lyrics=params.lyrics or "",
            output_format=request.output_format(spec, params.output_format),
            **self._settings(params, prompt),
        )
        others = (
            msgspec.structs.replace(first, seed=random_seed()) for _ in range(params.count - 1)
        )
        return (first, *others)

    @property
    def base_work(self) -> int:
        """Steps x milliseconds of sound of the benchmark: the tier's defaults."""
        return int(self.tier.steps.default) * round(self.tier.duration_s.default * 1000)

    def work(self, render: AudioRender, steps: int) -> int:
        """Steps x milliseconds of sound of a render with that many steps."""
        return steps * round(render.duration_s * 1000)

    def _settings(self, params: AudioParams, prompt: str) -> dict[str, Any]:
        settled = {}
        for name in AUDIO_SETTINGS:
            value, limit = getattr(params, name), getattr(self.tier, name)
            if name == "bpm" and limit is None:
                value = None  # old clients are served a tempo for every sound, and may send it back
            missing(name, value, limit, model=self.spec.id)
            settled[name] = settle(name, value, limit, model=self.spec.id)
            if value is None and name.replace("_", "") in self.spec.chooses:
                settled[name] = None
        if params.duration_s is None and self.tier.chars_per_second is not None:
            seconds = reading_s(prompt, self.tier.chars_per_second)
            allowed = self.tier.duration_s
            settled["duration_s"] = float(min(max(seconds, allowed.min), allowed.max))
        return settled
