"""Spans, thinly over OpenTelemetry's API: open one, say what it was about, close it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags

from malha.telemetry import names

Kind = Literal["internal", "server", "client", "producer", "consumer"]
_KINDS: dict[Kind, SpanKind] = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
_tracer = trace.get_tracer("malha")


class Span:
    """The span under way."""

    __slots__ = ("_otel",)

    def __init__(self, otel: trace.Span) -> None:
        self._otel = otel

    def set(self, key: str, value: str | int | float | bool) -> None:
        """Set an attribute; ``key`` is a constant of :mod:`malha.telemetry.names`."""
        self._otel.set_attribute(key, value)

    def fail(self, reason: str) -> None:
        """Mark the span as failed for ``reason``."""
        self._otel.set_attribute(names.MALHA_REASON, reason)
        self._otel.set_status(StatusCode.ERROR, reason)


@contextmanager
def span(
    name: str,
    *,
    kind: Kind = "internal",
    attributes: Mapping[str, str | int | float | bool] | None = None,
    parent: str | None = None,
) -> Iterator[Span]:
    """Open a span under the current one, or under a W3C ``parent`` (traceparent) where one is given.

    A malformed parent begins a new trace. An exception that leaves the block is not recorded here:
    its text may hold a caller's words; whoever handles it calls :meth:`Span.fail`.
    """
    context = _remote(parent) if parent else None
    otel = _tracer.start_span(name, context=context, kind=_KINDS[kind], attributes=attributes)
    token = otel_context.attach(trace.set_span_in_context(otel))
    try:
        yield Span(otel)
    finally:
        otel.end()
        otel_context.detach(token)


def traceparent() -> str:
    """The current span as a W3C traceparent; empty outside any span."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def trace_id() -> str:
    """The current trace's id in hex; empty outside any span."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def _remote(traceparent: str) -> otel_context.Context | None:
    parts = traceparent.split("-")
    try:
        _, trace_hex, span_hex, flags = parts
        remote = SpanContext(
            int(trace_hex, 16), int(span_hex, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
        )
    except ValueError:
        return None
    return trace.set_span_in_context(NonRecordingSpan(remote)) if remote.is_valid else None
