"""Hints into the stream WORK, each stored once, and the time by the clock that stores them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import nats.errors
import orjson

from malha import errors
from malha.run.nats_journal import WORK, work_subject
from malha_planner.adapters.pipeline import Outgoing, Pipeline
from malha_planner.adapters.work_item import ACCEPTED
from malha_planner.ports import Hint

_MESSAGE_ID = "Nats-Msg-Id"
_ANSWER_SECONDS = 2.0


class NatsWaker:
    """`malha_planner.ports.Waker` on NATS."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def wake(self, hints: Sequence[Hint]) -> None:
        outgoing = [
            Outgoing(work_subject(hint.lane, hint.tenant), hint.run_id.encode(), _headers(hint))
            for hint in hints
        ]
        for answer in await self._pipeline.publish(outgoing):
            if "error" in answer:
                raise errors.unavailable("nats")

    async def now(self) -> datetime:
        connection = self._pipeline.connection
        try:
            answer = await connection.request(f"$JS.API.STREAM.INFO.{WORK}", timeout=_ANSWER_SECONDS)
            return datetime.fromisoformat(orjson.loads(answer.data)["ts"])
        except (nats.errors.Error, TimeoutError, OSError, KeyError) as error:
            raise errors.unavailable("nats") from error


def _headers(hint: Hint) -> dict[str, str]:
    headers = {_MESSAGE_ID: hint.name}
    if hint.accepted:
        headers[ACCEPTED] = str(hint.accepted)
    return headers
