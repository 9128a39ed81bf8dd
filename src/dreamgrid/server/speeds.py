"""How fast workers really are: seconds of rendering over the seconds that the catalogue names.

A ratio of 2 means that jobs of a model take twice as long as its benchmark says for their size and
steps; so what was measured with small pictures holds for large ones. Newer renders count more.
Kept in memory only: after a restart nothing is known until the first render.
"""

from collections import OrderedDict

from dreamgrid.server.live import LiveJob
from dreamgrid.server.pricing import render_s

NEWEST_SHARE = 0.25
"""How much the newest render moves a ratio."""

MAX_PAIRS = 20_000
"""Most pairs of worker and model that are remembered; the ones not heard of for longest go."""


class Speeds:
    """Measured ratios, per model and per worker and model."""

    def __init__(self) -> None:
        self._models: dict[str, float] = {}
        self._pairs: OrderedDict[tuple[str, str], float] = OrderedDict()

    def learn(self, job: LiveJob, took_s: float, now_ms: int) -> float:
        """A job is rendered; the pace of its worker, as it is known now.

        Args:
            job: Which one.
            took_s: What its worker says; no more than the time that passed is believed.
            now_ms: The time.
        """
        if job.started_ms is not None:
            took_s = min(took_s, (now_ms - job.started_ms) / 1000)
        model = job.render.model
        self.observe(job.worker_id, model, work_s=work_of(job), took_s=took_s)
        return self.pace(job.worker_id, model)

    def observe(self, worker_id: str, model: str, *, work_s: float, took_s: float) -> None:
        """A render is done: the catalogue expects `work_s` for it, and it took `took_s`."""
        if work_s <= 0 or took_s <= 0:
            return
        ratio = took_s / work_s
        self._models[model] = _moved(self._models.get(model), ratio)
        pair = (worker_id, model)
        self._pairs[pair] = _moved(self._pairs.get(pair), ratio)
        self._pairs.move_to_end(pair)
        if len(self._pairs) > MAX_PAIRS:
            self._pairs.popitem(last=False)

    def seconds(self, model: str, work_s: float, worker_id: str = "") -> float | None:
        """How long a job should take, on this worker if it is known there; None: never measured."""
        ratio = self._pairs.get((worker_id, model), self._models.get(model))
        return None if ratio is None else ratio * work_s

    def pace(self, worker_id: str, model: str) -> float:
        """A worker's seconds over what is usual for the model; 1 where nothing is known."""
        pair, usual = self._pairs.get((worker_id, model)), self._models.get(model)
        return pair / usual if pair is not None and usual else 1.0


def work_of(job: LiveJob) -> float:
    """The seconds that the catalogue names for a job."""
    project = job.project
    return render_s(job.price_micros, project.token_type, project.network)


def _moved(ratio: float | None, newest: float) -> float:
    return newest if ratio is None else ratio + NEWEST_SHARE * (newest - ratio)
