"""One run of a pipeline, from the settings of its jobs to what it makes for each of them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from dreamgrid.engines.base import Job, Step
from dreamgrid.engines.diffusers import preview
from dreamgrid.engines.diffusers.family import Net, Task, check_sampler, samplings, settings_of
from dreamgrid.engines.diffusers.given import Given
from dreamgrid.engines.diffusers.memory import out_of_memory
from dreamgrid.engines.diffusers.pipelines import LoadedModel
from dreamgrid.engines.diffusers.sampling import scheduler_for, watched
from dreamgrid.engines.diffusers.texts import UnlikeTexts, encoded
from dreamgrid.engines.diffusers.weights import Weights, lora_files
from dreamgrid.errors import ModelNotAvailable, RenderCanceled
from dreamgrid.protocol.params import Lora
from dreamgrid.protocol.renders import AnyRender, AudioRender

_OUTPUT_TYPES = {"image": "pil", "video": "np", "audio": "pt"}


class Pass:
    """One run of a pipeline, for one job or several that differ in nothing but prompts and seed.

    Attributes:
        steps: Performed so far.
        canceled: Numbers of the jobs that were told to stop.
    """

    def __init__(
        self,
        model: LoadedModel,
        weights: Weights,
        task: Task,
        net: Net | None,
        jobs: Sequence[Job],
        *,
        width: int = 1,
    ) -> None:
        """Takes jobs for a model.

        Args:
            model: In memory.
            weights: Its.
            task: What to do.
            net: The ControlNet to steer by.
            jobs: At most as many as the pass has pictures, which are filled up with the first.
            width: Pictures of the pass.
        """
        self._model = model
        self._weights = weights
        self._task = task
        self._net = net
        self._jobs = jobs
        self._render = render = jobs[0].render
        self._width = width
        name = render.control_net.name if net and render.control_net else ""
        self._pipeline = model.pipeline(task, name)
        self.steps = 0
        self.canceled: set[int] = set()

    def run(self, given: Given, *, raw: bool = False) -> list[Any]:
        """What the pipeline gives back, for each job.

        Args:
            given: The pictures that came with it.
            raw: Pictures as the decoder's own numbers.

        Raises:
            UnlikeTexts: The prompts of its jobs cannot be computed together.
        """
        pipeline, render = self._pipeline, self._render
        family = self._weights.family
        pipeline.scheduler = self._model.scheduler
        check_sampler(family, render)
        if family.sampling != "none":
            shift = getattr(render, "shift", None)
            pipeline.scheduler = scheduler_for(
                self._model.scheduler,
                samplings()[family.sampling],
                render.sampler,
                render.scheduler,
                shift,
                family.scheduler,
            )
        arguments = family.arguments | settings_of(self._task, render)
        arguments |= given.arguments(self._task, render)
        if family.sigmas:
            arguments["sigmas"] = family.sigmas_of(render.steps)
        if self._net is not None:
            arguments |= self._net.arguments
        renders = [job.render for job in self._jobs]
        renders += renders[:1] * (self._width - len(renders))
        generators = [torch.Generator("cpu").manual_seed(one.seed) for one in renders]
        torch.manual_seed(render.seed)  # some pipelines draw a little without the generator
        files = self._lora_files(render.loras)
        try:
            self._load_loras(render.loras, files)
            if self._width > 1:
                arguments = self._shared(arguments, renders)
                pipeline.vae.enable_slicing()  # each picture is decoded alone
            with watched(pipeline.scheduler, self._stepped):
                made = pipeline(
                    **arguments,
                    generator=generators if self._width > 1 else generators[0],
                    output_type="pt" if raw else _OUTPUT_TYPES[family.result],
                )
                if self._width == 1:
                    return [made]
                return [SimpleNamespace(images=[one]) for one in made.images[: len(self._jobs)]]
        finally:
            pipeline.maybe_free_model_hooks()
            if files:
                pipeline.unload_lora_weights()

    def _shared(self, arguments: dict[str, Any], renders: Sequence[AnyRender]) -> dict[str, Any]:
        """The arguments with what was encoded of all prompts in place of the first job's."""
        texts = self._weights.family.texts
        if texts is None:
            raise UnlikeTexts
        said = {self._task.arguments.get(name) for name in ("prompt", "negative_prompt")}
        kept: dict[str, Any] = {n: value for n, value in arguments.items() if n not in said}
        return kept | encoded(self._pipeline, texts, renders)

    def _lora_files(self, loras: Sequence[Lora]) -> list[Path]:
        """Where LoRAs lie, in their order."""
        if not loras:
            return []
        if not hasattr(self._pipeline, "load_lora_weights"):
            raise ModelNotAvailable(f"{self._weights.model} takes no LoRAs on this worker")
        return lora_files(self._weights, loras)

    def _load_loras(self, loras: Sequence[Lora], files: Sequence[Path]) -> None:
        """Puts LoRAs onto the model in their order, each at its strength."""
        if not loras:
            return
        names = [f"lora-{number}" for number in range(len(loras))]
        for lora, name, file in zip(loras, names, files, strict=True):
            try:
                self._pipeline.load_lora_weights(
                    str(file.parent), weight_name=file.name, adapter_name=name
                )
            # Readers of files, peft and torch each raise what they like about a file that is broken
            # or made for another model.
            except Exception as error:
                if out_of_memory(error):
                    raise
                raise ModelNotAvailable(
                    f"the LoRA {lora.id[:64]} does not work with {self._weights.model} here\n"
                    f"{file}: {error}"
                ) from error
        self._pipeline.set_adapters(names, [lora.strength for lora in loras])

    def _stepped(self, done: int, count: int, latents: torch.Tensor) -> None:
        self.steps = done
        for number, job in enumerate(self._jobs):
            if number in self.canceled:
                continue
            own = latents if self._width == 1 else latents[number : number + 1]
            try:
                job.on_step(Step(step=done, step_count=count, preview=self._preview_of(own)))
            except RenderCanceled:
                self.canceled.add(number)
                if len(self.canceled) == len(self._jobs):
                    raise

    def _preview_of(self, latents: torch.Tensor) -> Callable[[], bytes] | None:
        colours, render = self._model.colours, self._render
        if colours is None or isinstance(render, AudioRender):
            return None
        first = preview.first_of(self._pipeline, latents, render.height, render.width)
        return (lambda: preview.jpeg(first, colours)) if preview.fits(first, colours) else None
