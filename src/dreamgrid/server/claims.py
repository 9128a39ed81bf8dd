"""What workers say of their own speed when they say hello. Pure.

A worker that measured itself names what it rendered and how long that took; the catalogue says how
long it should take. `speeds` decides how far that is believed.
"""

from collections.abc import Sequence

from dreamgrid.protocol.worker import MeasuredSpeed
from dreamgrid.server.catalog import Catalog
from dreamgrid.server.pricing import work_s
from dreamgrid.server.speeds import Speeds
from dreamgrid.server.workers import WorkerSession

MAX_CLAIMS = 100
"""Most claims of one worker that are looked at."""


def note_claims(
    worker: WorkerSession, claims: Sequence[MeasuredSpeed], speeds: Speeds, catalog: Catalog
) -> None:
    """Takes up what a worker that joins says of itself, and what is known of it from before.

    A claim counts for every model of this grid that runs as the one that was measured. Those about
    models that the worker does not serve here, and impossible ones, are passed over.
    """
    for claim in claims[:MAX_CLAIMS]:
        for model_id in catalog.offered_by((claim.render.model,)) & worker.models:
            model = catalog.model(model_id)
            if model.rules is None:
                continue  # nobody can say how long it should take
            try:
                expected_s = work_s(model, claim.render)
            except (TypeError, OverflowError):
                continue  # a render of other media, or larger than any number
            speeds.claim(worker.id, model_id, work_s=expected_s, took_s=claim.took_s)
    worker.paces = speeds.paces(worker.id, worker.models)
