"""The call being served: whom it is for, who asked, how long is left.

It lives in a context variable, so that a servicer and everything below it need not hand it on; what a
worker does outside any RPC happens inside :func:`acting_for`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from malha.api.common.v1.principal_pb2 import Principal


@dataclass(frozen=True, slots=True)
class Call:
    """One call on its way through this process."""

    principal: Principal
    caller: str
    """The service that called, as its token says; empty at the edge."""
    deadline: float
    """``time.monotonic()`` at which the call must be over."""
    metadata: Mapping[str, str] = field(default_factory=dict)

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.deadline - time.monotonic())


_current: ContextVar[Call] = ContextVar("malha_call")


def current() -> Call:
    """The call being served.

    Raises:
        LookupError: outside any call, which is a fault of ours.
    """
    return _current.get()


def enter(call: Call) -> None:
    """Make ``call`` the current one for the rest of this task."""
    _current.set(call)


@contextmanager
def acting_for(principal: Principal, *, timeout: float) -> Iterator[Call]:
    """Act for ``principal`` outside an RPC, for ``timeout`` seconds at most."""
    call = Call(principal, "", time.monotonic() + timeout)
    token = _current.set(call)
    try:
        yield call
    finally:
        _current.reset(token)
