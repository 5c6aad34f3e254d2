"""JSON logs, a line each, with trace, run and hashed tenant on every line that has them."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any

import orjson

from malha.lean import without
from malha.telemetry.traces import trace_id

with without("rich"):
    import structlog
    from structlog.stdlib import ProcessorFormatter

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def configure(service: str, level: str) -> None:
    """Send every log line of this process to stderr as JSON, from ``level`` up; of the libraries' lines,
    warnings and errors."""
    structlog.configure(
        processors=[*_common(service), _rendered],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    of_libraries = logging.StreamHandler(sys.stderr)
    of_libraries.setFormatter(foreign(service))
    logging.basicConfig(handlers=[of_libraries], level=logging.WARNING)


def foreign(service: str) -> logging.Formatter:
    """Makes lines like ours of what libraries log."""
    return ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *_common(service)],
        processors=[ProcessorFormatter.remove_processors_meta, _rendered],
    )


def _common(service: str) -> list[structlog.typing.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        _with_trace,
        _with_hashed_tenant,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _constant("service", service),
    ]


@lru_cache(4096)
def hashed(tenant: str) -> str:
    """A tenant's name as it may stand in logs and traces: stable, short, not reversible by reading."""
    return hashlib.sha256(b"malha-tenant:" + tenant.encode()).hexdigest()[:12]


def _dumps(event: Mapping[str, Any], **_: object) -> str:
    try:
        return orjson.dumps(event, default=str).decode()
    except TypeError:  # half a surrogate pair, a number beyond 64 bits, a key that is no text
        return json.dumps(event, default=str, skipkeys=True)


_rendered = structlog.processors.JSONRenderer(serializer=_dumps)


def _with_trace(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if trace := trace_id():
        event["trace"] = trace
    return event


def _with_hashed_tenant(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if "tenant" in event:
        event["tenant"] = hashed(str(event["tenant"]))
    return event


def _constant(key: str, value: str) -> Callable[..., MutableMapping[str, Any]]:
    def add(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event[key] = value
        return event

    return add
