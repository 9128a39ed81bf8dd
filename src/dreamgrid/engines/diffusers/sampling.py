"""Schedulers of diffusers for the grid's samplers, and what happens in each of their steps."""

import functools
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import diffusers
import torch

from dreamgrid.engines.diffusers.family import Sampling
from dreamgrid.errors import ModelNotAvailable

Stepped = Callable[[int, int, torch.Tensor], None]
"""Takes steps done, steps in all, and the latents as they will be when all noise is gone."""


def scheduler_for(
    base: Any,
    sampling: Sampling,
    sampler: str | None,
    schedule: str | None,
    shift: float | None,
    changes: Mapping[str, Any] | None = None,
) -> Any:
    """A scheduler with the settings that a model was trained with, and the steps asked for.

    Args:
        base: The scheduler that came with the weights; not changed.
        sampling: Which samplers there are.
        sampler: Name in the grid. None: the one that came with the weights.
        schedule: Name in the grid of a noise schedule. None: that of the sampler.
        shift: How far to shift the noise levels of a flow model. None: as it was trained.
        changes: Settings that differ from those that came with the weights.

    Raises:
        ModelNotAvailable: diffusers cannot do this; another worker may.
    """
    if (sampler and sampler not in sampling.samplers) or (
        schedule and schedule not in sampling.schedules
    ):
        raise _cannot(sampler, schedule)
    asked = sampling.samplers[sampler] if sampler else None
    steps = sampling.schedules[schedule] if schedule else {}
    kind = getattr(diffusers, asked.kind) if asked else type(base)
    options = dict(changes or {}) | (dict(asked.options) if asked else {})
    if shift is not None:
        options |= {name: shift for name in ("shift", "flow_shift") if name in _settings(kind)}
    leader = getattr(diffusers, asked.steps_of) if asked and asked.steps_of else kind
    if set(steps) - _settings(leader):
        raise _cannot(sampler, schedule)
    if leader is kind:
        return kind.from_config(base.config, **options | steps)
    return _led(kind.from_config(base.config, **options), leader.from_config(base.config, **steps))


def _led(scheduler: Any, leader: Any) -> Any:
    """The scheduler, with the noise levels of another one."""
    own = scheduler.set_timesteps

    def set_timesteps(*args: Any, **options: Any) -> None:
        own(*args, **options)
        leader.set_timesteps(*args, **options)
        scheduler.timesteps, scheduler.sigmas = leader.timesteps, leader.sigmas

    scheduler.set_timesteps = set_timesteps
    return scheduler


@contextmanager
def watched(scheduler: Any, stepped: Stepped) -> Iterator[None]:
    """Calls back after every step of a pipeline, whichever: each of them steps its scheduler.

    What the callback raises ends the pipeline at once. A copy that a pipeline makes of the
    scheduler, for another latent beside, steps by itself and is not watched.
    """
    original = scheduler.step
    done = 0

    @functools.wraps(original)  # pipelines look at its signature for what it takes
    def step(*args: Any, **options: Any) -> Any:
        nonlocal done
        wants_tuple = options.get("return_dict") is False
        before = _arguments(args, options)
        index = scheduler.step_index if hasattr(scheduler, "step_index") else None
        made = original(*args, **options | {"return_dict": True})
        done += 1
        count = max(done, len(scheduler.timesteps) - (getattr(scheduler, "begin_index", 0) or 0))
        stepped(done, count, _clean(scheduler, made, before, index))
        return (made.prev_sample,) if wants_tuple else made

    scheduler.step = _OfOne(scheduler, step)
    try:
        yield
    finally:
        del scheduler.step


class _OfOne:
    """A method of one object, which its deep copies do not take along: they have their class's."""

    def __init__(self, owner: Any, method: Callable[..., Any]) -> None:
        self._owner = owner
        self._method = method
        functools.update_wrapper(self, method)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._method(*args, **options)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        kind = type(self._owner)
        return types.MethodType(getattr(kind, self._method.__name__), memo[id(self._owner)])


def _arguments(args: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
    return dict(zip(("model_output", "timestep", "sample"), args, strict=False)) | options


def _clean(scheduler: Any, made: Any, before: dict[str, Any], index: int | None) -> torch.Tensor:
    """The scheduler's own estimate of the result; else what a flow model's velocity leads to."""
    told = getattr(made, "pred_original_sample", None)
    if told is not None:
        return told
    converted = [kept for kept in getattr(scheduler, "model_outputs", ()) if kept is not None]
    if converted:
        return converted[-1]
    if isinstance(scheduler, diffusers.FlowMatchEulerDiscreteScheduler):
        sigma = scheduler.sigmas[(scheduler.step_index - 1) if index is None else index]
        return before["sample"] - sigma * before["model_output"]
    return made.prev_sample


def _settings(kind: Any) -> set[str]:
    return set(inspect.signature(kind.__init__).parameters)


def _cannot(sampler: str | None, schedule: str | None) -> ModelNotAvailable:
    asked = " with the schedule ".join(name for name in (sampler, schedule) if name)
    return ModelNotAvailable(f"this worker cannot use the sampler {asked}")
