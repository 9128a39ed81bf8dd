"""Weights on this machine, found by looking at folders only."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dreamgrid.engines.diffusers.family import Family

MODELS_VARIABLE = "DREAMGRID_DIFFUSERS_MODELS"
LORAS = "loras"
"""Subfolder of the owner's folder with LoRAs: `ID.safetensors`."""

_INDEX = "model_index.json"


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
    """

    model: str
    family: Family
    folder: Path
    loras: Path


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
        for model, repository in family.weights.items():
            folder = where.own / model
            if not (folder / _INDEX).is_file():
                cached = _in_cache(where.cache, repository)
                if cached is None:
                    continue
                folder = cached
            found[model] = Weights(
                model=model, family=family, folder=folder, loras=where.own / LORAS
            )
    return found


def _in_cache(cache: Path, repository: str) -> Path | None:
    """The newest complete snapshot, as `huggingface_hub` lays them out."""
    snapshots = cache / f"models--{repository.replace('/', '--')}" / "snapshots"
    if not snapshots.is_dir():
        return None
    complete = [folder for folder in snapshots.iterdir() if (folder / _INDEX).is_file()]
    return max(complete, key=lambda folder: folder.stat().st_mtime, default=None)
