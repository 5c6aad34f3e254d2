"""No tenant has all the streams."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from malha.errors import ErrorReason, MalhaError
from malha.telemetry import metrics
from malha_gateway.places import Places


def test_a_tenant_beyond_its_places_is_refused_and_told_when_to_come_back_and_another_is_not() -> None:
    places = Places(2)
    refused = metrics.GATEWAY_STREAMS_REFUSED._value.get()
    with ExitStack() as open_streams:
        for _ in range(2):
            open_streams.enter_context(places.taken("acme"))
        with pytest.raises(MalhaError) as told, places.taken("acme"):
            pass
        with places.taken("other"):
            pass
    assert told.value.reason == ErrorReason.ERROR_REASON_RATE_LIMITED
    assert dict(told.value.metadata) == {"limit": "2 at once", "scope": "tenant"}
    assert told.value.retry_after
    assert metrics.GATEWAY_STREAMS_REFUSED._value.get() == refused + 1


def test_a_place_is_free_again_however_its_stream_ends() -> None:
    places = Places(1)
    for failure in (None, MalhaError(ErrorReason.ERROR_REASON_READER_TOO_SLOW, "too slow")):
        with pytest.raises(MalhaError) if failure else ExitStack(), places.taken("acme"):
            if failure:
                raise failure
    with places.taken("acme"):
        pass
