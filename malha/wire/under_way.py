"""The calls under way in a server, so that they can be sent away when its process ends.

A call is interrupted only inside its handler: gRPC's own code around it does not survive that. A stream
that waits for its reader learns of it with its next turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from malha import errors
from malha.errors import MalhaError

_RETRY_SECONDS = 0.2  # another process serves already, or will in a moment


class OneCall:
    """A call under way.

    Args:
        follows: whether it only follows what happens anyway, so that ending it loses nothing.
    """

    __slots__ = ("_outside", "_sent_away", "_task", "follows")

    def __init__(self, *, follows: bool) -> None:
        self.follows = follows
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self._outside = False
        self._sent_away = False

    def send_away(self) -> None:
        """End it, now or when its reader has what was sent."""
        if not self._sent_away and self._task is not None:
            self._sent_away = True
            if not self._outside:
                self._task.cancel()

    def out(self) -> None:
        """The handler hands a response to gRPC."""
        self._outside = True

    def back(self) -> None:
        """The handler goes on. Raises CancelledError where it must not."""
        self._outside = False
        if self._sent_away:
            raise asyncio.CancelledError

    def ended(self) -> bool:
        """Whether a CancelledError seen by the handler means that it was sent away."""
        if self._sent_away and self._task is not None:
            self._task.uncancel()
        return self._sent_away


class UnderWay:
    """What `service` is doing for callers."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._calls: set[OneCall] = set()

    @contextmanager
    def call(self, *, follows: bool) -> Iterator[OneCall]:
        """A call for the length of the block.

        Raises:
            MalhaError: DEPENDENCY_UNAVAILABLE, where the call was sent away.
        """
        call = OneCall(follows=follows)
        self._calls.add(call)
        try:
            yield call
        except asyncio.CancelledError:
            if not call.ended():
                raise
            raise self._elsewhere() from None
        finally:
            self._calls.discard(call)

    def send_away(self, *, followers_alone: bool) -> None:
        """End calls, or those that only follow; their callers are told to come again."""
        for call in list(self._calls):
            if call.follows or not followers_alone:
                call.send_away()

    def _elsewhere(self) -> MalhaError:
        return errors.unavailable(self._service, retry_after=_RETRY_SECONDS)
