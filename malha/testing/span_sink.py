"""An OTLP collector that keeps what it is sent, so that tests and benchmarks can ask for it.

In a test it runs in the process (:class:`SpanSink`); beside a benchmark it runs as a process of its own
(``python -m malha.testing.span_sink --port-file F --summary-file S``) and writes spans per trace when it
is told to end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

_MESSAGE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """One span as it arrived; ids in hex, ``parent`` empty for a root."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, object] = field(default_factory=dict)
    failed: bool = False


class SpanSink(trace_service_pb2_grpc.TraceServiceServicer):
    """Collects spans; with ``keep=False`` it counts them per trace and forgets the rest."""

    def __init__(self, *, keep: bool = True) -> None:
        self.spans: list[ReceivedSpan] = []
        self.per_trace: Counter[str] = Counter()
        self._keep = keep
        self._arrived = asyncio.Condition()
        self._server = grpc.aio.server(options=(("grpc.max_receive_message_length", _MESSAGE_BYTES),))
        self.endpoint = ""

    async def start(self) -> str:
        """Listen on a free port of loopback; the endpoint to export to."""
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(  # type: ignore[no-untyped-call]  # untyped stubs
            self, self._server
        )
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        return self.endpoint

    async def stop(self) -> None:
        """Stop listening."""
        await self._server.stop(1)

    async def Export(
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: object
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        """Receive a batch."""
        del context
        for resource in request.resource_spans:
            service = next(
                (a.value.string_value for a in resource.resource.attributes if a.key == "service.name"), ""
            )
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.per_trace[span.trace_id.hex()] += 1
                    if self._keep:
                        self.spans.append(_received(service, span))
        async with self._arrived:
            self._arrived.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    async def trace(
        self, trace_id: str, *, names: Iterable[str], timeout: float = 15.0
    ) -> list[ReceivedSpan]:
        """The spans of a trace, once spans of all ``names`` have arrived, as many as are named.

        Raises:
            AssertionError: after ``timeout`` seconds, with the names that are missing.
        """

        wanted = Counter(names)

        def missing() -> Counter[str]:
            return wanted - Counter(s.name for s in self.spans if s.trace == trace_id)

        try:
            async with asyncio.timeout(timeout), self._arrived:
                await self._arrived.wait_for(lambda: not missing())
        except TimeoutError:
            seen = sorted({s.name for s in self.spans if s.trace == trace_id})
            raise AssertionError(f"spans missing: {sorted(missing())}; seen: {seen}") from None
        return [s for s in self.spans if s.trace == trace_id]


def _received(service: str, span: Span) -> ReceivedSpan:
    attributes: dict[str, object] = {}
    for attribute in span.attributes:
        kind = attribute.value.WhichOneof("value")
        attributes[attribute.key] = getattr(attribute.value, kind) if kind else None
    return ReceivedSpan(
        service=service,
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        attributes=attributes,
        failed=span.status.code == Status.STATUS_CODE_ERROR,
    )


async def _collect(port_file: Path) -> Counter[str]:
    sink = SpanSink(keep=False)
    endpoint = await sink.start()
    _write_port(port_file, endpoint.rpartition(":")[2])
    stopping = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopping.set)
    await stopping.wait()
    await sink.stop()
    return sink.per_trace


def _write_port(port_file: Path, port: str) -> None:
    part = port_file.with_suffix(".part")
    part.write_text(port, encoding="utf-8")
    os.replace(part, port_file)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--summary-file", type=Path, required=True)
    arguments = parser.parse_args()
    counts = asyncio.run(_collect(arguments.port_file))
    arguments.summary_file.write_text(json.dumps(counts), encoding="utf-8")
