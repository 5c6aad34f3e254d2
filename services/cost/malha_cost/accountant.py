"""Tells people what was spent: grouped, as a day's report, and record by record for a bill.

It only reads, beside the ledger, so that nobody who asks for money waits for somebody who asks about it.
"""

from __future__ import annotations

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.cost.v1.budget_pb2 import Window
from malha.api.cost.v1.cost_service_pb2 import ExportUsageRequest, ExportUsageResponse
from malha.api.cost.v1.report_pb2 import DailyReport
from malha.api.cost.v1.usage_pb2 import UsageGroup, UsageRow
from malha.clock import Clock
from malha.errors import invalid
from malha_cost import days, metering
from malha_cost.accounts import TENANT
from malha_cost.advice import recommendations
from malha_cost.authorization import Known
from malha_cost.budget import Who
from malha_cost.days import Days
from malha_cost.ports import Ledger, UsageRecords
from malha_cost.prices import PriceTable

_TOP = 10
_PAGE = 1_000
_LOOKED_THROUGH = 50_000
"""Records a page reads at most, however few of them are of the days that were asked for."""


class Accountant:
    """Reads what a principal's tenant spent.

    Args:
        book: for the tenant's calendar and limits.
        records: what was used.
        prices: what other models would have cost.
        clock: says what today is.
    """

    def __init__(self, book: Ledger, records: UsageRecords, prices: PriceTable, clock: Clock) -> None:
        self._book = book
        self._records = records
        self._prices = prices
        self._clock = clock

    async def usage(
        self, principal: Principal, group: UsageGroup, since: str, until: str, *, everybody: bool = False
    ) -> list[UsageRow]:
        """What was spent between two days, by group.

        Args:
            everybody: all tenants in place of the principal's own.

        Raises:
            MalhaError: FIELD_INVALID, as :func:`days.chosen`.
        """
        known = await self._known(principal)
        asked = days.chosen(since, until, known.moment.day)
        return await self._records.grouped(None if everybody else principal.tenant, group, asked)

    async def report(self, principal: Principal, day: str) -> DailyReport:
        """What a day cost, on what, and what would cost less.

        Raises:
            MalhaError: FIELD_INVALID for what is no day.
        """
        known = await self._known(principal)
        tenant, on = principal.tenant, days.day(day or known.moment.day, "day")
        asked = Days(on.isoformat(), on.isoformat())
        figures = await self._records.figures(tenant, asked.first, self._prices.lengths)
        report = DailyReport(
            day=asked.first,
            runs=sum(cost.runs for cost in figures.query_costs if not cost.component),
            query_costs=figures.query_costs,
            savings=figures.savings,
            uncertain=figures.uncertain,
            recommendations=recommendations(figures.calls, figures.unknown, self._prices, on),
        )
        earlier = Days(days.before(asked.first), asked.first)
        for row in await self._records.grouped(tenant, UsageGroup.USAGE_GROUP_DAY, earlier):
            if row.name == asked.first:
                report.spent_microusd = row.amount_microusd
            else:
                report.day_before_microusd = row.amount_microusd
        for group, rows in (
            (UsageGroup.USAGE_GROUP_AGENT, report.agents),
            (UsageGroup.USAGE_GROUP_MODEL, report.models),
            (UsageGroup.USAGE_GROUP_TOOL, report.tools),
            (UsageGroup.USAGE_GROUP_COMPONENT, report.components),
        ):
            rows.extend((await self._records.grouped(tenant, group, asked))[:_TOP])
        report.savings.kept_answers_microusd = sum(row.saved_microusd for row in report.components)
        if (limit := _daily_limit(known)) is not None:
            report.limit_microusd = limit
        return report

    async def export(self, principal: Principal, asked: ExportUsageRequest) -> ExportUsageResponse:
        """The records after a place, in the order of their commits; complete up to ``next``.

        Raises:
            MalhaError: FIELD_INVALID for what is no day, or a place that no record has reached: it is
                another ledger's, and going on from there would leave records out.
        """
        meant = days.unbounded(asked.since, asked.until)
        last = await self._records.last(principal.tenant)
        if asked.after > last:
            raise invalid("after", f"is beyond the last record, {last}; 0 begins with the first")
        most = asked.page_size or _PAGE
        end = min(last, asked.after + _LOOKED_THROUGH)
        found = await self._records.between(principal.tenant, asked.after, end, meant, most)
        reached = found[-1][0] if len(found) == most else end
        return ExportUsageResponse(
            records=[metering.record(sequence, entry) for sequence, entry in found],
            next=reached,
            more=reached < last,
        )

    async def _known(self, principal: Principal) -> Known:
        who = Who(principal.tenant, principal.key_id, "", principal.tier)
        return await self._book.standing(who, self._clock.now())


def _daily_limit(known: Known) -> int | None:
    budgets = (limit.status.budget for limit in known.rules.limits)
    return next(
        (
            budget.limit_microusd
            for budget in budgets
            if (budget.scope, budget.window, budget.rolling) == (TENANT, Window.WINDOW_DAY, False)
        ),
        None,
    )
