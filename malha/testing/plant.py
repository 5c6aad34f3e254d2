"""A shop whose tools people must allow, and the people: what a run that asks them meets."""

from __future__ import annotations

from dataclasses import replace

from malha.api.run.v1.record_pb2 import Effect, Risk
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.run import facts, fold
from malha.testing.clock import FakeClock
from malha.testing.people import People
from malha.testing.planner import MemoryItem, found
from malha.testing.shop import Shop


class Plant(Shop):
    """A shop with lines to stop.

    Its ``ONCE`` tools "ring", "stop" and "scrap" are of medium, high and critical risk. ``stopped`` holds
    the lines, in the order they were. What expires does so by ``clock``.
    """

    def __init__(self) -> None:
        self.clock = FakeClock()
        super().__init__(self.clock)
        self.stopped: list[object] = []
        self.items = 0
        self.people = People(self.journal, self.sealer, None)  # type: ignore[arg-type] # nobody lists
        for name, risk in (
            ("ring", Risk.RISK_MEDIUM),
            ("stop", Risk.RISK_HIGH),
            ("scrap", Risk.RISK_CRITICAL),
        ):
            self.toolbox.add(name, self._stop, effect=Effect.EFFECT_ONCE, price=5, risk=risk)

    async def _stop(self, arguments: dict[str, object]) -> ToolResult:
        self.stopped.append(arguments["line"])
        return found(f"line {arguments['line']} stands")

    async def asked(self) -> MemoryItem:
        """A run, worked on until it waits or is over."""
        item = replace(await self.accept(), time=self.clock.now())
        await self.run(item)
        return item

    async def again(self, item: MemoryItem) -> MemoryItem:
        """A new hint of the run, worked on."""
        self.items += 1
        hint = MemoryItem(item.tenant, item.run_id, item=100 + self.items, time=self.clock.now())
        await self.run(hint)
        assert hint.acks == 1
        return hint

    async def told(self, item: MemoryItem) -> list[str]:
        """What is announced of the run."""
        entries = await self.journal.load(item.tenant, item.run_id)
        return [
            name for count, entry in enumerate(entries, 1) for name, _ in facts(entry, fold(entries[:count]))
        ]
