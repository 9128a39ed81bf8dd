"""`dreamgrid work map`: an exported workflow of ComfyUI becomes a model."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from rich.markup import escape

from dreamgrid.cli.stdout import stdout
from dreamgrid.engines import comfyui
from dreamgrid.engines.comfyui.drafting import Draft, draft
from dreamgrid.engines.comfyui.workflow import read_graph, read_workflow
from dreamgrid.errors import ConfigError

_EXPECTED = {
    "image": ("prompt", "seed", "steps", "width", "height"),
    "video": ("prompt", "seed", "steps", "width", "height", "frames", "motion_fps"),
    "audio": ("prompt", "seed", "steps", "duration_s"),
}
"""What jobs of a kind always say, and a workflow that does not take it would pass over."""


def propose(workflow: Path, *, model: str, show: bool) -> None:
    """Writes a mapping for a workflow, and puts both where the worker looks.

    Args:
        workflow: What ComfyUI exported.
        model: Catalogue id that it serves.
        show: Only print the mapping.

    Raises:
        ConfigError: It is no such workflow, or there is another file of its name already. Then
            nothing is written.
    """
    try:
        found = draft(read_graph(workflow))
    except OSError as error:
        raise ConfigError(f"cannot read {workflow}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ConfigError(f"{workflow} is no JSON: {error}") from error
    console = stdout(soft_wrap=True)
    text = found.toml(f"{workflow.stem}.json", model)
    if show:
        console.print(text, markup=False, highlight=False, end="")
        return
    written = _write(workflow, text)
    console.print(f"[green]{escape(model)}[/] is mapped: {escape(str(written))}")
    for line in _remarks(found, model):
        console.print(line, style="dim", markup=False)


def _write(workflow: Path, text: str) -> Path:
    folder = comfyui.folder()
    mapping, beside = folder / f"{workflow.stem}.toml", folder / f"{workflow.stem}.json"
    if mapping.exists():
        raise ConfigError(f"{mapping} is there already: move it away, or change it by hand")
    if beside.exists() and not beside.samefile(workflow):
        raise ConfigError(f"{beside} is another workflow: give yours another name")
    with TemporaryDirectory() as name:
        trial = Path(name, mapping.name)
        try:
            shutil.copyfile(workflow, trial.with_name(beside.name))
            trial.write_text(text, "utf-8")
            read_workflow(trial)  # what is written can be read, or this says what is wrong
            folder.mkdir(parents=True, exist_ok=True)
            if not beside.exists():
                shutil.copyfile(workflow, beside)
            shutil.copyfile(trial, mapping)
        except OSError as error:
            raise ConfigError(f"cannot write to {folder}: {error.strerror}") from error
    return mapping


def _remarks(found: Draft, model: str) -> list[str]:
    remarks = [f"takes {', '.join(found.settings)}"]
    if found.inputs:
        remarks.append(f"serves jobs that bring {', '.join(found.inputs)}")
    if found.own_files:
        titles = ", ".join(map(found.title, found.own_files))
        remarks.append(f"no role is left for {titles}: they read the files that they name now")
    missing = [name for name in _EXPECTED[found.media] if name not in found.settings]
    if missing:
        remarks.append(f"no place was found for {', '.join(missing)}: add it to [settings]")
    remarks.append(f"give {model} an entry in the grid's catalogue, then start the worker again")
    return remarks
