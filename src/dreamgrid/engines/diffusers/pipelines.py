"""Pipelines in memory: loaded once per model, placed where they fit, shared by a model's tasks."""

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
from dreamgrid.engines.diffusers.memory import (
    Plan,
    device,
    free_memory,
    out_of_memory,
    part_sizes,
    plans_for,
)
from dreamgrid.engines.diffusers.weights import Weights
from dreamgrid.errors import ModelNotAvailable, OutOfMemory

_UNREADABLE = (
    *(OSError, ValueError, AttributeError, ImportError, KeyError),
    NotImplementedError,  # what torch says of a network that lacks some of its weights
)
"""What the libraries raise about weights that are incomplete or of another kind."""

_log = logging.getLogger(__name__)


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
        self._weights = weights
        family = weights.family
        self._dtype = getattr(torch, family.dtype) if self._device != "cpu" else torch.float32
        self._base = self._read_base()
        if family.vae_dtype and self._device != "cpu":
            self._base.vae.to(getattr(torch, family.vae_dtype))
        self._base.set_progress_bar_config(disable=True)
        self._scheduler = self._base.scheduler
        self._tasks: dict[tuple[str, str], Any] = {}
        self._placed = self._base
        self._rests = False
        self._plans = plans_for(
            self._device, self._base, eight_bits=weights.model in family.eight_bits
        )
        self._next_plan()
        self.colours = preview.fit(self._base.vae) if family.result != "audio" else None

    @property
    def scheduler(self) -> Any:
        """The scheduler that came with the weights."""
        return self._scheduler

    @property
    def tokenizer(self) -> Any:
        """What counts the words of its prompts."""
        return self._base.tokenizer

    @property
    def rate_hz(self) -> int:
        """Samples per second of its sound; 0: it makes none."""
        vocoder = getattr(self._base, "vocoder", None)
        if vocoder is not None:
            return int(vocoder.config.output_sampling_rate)
        return int(getattr(self._base.vae.config, "sampling_rate", 0))

    @property
    def plan(self) -> str:
        """The name of the way in which the weights are kept."""
        return self._plan.name

    @property
    def computes_on(self) -> str:
        """What decides how its numbers are rounded: weights, device, format, plan, libraries."""
        name = torch.cuda.get_device_name() if self._device == "cuda" else self._device
        file = self._weights.file or self._weights.folder / "model_index.json"
        versions = f"torch {torch.__version__} diffusers {diffusers.__version__}"
        made_ns = file.stat().st_mtime_ns if file.exists() else 0
        return f"{made_ns} {name} {self._dtype} {self._plan.name} {versions}"

    def pipeline(self, task: Task, net: str = "") -> Any:
        """The pipeline of a task; all share the weights. One ControlNet is kept beside them.

        Args:
            task: What to do.
            net: Name of the ControlNet to steer by, one that is here.

        Raises:
            ModelNotAvailable: This diffusers has no such pipeline, or the ControlNet is incomplete.
        """
        made = self._tasks.get((task.pipeline, net))
        if made is None:
            made = self._made(task, net)
            made.set_progress_bar_config(disable=True)
            self._tasks[task.pipeline, net] = made
        self._put(made)
        return made

    def _made(self, task: Task, net: str) -> Any:
        kind = getattr(diffusers, task.pipeline, None)
        if kind is None:
            raise ModelNotAvailable(
                f"this worker's diffusers {diffusers.__version__} has no {task.pipeline}"
            )
        if type(self._base) is kind:
            return self._base
        return _with_parts_of(self._base, kind, controlnet=self._control_net(net) if net else None)

    def _control_net(self, name: str) -> Any:
        for (_, kept), pipeline in self._tasks.items():
            if kept == name:
                return pipeline.controlnet
        self._put(self._base)
        self._tasks = {key: made for key, made in self._tasks.items() if not key[1]}
        free_memory()
        return self._read(
            getattr(diffusers, self._weights.family.net_class).from_pretrained,
            self._weights.control_nets[name],
            f"the ControlNet {name} of {self._weights.model}",
        )

    def _read_base(self) -> Any:
        weights = self._weights
        what = f"the weights of {weights.model}"
        # Results pass the grid's own filter, which can label as well as withhold.
        options: dict[str, Any] = {"safety_checker": None} if _has_checker(weights.folder) else {}
        if weights.file is None:
            kind = diffusers.DiffusionPipeline
            return self._read(kind.from_pretrained, weights.folder, what, **options)
        kind = getattr(diffusers, weights.family.tasks[0].pipeline)
        options["config"] = str(weights.folder)
        return self._read(kind.from_single_file, weights.file, what, **options)

    def _read(self, read: Callable[..., Any], path: Path, what: str, **options: Any) -> Any:
        try:
            return read(str(path), dtype=self._dtype, local_files_only=True, **options)
        except _UNREADABLE as error:
            raise ModelNotAvailable(
                f"{what} cannot be loaded on this worker\n{path}: {error}"
            ) from error

    def shrink(self) -> bool:
        """Goes on with the next smaller plan; False when there is none."""
        if not self._plans:
            return False
        self._tasks.clear()
        self._next_plan()
        return True

    @property
    def size_bytes(self) -> int:
        """What its weights take, measured."""
        return sum(part_sizes(self._base).values())

    @property
    def on_gpu(self) -> bool:
        """Whether its weights are on a GPU between jobs, too."""
        return self._device == "cuda" and self._plan.stays and not self._rests

    def rest(self) -> None:
        """Leaves the GPU and waits in main memory."""
        self._rests = True
        self._tasks.clear()  # and with them a ControlNet
        self._placed = self._base
        self._base.to("cpu")
        free_memory()

    def wake(self) -> None:
        """Comes back to where its plan keeps it, or the next smaller one that fits.

        Raises:
            OutOfMemory: There is no room for it any more.
        """
        if self._rests:
            self._rests = False
            self._plans.insert(0, self._plan)
            self._next_plan()

    def close(self) -> None:
        """Gives the memory back."""
        self._tasks.clear()
        self._plans.clear()
        del self._base, self._scheduler, self._placed
        free_memory()

    def _next_plan(self) -> None:
        while self._plans:
            self._plan: Plan = self._plans.pop(0)
            try:
                self._placed.remove_all_hooks()
                self._plan.arrange(self._base)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                _log.info("the plan '%s' does not fit", self._plan.name)
                free_memory()
            else:
                self._placed = self._base
                _log.info("weights are kept by the plan '%s'", self._plan.name)
                return
        raise OutOfMemory("this model does not fit into the memory of this worker")

    def _put(self, pipeline: Any) -> None:
        """Keeps a pipeline by the plan: what moves its parts in and out belongs to one only."""
        if pipeline is self._placed:
            return
        self._placed.remove_all_hooks()
        self._placed = pipeline
        self._plan.arrange(pipeline)


def _with_parts_of(base: Any, kind: Any, **others: Any) -> Any:
    """Another pipeline around the same weights. `from_pipe` would turn all of them to float32."""
    known = dict(base.config) | base.components | others
    taken = set(inspect.signature(kind.__init__).parameters)
    return kind(**{name: known[name] for name in taken & set(known)})


def _has_checker(folder: Path) -> bool:
    try:
        index = msgspec.json.decode((folder / "model_index.json").read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):  # whoever reads all of it says what is wrong
        return False
    return "safety_checker" in index
