"""Weights on this machine, found by looking at folders only."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from dreamgrid.engines.diffusers.family import Family, Net

MODELS_VARIABLE = "DREAMGRID_DIFFUSERS_MODELS"
LORAS = "loras"
"""Subfolder of the owner's folder with LoRAs: `ID.safetensors`."""

CONTROL_NETS = "controlnets"
"""Subfolder of the owner's folder with ControlNets: folders named after their repositories."""

_INDEX = "model_index.json"
_CONFIG = "config.json"
_UNFINISHED = ".incomplete"
"""Ending of what `huggingface_hub` is downloading, or was when it was broken off."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where weights may be.

    Attributes:
        own: The owner's folder: a folder for each model, named after its catalogue id.
        cache: The Hugging Face cache.
    """

    own: Path
    cache: Path


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights of a model that were found.

    Attributes:
        model: Catalogue id.
        family: How to use them.
        folder: In the layout of diffusers, with a `model_index.json`.
        loras: Where LoRAs are; need not exist.
        control_nets: Folders of ControlNets that are here, by their names in the grid.
    """

    model: str
    family: Family
    folder: Path
    loras: Path
    control_nets: Mapping[str, Path]


def places() -> Places:
    """Where this machine's owner keeps weights."""
    share = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    own = os.environ.get(MODELS_VARIABLE)
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = os.environ.get("HF_HUB_CACHE")
    return Places(
        own=Path(own) if own else share / "dreamgrid" / "diffusers",
        cache=Path(cache) if cache else home / "hub",
    )


def find_weights(families: Sequence[Family], where: Places) -> Mapping[str, Weights]:
    """Catalogue id to its weights, the owner's folder before the cache."""
    found: dict[str, Weights] = {}
    for family in families:
        nets: Mapping[str, Path] | None = None
        for model, repository in family.weights.items():
            folder: Path | None = where.own / model
            if not (where.own / model / _INDEX).is_file():
                folder = _in_cache(where.cache, repository, _is_complete)
            if folder is None:
                continue
            if nets is None:
                nets = _control_nets(family, where)
            found[model] = Weights(
                model=model,
                family=family,
                folder=folder,
                loras=where.own / LORAS,
                control_nets=nets,
            )
    return found


def _control_nets(family: Family, where: Places) -> Mapping[str, Path]:
    found = {name: _control_net(net, where) for name, net in family.control_nets.items()}
    return {name: folder for name, folder in found.items() if folder is not None}


def _control_net(net: Net, where: Places) -> Path | None:
    own = where.own / CONTROL_NETS / net.repository.partition("/")[2]
    return own if _is_network(own) else _in_cache(where.cache, net.repository, _is_network)


def _in_cache(cache: Path, repository: str, is_complete: Callable[[Path], bool]) -> Path | None:
    """The newest complete snapshot, as `huggingface_hub` lays them out."""
    kept = cache / f"models--{repository.replace('/', '--')}"
    if not (kept / "snapshots").is_dir():
        return None
    newest_first = sorted((kept / "snapshots").iterdir(), key=_changed_s, reverse=True)
    if newest_first and _unfinished_s(kept / "blobs") >= _changed_s(newest_first[0]):
        del newest_first[0]
    return next(filter(is_complete, newest_first), None)


def _changed_s(path: Path) -> float:
    return path.stat().st_mtime


def _unfinished_s(blobs: Path) -> float:
    """When a file was last written whose download is under way or was broken off; 0: never.

    Such a rest stays when a later download of the same file succeeds, and then says nothing.
    """
    rests = blobs.glob(f"*{_UNFINISHED}")
    unfinished = [file for file in rests if not (blobs / file.name.split(".")[0]).exists()]
    return max(map(_changed_s, unfinished), default=0.0)


def _is_complete(folder: Path) -> bool:
    """Whether all is there that the indexes of a snapshot name: its parts, and their shards."""
    index = _read(folder / _INDEX)
    if index is None:
        return False
    parts = [name for name, kind in index.items() if isinstance(kind, list) and any(kind)]
    if not all((folder / name).is_dir() for name in parts):
        return False
    return all(_has_its_shards(file) for file in folder.glob("*/*.index.json") if _is_used(file))


def _is_network(folder: Path) -> bool:
    """Whether a folder holds a network: how it is built, and all of its weights."""
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.bin")]
    if not weights or _read(folder / _CONFIG) is None:
        return False
    return all(_has_its_shards(file) for file in folder.glob("*.index.json") if _is_used(file))


def _is_used(index: Path) -> bool:
    """Whether these shards are read; those of the older format are not where there are others."""
    older = index.name.endswith(".bin.index.json")
    return not (older and any(index.parent.glob("*.safetensors*")))


def _has_its_shards(index: Path) -> bool:
    shards = (_read(index) or {}).get("weight_map")
    if not isinstance(shards, dict):
        return False
    return all((index.parent / str(name)).is_file() for name in set(shards.values()))


def _read(file: Path) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return None
