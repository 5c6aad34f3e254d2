"""Whether a call is forgotten once it is over, with the credential that its context holds."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

from malha.testing.shop import until


class _Credential:
    """What only a call's context holds."""


_HELD: ContextVar[_Credential] = ContextVar("held")


async def forgotten(call: Callable[[], Awaitable[object]]) -> None:
    """Make a call, and return once nothing that it left behind keeps its context."""

    async def made() -> weakref.ref[_Credential]:
        credential = _Credential()
        _HELD.set(credential)
        await call()
        return weakref.ref(credential)

    credential = await asyncio.create_task(made())

    async def gone() -> bool:
        gc.collect()
        return credential() is None

    await until(gone)
