"""How fast workers really are: seconds of rendering over the seconds that the catalogue names.

A ratio of 2 means that jobs of a model take twice as long as its benchmark says for their size and
steps; so what was measured with small pictures holds for large ones. Newer renders count more.
What is usual for a model is the median of its workers: one that measures wrongly, or lies, moves
the others' figure little, however often it reports.

What a worker says of itself in its hello is a claim, and a claim may be a lie. It stands in only
until the first job of that worker and model; it never counts as usual where any worker was
measured, never lengthens what a render may take, and never brings a worker more jobs than it would
get without: to be slower than others is believed, to be quicker has to be shown.

Shown is what the server's own clock has seen: of a job for the model that was loaded already, no
quicker than a part of the time that the worker had it, divided by what it delivered in that time.
What a worker says of any other job may hide behind the loading of a model, or behind a `started`
that never came: where it would make the worker quicker than usual it is a claim.
Kept in memory only: after a restart nothing is known until workers say hello or render.
"""

import math
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from dreamgrid.protocol.params import Network
from dreamgrid.server.catalog import EVEN
from dreamgrid.server.live import LiveJob
from dreamgrid.server.pricing import render_s

NEWEST_SHARE = 0.25
"""How much the newest render moves a ratio."""

LEAST_SHARE = 0.25
"""Least part of the time that a worker had a job, and of that from `started` to `finished`, that
counts as rendering; inputs are fetched before it, and the upload comes after it."""

MOST_APART = 10.0
"""A claim counts as at most so many times quicker or slower than what was measured of others."""

MAX_PAIRS = 20_000
"""Most pairs of worker and model that are remembered; the ones not heard of for longest go."""


class Speeds:
    """Ratios per model, and per worker and model: measured, and claimed.

    Args:
        network_permille: Thousandths of the prices that each network charges: a job's price tells
            how much work it is.
    """

    def __init__(self, network_permille: Mapping[Network, int] = EVEN) -> None:
        self._network_permille = network_permille
        self._measured = _Ratios()
        self._claimed = _Ratios()

    def learn(self, job: LiveJob, took_s: float, now_ms: int, *, turns: int = 1) -> float:
        """A job is rendered; the pace of its worker, as it is known now.

        Of a job that was given away before the server began nothing is known.

        Args:
            job: Which one.
            took_s: What its worker says; of the time that passed no more is believed, and not much
                less.
            now_ms: The time.
            turns: How many jobs its worker delivered since it was given this one, with it.
        """
        worker_id, model, work_s = job.worker_id, job.render.model, self.work_s(job)
        if job.choice is None:
            return self.pace(worker_id, model)
        had_s = (now_ms - job.waits_since_ms - job.choice.waited_ms) / 1000
        passed_s = had_s if job.started_ms is None else (now_ms - job.started_ms) / 1000
        took_s = max(min(took_s, passed_s), LEAST_SHARE * passed_s)
        if job.started_ms is not None and job.choice.loaded:
            took_s = max(took_s, LEAST_SHARE * had_s / turns)
            self.observe(worker_id, model, work_s=work_s, took_s=took_s)
            return self.pace(worker_id, model)
        usual = self._measured.usual(model)
        least_s = (usual or 1.0) * work_s
        if took_s >= least_s or self._measured.of(worker_id, model) is not None:
            self.observe(worker_id, model, work_s=work_s, took_s=max(took_s, least_s))
        else:
            self.claim(worker_id, model, work_s=work_s, took_s=took_s)
        return self.pace(worker_id, model)

    def work_s(self, job: LiveJob) -> float:
        """The seconds that the catalogue names for a job."""
        project = job.project
        permille = self._network_permille[project.network]
        return render_s(job.price_micros, project.token_type, permille)

    def observe(self, worker_id: str, model: str, *, work_s: float, took_s: float) -> None:
        """A render is done: the catalogue expects `work_s` for it, and it took `took_s`."""
        ratio = _ratio(work_s, took_s)
        if ratio is not None:
            before = self._measured.of(worker_id, model)
            self._measured.note(worker_id, model, _moved(before, ratio))

    def claim(self, worker_id: str, model: str, *, work_s: float, took_s: float) -> None:
        """A worker says that it took `took_s` for what the catalogue expects `work_s` for."""
        ratio = _ratio(work_s, took_s)
        if ratio is not None:
            self._claimed.note(worker_id, model, ratio)

    def seconds(self, model: str, work_s: float, worker_id: str = "") -> float | None:
        """How long a job should take, on this worker if it is known there; None: nobody knows."""
        ratio = (
            self._measured.of(worker_id, model)
            or self._claim_beside_others(worker_id, model)
            or self._measured.usual(model)
            or self._claimed.usual(model)
        )
        return None if ratio is None else ratio * work_s

    def measured_s(self, model: str, work_s: float, worker_id: str) -> float | None:
        """The same, whatever workers say of themselves; None: never measured."""
        ratio = self._measured.of(worker_id, model) or self._measured.usual(model)
        return None if ratio is None else ratio * work_s

    def pace(self, worker_id: str, model: str) -> float:
        """A worker's seconds over what is usual for the model; 1 where nothing is known."""
        measured, usual = self._measured.of(worker_id, model), self._measured.usual(model)
        if measured is not None and usual is not None:
            return measured / usual
        claimed = self._claim_beside_others(worker_id, model)
        # Where nobody was measured, the catalogue's seconds are what claims are compared by.
        return 1.0 if claimed is None else max(1.0, claimed / (usual or 1.0))

    def paces(self, worker_id: str, models: Iterable[str]) -> dict[str, float]:
        """A worker's pace for each of these models of which something is known."""
        ratios = (self._measured, self._claimed)
        return {
            model: self.pace(worker_id, model)
            for model in models
            if any(one.of(worker_id, model) is not None for one in ratios)
        }

    def _claim_beside_others(self, worker_id: str, model: str) -> float | None:
        claimed, usual = self._claimed.of(worker_id, model), self._measured.usual(model)
        if claimed is None or usual is None:
            return claimed
        return min(max(claimed, usual / MOST_APART), usual * MOST_APART)


class _Ratios:
    """One ratio for each pair of worker and model, and the median of each model's."""

    def __init__(self) -> None:
        self._pairs: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._models: dict[str, list[float]] = {}  # the ratios of its workers, in order

    def of(self, worker_id: str, model: str) -> float | None:
        return self._pairs.get((worker_id, model))

    def note(self, worker_id: str, model: str, ratio: float) -> None:
        pair = (worker_id, model)
        before = self._pairs.get(pair)
        if before is not None:
            self._forget(model, before)
        self._pairs[pair] = ratio
        insort(self._models.setdefault(model, []), ratio)
        self._pairs.move_to_end(pair)
        if len(self._pairs) > MAX_PAIRS:
            (_, oldest_model), oldest = self._pairs.popitem(last=False)
            self._forget(oldest_model, oldest)

    def usual(self, model: str) -> float | None:
        ratios = self._models.get(model)
        if ratios is None:
            return None
        return (ratios[(len(ratios) - 1) // 2] + ratios[len(ratios) // 2]) / 2

    def _forget(self, model: str, ratio: float) -> None:
        ratios = self._models[model]
        del ratios[bisect_left(ratios, ratio)]
        if not ratios:
            del self._models[model]


def _ratio(work_s: float, took_s: float) -> float | None:
    ratio = took_s / work_s if work_s > 0 else 0.0
    return ratio if ratio > 0 and math.isfinite(ratio) else None


def _moved(ratio: float | None, newest: float) -> float:
    return newest if ratio is None else ratio + NEWEST_SHARE * (newest - ratio)
