"""A failing dependency is left alone for a while, then tried by one call.

pybreaker keeps the state and the count; three of its habits do not fit asyncio and are kept out here.
It counts a cancelled call as a success (which would hide every timeout from it), it lets every waiting
call through when half-open, and it measures with the wall clock. So a call's outcome is reported to
it in one synchronous step, and only once there is one; the single trial and the time are ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

from google.rpc import code_pb2

from malha.clock import Clock, SystemClock
from malha.errors import ErrorReason, MalhaError
from malha.lean import without
from malha.telemetry import log, metrics

with without("redis"):
    import pybreaker

_BLAMES_CALLEE = frozenset({code_pb2.UNAVAILABLE, code_pb2.DEADLINE_EXCEEDED, code_pb2.INTERNAL})
_GAUGE = {pybreaker.STATE_CLOSED: 0, pybreaker.STATE_HALF_OPEN: 1, pybreaker.STATE_OPEN: 2}


def blames_callee(error: BaseException) -> bool:
    """Whether ``error`` speaks of a sick callee: any answer of a healthy one, however unwelcome, does not."""
    return not isinstance(error, MalhaError) or error.code in _BLAMES_CALLEE


class BreakerOpenError(MalhaError):
    """DEPENDENCY_UNAVAILABLE because the breaker refused the call; nothing was sent."""

    def __init__(self, name: str, retry_after: float) -> None:
        self.breaker = name
        super().__init__(
            ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE,
            f"{name} has failed repeatedly and is left alone for now",
            metadata={"dependency": name},
            retry_after=retry_after,
        )


class Breaker:
    """``async with breaker:`` around each call of one dependency; shared by all tasks of a process.

    Args:
        name: the dependency, as metrics, logs and refused callers see it.
        fail_max: failures in a row that open it.
        reset_seconds: how long it stays open before one trial call goes through. While that has not ended,
            another may try after as long again; the first of them to end says how it is.
        counts: tells whether an exception is the dependency's failure. False is as good as a success, for
            the dependency answered; None is neither, like a call that was cancelled.
        clock: measures the rest.
    """

    def __init__(
        self,
        name: str,
        fail_max: int = 5,
        reset_seconds: float = 10.0,
        *,
        counts: Callable[[BaseException], bool | None] = blames_callee,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self._reset_seconds = reset_seconds
        self._counts = counts
        self._clock = clock or SystemClock()
        self._rest_until = 0.0
        self._trials: set[asyncio.Task[object] | None] = set()
        self._next_trial = 0.0
        self._state = pybreaker.CircuitBreaker(
            fail_max=fail_max,
            name=name,
            exclude=[lambda error: not counts(error)],
            listeners=[_Watch()],
            throw_new_error_on_trip=False,
        )
        metrics.BREAKER_STATE.labels(name).set(0)

    @property
    def state(self) -> str:
        """ "closed", "open" or "half-open"."""
        return self._state.current_state

    async def __aenter__(self) -> None:
        if self.state == pybreaker.STATE_CLOSED:
            return
        now = self._clock.monotonic()
        if self.state == pybreaker.STATE_OPEN and now >= self._rest_until:
            self._state.half_open()
        if self.state == pybreaker.STATE_OPEN:
            self._refuse(self._rest_until - now)
        if self._trials and now < self._next_trial:
            self._refuse(self._next_trial - now)
        self._trials.add(asyncio.current_task())
        self._next_trial = now + self._reset_seconds

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        trial = asyncio.current_task() in self._trials
        self._trials.discard(asyncio.current_task())
        # a call begun before the breaker opened says nothing of the dependency now
        if (trial or self.state == pybreaker.STATE_CLOSED) and self._tells(error):
            self._report(error)

    def _tells(self, error: BaseException | None) -> bool:
        if isinstance(error, asyncio.CancelledError):
            return False
        return error is None or self._counts(error) is not None

    def _report(self, error: BaseException | None) -> None:
        if error is None and self._state.fail_counter == 0 and self.state == pybreaker.STATE_CLOSED:
            return
        try:
            with self._state.calling():
                if error is not None:
                    raise error
        except BaseException as same:
            if same is not error:
                raise
        if self.state == pybreaker.STATE_OPEN:
            self._rest_until = self._clock.monotonic() + self._reset_seconds
            self._trials.clear()

    def _refuse(self, retry_after: float) -> None:
        metrics.BREAKER_REFUSED.labels(self.name).inc()
        raise BreakerOpenError(self.name, retry_after)


class _Watch(pybreaker.CircuitBreakerListener):
    """Exports and logs every change of state."""

    def state_change(
        self,
        cb: pybreaker.CircuitBreaker,
        old_state: pybreaker.CircuitBreakerState | None,
        new_state: pybreaker.CircuitBreakerState,
    ) -> None:
        metrics.BREAKER_STATE.labels(cb.name).set(_GAUGE[new_state.name])
        if old_state is not None:
            log.warning("breaker_changed", breaker=cb.name, was=old_state.name, now=new_state.name)
