"""Switches a process's telemetry on, and off again before it ends."""

from __future__ import annotations

import asyncio
import threading

from opentelemetry import trace
from prometheus_client import start_http_server
from prometheus_client.exposition import ThreadingWSGIServer

from malha import __version__
from malha.lean import without
from malha.settings import ServiceSettings
from malha.telemetry.logs import configure

with without("psutil"):  # for facts about the process that no trace here carries
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased

# A full batch each second at several thousand spans a second fits with room to spare.
_SPANS_QUEUED = 16384
_SPANS_A_BATCH = 1024
_BATCH_MS = 500
_LAST_SECONDS = 3.0


def setup(service: str, settings: ServiceSettings) -> None:
    """Configure logs, traces and metrics as ``settings`` say. Call once, first thing."""
    configure(service, settings.log_level)
    resource = Resource({"service.name": f"malha-{service}", "service.version": __version__})
    if settings.otlp_endpoint:
        provider = TracerProvider(
            resource=resource, sampler=ParentBased(TraceIdRatioBased(settings.trace_sampling))
        )
        _export(provider, settings.otlp_endpoint)
    else:
        # Trace ids are still made and passed on, so that callers can quote them; nothing is recorded.
        provider = TracerProvider(resource=resource, sampler=ALWAYS_OFF)
    trace.set_tracer_provider(provider)
    if settings.metrics_listen:
        host, _, port = settings.metrics_listen.rpartition(":")
        # as the service's own port: a successor starts beside this process
        ThreadingWSGIServer.allow_reuse_port = settings.share_ports
        start_http_server(int(port), host)


async def shutdown() -> None:
    """Send what spans are left; a collector that takes none of them is left alone after 3 s. Never raises."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        await asyncio.to_thread(provider.shutdown)


def _export(provider: TracerProvider, endpoint: str) -> None:
    # Imported here: a process without a collector does not pay for the exporter.
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    class Spans(BatchSpanProcessor):
        """Its end comes in time. The SDK's own waits 10 s for each batch that a hanging collector was given,
        and its ``force_flush`` minds no deadline."""

        def shutdown(self) -> None:
            giving_up = threading.Timer(_LAST_SECONDS, exporter.shutdown)  # ends the call under way, too
            giving_up.start()
            try:
                super().shutdown()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped
            finally:
                giving_up.cancel()

    exporter = OTLPSpanExporter(endpoint=endpoint, insecure=True)
    provider.add_span_processor(
        Spans(
            exporter,
            max_queue_size=_SPANS_QUEUED,
            max_export_batch_size=_SPANS_A_BATCH,
            schedule_delay_millis=_BATCH_MS,
        )
    )
