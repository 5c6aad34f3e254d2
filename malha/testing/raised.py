"""The error of ours that a call in this process ends with."""

from __future__ import annotations

from collections.abc import Awaitable

from malha.errors import MalhaError


async def refusal(call: Awaitable[object]) -> MalhaError:
    """What a call was refused with; fails where it was answered."""
    try:
        answer = await call
    except MalhaError as error:
        return error
    raise AssertionError(f"it was answered: {answer}")
