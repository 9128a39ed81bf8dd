"""A ComfyUI that is installed here but does not run: which models its files would be enough for."""

import os
from collections.abc import Sequence
from pathlib import Path

from dreamgrid.engines.comfyui.workflow import Workflow, matches

FOLDER_VARIABLE = "DREAMGRID_COMFYUI_FOLDER"

_USUAL = ("~/ComfyUI", "~/comfy/ComfyUI", "~/Documents/ComfyUI", "~/Applications/ComfyUI")


def installed() -> Path | None:
    """The folder of a ComfyUI: the one that its owner names, or one in a usual place."""
    given = os.environ.get(FOLDER_VARIABLE)
    places = (given,) if given else _USUAL
    folders = (Path(place).expanduser() for place in places)
    return next((folder for folder in folders if (folder / "models").is_dir()), None)


def models_in(folder: Path, workflows: Sequence[Workflow]) -> tuple[str, ...]:
    """Models whose every file lies in a ComfyUI's model folders."""
    files = [path.name for path in (folder / "models").rglob("*") if path.is_file()]
    return tuple(
        dict.fromkeys(
            model
            for workflow in workflows
            for model, weights in workflow.models.items()
            if weights and all(any(matches(file, one) for file in files) for _, one in weights)
        )
    )
