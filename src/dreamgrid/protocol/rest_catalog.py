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


class LoraRange(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How strongly a LoRA may be applied, and how to show that.

    Attributes:
        min: Least strength; a negative one inverts it.
        max: Most strength.
        default: Strength when none is given.
        step: What a slider moves by.
        recommended_min: Below that results suffer.
        recommended_max: Above that results suffer.
        range_labels: What both ends do, by `min` and `max`.
        category: What it is about, such as `lighting`.
        nsfw: It is made for nudity.
        sexual: It is made for sexual content.
        creator: Who made it.
        source_url: Where it comes from.
    """

    min: float
    max: float
    default: float
    step: float
    category: str
    nsfw: bool
    sexual: bool
    recommended_min: float | None = None
    recommended_max: float | None = None
    range_labels: dict[str, str] | None = None
    creator: str | None = None
    source_url: str | None = None


class LoraEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A LoRA that some models can be bent with.

    Attributes:
        lora_id: What requests name it by.
        slug: A short name for addresses.
        name: What people read.
        description: What it does.
        related_lora_ids: LoRAs that go well with it.
        model_ids: The models that take it.
        ui: How strongly it may be applied.
    """

    lora_id: str
    slug: str
    name: str
    description: str
    related_lora_ids: tuple[str, ...]
    model_ids: tuple[str, ...]
    ui: LoraRange


class LoraConstraints(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one request may carry."""

    max_per_request: int = 8
    min_strength: float = -100
    max_strength: float = 100


class PersonalLimits(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an account may import."""

    entries: int = 0
    file_bytes: int | None = None
    imports_per_day: int = 0
    per_generation: int = 0


class PersonalLoras(msgspec.Struct, frozen=True, kw_only=True):
    """LoRAs of one account: this server takes none; its owner adds them to the catalogue."""

    loras: tuple[LoraEntry, ...] = ()
    models: tuple[str, ...] = ()
    limits: PersonalLimits = PersonalLimits()


class LoraList(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /v1/loras/comfy`: what can bend which models, and how far."""

    loras: tuple[LoraEntry, ...]
    models: tuple[str, ...]
    constraints: LoraConstraints = LoraConstraints()
