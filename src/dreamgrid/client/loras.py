"""LoRAs: what can bend which models, and how far."""

from dataclasses import dataclass
from typing import Any

import msgspec

from dreamgrid.client.http import Http

_PATH = "/v1/loras/comfy"


@dataclass(frozen=True, kw_only=True)
class LoraInfo:
    """A LoRA of the grid's catalogue.

    Attributes:
        id: What `create(loras=...)` takes.
        name: For people.
        description: What it does.
        models: Ids of the models that take it.
        min_strength: Lowest strength that makes sense.
        max_strength: Highest strength that makes sense.
        default_strength: A good one to begin with.
        nsfw: It is made for adults.
        creator: Who made it. Empty: not told.
        source_url: Where it comes from. Empty: not told.
    """

    id: str
    name: str
    description: str
    models: tuple[str, ...]
    min_strength: float
    max_strength: float
    default_strength: float
    nsfw: bool
    creator: str
    source_url: str


@dataclass(frozen=True, kw_only=True)
class LoraConstraints:
    """What one request may carry.

    Attributes:
        max_per_request: Most LoRAs at once.
        min_strength: Lowest strength.
        max_strength: Highest strength.
    """

    max_per_request: int = 8
    min_strength: float = -100
    max_strength: float = 100


class _Ui(msgspec.Struct, frozen=True, rename="camel"):
    min: float = -100
    max: float = 100
    default: float = 1
    nsfw: bool = False
    creator: str | None = None
    source_url: str | None = None


class _Entry(msgspec.Struct, frozen=True, rename="camel"):
    lora_id: str
    name: str = ""
    description: str | None = None
    model_ids: tuple[str, ...] = ()
    ui: _Ui = _Ui()


class _Constraints(msgspec.Struct, frozen=True, rename="camel"):
    max_per_request: int = 8
    min_strength: float = -100
    max_strength: float = 100


class _List(msgspec.Struct, frozen=True):
    loras: tuple[_Entry, ...] = ()
    constraints: _Constraints = _Constraints()


async def ask(http: Http, model: str | None) -> tuple[tuple[LoraInfo, ...], LoraConstraints]:
    """The catalogue of LoRAs, all or those of one model."""
    query: dict[str, Any] = {} if model is None else {"modelId": model}
    answer = await http.rest("GET", _PATH, _List, query=query)
    limits = LoraConstraints(**msgspec.structs.asdict(answer.constraints))
    return tuple(_info(entry) for entry in answer.loras), limits


def _info(entry: _Entry) -> LoraInfo:
    return LoraInfo(
        id=entry.lora_id,
        name=entry.name or entry.lora_id,
        description=entry.description or "",
        models=entry.model_ids,
        min_strength=entry.ui.min,
        max_strength=entry.ui.max,
        default_strength=entry.ui.default,
        nsfw=entry.ui.nsfw,
        creator=entry.ui.creator or "",
        source_url=entry.ui.source_url or "",
    )
