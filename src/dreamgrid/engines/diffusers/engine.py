"""Renders with the pipelines of diffusers."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch

from dreamgrid.engines.base import Artifact, OnStep, Step
from dreamgrid.engines.diffusers import preview
from dreamgrid.engines.diffusers.family import Net, Task, samplings, settings_of
from dreamgrid.engines.diffusers.given import Given
from dreamgrid.engines.diffusers.memory import free_memory, out_of_memory
from dreamgrid.engines.diffusers.pipelines import LoadedModel
from dreamgrid.engines.diffusers.results import artifact_of
from dreamgrid.engines.diffusers.sampling import scheduler_for, watched
from dreamgrid.engines.diffusers.warm import WarmModels
from dreamgrid.engines.diffusers.weights import Weights
from dreamgrid.engines.safety import ContentFilter
from dreamgrid.errors import EngineError, ModelNotAvailable, OutOfMemory
from dreamgrid.protocol.params import Lora
from dreamgrid.protocol.renders import AnyRender, AudioRender


class DiffusersEngine:
    """Renders with one model at a time, and keeps those before it while there is room."""

    def __init__(self, weights: Mapping[str, Weights], *, threads: int) -> None:
        """Takes the weights that were found, by catalogue id, and how many CPU threads to use."""
        torch.set_num_threads(max(1, threads))
        self._weights = weights
        self._name = ""
        self._model: LoadedModel | None = None
        self._warm = WarmModels(LoadedModel)
        self._filter = ContentFilter(threads=threads)

    def load(self, model: str) -> None:
        """Takes a model that is in memory still, or reads its weights.

        Raises:
            ModelNotAvailable: They are not there, or cannot be read.
            OutOfMemory: They do not fit.
        """
        if self._name == model:
            return
        weights = self._weights.get(model)
        if weights is None:
            raise ModelNotAvailable(f"this worker has no weights for {model}")
        self._model, self._name = None, ""  # what leaves memory must leave it whole
        self._model, self._name = self._warm.take(weights), model

    def expect(self, models: Collection[str]) -> None:
        """Says which models the next jobs need: of those in memory they leave last."""
        self._warm.expect({self._weights[model].name for model in models if model in self._weights})

    def generate(self, render: AnyRender, inputs: Mapping[str, bytes], on_step: OnStep) -> Artifact:
        """Makes one job, with less memory if the first try runs out of it.

        Raises:
            RenderCanceled: Raised by `on_step` and passed on.
            ModelNotAvailable: The weights, this diffusers or the LoRAs here cannot do this.
            UnreadableMedia: An input picture cannot be read or is too large.
            OutOfMemory: The job does not fit, whatever the plan.
            RenderRefused: The content filter refuses the prompt.
            EngineError: The pipeline failed.
        """
        model = self._model
        if model is None or self._name != render.model:
            raise EngineError(f"{render.model} is not loaded")
        self._filter.check(render.prompt)
        weights = self._weights[self._name]
        task = _task_of(weights, render, inputs)
        net = _net_of(weights, task, render)
        work = _in_whole_blocks(render, weights.family.multiple)
        given = Given.of(task, net, work, inputs)
        while True:
            try:
                job = _Job(model, weights, task, work, on_step)
                made = job.run(given)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                free_memory()
                if not self._warm.make_way(weights.name) and not model.shrink():
                    raise OutOfMemory(
                        f"this job does not fit into the memory of this worker\n{error}"
                    ) from error
            else:
                return artifact_of(
                    render, made, job.steps, model.rate_hz, self._filter, given.finish
                )


def _task_of(weights: Weights, render: AnyRender, inputs: Mapping[str, bytes]) -> Task:
    task = weights.family.task(weights.model, frozenset(inputs), render.control_net)
    if task is not None:
        return task
    brought = ", ".join(sorted(inputs)) or "none"
    if render.control_net is not None:
        brought += f" and the ControlNet {render.control_net.name[:64]}"
    raise ModelNotAvailable(f"this worker cannot make {weights.model} with inputs: {brought}")


def _in_whole_blocks(render: AnyRender, pixels: int) -> AnyRender:
    """The render with sides that are multiples of so many pixels, at least as large."""
    if isinstance(render, AudioRender) or pixels == 1:
        return render
    width, height = (-(-side // pixels) * pixels for side in (render.width, render.height))
    return msgspec.structs.replace(render, width=width, height=height)


def _net_of(weights: Weights, task: Task, render: AnyRender) -> Net | None:
    asked = render.control_net
    if task.control != "net" or asked is None:
        return None
    if asked.name not in weights.control_nets:
        raise ModelNotAvailable(
            f"this worker has no ControlNet {asked.name[:64]} for {weights.model}"
        )
    return weights.family.control_nets[asked.name]


class _Job:
    """One run of a pipeline."""

    def __init__(
        self, model: LoadedModel, weights: Weights, task: Task, render: AnyRender, on_step: OnStep
    ) -> None:
        self._model = model
        self._weights = weights
        self._task = task
        self._render = render
        self._on_step = on_step
        self._net = _net_of(weights, task, render)
        name = render.control_net.name if self._net and render.control_net else ""
        self._pipeline = model.pipeline(task, name)
        self.steps = 0

    def run(self, given: Given) -> Any:
        """What the pipeline gives back."""
        pipeline, render = self._pipeline, self._render
        family = self._weights.family
        pipeline.scheduler = self._model.scheduler
        if render.sampler in family.without:
            raise ModelNotAvailable(f"this worker cannot use the sampler {render.sampler} here")
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
        generator = torch.Generator("cpu").manual_seed(render.seed)
        torch.manual_seed(render.seed)  # some pipelines draw a little without the generator
        files = self._lora_files(render.loras)
        try:
            self._load_loras(render.loras, files)
            with watched(pipeline.scheduler, self._stepped):
                return pipeline(**arguments, generator=generator, output_type=self._output_type)
        finally:
            pipeline.maybe_free_model_hooks()
            if files:
                pipeline.unload_lora_weights()

    @property
    def _output_type(self) -> str:
        return {"image": "pil", "video": "np", "audio": "pt"}[self._weights.family.result]

    def _lora_files(self, loras: Sequence[Lora]) -> list[Path]:
        """Where LoRAs lie, in their order."""
        if not loras:
            return []
        if not hasattr(self._pipeline, "load_lora_weights"):
            raise ModelNotAvailable(f"{self._weights.model} takes no LoRAs on this worker")
        files = [self._weights.loras / f"{lora.id}.safetensors" for lora in loras]
        for lora, file in zip(loras, files, strict=True):
            if not file.is_file():
                raise ModelNotAvailable(f"the LoRA {lora.id[:64]} is not installed on this worker")
        return files

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
        self._on_step(Step(step=done, step_count=count, preview=self._preview_of(latents)))

    def _preview_of(self, latents: torch.Tensor) -> Callable[[], bytes] | None:
        colours, render = self._model.colours, self._render
        if colours is None or isinstance(render, AudioRender):
            return None
        first = preview.first_of(self._pipeline, latents, render.height, render.width)
        return (lambda: preview.jpeg(first, colours)) if preview.fits(first, colours) else None
