"""A subject of a stream as a fenced log of messages: what journals and key rings stand on.

A lost answer is the hard part. Every append carries a nonce; while its fate is unknown it is looked
for in the log, and if neither it nor anyone else's message is there it is sent again under the same
nonce and the same fence. The fence lets at most one copy in, so sending again is harmless, and it is
needed: the first copy may still be on its way, and only a message after the fence settles what became
of it.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import nats.errors
import orjson

from malha import errors
from malha.run.nats_journal.connection import Connection

_FENCE = "Nats-Expected-Last-Subject-Sequence"
_NONCE = "Malha-Nonce"

_NO_MESSAGE = 10037
_TOO_LARGE = 10054

_ASK_AGAIN_SECONDS = 0.02  # after an answer that decides nothing


@dataclass(frozen=True, slots=True)
class Stored:
    """A message of the log. ``fence`` is the sequence its writer expected before it, if it named one."""

    sequence: int
    time: datetime
    data: bytes
    fence: int | None
    nonce: str | None


class Refused(Exception):  # noqa: N818 - no fault: one of two writers loses
    """Not stored and never will be; ``stored`` is what others wrote after the fence, nothing where the log
    is empty by now."""

    def __init__(self, stored: Sequence[Stored]) -> None:
        super().__init__(f"{len(stored)} messages came first")
        self.stored = stored


class TooLargeError(Exception):
    """The stream takes no message of that size."""


class SubjectLog:
    """Append to and read from subjects of one stream, through its leader.

    Args:
        patience: seconds after which an append, or a read that gets no further, gives up with
            DEPENDENCY_UNAVAILABLE.
        answer_within: seconds after which one request counts as lost.
    """

    def __init__(
        self, connection: Connection, stream: str, *, patience: float = 10.0, answer_within: float = 2.0
    ) -> None:
        self._connection = connection
        # STREAM.MSG.GET is answered by the leader alone; DIRECT.GET by any replica, and stale
        self._get_subject = f"$JS.API.STREAM.MSG.GET.{stream}"
        self._patience = patience
        # each append's own: chance for this log, and a number for the append
        self._name = secrets.token_urlsafe(9)
        self._appended = itertools.count()
        self._answer_within = answer_within

    async def append(self, subject: str, data: bytes, *, expected: int) -> int:
        """Store ``data`` right after the subject's sequence ``expected``; answers its own sequence.

        Raises Refused, TooLargeError, or MalhaError DEPENDENCY_UNAVAILABLE (it may or may not be stored).
        """
        nonce = f"{self._name}{next(self._appended):x}"
        headers = {_FENCE: str(expected), _NONCE: nonce}
        deadline = time.monotonic() + self._patience
        while True:
            answer = await self._request(subject, data, headers, deadline)
            if answer is not None:
                refusal = answer.get("error")
                if refusal is None:
                    sequence: int = answer["seq"]
                    return sequence
                if refusal.get("err_code") == _TOO_LARGE:
                    raise TooLargeError
            newer = await self._load(subject, expected, deadline)
            for message in newer:
                if message.nonce == nonce:
                    return message.sequence
            if newer:
                raise Refused(newer)
            if answer is not None:
                if expected and await self._get({"last_by_subj": subject}, deadline) is None:
                    raise Refused([])  # the message it names is gone: the log was moved away or erased
                # refused, yet nobody wrote: another's append is on its way in, or the stream has no room
                await asyncio.sleep(_ASK_AGAIN_SECONDS)

    async def load(self, subject: str, *, after: int = 0) -> list[Stored]:
        """The subject's messages after sequence ``after``, complete up to the moment of the call."""
        return await self._load(subject, after, time.monotonic() + self._patience)

    async def last(self, subject: str) -> Stored | None:
        """The subject's last message."""
        return await self._get({"last_by_subj": subject}, time.monotonic() + self._patience)

    async def at(self, sequence: int) -> Stored | None:
        """The stream's message at ``sequence``."""
        return await self._get({"seq": sequence}, time.monotonic() + self._patience)

    async def _load(self, subject: str, after: int, deadline: float) -> list[Stored]:
        last = await self._get({"last_by_subj": subject}, deadline)
        if last is None or last.sequence <= after:
            return []
        # Each message's own fence names the one before it: the usual case, one new message, is one
        # round trip, and the last one read is never asked for twice.
        between: list[Stored] = []
        known = after
        while last.fence != known:
            # a journal may be 5,000 records long: what counts is that answers come
            deadline = max(deadline, time.monotonic() + self._patience)
            found = await self._get({"next_by_subj": subject, "seq": known + 1}, deadline)
            if found is None or found.sequence >= last.sequence:
                break
            between.append(found)
            known = found.sequence
        return [*between, last]

    async def _get(self, query: dict[str, Any], deadline: float) -> Stored | None:
        payload = orjson.dumps(query)
        while True:
            answer = await self._request(self._get_subject, payload, None, deadline)
            if answer is None:
                continue
            message = answer.get("message")
            if message is not None:
                return _stored(message)
            if answer["error"].get("err_code") == _NO_MESSAGE:
                return None
            await asyncio.sleep(_ASK_AGAIN_SECONDS)

    async def _request(
        self, subject: str, payload: bytes, headers: dict[str, str] | None, deadline: float
    ) -> dict[str, Any] | None:
        """The answer, or None if none came in time. Out of patience: DEPENDENCY_UNAVAILABLE."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise errors.unavailable("journal")
        try:
            await self._connection.until_connected(left)
            reply = await self._connection.request(
                subject, payload, timeout=min(left, self._answer_within), headers=headers
            )
        except nats.errors.NoRespondersError:
            await asyncio.sleep(_ASK_AGAIN_SECONDS)  # no stream, or no leader yet
            return None
        except nats.errors.MaxPayloadError as error:
            raise TooLargeError from error
        except (nats.errors.Error, TimeoutError, OSError):
            return None
        answer: dict[str, Any] = orjson.loads(reply.data)
        return answer


def _stored(message: dict[str, Any]) -> Stored:
    """A message as STREAM.MSG.GET answers it: base64 of data and of the raw header block."""
    fence: int | None = None
    nonce: str | None = None
    for line in b64decode(message.get("hdrs", "")).decode().split("\r\n"):
        name, _, value = line.partition(": ")
        if name == _FENCE:
            fence = int(value)
        elif name == _NONCE:
            nonce = value
    return Stored(
        sequence=message["seq"],
        time=datetime.fromisoformat(message["time"]),
        data=b64decode(message.get("data", "")),
        fence=fence,
        nonce=nonce,
    )
