"""The engine for weights in the layout of diffusers, on a GPU or, slowly, on a CPU.

Which models it serves follows from the weights on this machine: folders that its owner names after
catalogue ids, and what `hf download` left in the Hugging Face cache. It downloads
nothing; `dreamgrid work download` does, on request.

| variable | default | |
|---|---|---|
| `DREAMGRID_DIFFUSERS_MODELS` | `~/.local/share/dreamgrid/diffusers` | a folder for each model |
| `HF_HUB_CACHE` | `~/.cache/huggingface/hub` | the Hugging Face cache; `HF_HOME/hub` counts, too |
"""

from collections.abc import Collection, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from dreamgrid.engines.base import Engine, EngineSpec, Finding, Prospect, Source
from dreamgrid.engines.diffusers.batching import worth_holding
from dreamgrid.engines.diffusers.family import Family, families
from dreamgrid.engines.diffusers.fitting import Fit, fit, weights_bytes
from dreamgrid.engines.diffusers.weights import (
    CONTROL_NETS,
    LORAS,
    Weights,
    find_weights,
    own_folder,
    places,
    unused_files,
)
from dreamgrid.engines.machine import Machine

_SAME = ("torch", "diffusers", "transformers", "accelerate", "peft", "ftfy", "sentencepiece")
_NEEDED = {name: name for name in (*_SAME, "av", "numpy")} | {
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
}
"""Modules, and the packages that bring them."""

_INSTALL = "pip install -e '.[diffusers]' in the clone"


def _absent() -> list[str]:
    return [package for module, package in _NEEDED.items() if find_spec(module) is None]


def _lacks(family: Family) -> list[str]:
    return [package for package in family.packages if find_spec(package) is None]


def _models() -> tuple[str, ...]:
    if _absent():
        return ()
    found = find_weights(families(), places())
    return tuple(model for model, weights in found.items() if not _lacks(weights.family))


def _examine() -> tuple[Finding, ...]:
    """Which packages are missing, and where weights would have to be for each model."""
    found = find_weights(families(), places())
    absent = _absent()
    if absent:
        text = f"the packages {', '.join(absent)} are not installed"
        return (
            Finding(
                level="problem" if found else "note",
                subject="diffusers",
                text=text,
                advice=_INSTALL,
            ),
        )
    missing = {model for family in families() for model in family.weights if model not in found}
    lacking = [
        Finding(
            level="note",
            subject="diffusers",
            text=f"no weights of {model}",
            advice=f"dreamgrid work download {model}",
        )
        for model in sorted(missing)
    ]
    nets = [note for one in found.values() for note in _lacking_nets(one)]
    return (*_unused(), *_without_packages(found), *lacking, *nets)


def _without_packages(found: Mapping[str, Weights]) -> list[Finding]:
    return [
        Finding(
            level="problem",
            subject="diffusers",
            text=f"{model} also needs the packages {', '.join(packages)}",
            advice=f"pip install {' '.join(packages)}, of the release that goes with your torch",
        )
        for model, weights in found.items()
        if (packages := _lacks(weights.family))
    ]


def _unused() -> list[Finding]:
    return [
        Finding(level="problem", subject="diffusers", text=f"{file} {wrong}", advice=advice)
        for file, (wrong, advice) in unused_files(families(), places()).items()
    ]


def _lacking_nets(weights: Weights) -> list[Finding]:
    nets = weights.family.control_nets
    absent = [name for name in nets if name not in weights.control_nets]
    if not absent:
        return []
    return [
        Finding(
            level="note",
            subject="diffusers",
            text=f"{weights.model} is here without the ControlNets {', '.join(absent)}",
            advice=_fetch_nets(weights.model, absent[0]),
        )
    ]


def _fetch_nets(model: str, net: str) -> str:
    return f"dreamgrid work download {model} --control-net {net}"


def _prospects(machine: Machine) -> tuple[Prospect, ...]:
    found = find_weights(families(), places())
    return tuple(
        _prospect(family, model, machine, found.get(model))
        for family in families()
        for model in family.weights
    )


def _prospect(family: Family, model: str, machine: Machine, here: Weights | None) -> Prospect:
    size = family.sizes.get(model, family.size)
    fits = fit(size, machine, eight_bits=model in family.eight_bits)
    if fits.plan is None:
        return Prospect(model=model, state="too_large", text=fits.text)
    if here is None:
        return _absent_weights(family, model, fits, machine)
    absent = _absent()
    if absent:
        text = f"the packages {', '.join(absent)} are not installed"
        return Prospect(model=model, state="blocked", text=text, advice=_INSTALL)
    if packages := _lacks(family):
        text = f"it also needs the packages {', '.join(packages)}"
        advice = f"pip install {' '.join(packages)}"
        return Prospect(model=model, state="blocked", text=text, advice=advice)
    nets = [name for name in family.control_nets if name not in here.control_nets]
    if nets:
        text = f"{fits.text}; without the ControlNets {', '.join(nets)}"
        return Prospect(model=model, state="ready", text=text, advice=_fetch_nets(model, nets[0]))
    return Prospect(model=model, state="ready", text=fits.text)


def _absent_weights(family: Family, model: str, fits: Fit, machine: Machine) -> Prospect:
    needed = weights_bytes(family.sizes.get(model, family.size))
    text = f"its weights (at least {needed / 1e9:.0f} GB) are not here"
    advice = f"dreamgrid work download {model}"
    if fits.plan == "cpu":
        text += ", and without a GPU it would be slow"
        return Prospect(model=model, state="blocked", text=text, advice=advice)
    if needed > machine.disk_free_bytes:
        text += f", and only {machine.disk_free_bytes / 1e9:.0f} GB of the disk are free"
        return Prospect(model=model, state="blocked", text=text)
    return Prospect(model=model, state="absent", text=f"{fits.text}; {text}", advice=advice)


def _source(model: str) -> Source | None:
    family = next((family for family in families() if model in family.weights), None)
    if family is None:
        return None
    return Source(
        repository=family.weights[model],
        folder=own_folder(family, model, places()) or places().own / model,
        variant="fp16" if family.dtype == "float16" else "",
        without=("safety_checker",),  # results pass the grid's own filter
    )


def _held(folder: Path, models: Collection[str]) -> int:
    """More than two only where all that is made are pictures, and short."""
    made = {family.result for family in families() if set(family.weights) & set(models)}
    return worth_holding(folder, models) if made == {"image"} else 2


def _net_sources(model: str) -> Mapping[str, Source]:
    """The ControlNets of a model; several names may mean one repository."""
    family = next((family for family in families() if model in family.weights), None)
    if family is None:
        return {}
    folder = places().own / CONTROL_NETS
    return {
        name: Source(
            repository=net.repository,
            folder=folder / net.repository.partition("/")[2],
            layout="network",
            variant="fp16" if family.dtype == "float16" else "",
        )
        for name, net in family.control_nets.items()
    }


def _version() -> str:
    return " ".join(f"{name} {version(name)}" for name in ("torch", "diffusers"))


def _create(threads: int) -> Engine:
    from dreamgrid.engines.diffusers.engine import DiffusersEngine  # noqa: PLC0415 - heavy

    return DiffusersEngine(find_weights(families(), places()), threads=threads)


ENGINE = EngineSpec(
    name="diffusers",
    models=_models,
    create=_create,
    missing=f"no weights for diffusers were found, or it is not installed: {_INSTALL}",
    optional=True,
    examine=_examine,
    prospects=_prospects,
    held=_held,
    version=_version,
    uses_gpu=True,
    source=_source,
    control_nets=_net_sources,
    lora_folder=lambda: places().own / LORAS,
)
"""Renders with the pipelines of the library diffusers."""
