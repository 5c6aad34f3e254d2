"""Who is told of alerts: a tenant of its own, and whoever announces them of all that were not announced."""

from __future__ import annotations

from collections.abc import Iterable

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.cost.v1.cost_service_pb2 import AlertName
from malha.api.event.v1.alert_pb2 import Alert
from malha.clock import Clock
from malha_cost.budget import Who
from malha_cost.ports import AlertBook, Ledger

_AT_ONCE = 256
_DEFAULT = 20


class Telling:
    """Reads alerts, and keeps which of them were announced."""

    def __init__(self, book: Ledger, alerts: AlertBook, clock: Clock) -> None:
        self._book = book
        self._alerts = alerts
        self._clock = clock

    async def latest(self, principal: Principal, limit: int, *, operator: bool) -> list[Alert]:
        """The tenant's latest; to an operator those of its organisation as well."""
        organisation = ""
        if operator:
            who = Who(principal.tenant, "", "", principal.tier)
            organisation = (await self._book.standing(who, self._clock.now())).policy.organisation
        return await self._alerts.latest(principal.tenant, organisation, limit or _DEFAULT)

    async def untold(self) -> list[Alert]:
        """Of all tenants, what was not announced yet, the oldest first."""
        return await self._alerts.untold(_AT_ONCE)

    async def told(self, names: Iterable[AlertName]) -> None:
        """These were announced."""
        await self._alerts.told([(name.tenant, name.id) for name in names], self._clock.now())
