"""The stream EVENTS: published in order, behind a fence that lets one follower lead."""

from __future__ import annotations

from collections.abc import Sequence

import nats.errors
import nats.js.errors

from malha import errors
from malha.run import Position, parse_position
from malha.run.nats_journal import EVENTS, Connection, event_subject
from malha_planner.adapters.pipeline import Outgoing, Pipeline
from malha_planner.ports import Announcement, Overtaken

_FENCE = "Nats-Expected-Last-Sequence"
POSITION = "Malha-Position"
_WRONG_LAST_SEQUENCE = 10071
_SLICE = 512


class NatsAnnouncer:
    """`malha_planner.ports.Announcer` on NATS."""

    def __init__(self, connection: Connection, pipeline: Pipeline) -> None:
        self._connection = connection
        self._pipeline = pipeline

    async def last(self) -> tuple[int, Position]:
        try:
            state = (await self._connection.js.stream_info(EVENTS)).state
            return state.last_seq, await self._announced(state.first_seq, state.last_seq)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise errors.unavailable("nats") from error

    async def _announced(self, first: int, last: int) -> Position:
        """The position of the last event; what else somebody published is no event, and passed over."""
        try:
            for sequence in range(last, max(first, 1) - 1, -1):
                message = await self._connection.js.get_msg(EVENTS, seq=sequence)
                if position := (message.headers or {}).get(POSITION):
                    return parse_position(position)
        except nats.js.errors.NotFoundError:
            pass  # it was too old to be kept, or erased
        return Position(0, 0)

    async def publish(self, events: Sequence[Announcement], *, fence: int) -> int:
        for start in range(0, len(events), _SLICE):
            batch = events[start : start + _SLICE]
            outgoing = [
                Outgoing(
                    event_subject(event.tenant, event.type),
                    event.body,
                    {_FENCE: str(fence + place), POSITION: str(event.position)},
                )
                for place, event in enumerate(batch)
            ]
            (answer,) = await self._pipeline.publish(outgoing, only_last=True)
            if refusal := answer.get("error"):
                if refusal.get("err_code") == _WRONG_LAST_SEQUENCE:
                    raise Overtaken
                raise errors.unavailable("nats")
            fence += len(batch)
        return fence
