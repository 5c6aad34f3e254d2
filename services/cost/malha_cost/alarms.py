"""What people must hear of at once, in the log and in metrics."""

from __future__ import annotations

from malha.api.event.v1.alert_pb2 import Alert
from malha.telemetry import metrics
from malha.telemetry.logs import log
from malha_cost.authorization import Decision


class Alarms:
    """Counts decisions, and says what an alert tells that was not stored before."""

    def decided(self, decision: Decision) -> None:
        """Take note of a decision that was committed."""
        metrics.COST_ENTRIES.inc(len(decision.entries))
        for settled in decision.overruns:
            metrics.COST_OVERRUNS.inc()
            # the key names no person, and people must find the call
            log.error("reservation_overrun", key=settled.key, by_microusd=settled.cost.overrun_microusd)
        for alert in decision.alerts:
            alarm(alert)
        if decision.response.HasField("denied"):
            again = "ask_again" if decision.response.denied.may_free else "final"
            metrics.COST_DENIED.labels(again).inc()


def alarm(alert: Alert) -> None:
    """Log and count an alert."""
    metrics.COST_ALERTS.labels(alert.type, alert.scope).inc()
    log.warning(alert.type, scope=alert.scope, window=alert.window, tenant=alert.tenant, alert=alert.id)
