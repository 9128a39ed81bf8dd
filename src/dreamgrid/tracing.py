"""Traces of projects for OpenTelemetry, where its variables ask for them; else nothing is loaded.

The id of a trace is the id of its project, and ids of spans follow from what they are about: so
app, server and worker add to one trace without a word to each other, and a span may be told after
those below it. An app that is in the middle of a trace of its own says which, as W3C Trace Context
writes it (`traceparent`): then the project belongs to that one.
"""

import os
import re
import sys
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

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
_SAMPLED = 1


def of_project(project_id: str) -> str:
    """What a project's own span is about: the root of its trace."""
    return f"project {project_id}"


def of_job(job_id: str) -> str:
    """What a job's span is about."""
    return f"job {job_id}"


def current() -> str | None:
    """The `traceparent` of what the caller does in this moment; None: it is in no trace.

    Loads nothing: who has not loaded OpenTelemetry is in none.
    """
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import trace  # noqa: PLC0415

    around = trace.get_current_span().get_span_context()
    if not around.is_valid:
        return None
    return f"00-{around.trace_id:032x}-{around.span_id:016x}-{around.trace_flags:02x}"


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
        traceparent: str = "",
        attributes: Attributes | None = None,
    ) -> None:
        """Tells a span that is over, unless it belongs to a trace that is not sampled.

        Args:
            name: What was done.
            project_id: The trace that it belongs to.
            began_s: Seconds since 1970.
            ended_s: Seconds since 1970.
            about: Tells it from every other span of the trace.
            within: What the span around it is about. None: it is the project's own.
            traceparent: The trace around the project, as the app said; empty, or none that can be
                read: the project is a trace of its own.
            attributes: What else there is to know.
        """
        from opentelemetry import trace  # noqa: PLC0415

        context = trace.set_span_in_context(trace.INVALID_SPAN)
        said = _TRACEPARENT.fullmatch(traceparent)
        if said is not None and not int(said[3], 16) & _SAMPLED:
            return
        self._ids.trace = _trace_id(project_id) if said is None else int(said[1], 16)
        self._ids.span = _span_id(about)
        around_id = None if said is None else int(said[2], 16)
        if within is not None:
            around_id = _span_id(within)
        if around_id is not None:
            around = trace.SpanContext(
                trace_id=self._ids.trace,
                span_id=around_id,
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
