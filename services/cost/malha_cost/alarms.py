"""What people must hear of: budgets that come to an end, and calls that cost more than they were allowed."""

from __future__ import annotations

from collections import OrderedDict

from malha.api.cost.v1.budget_pb2 import Level, Scope, Window
from malha.telemetry import metrics
from malha.telemetry.logs import log
from malha_cost.authorization import Decision, Reached

_REMEMBERED = 4096


class Alarms:
    """Counts decisions and says once what a budget has reached; after a restart it is said again."""

    def __init__(self) -> None:
        self._told: OrderedDict[Reached, None] = OrderedDict()

    def decided(self, decision: Decision) -> None:
        """Take note of a decision that was committed."""
        metrics.COST_ENTRIES.inc(len(decision.entries))
        for settled in decision.overruns:
            metrics.COST_OVERRUNS.inc()
            # the key names no person, and people must find the call
            log.error("reservation_overrun", key=settled.key, by_microusd=settled.cost.overrun_microusd)
        for reached in decision.reached:
            self._reached(reached)
        if decision.response.HasField("denied"):
            again = "ask_again" if decision.response.denied.may_free else "final"
            metrics.COST_DENIED.labels(again).inc()

    def _reached(self, reached: Reached) -> None:
        if reached in self._told:
            return
        self._told[reached] = None
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        level = Level.Name(reached.level).removeprefix("LEVEL_").lower()
        scope = Scope.Name(reached.account.scope).removeprefix("SCOPE_").lower()
        window = Window.Name(reached.window).removeprefix("WINDOW_").lower()
        metrics.COST_BUDGETS_REACHED.labels(level, scope).inc()
        log.warning("budget_reached", level=level, scope=scope, window=window, tenant=reached.account.tenant)
