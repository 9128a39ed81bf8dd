"""Renders with the pipelines of diffusers."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import torch

from dreamgrid.engines.base import Artifact, Job, OnStep, Step, Unfinished
from dreamgrid.engines.diffusers.batching import (
    ALONE,
    LONGEST_ALONE_S,
    WIDTHS,
    Proofs,
    prove,
)
from dreamgrid.engines.diffusers.checkpoints import ENDING
from dreamgrid.engines.diffusers.family import Net, Task, check_sampler, settings_of
from dreamgrid.engines.diffusers.given import Given
from dreamgrid.engines.diffusers.memory import free_memory, out_of_memory
from dreamgrid.engines.diffusers.passes import Pass
from dreamgrid.engines.diffusers.pipelines import LoadedModel
from dreamgrid.engines.diffusers.results import artifact_of
from dreamgrid.engines.diffusers.texts import UnlikeTexts, lengths, some_like
from dreamgrid.engines.diffusers.warm import WarmModels
from dreamgrid.engines.diffusers.weights import Weights, lora_files
from dreamgrid.engines.safety import ContentFilter
from dreamgrid.errors import (
    EngineError,
    ModelNotAvailable,
    OutOfMemory,
    RenderCanceled,
    RenderRefused,
)
from dreamgrid.protocol.params import Lora
from dreamgrid.protocol.renders import AnyRender, AudioRender, ImageRender


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
        self._proofs = Proofs()
        self._unproven: AnyRender | None = None

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

    def kept(self) -> Collection[str]:
        """The models in memory, wherever they rest."""
        names = self._warm.names
        return tuple(model for model, weights in self._weights.items() if weights.name in names)

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
        (finish,) = self.render_together([Job(render=render, inputs=inputs, on_step=on_step)])
        return finish()

    def objection(self, render: AnyRender, roles: Collection[str]) -> str:
        """What of a job these weights, LoRAs and pipelines cannot do; "" for nothing."""
        weights = self._weights.get(render.model)
        if weights is None:
            return f"this worker has no weights for {render.model}"
        try:
            task = _task_of(weights, render, roles)
            _net_of(weights, task, render)
            settings_of(task, render)
            lora_files(weights, render.loras)
            check_sampler(weights.family, render)
        except ModelNotAvailable as error:
            return str(error)
        return ""

    def make_way(self) -> None:
        """Lets its models rest in main memory, because another engine uses the GPU."""
        self._model, self._name = None, ""
        self._warm.leave_gpu()

    def together(self, render: AnyRender, roles: Collection[str]) -> tuple[str, int]:
        """Jobs that differ in prompts and seed only, where that was proved to change nothing."""
        kind = None if roles else self._kind_of(render)
        if kind is None:
            return "", 1
        proof = self._proofs.of(kind)
        # Whatever else may be asked for; what it is encoded as is not the pass's business.
        plan = msgspec.structs.replace(
            render, prompt="", negative_prompt="", seed=0, previews=0, output_format="png"
        )
        asked = msgspec.json.encode(plan).decode()
        return f"{kind} {asked}", 1 if proof is None else proof.width

    def render_together(self, jobs: Sequence[Job]) -> Sequence[Unfinished]:
        """Renders jobs in one pass, or one by one where that is quicker."""
        refusals = [self._refusal(job.render.prompt) for job in jobs]
        allowed = [job for job, refusal in zip(jobs, refusals, strict=True) if refusal is None]
        made = iter(self._finishes(allowed) if allowed else ())
        return [next(made) if refusal is None else refusal for refusal in refusals]

    def _refusal(self, prompt: str) -> Unfinished | None:
        """How a job ends whose prompt the content filter refuses; None: it is let through."""
        try:
            self._filter.check(prompt)
        except RenderRefused as refused:
            return partial(_raise, refused)
        return None

    def _finishes(self, jobs: Sequence[Job]) -> Sequence[Unfinished]:
        width = self._width_for(jobs)
        kind = self._kind_of(jobs[0].render) or ""
        if width > 1:
            self._proofs.begin(kind)
            try:
                return self._render(jobs, width=width)
            except OutOfMemory:
                self._proofs.note(kind, ALONE)
            except UnlikeTexts:
                pass  # they are not as long as they looked
            finally:
                self._proofs.ended(kind)
        began_s = time.perf_counter()
        finishes = [finish for job in jobs for finish in self._render([job], width=1)]
        if time.perf_counter() - began_s > LONGEST_ALONE_S * len(jobs):
            self._unproven = None  # to try it would take long, and bring nothing
        return finishes

    def _width_for(self, jobs: Sequence[Job]) -> int:
        render = jobs[0].render
        kind = None if jobs[0].inputs else self._kind_of(render)
        if kind is None:
            return 1
        proof = self._proofs.of(kind)
        if proof is None:
            if self._proofs.wanted(kind):
                self._unproven = render
            return 1
        width = proof.width_for(len(jobs))
        return width if width >= len(jobs) else 1

    def learn(self, busy: Callable[[], bool]) -> None:
        """Finds out whether pictures like the last one that came again may share a pass."""
        render, self._unproven = self._unproven, None
        model = self._model
        if render is None or model is None or self._name != render.model:
            return
        kind = self._kind_of(render)
        if kind is None:
            return

        def on_step(_step: Step) -> None:
            if busy():
                raise RenderCanceled("there is a job")

        examples = self._examples(render, kind)

        def make(seeds: Sequence[int]) -> tuple[list[Any], float]:
            began_s = time.perf_counter()
            jobs = [Job(render=examples[seed], inputs={}, on_step=on_step) for seed in seeds]
            one = self._pass(model, jobs, width=len(jobs))
            made = [output.images[0].cpu() for output in one.run(Given({}), raw=True)]
            return made, time.perf_counter() - began_s

        self._proofs.note(kind, ALONE)  # stays, should the process die of it
        try:
            self._proofs.note(kind, prove(make, torch.equal))
        except RenderCanceled:
            self._proofs.forget(kind)
            self._unproven = render
        except UnlikeTexts:
            pass  # one by one, then
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            free_memory()

    def _examples(self, render: AnyRender, kind: str) -> list[AnyRender]:
        """Renders of the same kind, each with its own seed and, where there are some, texts."""

        def like(field: str) -> list[str]:
            def alike(text: str) -> bool:
                return self._kind_of(msgspec.structs.replace(render, **{field: text})) == kind

            return some_like(getattr(render, field), WIDTHS[0], alike)

        pairs = zip(like("prompt"), reversed(like("negative_prompt")), strict=True)
        return [
            msgspec.structs.replace(render, prompt=prompt, negative_prompt=negative, seed=seed)
            for seed, (prompt, negative) in enumerate(pairs)
        ]

    def _kind_of(self, render: AnyRender) -> str | None:
        """What decides whether a pass may be shared; None: this is never tried."""
        model, weights = self._model, self._weights.get(render.model)
        if model is None or weights is None or not isinstance(render, ImageRender):
            return None
        if self._name != render.model or render.control_net is not None:
            return None
        task = weights.family.task(weights.model, frozenset(), None)
        texts = weights.family.texts
        if task is None or texts is None:
            return None
        size = f"{render.width}x{render.height}"
        # Some samplers draw noise without the generators of a pass, but none for their last step.
        steps = f"{render.sampler} {render.scheduler} {render.steps} steps"
        guided = "guided" if render.guidance > texts.guided_above else "unguided"
        threads = torch.get_num_threads()
        long = "{}+{}".format(*lengths(model.tokenizer, texts, render))
        loras = "".join(f" {_name_of(lora, weights)}" for lora in render.loras)
        asked = f"{render.model} {size} {steps} {guided} texts {long}{loras}"
        return f"{asked} {model.computes_on} threads {threads}"

    def _pass(self, model: LoadedModel, jobs: Sequence[Job], *, width: int) -> Pass:
        weights, render = self._weights[self._name], jobs[0].render
        task = _task_of(weights, render, jobs[0].inputs)
        net = _net_of(weights, task, render)
        works = [replace(job, render=_work_of(weights, job.render)) for job in jobs]
        return Pass(model, weights, task, net, works, width=width)

    def _render(self, jobs: Sequence[Job], *, width: int) -> list[Unfinished]:
        render, inputs = jobs[0].render, jobs[0].inputs
        model = self._model
        if model is None or self._name != render.model:
            raise EngineError(f"{render.model} is not loaded")
        weights = self._weights[self._name]
        task = _task_of(weights, render, inputs)
        net, work = _net_of(weights, task, render), _work_of(weights, render)
        given = Given.of(task, net, work, inputs)
        while True:
            try:
                one = self._pass(model, jobs, width=width)
                made = one.run(given)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                free_memory()
                if width > 1 or not (self._warm.make_way(weights.name) or model.shrink()):
                    raise OutOfMemory(
                        f"this job does not fit into the memory of this worker\n{error}"
                    ) from error
            else:
                break
        shown = zip(jobs, made, strict=True)
        return [
            partial(_raise, RenderCanceled("the job was told to stop"))
            if number in one.canceled
            else partial(
                artifact_of, job.render, raw, one.steps, model.rate_hz, self._filter, given.finish
            )
            for number, (job, raw) in enumerate(shown)
        ]


def _name_of(lora: Lora, weights: Weights) -> str:
    """What tells a LoRA from others, at its strength."""
    file = weights.loras / f"{lora.id}{ENDING}"
    return f"{lora.id}*{lora.strength}@{file.stat().st_mtime_ns if file.exists() else 0}"


def _raise(error: Exception) -> Artifact:
    raise error


def _task_of(weights: Weights, render: AnyRender, inputs: Collection[str]) -> Task:
    task = weights.family.task(weights.model, frozenset(inputs), render.control_net)
    if task is not None:
        return task
    brought = ", ".join(sorted(inputs)) or "none"
    if render.control_net is not None:
        brought += f" and the ControlNet {render.control_net.name[:64]}"
    raise ModelNotAvailable(f"this worker cannot make {weights.model} with inputs: {brought}")


def _work_of(weights: Weights, render: AnyRender) -> AnyRender:
    """The render with sides that are multiples of what its family needs, at least as large."""
    pixels = weights.family.multiple
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
