"""Pipelines in memory: loaded once per model, placed where they fit, shared by a model's tasks."""

import gc
import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import msgspec
import torch

from dreamgrid.engines.diffusers import preview
from dreamgrid.engines.diffusers.family import Task
from dreamgrid.engines.diffusers.fitting import ROOM
from dreamgrid.engines.diffusers.weights import Weights
from dreamgrid.errors import ModelNotAvailable, OutOfMemory

_log = logging.getLogger(__name__)


def device() -> str:
    """Where to render: `cuda`, `mps` or `cpu`."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was too small, on whichever device."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "out of memory" in str(error).lower()
    )


class LoadedModel:
    """One model's weights, with a pipeline for each of its tasks.

    Attributes:
        colours: What turns its latents into previews; None when it has no pictures to show.
    """

    def __init__(self, weights: Weights) -> None:
        """Reads the weights, and finds the first plan by which they fit.

        Raises:
            ModelNotAvailable: The folder is incomplete or needs another version of diffusers.
            OutOfMemory: Not even the smallest plan fits.
        """
        self._device = device()
        family = weights.family
        dtype = getattr(torch, family.dtype) if self._device != "cpu" else torch.float32
        try:
            # Results pass the grid's own filter, which can label as well as withhold.
            without = {"safety_checker": None} if _has_checker(weights.folder) else {}
            self._base = diffusers.DiffusionPipeline.from_pretrained(
                str(weights.folder), dtype=dtype, local_files_only=True, **without
            )
        except (OSError, ValueError, AttributeError, ImportError, KeyError) as error:
            raise ModelNotAvailable(
                f"the weights of {weights.model} cannot be loaded on this worker\n"
                f"{weights.folder}: {error}"
            ) from error
        if family.vae_dtype and self._device != "cpu":
            self._base.vae.to(getattr(torch, family.vae_dtype))
        self._base.set_progress_bar_config(disable=True)
        self._scheduler = self._base.scheduler
        self._tasks: dict[str, Any] = {}
        self._plans = _plans(self._device, self._base)
        self._next_plan()
        self.colours = preview.fit(self._base.vae) if family.result != "audio" else None

    @property
    def scheduler(self) -> Any:
        """The scheduler that came with the weights."""
        return self._scheduler

    @property
    def rate_hz(self) -> int:
        """Samples per second of its sound; 0: it makes none."""
        return int(getattr(self._base.vae.config, "sampling_rate", 0))

    @property
    def plan(self) -> str:
        """How the weights are kept: `whole`, `parts` or `layers`."""
        return self._plan

    def pipeline(self, task: Task) -> Any:
        """The pipeline of a task; all share the weights.

        Raises:
            ModelNotAvailable: This diffusers has no such pipeline.
        """
        made = self._tasks.get(task.pipeline)
        if made is None:
            kind = getattr(diffusers, task.pipeline, None)
            if kind is None:
                raise ModelNotAvailable(
                    f"this worker's diffusers {diffusers.__version__} has no {task.pipeline}"
                )
            made = self._base if type(self._base) is kind else _with_parts_of(self._base, kind)
            made.set_progress_bar_config(disable=True)
            self._tasks[task.pipeline] = made
        return made

    def shrink(self) -> bool:
        """Goes on with the next smaller plan; False when there is none."""
        if not self._plans:
            return False
        self._tasks.clear()
        self._next_plan()
        return True

    def close(self) -> None:
        """Gives the memory back."""
        self._tasks.clear()
        self._plans.clear()  # they are methods of the pipeline, so they would keep it
        del self._base, self._scheduler
        free_memory()

    def _next_plan(self) -> None:
        while self._plans:
            self._plan, place = self._plans.pop(0)
            try:
                self._base.remove_all_hooks()
                place()
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                _log.info("the plan '%s' does not fit", self._plan)
                free_memory()
            else:
                _log.info("weights are kept by the plan '%s'", self._plan)
                return
        raise OutOfMemory("this model does not fit into the memory of this worker")


def _with_parts_of(base: Any, kind: Any) -> Any:
    """Another pipeline around the same weights. `from_pipe` would turn all of them to float32."""
    known = dict(base.config) | base.components
    taken = set(inspect.signature(kind.__init__).parameters)
    return kind(**{name: known[name] for name in taken & set(known)})


def _has_checker(folder: Path) -> bool:
    index = msgspec.json.decode((folder / "model_index.json").read_bytes(), type=dict[str, Any])
    return "safety_checker" in index


def free_memory() -> None:
    """Returns what nobody uses to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _plans(place: str, pipeline: Any) -> list[tuple[str, Callable[[], Any]]]:
    """Ways to keep the weights, from the fastest to the smallest that may fit."""
    whole = ("whole", lambda: pipeline.to(place))
    if place != "cuda":
        return [whole]
    parts = ("parts", pipeline.enable_model_cpu_offload)
    layers = ("layers", pipeline.enable_sequential_cpu_offload)
    free, _ = torch.cuda.mem_get_info()
    return [whole, parts, layers] if _size_bytes(pipeline) * ROOM < free else [parts, layers]


def _size_bytes(pipeline: Any) -> int:
    modules = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    return sum(
        tensor.numel() * tensor.element_size() for part in modules for tensor in part.parameters()
    )
