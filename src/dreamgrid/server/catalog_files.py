"""Where the catalogue comes from: built-in files, then the operator's, joined into one.

A later entry replaces an earlier one of the same id. `like` fills an entry from another one, and
`hidden` takes models out; both are settled here, so that the rest of the server sees plain models.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from dreamgrid.errors import ConfigError
from dreamgrid.server.catalog_entries import CatalogFile, LoraSpec, ModelSpec, Tier, decode_tier

T = TypeVar("T")

_OWN = ("id", "name", "SID")
"""Keys of a model that are never taken over from another one."""


@dataclass(frozen=True, kw_only=True)
class Source(Generic[T]):
    """An entry and the file that it came from, for messages."""

    file: str
    value: T


@dataclass(kw_only=True)
class Sources:
    """Everything that the files say, by id and in their order."""

    models: dict[str, Source[ModelSpec]] = field(default_factory=dict)
    tiers: dict[str, Source[Tier]] = field(default_factory=dict)
    loras: dict[str, Source[LoraSpec]] = field(default_factory=dict)
    _as_written: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, name: str, content: bytes) -> None:
        """Adds one file; its `hidden` concerns the files before it.

        Args:
            name: What messages call the file.
            content: JSON.

        Raises:
            ConfigError: It cannot be read, or an entry is wrong. Names file and field.
        """
        file = self._decoded(name, content)
        for pattern in file.hidden:
            self._hide(name, pattern)
        listed: set[str] = set()
        for spec in file.models:
            if spec.id in listed:
                raise ConfigError(f"catalogue file {name}: model {spec.id} is listed twice")
            listed.add(spec.id)
            self.models[spec.id] = Source(file=name, value=spec)
        for lora in file.loras:
            self.loras[lora.id] = Source(file=name, value=lora)
        for tier_id, raw in file.tiers.items():
            try:
                self.tiers[tier_id] = Source(file=name, value=decode_tier(raw))
            except msgspec.MsgspecError as error:
                raise ConfigError(f"catalogue file {name}: tier {tier_id}: {error}") from None

    def _decoded(self, name: str, content: bytes) -> CatalogFile:
        try:
            tree = msgspec.json.decode(content)
            if isinstance(tree, dict) and isinstance(tree.get("models"), list):
                tree["models"] = [self._filled(name, entry) for entry in tree["models"]]
            return msgspec.json.decode(msgspec.json.encode(tree), type=CatalogFile)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise ConfigError(f"catalogue file {name}: {error}") from None

    def _filled(self, name: str, entry: Any) -> Any:
        """A model's entry with what it takes over from the model that it is `like`."""
        if not isinstance(entry, dict):
            return entry
        filled = dict(entry)
        if "like" in filled:
            other = filled.pop("like")
            base = self._as_written.get(other) if isinstance(other, str) else None
            if base is None:
                raise ConfigError(
                    f"catalogue file {name}: model {entry.get('id')}: like: "
                    f"there is no model {other!r} before it"
                )
            filled = {key: value for key, value in base.items() if key not in _OWN} | filled
        if isinstance(filled.get("id"), str):
            self._as_written[filled["id"]] = filled
        return filled

    def _hide(self, name: str, pattern: str) -> None:
        hidden = {model for model in self.models if fnmatchcase(model, pattern)}
        if not hidden:
            raise ConfigError(f"catalogue file {name}: hidden: no model before it fits {pattern!r}")
        for model in hidden:
            del self.models[model]
        for lora_id, row in list(self.loras.items()):
            left = tuple(model for model in row.value.models if model not in hidden)
            del self.loras[lora_id]
            if left:
                spec = msgspec.structs.replace(row.value, models=left)
                self.loras[lora_id] = Source(file=row.file, value=spec)


def read_sources(files: Sequence[Path]) -> Sources:
    """The built-in files and then `files`; each is a path, or the name of an optional one of ours.

    Raises:
        ConfigError: One cannot be read, or an entry is wrong. Names file and field.
    """
    sources = Sources()
    for name, content in _built_in():
        sources.add(name, content)
    for path in files:
        sources.add(str(path), _content(path))
    return sources


def _content(path: Path) -> bytes:
    """The operator's file; or, if the name of an optional one is given, that one."""
    optional = _json_files(_folder() / "optional")
    if str(path) in optional and not path.exists():
        return optional[str(path)].read_bytes()
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"catalogue file {path} cannot be read: {error.strerror}; "
            f"optional ones that come with dreamgrid: {', '.join(sorted(optional))}"
        ) from None


def _built_in() -> Iterator[tuple[str, bytes]]:
    """The embedded engines, then the families of models that people bring their own workers for."""
    for place in (_folder(), _folder() / "families"):
        for _, file in sorted(_json_files(place).items()):
            yield file.name, file.read_bytes()


def _folder() -> Traversable:
    return resources.files(__package__) / "catalog_data"


def _json_files(folder: Traversable) -> dict[str, Traversable]:
    """The catalogue files of a folder, by their names without the ending."""
    files = (file for file in folder.iterdir() if file.name.endswith(".json"))
    return {Path(file.name).stem: file for file in files}
