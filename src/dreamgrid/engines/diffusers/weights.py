"""Weights on this machine, found by looking at folders only."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from dreamgrid.engines.diffusers.checkpoints import ENDING, family_of, shapes_of, why_not
from dreamgrid.engines.diffusers.family import Family, Net
from dreamgrid.errors import ModelNotAvailable
from dreamgrid.protocol.params import Lora

MODELS_VARIABLE = "DREAMGRID_DIFFUSERS_MODELS"
LORAS = "loras"
"""Subfolder of the owner's folder with LoRAs: `ID.safetensors`."""

CONFIGS = "configs"
"""Subfolder of the owner's folder with the small files that single-file models need beside them:
folders named after repositories."""

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
        file: A file with all of the weights; the folder then only says how they are used. None: the
            weights are in the folder.
        loras: Where LoRAs are; need not exist.
        control_nets: Folders of ControlNets that are here, by their names in the grid.
        shares: Catalogue id of another model that has these very weights; empty: none.
    """

    model: str
    family: Family
    folder: Path
    file: Path | None = None
    loras: Path
    control_nets: Mapping[str, Path]
    shares: str = ""

    @property
    def name(self) -> str:
        """What they are called in memory: one name for all models that share them."""
        return self.shares or self.model


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
    """Catalogue id to its weights: the owner's folders, then single files, then the cache."""
    found: dict[str, Weights] = {}
    for family in families:
        for model, repository in family.weights.items():
            folder = own_folder(family, model, where)
            if folder is None:
                folder = _in_cache(where.cache, repository, _is_complete)
            if folder is not None:
                same = [one.name for one in found.values() if one.folder == folder]
                weights = _weights(model, family, folder, where)
                found[model] = replace(weights, shares=same[0] if same else "")
    for file in sorted(where.own.glob(f"*{ENDING}")):
        if (where.own / file.stem / _INDEX).is_file():
            continue
        one = _single_file(file, families, where)
        if one is not None:
            found[one.model] = one
    return found


def own_folder(family: Family, model: str, where: Places) -> Path | None:
    """Where the owner has a model's weights: under its own id, or one's with the same weights."""
    repository = family.weights[model]
    ids = [model, *(other for other, same in family.weights.items() if same == repository)]
    folders = (where.own / one for one in ids)
    return next((folder for folder in folders if (folder / _INDEX).is_file()), None)


def _weights(
    model: str, family: Family, folder: Path, where: Places, file: Path | None = None
) -> Weights:
    return Weights(
        model=model,
        family=family,
        folder=folder,
        file=file,
        loras=where.own / LORAS,
        control_nets=_control_nets(family, where),
    )


def _single_file(file: Path, families: Sequence[Family], where: Places) -> Weights | None:
    family = family_of(shapes_of(file), families)
    if family is None or _named(file, families) not in (None, family):
        return None
    folder = _configs(family, file.stem, where)
    return None if folder is None else _weights(file.stem, family, folder, where, file)


def unused_files(families: Sequence[Family], where: Places) -> Mapping[Path, tuple[str, str]]:
    """Files in the owner's folder that serve nothing: what is wrong, and what to do about it."""
    unused: dict[Path, tuple[str, str]] = {}
    for file in sorted(where.own.glob(f"*{ENDING}")):
        named = _named(file, families)
        wrong = why_not(file, named, families)
        if wrong:
            unused[file] = (wrong, "move it elsewhere, or name it after the model that it holds")
            continue
        family = family_of(shapes_of(file), families)
        if family is not None and _configs(family, file.stem, where) is None:
            repository = _repository(family, file.stem)
            unused[file] = (
                "lacks the small files beside it: settings and the words of its text encoder",
                f"hf download {repository} --include '*.json' '*.txt' '*.model'",
            )
    return unused


def _named(file: Path, families: Sequence[Family]) -> Family | None:
    """The family that a file's name promises."""
    return next((family for family in families if file.stem in family.weights), None)


def _repository(family: Family, model: str) -> str:
    return family.weights.get(model) or next(iter(family.weights.values()))


def _configs(family: Family, model: str, where: Places) -> Path | None:
    repository = _repository(family, model)
    own = where.own / CONFIGS / repository.partition("/")[2]
    return own if _has_parts(own) else _in_cache(where.cache, repository, _has_parts)


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
    networks = [file.parent for file in folder.glob(f"*/{_CONFIG}")]
    if not _has_parts(folder) or not all(_weights_in(network) for network in networks):
        return False
    return all(_has_its_shards(file) for file in folder.glob("*/*.index.json") if _is_used(file))


def _has_parts(folder: Path) -> bool:
    """Whether all folders are there that an index names, be it without their weights."""
    index = _read(folder / _INDEX)
    if index is None:
        return False
    parts = [name for name, kind in index.items() if isinstance(kind, list) and any(kind)]
    return all((folder / name).is_dir() for name in parts)


def lora_files(weights: Weights, loras: Sequence[Lora]) -> list[Path]:
    """Where LoRAs lie, in their order.

    Raises:
        ModelNotAvailable: One is not here.
    """
    files = [weights.loras / f"{lora.id}{ENDING}" for lora in loras]
    for lora, file in zip(loras, files, strict=True):
        if not file.is_file():
            raise ModelNotAvailable(f"the LoRA {lora.id[:64]} is not installed on this worker")
    return files


def _weights_in(folder: Path) -> list[Path]:
    return [*folder.glob(f"*{ENDING}"), *folder.glob("*.bin")]


def _is_network(folder: Path) -> bool:
    """Whether a folder holds a network: how it is built, and all of its weights."""
    if not _weights_in(folder) or _read(folder / _CONFIG) is None:
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
