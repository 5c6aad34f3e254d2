"""What is sealed in a run's journal, in the clear, for the tenant that owns it."""

from __future__ import annotations

from malha.api.run.v1.record_pb2 import Content, Sealed
from malha.run import RunState, Sealer


class Opening:
    """Opens contents of runs."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def content(self, state: RunState, kind: str, sealed: Sealed | None) -> Content:
        """What an event of that kind holds; nothing where it holds nothing."""
        if sealed is None or not sealed.ciphertext:
            return Content()
        return await self._sealer.open(state.tenant, state.run_id, kind, sealed)
