"""How a machine is divided: a worker for each GPU, and one for everything that needs none.

Each has its own session with the server, which then knows what every GPU can do, how fast it is and
which model it has loaded; a slow card holds up nobody, and a crash ends the jobs of one.
"""

import re
from dataclasses import replace
from pathlib import Path

from dreamgrid.engines.gpus import Gpu
from dreamgrid.engines.machine import Machine
from dreamgrid.engines.registry import Registry
from dreamgrid.errors import ConfigError
from dreamgrid.worker.config import MAX_NAME_CHARS, WorkerConfig
from dreamgrid.worker.plan import WorkPlan, plan_work

_MOST_THREADS = 4  # beside a GPU the processor only prepares prompts and encodes results


def lanes_of(
    config: WorkerConfig, registry: Registry, machine: Machine
) -> tuple[WorkerConfig, ...]:
    """The settings of each worker of this machine.

    Args:
        config: What they share; `models` are those that the owner names, or empty.
        registry: The engines that are installed.
        machine: What they can use.

    Raises:
        ConfigError: A named model cannot be served here, or none of those that are here fits.
    """
    plan = plan_work(registry, machine, config.models)
    if registry.by_model() and not plan.models and not config.models:
        raise ConfigError("no model fits this machine; 'dreamgrid work plan' says why")
    lanes = [
        lane
        for share in machine.shares()
        for gpu in share.gpus
        if (lane := _on(gpu, config, registry, share)) is not None
    ]
    if lanes:
        lanes[0] = _with_company(lanes[0], registry, plan)
    apart = {model for lane in lanes for model in lane.models}
    others = tuple(model for model in plan.models if model not in apart)
    if others or not lanes:
        served_by = {model: plan.engines[model] for model in others}
        lanes.insert(0, replace(config, models=others or config.models, served_by=served_by))
    if len(lanes) == 1:
        return tuple(lanes)
    return tuple(_named(lane) for lane in lanes)


def chosen_gpus(machine: Machine, wanted: tuple[str, ...]) -> Machine:
    """The machine with only some of its GPUs.

    Args:
        machine: With all of them.
        wanted: Their numbers, or the beginnings of their UUIDs. Empty: all.

    Raises:
        ConfigError: There is no such GPU.
    """
    if not wanted:
        return machine
    for one in wanted:
        if not any(_is(gpu, one) for gpu in machine.gpus):
            there = ", ".join(f"{gpu.index} ({gpu.name})" for gpu in machine.gpus) or "none"
            raise ConfigError(f"there is no GPU {one}; there are: {there}")
    return replace(
        machine, gpus=tuple(gpu for gpu in machine.gpus if any(_is(gpu, one) for one in wanted))
    )


def _is(gpu: Gpu, one: str) -> bool:
    return one != "" and (one == str(gpu.index) or gpu.uuid.startswith(one))


def _on(gpu: Gpu, config: WorkerConfig, registry: Registry, share: Machine) -> WorkerConfig | None:
    """The worker of one GPU; None: nothing fits it."""
    there = Registry(engines=tuple(one for one in registry.engines if one.spec.uses_gpu))
    wanted = tuple(model for model in config.models if there.of(model))
    if config.models and not wanted:
        return None
    plan = plan_work(there, share, wanted)
    if not plan.models:
        return None
    return replace(
        config,
        models=plan.models,
        served_by=plan.engines,
        gpu=gpu,
        data_dir=_folder(config.data_dir, gpu),
        threads=config.threads or max(1, min(_MOST_THREADS, share.cores // 2)),
    )


def _with_company(lane: WorkerConfig, registry: Registry, plan: WorkPlan) -> WorkerConfig:
    """The worker of the first GPU, with the engines that make some of its models or use its GPU."""
    company = [one for one in registry.engines if not one.spec.uses_gpu]
    sharing = {one.reference for one in company if one.spec.shares_gpu()}
    beside = {one.reference for one in company}
    served_by = dict(lane.served_by)
    for model, engines in plan.engines.items():
        known = set(lane.served_by.get(model, ()))
        if known:
            known |= beside & set(engines)
        elif sharing & set(engines):
            known = sharing & set(engines)
        if known:
            order = (one.reference for one in registry.of(model))
            served_by[model] = tuple(reference for reference in order if reference in known)
    shares_gpu = any(sharing & set(engines) for engines in served_by.values())
    return replace(lane, models=tuple(served_by), served_by=served_by, shares_gpu=shares_gpu)


def _folder(folder: Path, gpu: Gpu) -> Path:
    return folder / re.sub(r"[^\w-]", "_", gpu.uuid)


def _named(lane: WorkerConfig) -> WorkerConfig:
    """With the number of its GPU in a name that the owner gave."""
    if lane.gpu is None or not lane.name:
        return lane
    ending = f" GPU {lane.gpu.index}"
    return replace(lane, name=lane.name[: MAX_NAME_CHARS - len(ending)] + ending)
