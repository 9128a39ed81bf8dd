"""The models of the catalogue, those first that workers serve now."""

from collections import Counter

from dreamgrid.errors import UnknownModel
from dreamgrid.protocol.openai import PATH, Model, ModelList, ModelPath
from dreamgrid.protocol.params import NETWORKS
from dreamgrid.protocol.rest import ModelEntry
from dreamgrid.server.auth import Account
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.services import Services


def add(api: Endpoints, services: Services) -> None:
    """Lists them, and shows one."""

    @api.get(f"{PATH}/models", bare=True)
    async def openai_models(account: Account) -> ModelList:
        """Every model of this grid; first those that workers serve now."""
        del account
        counts = _counts(services)
        found = [_told(entry, counts) for entry in services.catalog.models()]
        return ModelList(data=tuple(sorted(found, key=lambda one: not one.workers)))

    @api.get(f"{PATH}/models/{{model}}", bare=True, errors=(UnknownModel,))
    async def openai_model(account: Account, path: ModelPath) -> Model:
        """One model."""
        del account
        return _told(services.catalog.model(path.model).entry, _counts(services))


def _counts(services: Services) -> Counter[str]:
    """How many workers serve each model now, on all networks."""
    counts: Counter[str] = Counter()
    for network in NETWORKS:
        counts.update(services.workers.counts(network))
    return counts


def _told(entry: ModelEntry, counts: Counter[str]) -> Model:
    return Model(id=entry.id, name=entry.name, media=entry.media, workers=counts[entry.id])
