"""What this grid offers: models, tiers, sizes, and how many workers serve each. All public."""

from typing import Any

import msgspec

from dreamgrid.errors import UnknownModel
from dreamgrid.protocol.rest import ModelEntry, SizePreset
from dreamgrid.protocol.rest_catalog import (
    LoraConstraints,
    LoraEntry,
    LoraList,
    LoraQuery,
    LoraRange,
    NetworkPath,
    PresetsPath,
)
from dreamgrid.server.catalog_entries import LoraSpec
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.resolve.request import MAX_LORAS
from dreamgrid.server.services import Services


def routes(services: Services) -> Endpoints:
    """The catalogue endpoints of both hosts."""
    catalog = services.catalog
    api = Endpoints("Catalogue", "Which models there are, and what each of them can do.")

    @api.get("/api/v1/models/list", bare=True)
    async def models() -> tuple[ModelEntry, ...]:
        """Every model of this grid."""
        return catalog.models()

    @api.get("/api/v2/models/tiers", bare=True)
    async def tiers() -> dict[str, dict[str, Any]]:
        """The limits of the models' settings, by the `tier` that the list of models names.

        Each setting is a range (`min`, `max`, `default`) or a choice (`allowed`, `default`).
        """
        return catalog.tiers()

    @api.get(
        "/api/v1/size-presets/network/{network}/model/{model}", bare=True, errors=(UnknownModel,)
    )
    async def size_presets(path: PresetsPath) -> tuple[SizePreset, ...]:
        """The named sizes of a model; none on a network that does not serve it."""
        return catalog.size_presets(path.network, path.model)

    @api.get("/api/v1/status/network/{network}/models", bare=True)
    async def worker_counts(path: NetworkPath) -> dict[str, int]:
        """How many workers serve each model now, by the model's `SID` written as text."""
        counts = services.workers.counts(path.network)
        return {str(catalog.entry(model).sid): count for model, count in counts.items()}

    @api.get("/v1/loras/comfy")
    async def loras(query: LoraQuery) -> LoraList:
        """What can bend which models, and how far."""
        found = tuple(_lora(spec) for spec in catalog.loras(query.model_id))
        named = {model for lora in found for model in lora.model_ids}
        models = tuple(entry.id for entry in catalog.models() if entry.id in named)
        return LoraList(
            loras=found, models=models, constraints=LoraConstraints(max_per_request=MAX_LORAS)
        )

    return api


def _lora(spec: LoraSpec) -> LoraEntry:
    return LoraEntry(
        lora_id=spec.id,
        slug=spec.slug or spec.id,
        name=spec.name,
        description=spec.description,
        related_lora_ids=spec.related,
        model_ids=spec.models,
        ui=LoraRange(**msgspec.structs.asdict(spec.ui)),
    )
