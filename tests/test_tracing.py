"""A trace of one project, told by three processes to a real receiver."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import dreamgrid
from dreamgrid import tracing
from dreamgrid.errors import ConfigError
from tests.cli.processes import running

Told = list[tuple[str, Span]]
"""Spans, each with whose it is."""


@contextmanager
def receiver() -> Iterator[tuple[str, Told]]:
    """The address of a receiver, and what it was told."""
    told: Told = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                (service,) = (
                    one.value.string_value
                    for one in resource.resource.attributes
                    if one.key == "service.name"
                )
                for scope in resource.scope_spans:
                    told.extend((service, span) for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def fresh() -> Iterator[None]:
    """Tracers are made anew, before and after."""
    tracing.tracer.cache_clear()
    yield
    tracing.tracer.cache_clear()


WISH: dict[str, Any] = {"model": "pattern-v1", "prompt": "a red apple", "steps": 3}


async def asked(url: str, key: str) -> str:
    """The id of a project that was delivered."""
    async with dreamgrid.AsyncClient(url, key) as client:
        project = await client.projects.create(**WISH)
        await project.wait(timeout_s=60)
        return project.id


def asked_in_a_trace(url: str, key: str, *, sampled: bool) -> trace.SpanContext:
    """The span of its own in which an app had a project made; awaits nothing."""
    flags = trace.TraceFlags(int(sampled))
    around = trace.SpanContext(
        2**127 + sampled, 2**63 + sampled, is_remote=False, trace_flags=flags
    )
    with trace.use_span(trace.NonRecordingSpan(around)), dreamgrid.Client(url, key) as client:
        client.projects.create(**WISH).wait(timeout_s=60)
    return around


@pytest.mark.usefixtures("fresh")
def test_app_server_and_worker_tell_one_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver() as (endpoint, told):
        asks = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        with (
            running(
                "serve", "--json", "--port", "0", data=tmp_path / "data", environment=asks
            ) as server,
            running(
                *("work", "--json", "--model", "pattern-v1"),
                data=tmp_path / "work",
                environment=asks | server.environment,
            ) as worker,
        ):
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
            grid = server.ready["url"], server.ready["api_key"]
            project_id = asyncio.run(asked(*grid))
            around = asked_in_a_trace(*grid, sampled=True)
            asked_in_a_trace(*grid, sampled=False)
            for process in (worker, server):
                assert process.stop(signal.SIGTERM)[0] == 0  # what was not sent yet is sent
        ours = tracing.tracer("dreamgrid-client")
        assert ours is not None
        ours.close()
    traces = {UUID(project_id).bytes: "", around.trace_id.to_bytes(16, "big"): "the app's own"}
    assert {span.trace_id for _, span in told} == traces.keys(), "what is not sampled is not told"
    for trace_id, outermost in traces.items():
        within = [(service, span) for service, span in told if span.trace_id == trace_id]
        assert_whole(within, {b"": "", around.span_id.to_bytes(8, "big"): outermost}, outermost)


def assert_whole(told: Told, around: dict[bytes, str], outermost: str) -> None:
    """Everybody told their part of one project, each where it belongs."""
    spans = {span.span_id: span for _, span in told}
    services = {"dreamgrid-client", "dreamgrid-server", "dreamgrid-worker"}
    assert {service for service, _ in told} == services
    names = around | {span_id: span.name for span_id, span in spans.items()}
    tree = {(span.name, names[span.parent_span_id]) for span in spans.values()}
    assert tree == {
        ("project pattern-v1", outermost),
        ("ask and wait", "project pattern-v1"),
        ("job 1", "project pattern-v1"),
        *((part, "job 1") for part in ("wait", "assign", "settle", "attempt 1")),
        *((f"step {step} of 3", "attempt 1") for step in (1, 2, 3)),
        *((part, "attempt 1") for part in ("inputs", "wait for the engine", "load", "encode")),
        ("upload", "attempt 1"),
    }
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in spans.values())


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "nonsense",
        f"00-{'0' * 32}-{'b' * 16}-01",
        f"00-{'a' * 32}-{'0' * 16}-01",
        f"ff-{'a' * 32}-{'b' * 16}-01",
        f"00-{'A' * 32}-{'b' * 16}-01",
        f"00-{'a' * 32}-{'b' * 16}",
    ],
)
def test_a_trace_that_cannot_be_read_is_none(traceparent: str) -> None:
    exporter = InMemorySpanExporter()
    told = tracing.Tracer("x", exporter)
    told.span("x", "not a uuid", 1.0, 2.0, about="x", within=None, traceparent=traceparent)
    told.span("y", "not a uuid", 1.0, 2.0, about="y", within=None)
    told.close()
    one, two = exporter.get_finished_spans()
    assert (one.parent, one.context.trace_id) == (None, two.context.trace_id)


def test_later_versions_of_the_header_are_read_as_far_as_they_are_known() -> None:
    exporter = InMemorySpanExporter()
    told = tracing.Tracer("x", exporter)
    said = f"01-{'a' * 32}-{'b' * 16}-03-more"
    told.span("x", "p", 1.0, 2.0, about="x", within=None, traceparent=said)
    told.close()
    (span,) = exporter.get_finished_spans()
    assert span.parent is not None
    assert f"{span.context.trace_id:x} {span.parent.span_id:x}" == f"{'a' * 32} {'b' * 16}"


def test_nothing_is_loaded_where_nobody_asks_for_traces() -> None:
    code = (
        "import sys, dreamgrid.client.aio, dreamgrid.server.app, dreamgrid.worker.worker;"
        "from dreamgrid.tracing import current, tracer; assert tracer('x') is current() is None;"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=kept).returncode == 0


@pytest.mark.usefixtures("fresh")
def test_who_asks_for_traces_without_the_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigError, match=r"'\.\[otel\]'"):
        tracing.tracer("dreamgrid-server")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert tracing.tracer("dreamgrid-server") is None
