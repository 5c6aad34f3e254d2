"""A collector that is away or hangs costs spans, and never holds a process up."""

from __future__ import annotations

import importlib
import socket
import time

import pytest
from opentelemetry.sdk.trace import TracerProvider

setup = importlib.import_module("malha.telemetry.setup")  # the package has a function of that name


@pytest.mark.parametrize("backlog", [None, 8], ids=["refuses", "accepts and says nothing"])
def test_a_collector_that_takes_nothing_delays_no_end(
    backlog: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "_LAST_SECONDS", 0.2)
    with socket.socket() as collector:
        collector.bind(("127.0.0.1", 0))
        if backlog is not None:
            collector.listen(backlog)
        provider = TracerProvider(shutdown_on_exit=False)
        setup._export(provider, f"http://127.0.0.1:{collector.getsockname()[1]}")
        for _ in range(3 * setup._SPANS_A_BATCH):
            provider.get_tracer("test").start_span("work").end()
        began = time.monotonic()
        provider.shutdown()
        assert time.monotonic() - began < 5.0
