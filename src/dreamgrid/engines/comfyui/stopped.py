"""A ComfyUI that is installed here but does not run: which models its files would be enough for."""

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from dreamgrid.engines.comfyui.offers import matches
from dreamgrid.engines.comfyui.workflow import Workflow

FOLDER_VARIABLE = "DREAMGRID_COMFYUI_FOLDER"
EXTRA_PATHS = "extra_model_paths.yaml"
"""The file in which ComfyUI's owner names more folders with models."""

_USUAL = ("~/ComfyUI", "~/comfy/ComfyUI", "~/Documents/ComfyUI", "~/Applications/ComfyUI")

_log = logging.getLogger(__name__)


def installed() -> Path | None:
    """The folder of a ComfyUI: the one that its owner names, or one in a usual place."""
    given = os.environ.get(FOLDER_VARIABLE)
    places = (given,) if given else _USUAL
    folders = (Path(place).expanduser() for place in places)
    return next((folder for folder in folders if (folder / "models").is_dir()), None)


def models_in(folder: Path, workflows: Sequence[Workflow]) -> tuple[str, ...]:
    """Models whose every file lies in a ComfyUI's model folders."""
    files = [
        file
        for models in (folder / "models", *_extra_folders(folder / EXTRA_PATHS))
        for file in _files_in(models)
    ]
    return tuple(
        dict.fromkeys(
            model
            for workflow in workflows
            for model, weights in workflow.models.items()
            if weights and all(any(matches(file, one) for file in files) for _, one in weights)
        )
    )


def _files_in(folder: Path) -> Iterator[str]:
    """Names of files, of linked folders too: large models lie on another disk. Links may circle."""
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from names


def _extra_folders(path: Path) -> Iterator[Path]:
    """What the file says, as ComfyUI reads it: sections of kinds of models, each with folders."""
    import yaml  # noqa: PLC0415 - only where such a file can be

    try:
        sections = yaml.safe_load(path.read_bytes()) or {}
        for section in sections.values():
            kinds = (section or {}).copy()
            base = Path(os.path.expandvars(kinds.pop("base_path", ""))).expanduser()
            kinds.pop("is_default", None)
            for folders in kinds.values():
                yield from (path.parent / base / one for one in folders.split("\n") if one)
    except FileNotFoundError:
        return
    except (OSError, AttributeError, TypeError, yaml.YAMLError) as error:
        _log.warning("%s cannot be read: %s", path, error)
