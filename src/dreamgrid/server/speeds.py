"""How fast workers really are: seconds of rendering over the seconds that the catalogue names.

A ratio of 2 means that jobs of a model take twice as long as its benchmark says for their size and
steps; so what was measured with small pictures holds for large ones. Newer renders count more.
What is usual for a model is the median of its workers: one that measures wrongly, or lies, moves
the others' figure little, however often it reports.
Kept in memory only: after a restart nothing is known until the first render.
"""

import math
from bisect import bisect_left, insort
from collections import OrderedDict

from dreamgrid.server.live import LiveJob
from dreamgrid.server.pricing import render_s

NEWEST_SHARE = 0.25
"""How much the newest render moves a ratio."""

LEAST_SHARE = 0.25
"""Least part of the time from `started` to `finished` that counts as rendering; the upload comes
after it."""

MAX_PAIRS = 20_000
"""Most pairs of worker and model that are remembered; the ones not heard of for longest go."""


class Speeds:
    """Measured ratios, per model and per worker and model."""

    def __init__(self) -> None:
        self._pairs: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._models: dict[str, list[float]] = {}  # the ratios of its workers, in order

    def learn(self, job: LiveJob, took_s: float, now_ms: int) -> float:
        """A job is rendered; the pace of its worker, as it is known now.

        Args:
            job: Which one.
            took_s: What its worker says; of the time that passed no more is believed, and, once it
                said that it began, not much less. Of a job that was given away before the server
                began, and did not start, nothing is known.
            now_ms: The time.
        """
        model = job.render.model
        if job.started_ms is not None:
            passed_s = (now_ms - job.started_ms) / 1000
            took_s = min(max(took_s, LEAST_SHARE * passed_s), passed_s)
        elif job.choice is not None:
            given_ms = job.waits_since_ms + job.choice.waited_ms
            took_s = min(took_s, (now_ms - given_ms) / 1000)
        else:
            return self.pace(job.worker_id, model)
        self.observe(job.worker_id, model, work_s=work_of(job), took_s=took_s)
        return self.pace(job.worker_id, model)

    def observe(self, worker_id: str, model: str, *, work_s: float, took_s: float) -> None:
        """A render is done: the catalogue expects `work_s` for it, and it took `took_s`."""
        ratio = took_s / work_s if work_s > 0 else 0.0
        if not (ratio > 0 and math.isfinite(ratio)):
            return
        pair = (worker_id, model)
        before = self._pairs.get(pair)
        if before is not None:
            self._forget(model, before)
        self._pairs[pair] = after = _moved(before, ratio)
        insort(self._models.setdefault(model, []), after)
        self._pairs.move_to_end(pair)
        if len(self._pairs) > MAX_PAIRS:
            (_, oldest_model), oldest = self._pairs.popitem(last=False)
            self._forget(oldest_model, oldest)

    def _forget(self, model: str, ratio: float) -> None:
        ratios = self._models[model]
        del ratios[bisect_left(ratios, ratio)]
        if not ratios:
            del self._models[model]

    def _usual(self, model: str) -> float | None:
        ratios = self._models.get(model)
        if ratios is None:
            return None
        return (ratios[(len(ratios) - 1) // 2] + ratios[len(ratios) // 2]) / 2

    def seconds(self, model: str, work_s: float, worker_id: str = "") -> float | None:
        """How long a job should take, on this worker if it is known there; None: never measured."""
        ratio = self._pairs.get((worker_id, model)) or self._usual(model)
        return None if ratio is None else ratio * work_s

    def pace(self, worker_id: str, model: str) -> float:
        """A worker's seconds over what is usual for the model; 1 where nothing is known."""
        pair, usual = self._pairs.get((worker_id, model)), self._usual(model)
        return pair / usual if pair is not None and usual is not None else 1.0


def work_of(job: LiveJob) -> float:
    """The seconds that the catalogue names for a job."""
    project = job.project
    return render_s(job.price_micros, project.token_type, project.network)


def _moved(ratio: float | None, newest: float) -> float:
    return newest if ratio is None else ratio + NEWEST_SHARE * (newest - ratio)
