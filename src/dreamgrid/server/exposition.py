"""What was counted, in the words of Prometheus. Read when somebody asks, and not before."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dreamgrid.server.measures import Histogram
from dreamgrid.server.release import version
from dreamgrid.server.services import Services

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector

PREFIX = "dreamgrid_"

Labels = tuple[str, ...]


@dataclass
class Relayed:
    """What a node hands on to the one that coordinates.

    Attributes:
        sockets: Of apps and workers, open now.
        requests: So far.
        loop_lag: By how much later than asked its event loop came to something.
    """

    sockets: int = 0
    requests: int = 0
    loop_lag: Histogram = field(default_factory=Histogram)


def exposed(services: Services) -> tuple[bytes, str]:
    """Everything that a server which decides has to tell, and its media type.

    Raises:
        ImportError: prometheus-client is not installed.
    """
    return _written(_Collector(services))


def exposed_relay(relayed: Relayed) -> tuple[bytes, str]:
    """What a node that does not coordinate has to tell, and its media type.

    Raises:
        ImportError: prometheus-client is not installed.
    """
    return _written(_RelayCollector(relayed))


def _written(collector: "Collector") -> tuple[bytes, str]:
    from prometheus_client import (  # noqa: PLC0415 -- an extra
        CONTENT_TYPE_LATEST,
        CollectorRegistry,
        ProcessCollector,
        generate_latest,
    )

    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(collector)
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Collector:
    """Reads the measures of a server."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> "Iterator[Metric]":
        yield from self._lives()
        yield from self._queue()
        yield from self._workers()
        yield from self._health()

    def _lives(self) -> "Iterator[Metric]":
        """What became of jobs, and how long it took."""
        from prometheus_client.core import HistogramMetricFamily  # noqa: PLC0415

        measures = self._services.rendering.measures
        stages = HistogramMetricFamily(
            f"{PREFIX}stage_seconds",
            "Parts of a job's life: submit (request to stored), wait (in line), assign (handed out "
            "to begun), render, upload, settle (reported to charged).",
            labels=("stage",),
        )
        for stage, histogram in measures.stages.items():
            stages.add_metric((stage,), histogram.buckets(), histogram.sum_s)
        yield stages
        yield _counter("jobs_ended", "Jobs that ended.", ("model", "state"), measures.jobs.items())
        yield _counter(
            "attempts_failed",
            "Attempts at jobs that count as failed.",
            ("error",),
            (((error,), count) for error, count in measures.attempts_failed.items()),
        )
        yield _counter(
            "render_seconds",
            "Rendering that was delivered: seconds of GPUs, as workers measured them.",
            ("network", "model"),
            measures.rendered_s.items(),
        )
        yield _counter(
            "model_loads",
            "Jobs that went to a worker which had another model loaded, or none.",
            ("model",),
            (((model,), count) for model, count in measures.model_loads.items()),
        )
        yield _counter(
            "delivered_bytes",
            "Of results that workers delivered.",
            (),
            [((), measures.delivered_bytes)],
        )
        uploads = self._services.uploads
        yield _counter(
            "uploads",
            "Files that came to this server; with S3 they do not.",
            ("outcome",),
            ((("stored" if whole else "given_up",), n) for whole, n in uploads.arrived.items()),
        )
        yield _counter("uploaded_bytes", "Of those.", (), [((), uploads.arrived_bytes)])

    def _queue(self) -> "Iterator[Metric]":
        """What waits, as upkeep saw it last: at most a few seconds ago."""
        queue = self._services.rendering.measures.queue
        yield _gauge("waiting_jobs", "Jobs in line.", ("network", "model"), queue.jobs.items())
        yield _gauge(
            "waiting_projects",
            "Projects in line, by what they wait for: the words of 'dreamgrid explain'.",
            ("standing", "reason"),
            ((_standing(word), count) for word, count in queue.projects.items()),
        )
        oldest_s = 0.0
        if queue.oldest_ms is not None:
            oldest_s = max(0.0, self._services.clock() - queue.oldest_ms / 1000)
        yield _gauge("oldest_wait_seconds", "How long the oldest job waits.", (), [((), oldest_s)])

    def _workers(self) -> "Iterator[Metric]":
        """Who is here."""
        slots: Counter[Labels] = Counter()
        workers: Counter[Labels] = Counter()
        for worker in self._services.workers.all():
            workers[worker.network, "active" if worker.takes_jobs else "resting"] += 1
            slots[worker.network, "busy"] += len(worker.jobs)
            slots[worker.network, "free"] += max(0, worker.free_slots)
        yield _gauge("workers", "Connected workers.", ("network", "state"), workers.items())
        yield _gauge("slots", "Room on them for jobs.", ("network", "state"), slots.items())

    def _health(self) -> "Iterator[Metric]":
        """How this server itself is."""
        services = self._services
        yield from _process(services.rendering.measures.loop_lag, coordinates=True)
        writes, oldest_s = services.store.backlog()
        yield _gauge("store_writes_waiting", "Writes that are not stored.", (), [((), writes)])
        yield _gauge(
            "ledger_lag_seconds", "For how long the oldest of those waits.", (), [((), oldest_s)]
        )
        yield _gauge(
            "unstored_changes",
            "What has happened, such as a finished render, and is not stored: written again and "
            "again.",
            (),
            [((), services.open_projects.unstored)],
        )


class _RelayCollector:
    """Reads what a relaying node has counted."""

    def __init__(self, relayed: Relayed) -> None:
        self._relayed = relayed

    def collect(self) -> "Iterator[Metric]":
        yield from _process(self._relayed.loop_lag, coordinates=False)
        yield _gauge(
            "relayed_sockets",
            "Sockets of apps and workers that this node hands on.",
            (),
            [((), self._relayed.sockets)],
        )
        yield _counter(
            "relayed_requests",
            "Requests that this node handed on.",
            (),
            [((), self._relayed.requests)],
        )


def _process(lag: Histogram, *, coordinates: bool) -> "Iterator[Metric]":
    """What every server has to tell of itself."""
    from prometheus_client.core import HistogramMetricFamily  # noqa: PLC0415

    yield _gauge("info", "Which version serves.", ("version",), [((version(),), 1)])
    yield _gauge(
        "coordinates",
        "1 for the server that decides, 0 for nodes that hand on to it.",
        (),
        [((), float(coordinates))],
    )
    yield HistogramMetricFamily(
        f"{PREFIX}event_loop_lag_seconds",
        "By how much later than asked the event loop comes to something, looked at four times "
        "a second.",
        buckets=lag.buckets(),
        sum_value=lag.sum_s,
    )


def _standing(word: str) -> Labels:
    state, _, reason = word.partition(" ")
    return state, "" if reason == "None" else reason


def _counter(
    name: str, about: str, labels: Labels, values: Iterable[tuple[Labels, float]]
) -> "Metric":
    from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415

    family = CounterMetricFamily(PREFIX + name, about, labels=labels)
    for label, value in values:
        family.add_metric(label, value)
    return family


def _gauge(
    name: str, about: str, labels: Labels, values: Iterable[tuple[Labels, float]]
) -> "Metric":
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

    family = GaugeMetricFamily(PREFIX + name, about, labels=labels)
    for label, value in values:
        family.add_metric(label, value)
    return family
