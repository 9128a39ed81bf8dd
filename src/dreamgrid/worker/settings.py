"""What an owner can decide about the workers of a machine, and the file that may say it."""

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated

import msgspec

from dreamgrid.engines import comfyui
from dreamgrid.engines.comfyui import stopped
from dreamgrid.engines.diffusers import weights
from dreamgrid.engines.safety import PICTURE_THRESHOLD
from dreamgrid.errors import ConfigError
from dreamgrid.protocol.params import Network
from dreamgrid.worker.config import MAX_NAME_CHARS, WorkerConfig
from dreamgrid.worker.rest import RestRules, hours_of

CONFIG_VARIABLE = "DREAMGRID_WORKER_CONFIG"

ALLOWED = {
    "server": 'an address in quotes, such as "https://grid.example.org"',
    "key": "an API key in quotes",
    "key_file": "the path of a file that holds the API key",
    "name": "at most 64 characters in quotes",
    "models": 'a list of ids of models, such as ["z_image_turbo_bf16"]',
    "gpus": "a list of numbers or beginnings of UUIDs, such as [0, 1]",
    "engines": 'a list of names of engines, such as ["diffusers", "comfyui"]',
    "threads": "a whole number; 0: as many as are worth it",
    "measure": "true, or false: do not find out by trial renders how quick models are",
    "network": '"fast" or "relaxed"',
    "filter_threshold": "a number from 0, which objects to every picture, to 1",
    "sound_font": "the path of a SoundFont 2 file",
    "hours": 'a list of times, such as ["22:00-07:00", "sat,sun 00:00-24:00"]',
    "give_way_percent": "a whole number from 0, never, to 100",
    "max_celsius": "a whole number; 0: never",
    "max_watts": "a whole number; 0: leave it",
    "comfyui_url": 'an address in quotes, or "off"',
    "folders": "a section [worker.folders]",
    "folders.diffusers": "the path of a folder",
    "folders.hugging_face": "the path of a folder",
    "folders.comfyui": "the path of a folder",
    "folders.comfyui_workflows": "the path of a folder",
}
"""What each key of the file takes, in words."""

_VARIABLES = {
    "diffusers": weights.MODELS_VARIABLE,
    "hugging_face": "HF_HUB_CACHE",
    "comfyui": stopped.FOLDER_VARIABLE,
    "comfyui_workflows": comfyui.WORKFLOWS_VARIABLE,
}
_SECTION = "worker"
_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)

Whole = Annotated[int, msgspec.Meta(ge=0)]
Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]
Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME_CHARS)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Folders(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where weights and workflows are; each is also a variable of the environment.

    Attributes:
        diffusers: Weights in the layout of diffusers, and LoRAs.
        hugging_face: The Hugging Face cache.
        comfyui: Where ComfyUI is installed.
        comfyui_workflows: The owner's workflows for it.
    """

    diffusers: str = ""
    hugging_face: str = ""
    comfyui: str = ""
    comfyui_workflows: str = ""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The decisions; what is left open follows from the machine.

    Attributes:
        server: Address of the grid.
        key: API key for it.
        key_file: File that holds the key.
        name: Name that users see; a GPU's number is added.
        models: Serve only these.
        gpus: Use only these, by number or the beginning of their UUIDs.
        engines: Of several engines for a model prefer these, in this order.
        threads: CPU threads for rendering; 0: as many as are worth it.
        measure: Find out by trial renders how quick models are.
        network: The pool to work in.
        filter_threshold: Score from which the content filter objects to a picture.
        sound_font: SoundFont with which music is played.
        hours: When to work, such as `22:00-07:00`; empty: always.
        give_way_percent: Leave a GPU to others that use so much of it; 0: never.
        max_celsius: Rest when a GPU is hotter; 0: never.
        max_watts: Tell the driver to draw no more; 0: leave it.
        comfyui_url: Where ComfyUI listens; `off`: do not look.
        folders: Where weights are.
    """

    server: str | None = None
    key: str | None = None
    key_file: str = ""
    name: Name = ""
    models: tuple[str, ...] = ()
    gpus: tuple[int | str, ...] = ()
    engines: tuple[str, ...] = ()
    threads: Whole = 0
    measure: bool = True
    network: Network = "fast"
    filter_threshold: Share = PICTURE_THRESHOLD
    sound_font: str = ""
    hours: tuple[str, ...] = ()
    give_way_percent: Percent = 0
    max_celsius: Whole = 0
    max_watts: Whole = 0
    comfyui_url: str = ""
    folders: Folders = Folders()

    def config(self, server_url: str, api_key: str, folder: Path) -> WorkerConfig:
        """What its workers share.

        Args:
            server_url: The grid that was found.
            api_key: A key for it.
            folder: The workers' own folder.
        """
        return WorkerConfig(
            server_url=server_url,
            api_key=api_key,
            data_dir=folder,
            name=self.name,
            threads=self.threads,
            network=self.network,
            filter_threshold=self.filter_threshold,
            sound_font=_path(self.sound_font) if self.sound_font else None,
            models=self.models,
            measure=self.measure,
        )

    def rest_rules(self, folder: Path) -> RestRules:
        """When its workers rest.

        Raises:
            ConfigError: The hours are none.
        """
        return RestRules(
            folder=folder,
            hours=tuple(map(hours_of, self.hours)),
            give_way_percent=self.give_way_percent,
            max_celsius=self.max_celsius,
        )

    def api_key(self) -> str | None:
        """The key, from wherever it is; None: none is given.

        Raises:
            ConfigError: Its file cannot be read.
        """
        if self.key or not self.key_file:
            return self.key
        try:
            return _path(self.key_file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(f"key_file {self.key_file} cannot be read: {reason}") from error

    def show_engines(self) -> None:
        """Tells the engines where things are, unless the environment does already."""
        for name, folder in msgspec.structs.asdict(self.folders).items():
            if folder:
                os.environ.setdefault(_VARIABLES[name], str(_path(folder)))
        if self.comfyui_url:
            os.environ.setdefault(comfyui.URL_VARIABLE, self.comfyui_url)


def config_file(given: Path | None) -> Path | None:
    """The file that is named, by hand or by the environment, or the usual one if it is there."""
    named = given or os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    usual = Path(base) / "dreamgrid" / "worker.toml"
    return usual if usual.is_file() else None


def read_settings(path: Path) -> Settings:
    """Reads the section `[worker]` of a TOML file.

    Raises:
        ConfigError: It cannot be read, or a value is wrong; the message names the line and what is
            allowed there.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"there is no {path}: look at --config, or at {CONFIG_VARIABLE} where that names it"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path}: {reason}") from error
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_broken(path, text, str(error))) from error
    unknown = sorted(set(said) - {_SECTION})
    if unknown:
        line = _line(text, "", unknown[0])
        raise ConfigError(f"{path}{line}: there is no {unknown[0]} here; write [{_SECTION}]")
    if not isinstance(said.get(_SECTION, {}), dict):
        line = _line(text, "", _SECTION)
        raise ConfigError(f"{path}{line}: {_SECTION} is a section: write [{_SECTION}]")
    try:
        settings = msgspec.convert(said.get(_SECTION, {}), Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(_complaint(path, text, str(error))) from None
    try:
        for one in settings.hours:
            hours_of(one)
    except ConfigError as error:
        raise ConfigError(f"{path}{_line(text, _SECTION, 'hours')}: hours: {error}") from None
    return settings


def place_of(path: Path, key: str) -> str:
    """A file that was read, and the line on which a key of its section stands; for messages."""
    return f"{path}{_line(path.read_text('utf-8'), _SECTION, key)}"


def _broken(path: Path, text: str, error: str) -> str:
    """Where a file stops being TOML."""
    what, _, where = error.rpartition(" (at ")
    found = re.match(r"line (\d+)", where)
    line = int(found[1]) if found else len(text.rstrip().splitlines())
    hint = "; text stands in quotes" if what == "Invalid value" else ""
    return f"{path}, line {line}: this is not TOML: {what}{hint}"


def _complaint(path: Path, text: str, error: str) -> str:
    """What msgspec objects to, with the line, and what would be right."""
    found = _AT.match(error)
    assert found is not None
    inner = (found["path"] or "").lstrip(".")
    strange = re.search("unknown field `([^`]*)`", error)
    if strange:
        table = f"{_SECTION}.{inner}" if inner else _SECTION
        known = sorted(Folders.__struct_fields__ if inner else Settings.__struct_fields__)
        close = difflib.get_close_matches(strange[1], known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
        return f"{path}{_line(text, table, strange[1])}: there is no {strange[1]}; {hint}"
    name = re.sub(r"\[.*", "", inner)
    parent, _, key = f"{_SECTION}.{name}".rpartition(".")
    return f"{path}{_line(text, parent, key)}: {name} takes {ALLOWED[name]}"


def _line(text: str, table: str, key: str) -> str:
    """Where a key, or a section of that name, stands; empty where it cannot be told."""
    here, inside = "", ""
    whole = f"{table}.{key}".lstrip(".")
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]", line)
        if header:
            here = _bare(header[1])
        begins = re.match(r"\s*([\w.\"' -]+?)\s*=\s*(\{?)", line)
        found = f"{here}.{_bare(begins[1])}".lstrip(".") if begins else here
        if found == whole and (header or begins):
            return f", line {number}"
        if begins and begins[2] and whole.startswith(f"{found}."):
            inside = f", line {number}"
    return inside


def _bare(key: str) -> str:
    return re.sub("[\"' ]", "", key)


def _path(text: str) -> Path:
    return Path(text).expanduser()
