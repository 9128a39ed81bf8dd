"""Traces of projects for OpenTelemetry, where its variables ask for them; else nothing is loaded.

No message carries anything for it. The id of a trace is the id of its project, and ids of spans
follow from what they are about: so app, server and worker add to one trace without a word to each
other, and a span may be told after those below it.
"""

import os
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING
from uuid import UUID

from dreamgrid.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Where spans go; one of these variables turns traces on."""

Attributes = Mapping[str, str | int | float]


def of_project(project_id: str) -> str:
    """What a project's own span is about: the root of its trace."""
    return f"project {project_id}"


def of_job(job_id: str) -> str:
    """What a job's span is about."""
    return f"job {job_id}"


class Tracer:
    """Tells spans.

    Args:
        service: Whose they are, such as `dreamgrid-server`.
        exporter: Where they go. None: to the endpoint that the environment names.
    """

    def __init__(self, service: str, exporter: "SpanExporter | None" = None) -> None:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 -- the extra `otel`
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        if exporter is None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
                OTLPSpanExporter,
            )

            exporter = OTLPSpanExporter()
        self._ids = _Ids()
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": service}),
            id_generator=self._ids,  # type: ignore[arg-type]
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("dreamgrid")

    def span(
        self,
        name: str,
        project_id: str,
        began_s: float,
        ended_s: float,
        *,
        about: str,
        within: str | None,
        attributes: Attributes | None = None,
    ) -> None:
        """Tells a span that is over.

        Args:
            name: What was done.
            project_id: The trace that it belongs to.
            began_s: Seconds since 1970.
            ended_s: Seconds since 1970.
            about: Tells it from every other span of the trace.
            within: What the span around it is about. None: it is the root.
            attributes: What else there is to know.
        """
        from opentelemetry import trace  # noqa: PLC0415

        context = trace.set_span_in_context(trace.INVALID_SPAN)
        self._ids.trace, self._ids.span = _trace_id(project_id), _span_id(about)
        if within is not None:
            around = trace.SpanContext(
                trace_id=self._ids.trace,
                span_id=_span_id(within),
                is_remote=True,
                trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
            )
            context = trace.set_span_in_context(trace.NonRecordingSpan(around))
        told = {"dreamgrid.project_id": project_id, **(attributes or {})}
        span = self._tracer.start_span(
            name, context=context, start_time=int(began_s * 1e9), attributes=told
        )
        span.end(end_time=int(max(began_s, ended_s) * 1e9))

    def close(self) -> None:
        """Sends what was told so far; the end of the process does it as well."""
        self._provider.shutdown()


class _Ids:
    """Gives each span the ids that it was told before."""

    def __init__(self) -> None:
        self.trace = 0
        self.span = 0

    def generate_trace_id(self) -> int:
        return self.trace

    def generate_span_id(self) -> int:
        return self.span

    def is_trace_id_random(self) -> bool:
        return False


@lru_cache
def tracer(service: str) -> Tracer | None:
    """The tracer of a part of dreamgrid in this process. None: nobody asked for traces.

    Raises:
        ConfigError: They are asked for, and the extra `otel` is missing.
    """
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if off or not any(os.environ.get(name) for name in ENDPOINTS):
        return None
    try:
        return Tracer(service)
    except ImportError as error:
        raise ConfigError(
            f"{' and '.join(name for name in ENDPOINTS if os.environ.get(name))} asks for traces, "
            f"which need the extra 'otel' ({error}): pip install -e '.[otel]' in the clone"
        ) from None


def _trace_id(project_id: str) -> int:
    try:
        return UUID(project_id).int
    except ValueError:
        return int.from_bytes(blake2b(project_id.encode(), digest_size=16).digest(), "big")


def _span_id(about: str) -> int:
    return int.from_bytes(blake2b(about.encode(), digest_size=8).digest(), "big")
