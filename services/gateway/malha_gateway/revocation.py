"""A key's end is the end of what runs under it.

The key is ended first and for certain; then its open runs are asked to end, as the table of runs knows
them. Another replica may believe the key for a moment longer, and what was accepted just now is not in the
table yet; so after that moment there is a second look. Doing all of it again changes nothing.
"""

from __future__ import annotations

import asyncio

from malha.api.common.v1.principal_pb2 import Principal
from malha.clock import Clock
from malha.errors import ErrorReason, MalhaError
from malha_gateway.administration import Administration
from malha_gateway.ports import Acting, Planner
from malha_gateway.runs import Runs

REASON = "the API key {} was revoked"
_PAGE = 100
_BEHIND = 0.5
"""Seconds that the table of runs may be behind the journal."""
_SECONDS = 60.0
_OVER = {ErrorReason.ERROR_REASON_RUN_FINISHED, ErrorReason.ERROR_REASON_RUN_NOT_FOUND}


class Revocation:
    """Ends keys and their runs.

    Args:
        acting: lets the planner be asked as the tenant of the key.
        memory_seconds: how long another replica may believe a key.
    """

    def __init__(
        self,
        administration: Administration,
        planner: Planner,
        runs: Runs,
        acting: Acting,
        clock: Clock,
        *,
        memory_seconds: float,
    ) -> None:
        self._administration = administration
        self._planner = planner
        self._runs = runs
        self._acting = acting
        self._clock = clock
        self._memory_seconds = memory_seconds

    async def revoke(self, by: Principal, key_id: str) -> int:
        """End a key; the number of its runs that were asked to end.

        Raises:
            MalhaError: KEY_NOT_FOUND; DEPENDENCY_UNAVAILABLE where the key has ended and not all of its
                runs could be found: ask again.
        """
        owner = await self._administration.revoke(by, key_id)
        canceller = Principal(tenant=owner.tenant, subject=by.subject)
        asked: set[str] = set()
        with self._acting(owner, timeout=_SECONDS):
            await self._cancel(canceller, key_id, asked)
            await self._clock.sleep(self._memory_seconds + _BEHIND)
            await self._cancel(canceller, key_id, asked)
        return len(asked)

    async def _cancel(self, canceller: Principal, key_id: str, asked: set[str]) -> None:
        """Ask every open run of the key to end that was not asked yet."""
        token = ""
        while True:
            page = await self._planner.runs(f'key_id = "{key_id}" AND open = true', _PAGE, token)
            new = {row.run_id for row in page.rows} - asked
            await asyncio.gather(*(self._ask(canceller, run_id, key_id) for run_id in new))
            asked |= new
            token = page.next_page_token
            if not token:
                return

    async def _ask(self, canceller: Principal, run_id: str, key_id: str) -> None:
        try:
            await self._runs.end(canceller, run_id, REASON.format(key_id))
        except MalhaError as error:
            if error.reason not in _OVER:
                raise
