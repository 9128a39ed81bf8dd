"""What workers say of their own speed when they say hello. Pure.

A worker that measured itself names what it rendered and how long that took; the catalogue says how
long it should take. `speeds` decides how far that is believed.
"""

from collections.abc import Iterable

from dreamgrid.protocol.worker import MeasuredSpeed
from dreamgrid.server.catalog import Catalog
from dreamgrid.server.pricing import work_s
from dreamgrid.server.speeds import Speeds
from dreamgrid.server.workers import WorkerSession


def note_claims(
    worker: WorkerSession, claims: Iterable[MeasuredSpeed], speeds: Speeds, catalog: Catalog
) -> None:
    """Takes up what a worker that joins says of itself, and what is known of it from before.

    Claims about models that it does not serve here, and impossible ones, are passed over.
    """
    for claim in claims:
        model = claim.render.model
        if model in worker.models:
            try:
                expected_s = work_s(catalog.model(model), claim.render)
            except (TypeError, OverflowError):
                continue  # a render of other media, or larger than any number
            speeds.claim(worker.id, model, work_s=expected_s, took_s=claim.took_s)
    worker.paces = speeds.paces(worker.id, worker.models)
