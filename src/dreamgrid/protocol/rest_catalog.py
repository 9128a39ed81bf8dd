"""Parameters of the catalogue endpoints, and the catalogue of LoRAs."""

import msgspec

from dreamgrid.protocol.params import Network


class NetworkPath(msgspec.Struct, frozen=True, kw_only=True):
    """A pool of workers."""

    network: Network


class PresetsPath(msgspec.Struct, frozen=True, kw_only=True):
    """A model on a network."""

    network: Network
    model: str


class LoraQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which LoRAs.

    Attributes:
        model_id: Those that this model takes. Absent: all.
    """

    model_id: str | None = None


class LoraConstraints(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one request may carry."""

    max_per_request: int = 8
    min_strength: float = -100
    max_strength: float = 100


class LoraList(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /v1/loras/comfy`: what can bend which models, and how far."""

    loras: tuple[msgspec.Raw, ...] = ()
    models: tuple[str, ...] = ()
    constraints: LoraConstraints = LoraConstraints()
