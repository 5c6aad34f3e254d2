"""The streams: their names, subjects and settings, and the refusal of servers that cannot keep them."""

from __future__ import annotations

import asyncio
import re
import time

import nats.errors
import nats.js.errors
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from malha import errors
from malha.run.nats_journal.connection import Connection

RUNS = "RUNS"
WORK = "WORK"
EVENTS = "EVENTS"
KEYS = "KEYS"

RUN_SUBJECTS = "malha.run.*.*"
WORK_SUBJECTS = "malha.work.*.*"
EVENT_SUBJECTS = "malha.event.>"
KEY_SUBJECTS = "malha.key.*"

_MINIMUM = (2, 12)  # older servers refuse sync_interval; below 2.10.2 the fence lets two writers win
_STREAM_NAME_IN_USE = 10058
_ASK_AGAIN_SECONDS = 0.1
_ANSWER_SECONDS = 2.0  # nodes without a leader do not answer at all
_NEVER = frozenset({10047, 10052})  # no storage for max_bytes; settings that cannot be changed in place


class UnfitServerError(Exception):
    """The nats-server cannot keep the journal's promises; the message says why."""


def work_subject(lane: str, tenant: str) -> str:
    """``malha.work.<class>.<tenant>``; the class with its priority, as ``malha.run.lane_of`` gives it."""
    return f"malha.work.{lane}.{tenant}"


def event_subject(tenant: str, event_type: str) -> str:
    """``malha.event.<tenant>.<type>``; the type may have dots."""
    return f"malha.event.{tenant}.{event_type}"


def key_subject(tenant: str) -> str:
    """``malha.key.<tenant>``."""
    return f"malha.key.{tenant}"


def refuse_unfit(version: str) -> None:
    """Raise UnfitServerError for a server version such as "2.9.10" that is older than 2.12."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < _MINIMUM:
        raise UnfitServerError(
            f"nats-server {version or 'of unknown version'} cannot hold the journal: 2.12 or newer is needed"
        )


_NEVER_REACHED = 1 << 40
"""Of messages a subject. A stream with such a limit is written in blocks of 4 MB in place of 8, and
nats-server keeps the block it writes in memory (server/stream.go, autoTuneFileStorageBlockSize)."""


def stream_configs(*, replicas: int = 1, max_bytes: int = 4 << 30) -> list[StreamConfig]:
    """The four streams.

    Args:
        replicas: 1 on one machine, 3 in a cluster.
        max_bytes: room for RUNS. The server sets it aside; a full stream refuses appends, it drops nothing.
    """

    # A journal that drops its oldest, or lets a replica answer from behind, would break acknowledged
    # promises: so discard=new, no age, and no direct reads.
    def kept(name: str, subjects: str, **more: object) -> StreamConfig:
        return StreamConfig(
            name=name,
            subjects=[subjects],
            storage=StorageType.FILE,
            num_replicas=replicas,
            allow_direct=False,
            **{"retention": RetentionPolicy.LIMITS, "discard": DiscardPolicy.NEW, "max_age": 0.0, **more},  # type: ignore[arg-type] # each key is a field of its type
        )

    return [
        kept(RUNS, RUN_SUBJECTS, max_bytes=max_bytes, max_msg_size=900 * 1024),
        kept(
            WORK,
            WORK_SUBJECTS,
            retention=RetentionPolicy.WORK_QUEUE,
            max_msg_size=4 * 1024,
            duplicate_window=120.0,
        ),
        kept(
            EVENTS,
            EVENT_SUBJECTS,
            discard=DiscardPolicy.OLD,
            max_age=7 * 24 * 3600.0,
            max_msgs_per_subject=_NEVER_REACHED,
        ),
        kept(KEYS, KEY_SUBJECTS, max_msg_size=4 * 1024),
    ]


async def ensure_streams(
    connection: Connection, *, replicas: int = 1, max_bytes: int = 4 << 30, patience: float = 10.0
) -> None:
    """Create the four streams or bring their settings up to date. Any number of services may do so at once.

    Args:
        patience: seconds in which nodes that have just started may find one another and choose who leads.

    Raises:
        UnfitServerError: nats-server is older than 2.12, has too little disk, or a stream cannot be changed.
        MalhaError: DEPENDENCY_UNAVAILABLE.
    """
    refuse_unfit(str(connection.nc.connected_server_version).removeprefix("<nats server v").rstrip(">"))
    deadline = time.monotonic() + patience
    for config in stream_configs(replicas=replicas, max_bytes=max_bytes):
        while True:
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await _ensure(connection, config)
                break
            except (nats.errors.Error, TimeoutError, OSError) as error:
                if replicas == 1 or time.monotonic() > deadline:
                    raise errors.unavailable("nats") from error
                await asyncio.sleep(_ASK_AGAIN_SECONDS)


async def _ensure(connection: Connection, config: StreamConfig) -> None:
    try:
        await connection.js.add_stream(config)
    except nats.js.errors.APIError as error:
        if error.err_code != _STREAM_NAME_IN_USE:
            raise _judged(error, config) from error
        try:
            await connection.js.update_stream(config)
        except nats.js.errors.APIError as refusal:
            raise _judged(refusal, config) from refusal


def _judged(error: nats.js.errors.APIError, config: StreamConfig) -> Exception:
    """A refusal that waiting will not cure, in our words; any other as it is."""
    if error.err_code in _NEVER:
        return UnfitServerError(f"nats-server refuses the stream {config.name}: {error.description}")
    return error
