"""What a worker serves on this machine, and why not the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dreamgrid.engines.base import Prospect
from dreamgrid.engines.machine import Machine
from dreamgrid.engines.registry import FoundEngine, Registry
from dreamgrid.errors import ConfigError

_ORDER = ("ready", "absent", "blocked", "too_large")


@dataclass(frozen=True, kw_only=True)
class WorkPlan:
    """What becomes of each model that an engine of this machine knows.

    Attributes:
        serves: Models to offer, each with how it runs; an empty text says nothing special.
        leaves: The others, with what is in the way.
        engines: Which engines make each model to offer, by their references, in order.
    """

    serves: tuple[Prospect, ...]
    leaves: tuple[Prospect, ...]
    engines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def models(self) -> tuple[str, ...]:
        """Ids of the models to offer."""
        return tuple(prospect.model for prospect in self.serves)


def plan_work(registry: Registry, machine: Machine, wanted: tuple[str, ...] = ()) -> WorkPlan:
    """The sensible choice: everything that is here and fits, or what the owner names.

    Args:
        registry: The engines that are installed.
        machine: What they can use.
        wanted: Models that the owner names; they are served even if they seem too large.

    Raises:
        ConfigError: A named model is known but cannot be served; the message says why. One that no
            engine knows is left for the worker to refuse.
    """
    serving = registry.by_model()
    told = {engine.reference: _told(engine, machine) for engine in registry.engines}
    serves: list[Prospect] = []
    leaves: dict[str, Prospect] = {}
    engines: dict[str, tuple[str, ...]] = {}
    for model in serving:
        claims = {
            one.reference: told[one.reference].get(model) or _plain(model)
            for one in registry.of(model)
        }
        prospect = _best(tuple(claims.values()))
        if model in wanted or (not wanted and prospect.state == "ready"):
            serves.append(prospect)
            engines[model] = tuple(
                reference for reference, one in claims.items() if one.state == prospect.state
            )
        elif not wanted:
            leaves[model] = prospect
    for prospects in told.values():
        for model, prospect in prospects.items():
            if model not in serving and prospect.state != "ready":
                leaves.setdefault(model, prospect)
    for model in wanted:
        if model not in serving and model in leaves:
            missing = leaves[model]
            problem = f"this machine cannot serve {model}: {missing.text}"
            raise ConfigError("\n".join(filter(None, [problem, missing.advice])))
    return WorkPlan(serves=tuple(serves), leaves=tuple(leaves.values()), engines=engines)


def _told(engine: FoundEngine, machine: Machine) -> dict[str, Prospect]:
    """What an engine says of its models; where each GPU has its own, the best that one can do."""
    best: dict[str, Prospect] = {}
    for share in machine.shares() if engine.spec.uses_gpu else (machine,):
        for found in engine.spec.prospects(share):
            known = best.get(found.model)
            if known is None or _ORDER.index(found.state) < _ORDER.index(known.state):
                best[found.model] = found
    return best


def _best(claims: tuple[Prospect, ...]) -> Prospect:
    """What several engines can do with a model, in the words of one that has some."""
    least = min(_ORDER.index(one.state) for one in claims)
    best = [one for one in claims if _ORDER.index(one.state) == least]
    return next((one for one in best if one.text), best[0])


def _plain(model: str) -> Prospect:
    return Prospect(model=model, state="ready", text="")
