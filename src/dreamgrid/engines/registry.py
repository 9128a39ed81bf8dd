"""Finds engines: everything that is installed under the entry point group `dreamgrid.engines`.

The engines that come with dreamgrid use the same door as anyone's plug-in. A plug-in that cannot be
imported, is no `EngineSpec` or fails when asked for its models is reported and left out; it never
takes the worker down.

Several engines may claim the same model, and do it in part: `choice` decides which of them renders
a job. Where nothing else speaks for one of them, the first does, in this order: what the owner
prefers, then plug-ins before the engines that come with dreamgrid (whoever installs a plug-in wants
it used), then by entry point name, then by reference.
"""

import importlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dreamgrid.engines.base import EngineSpec
from dreamgrid.errors import ConfigError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "dreamgrid.engines"
"""The entry point group that a plug-in registers its `EngineSpec` under."""

_BUILT_IN = "dreamgrid.engines."

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FoundEngine:
    """An engine that can be used here.

    Attributes:
        name: Name of its entry point.
        reference: `module:attribute` of its `EngineSpec`; how the child process finds it again.
        spec: The spec itself.
        models: Catalogue ids that it can serve on this machine; empty when something is missing.
        version: Of what it renders with.
        limited: What they lack on this machine; empty for nothing.
    """

    name: str
    reference: str
    spec: EngineSpec
    models: tuple[str, ...]
    limited: str = ""
    version: str = ""


@dataclass(frozen=True, kw_only=True)
class BrokenEngine:
    """A plug-in that could not be used, and why."""

    name: str
    reference: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Registry:
    """What is installed, in order of precedence.

    Attributes:
        engines: Engines that answered, those with nothing to serve included.
        broken: Plug-ins that did not.
    """

    engines: tuple[FoundEngine, ...] = ()
    broken: tuple[BrokenEngine, ...] = field(default=())

    def of(self, model: str) -> tuple[FoundEngine, ...]:
        """The engines that claim a model, in order."""
        return tuple(engine for engine in self.engines if model in engine.models)

    def preferring(self, names: Sequence[str]) -> "Registry":
        """The same with some engines in front.

        Args:
            names: What its owner prefers, in order.

        Raises:
            ConfigError: There is no engine of such a name, or it is broken.
        """
        there = [engine.name for engine in self.engines]
        reasons = {engine.name: engine.reason for engine in self.broken}
        for name in names:
            if name not in there:
                if name in reasons:
                    raise ConfigError(f"the engine {name} cannot be used: {reasons[name]}")
                raise ConfigError(f"there is no engine {name}; there are: {', '.join(there)}")
        others = [name for name in there if name not in names]
        places = {name: place for place, name in enumerate([*dict.fromkeys(names), *others])}
        ordered = sorted(self.engines, key=lambda engine: places[engine.name])
        return replace(self, engines=tuple(ordered))

    def by_model(self) -> dict[str, FoundEngine]:
        """Which engine comes first for each model."""
        serving: dict[str, FoundEngine] = {}
        for engine in self.engines:
            for model in engine.models:
                serving.setdefault(model, engine)
        return serving

    def advice(self, *, optional: bool = False) -> tuple[str, ...]:
        """One sentence per engine that serves nothing or less here: what to install or mend.

        Args:
            optional: Speak of engines without which most machines go, too.
        """
        missing = tuple(
            f"{engine.name}: {engine.spec.missing or 'serves no model on this machine'}"
            for engine in self.engines
            if not engine.models and (optional or not engine.spec.optional)
        )
        broken = tuple(f"{engine.name}: {engine.reason}" for engine in self.broken)
        return missing + self.limits() + broken

    def limits(self) -> tuple[str, ...]:
        """What the engines that serve something lack here, each sentence once."""
        found = (engine.limited for engine in self.engines if engine.models)
        return tuple(dict.fromkeys(sentence for sentence in found if sentence))


def find_engines(points: "Iterable[EntryPoint] | None" = None) -> Registry:
    """Imports every engine plug-in and asks it which models it can serve here.

    Args:
        points: Entry points to look at. None: those of all installed packages.
    """
    # Imported here: the engine's process needs only `load_spec`, and starts a third faster.
    from importlib.metadata import entry_points  # noqa: PLC0415

    found: list[FoundEngine] = []
    broken: list[BrokenEngine] = []
    for point in sorted(entry_points(group=GROUP) if points is None else points, key=_precedence):
        try:
            spec = load_spec(point.value)
            models = _models_of(spec)
            limited = spec.limited()
            version = spec.version() if models else ""
        except Exception as error:  # whatever a plug-in does, the other engines stay usable
            reason = f"{type(error).__name__}: {error}"
            fields = {"engine": point.name, "reason": reason}
            _log.warning("engine %s is left out: %s", *fields.values(), extra=fields)
            broken.append(BrokenEngine(name=point.name, reference=point.value, reason=reason))
        else:
            found.append(
                FoundEngine(
                    name=point.name,
                    reference=point.value,
                    spec=spec,
                    models=models,
                    limited=limited,
                    version=version,
                )
            )
    return Registry(engines=tuple(found), broken=tuple(broken))


def load_spec(reference: str) -> EngineSpec:
    """Imports the `EngineSpec` that a reference such as `package.module:ENGINE` names.

    Raises:
        ImportError: There is no such module.
        AttributeError: The module has no such attribute.
        TypeError: It is no `EngineSpec`.
    """
    module_name, _, attribute = reference.partition(":")
    spec = getattr(importlib.import_module(module_name.strip()), attribute.strip() or "ENGINE")
    if not isinstance(spec, EngineSpec):
        raise TypeError(f"{reference} is a {type(spec).__name__}, not an EngineSpec")
    return spec


def _precedence(point: "EntryPoint") -> tuple[bool, str, str]:
    return point.value.startswith(_BUILT_IN), point.name, point.value


def _models_of(spec: EngineSpec) -> tuple[str, ...]:
    models = tuple(spec.models())
    if not all(isinstance(model, str) and model for model in models):
        raise TypeError(f"the models of engine {spec.name} must be non-empty strings")
    return models
