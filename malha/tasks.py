"""Tasks that end for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_AGAIN = 0.1


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel the tasks until each is over; their exceptions stay with them.

    Once is not enough: on Python 3.11 `asyncio.wait_for`, which nats-py uses for its own requests, loses
    a cancellation that arrives together with the answer (cpython issue 86296), and whoever then waits
    for the task waits for ever. A TaskGroup cancels its tasks once, so tasks that talk to NATS are ended
    here instead.
    """
    left = [task for task in tasks if not task.done()]
    while left:
        for task in left:
            task.cancel()
        _, still = await asyncio.wait(left, timeout=_AGAIN)
        left = list(still)


async def within(seconds: float, task: asyncio.Task[T]) -> T:
    """The task's result; TimeoutError after so many seconds. However this ends, the task is over."""
    try:
        await asyncio.wait([task], timeout=seconds)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        await end(task)


async def together(*calls: Coroutine[Any, Any, None]) -> None:
    """Make the calls at the same time. The first failure ends the others and is raised as it is."""
    tasks = [asyncio.create_task(call) for call in calls]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await end(*tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()
