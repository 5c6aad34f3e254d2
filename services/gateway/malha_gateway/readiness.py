"""Whether the mesh can take work, told by what it cannot work without.

Asking every part costs a call each, so the answer is kept for a second. What a connection already
knows of its own loss is used at once: a run is refused before anyone is asked in vain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from malha.clock import Clock
from malha.errors import MalhaError, unavailable
from malha_gateway.ports import Part
from malha_gateway.remembered import Remembered

_ANSWER_WITHIN = 1.0


class Readiness:
    """Asks the parts.

    Args:
        parts: all that must answer for the mesh to be ready.
    """

    def __init__(self, parts: Sequence[Part], clock: Clock) -> None:
        self._parts = parts
        self._known: Remembered[str, list[str]] = Remembered(clock, fresh=1.0)

    async def check(self) -> None:
        """Raise DEPENDENCY_UNAVAILABLE naming what is away, if anything is."""
        _refuse(await self._known.get("away", self._ask))

    def refuse_if_known_away(self) -> None:
        """Raise DEPENDENCY_UNAVAILABLE if a part is known to be away; asks nobody."""
        _refuse([part.name for part in self._parts if part.known_away()])

    async def _ask(self) -> list[str]:
        answers = await asyncio.gather(*(_in_time(part) for part in self._parts))
        return [part.name for part, answered in zip(self._parts, answers, strict=True) if not answered]


async def _in_time(part: Part) -> bool:
    try:
        async with asyncio.timeout(_ANSWER_WITHIN):
            return await part.answers()
    except (TimeoutError, MalhaError):
        return False


def _refuse(away: list[str]) -> None:
    if away:
        raise unavailable(", ".join(away))
