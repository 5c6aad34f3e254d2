"""Traces, metrics and logs: what an operator reads at three in the morning.

One span per served call and per step, by our own hand rather than by instrumentation of every client
(two thirds cheaper, see the decision record on telemetry). The trace goes on across gRPC by the
``traceparent`` metadata and across NATS by the traceparent kept in the run's ``Accepted`` record.
Losing telemetry never fails a call.
"""

from malha.telemetry import metrics, names
from malha.telemetry.logs import log
from malha.telemetry.setup import setup, shutdown
from malha.telemetry.traces import Span, span, trace_id, traceparent

__all__ = [
    "Span",
    "log",
    "metrics",
    "names",
    "setup",
    "shutdown",
    "span",
    "trace_id",
    "traceparent",
]
