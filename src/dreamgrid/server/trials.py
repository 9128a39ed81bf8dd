"""By what a worker can measure itself: a render of each model with all the defaults. Pure."""

from collections.abc import Collection

from dreamgrid.errors import DreamgridError
from dreamgrid.protocol.params import AnyParams, AudioParams, ImageParams, Media, VideoParams
from dreamgrid.protocol.renders import AnyRender
from dreamgrid.server.catalog import Catalog
from dreamgrid.server.resolve.request import RequestLimits

MAX_TRIALS = 100
"""Most renders that a worker is told of."""

_PARAMS: dict[Media, type[AnyParams]] = {
    "image": ImageParams,
    "video": VideoParams,
    "audio": AudioParams,
}
_PROMPT = "a red apple on a wooden table"
_SEED = 1


def trials_of(
    catalog: Catalog, models: Collection[str], limits: RequestLimits
) -> tuple[AnyRender, ...]:
    """A render of each model that needs no input, under the id that its worker knows.

    Args:
        catalog: Of this grid.
        models: What the worker serves of it.
        limits: The server's own.
    """
    found: dict[str, AnyRender] = {}
    for model in sorted(models):
        render = trial_of(catalog, model, limits)
        if render is not None and len(found) < MAX_TRIALS:
            found.setdefault(render.model, render)
    return tuple(found.values())


def trial_of(catalog: Catalog, model: str, limits: RequestLimits) -> AnyRender | None:
    """A model's render with all the defaults; None where it needs an input, or more words."""
    try:
        params = _PARAMS[catalog.model(model).media](model=model, prompt=_PROMPT, seed=_SEED)
        catalog.check_inputs(params)
        (render,) = catalog.resolve(params, limits, lambda: _SEED)
    except DreamgridError:
        return None
    return catalog.as_served(render)
