"""Erasing what the streams hold of a run: records, events, and hints that were taken."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Sequence
from typing import Any

import nats.errors
import orjson

from malha import errors
from malha.run import Position, parse_position
from malha.run.nats_journal import EVENT_SUBJECTS, EVENTS, RUNS, WORK, Connection, overwrite
from malha_planner.adapters.event_stream import POSITION

_SECONDS = 5.0
_AT_ONCE = 16


class NatsStreams:
    """`malha_planner.ports.Streams` on NATS."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def erase_records(self, sequences: Sequence[int]) -> None:
        # a journal without its beginning is none, however much of it is left; and whoever has read the
        # beginning already finds by the end's absence that some may be missing (malha.run.archive)
        await self._erase(RUNS, sequences[:1])
        await self._erase(RUNS, sequences[1:][-1:])
        await self._erase(RUNS, sequences[1:-1])

    async def erase_events(self, sequences: Sequence[int]) -> None:
        info = await self._ask(f"STREAM.INFO.{EVENTS}", {})
        first, last = info["state"]["first_seq"], info["state"]["last_seq"]
        found: list[int] = []
        for sequence in sequences:
            event = await self._next(await self._begin(Position(sequence, 0), first, last))
            while event is not None and event[1].sequence == sequence:
                found.append(event[0])
                event = await self._next(event[0] + 1)
        await self._erase(EVENTS, found)

    async def holds(self, sequence: int) -> bool:
        return "message" in await self._ask(f"STREAM.MSG.GET.{RUNS}", {"seq": sequence})

    async def clear_queue(self) -> bool:
        info = await self._ask(f"STREAM.INFO.{WORK}", {})
        state = info["state"]
        if state["messages"]:
            return False
        # by sequence, so that a hint which arrives meanwhile stays; an empty stream drops its files
        await self._ask(f"STREAM.PURGE.{WORK}", {"seq": state["last_seq"] + 1})
        return True

    async def _begin(self, position: Position, first: int, last: int) -> int:
        """The place of the first event at or after a position: events stand in the order of positions."""
        low, high = first, last + 1
        while low < high:
            middle = (low + high) // 2
            event = await self._next(middle)
            if event is None or event[1] >= position:
                high = middle
            else:
                low = event[0] + 1
        return low

    async def _next(self, place: int) -> tuple[int, Position] | None:
        """(place, position) of the first event at or after a place; None where none follows."""
        question = {"seq": place, "next_by_subj": EVENT_SUBJECTS}
        while message := (await self._ask(f"STREAM.MSG.GET.{EVENTS}", question)).get("message"):
            if (position := _position(message)) is not None:
                return message["seq"], position
            question["seq"] = message["seq"] + 1  # no follower announced it
        return None

    async def _erase(self, stream: str, sequences: Sequence[int]) -> None:
        for start in range(0, len(sequences), _AT_ONCE):
            batch = sequences[start : start + _AT_ONCE]
            await asyncio.gather(*(overwrite(self._connection, stream, sequence) for sequence in batch))

    async def _ask(self, verb: str, question: dict[str, Any]) -> dict[str, Any]:
        try:
            reply = await self._connection.request(
                f"$JS.API.{verb}", orjson.dumps(question), timeout=_SECONDS
            )
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise errors.unavailable("nats") from error
        answer: dict[str, Any] = orjson.loads(reply.data)
        return answer


def _position(message: dict[str, Any]) -> Position | None:
    for line in b64decode(message.get("hdrs", "")).decode().split("\r\n"):
        name, _, value = line.partition(": ")
        if name == POSITION:
            return parse_position(value)
    return None
