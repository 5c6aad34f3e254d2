"""Deleting a message so that its bytes are overwritten on disk.

A purge is no such thing: it leaves the bytes in the block's file until the block is written anew. One
message costs 1.5 ms, for it is flushed.
"""

from __future__ import annotations

from typing import Any

import nats.errors
import orjson

from malha import errors
from malha.run.nats_journal.connection import Connection

_SECONDS = 5.0
_NO_MESSAGE = 10037


async def overwrite(connection: Connection, stream: str, sequence: int) -> None:
    """Delete the message and its bytes; one that is gone already stays so.

    Raises MalhaError DEPENDENCY_UNAVAILABLE: it may or may not be gone.
    """
    # "no_erase" is what this is about: left out, the message's place is filled with chance
    refusal = await _ask(connection, f"STREAM.MSG.DELETE.{stream}", sequence)
    if refusal is None:
        return
    # the refusal of a message that is not there has one of several codes, one of them for any failure
    look = await _ask(connection, f"STREAM.MSG.GET.{stream}", sequence)
    if look is None or look.get("err_code") != _NO_MESSAGE:
        raise errors.unavailable("nats")


async def _ask(connection: Connection, verb: str, sequence: int) -> dict[str, Any] | None:
    """The refusal, if it is one."""
    try:
        reply = await connection.request(f"$JS.API.{verb}", orjson.dumps({"seq": sequence}), timeout=_SECONDS)
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise errors.unavailable("nats") from error
    refusal: dict[str, Any] | None = orjson.loads(reply.data).get("error")
    return refusal
