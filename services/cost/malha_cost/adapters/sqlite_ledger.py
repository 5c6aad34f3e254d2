"""The ledger in SQLite: a handful of plain statements, each answered by one primary key.

Statement texts are constants, so that the driver's cache prepares each once. The reasons for SQL
without a mapper on this path, with figures, are in docs/adr/0005.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path

from malha.api.cost.v1.budget_pb2 import Budget, BudgetPolicy, BudgetStatus
from malha.api.cost.v1.cost_service_pb2 import HeldRun
from malha.api.cost.v1.usage_pb2 import DayUsage
from malha.errors import unavailable
from malha.sqlite import Database, T, Work
from malha.telemetry.logs import log
from malha_cost import budget as terms
from malha_cost.accounts import NOBODY, RUN, TENANT, Account, moves
from malha_cost.adapters import sqlite_alerts
from malha_cost.authorization import Decision, Known, Question
from malha_cost.budget import House, Rules, Who
from malha_cost.ledger import Entry
from malha_cost.ports import NobodyWaitsError
from malha_cost.windows import MONTH, WHOLE, Span, moment, span

MIGRATIONS = Path(__file__).parent.parent / "migrations"

ROLLING = 16
"""Added to a window's number in the budgets table where the window rolls."""

_HISTORY = f"SELECT {', '.join(Entry._fields)} FROM entries WHERE tenant = ? AND key = ? ORDER BY stage"  # noqa: S608  # names from our own class
_APPEND = f"INSERT INTO entries ({', '.join(Entry._fields)}) VALUES ({', '.join('?' * len(Entry._fields))})"  # noqa: S608  # names from our own class
_POLICY = (
    "SELECT time_zone, organisation, warn_percent, brake_percent, stop_started_runs, monthly_tokens"
    " FROM policies WHERE tenant = ?"
)
_SET_POLICY = "INSERT OR REPLACE INTO policies VALUES (?, ?, ?, ?, ?, ?, ?)"
_BUDGETS = (
    "SELECT scope, scope_id, window_kind, limit_microusd FROM budgets"
    " WHERE tenant = ? AND scope_id IN ('', '*', ?, ?, ?) ORDER BY scope, scope_id, window_kind"
)
_SET_BUDGET = (
    "INSERT INTO budgets (tenant, scope, scope_id, window_kind, limit_microusd) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET limit_microusd = excluded.limit_microusd"
)
_STANDING = (
    "SELECT coalesce(sum(spent), 0), coalesce(sum(reserved), 0), coalesce(sum(tokens), 0),"
    " coalesce(sum(held_tokens), 0) FROM balances"
    " WHERE tenant = ? AND scope = ? AND scope_id = ? AND day BETWEEN ? AND ?"
)
_TOTAL = (
    "SELECT coalesce(max(spent), 0), coalesce(max(reserved), 0) FROM totals"
    " WHERE tenant = ? AND scope = ? AND scope_id = ?"
)
_MOVE = (
    "UPDATE balances SET spent = spent + ?, reserved = reserved + ?, tokens = tokens + ?,"
    " held_tokens = held_tokens + ? WHERE tenant = ? AND scope = ? AND scope_id = ? AND day = ?"
)
_BEGIN = (
    "INSERT INTO balances (spent, reserved, tokens, held_tokens, tenant, scope, scope_id, day)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_USAGE = (
    "SELECT day, spent AS spent_microusd, reserved AS reserved_microusd, tokens AS used_tokens FROM balances"
    " WHERE tenant = ? AND scope = 3 AND scope_id = '' AND day BETWEEN ? AND ? ORDER BY day"
)
_HOLDING = (
    "SELECT tenant, scope_id FROM balances WHERE scope = 1 AND reserved + held_tokens > 0 AND day <= ?"
    " GROUP BY tenant, scope_id ORDER BY min(day), tenant, scope_id"
)
_OPEN = (
    "SELECT opened.key, opened.reserved, opened.at_us FROM entries opened"
    " WHERE opened.tenant = ? AND opened.key BETWEEN ? AND ? AND opened.stage = 0 AND NOT EXISTS"
    " (SELECT 1 FROM entries closed"
    "  WHERE closed.tenant = opened.tenant AND closed.key = opened.key AND closed.stage = 1)"
)


class SqliteLedger:
    """Implements :class:`malha_cost.ports.Ledger` on one file.

    Args:
        database: opened with :data:`MIGRATIONS` and ``durable=True``.
        house: what holds where nobody set anything else.
    """

    def __init__(self, database: Database, house: House) -> None:
        self._database = database
        self._house = house
        self._default = terms.resolved(None, house)

    async def change(
        self, question: Question, now: datetime, decide: Callable[[Question, Known], Decision]
    ) -> Decision:
        waited_for = True

        def work(connection: sqlite3.Connection) -> Decision:
            if not waited_for:
                raise NobodyWaitsError
            known = self._known(connection, question.who, now, limits=question.bounded)
            for key in question.step_keys():
                rows = connection.execute(_HISTORY, (question.who.tenant, key))
                known.histories[key] = [Entry(*row) for row in rows]
            decision = decide(question, known)
            _store(connection, decision.entries)
            return decision._replace(alerts=sqlite_alerts.store(connection, decision.alerts))

        try:
            return await self._write(work)
        finally:
            waited_for = False

    async def standing(self, who: Who, now: datetime) -> Known:
        return await self._database.read(lambda connection: self._known(connection, who, now))

    async def set_budget(self, tenant: str, budget: Budget, now: datetime) -> BudgetStatus:
        kind = budget.window + ROLLING * budget.rolling

        def work(connection: sqlite3.Connection) -> BudgetStatus:
            policy = self._policy(connection, tenant)
            account = terms.bounded(budget, tenant, policy)
            connection.execute(_SET_BUDGET, (*account, kind, budget.limit_microusd))
            at = moment(now, policy.time_zone)
            status = BudgetStatus(budget=budget)
            _stand(connection, account, span(budget.window, budget.rolling, at), status)
            return terms.dated(status, policy, at)

        return await self._write(work)

    async def set_policy(
        self, tenant: str, policy: BudgetPolicy, check: Callable[[BudgetPolicy], None]
    ) -> BudgetPolicy:
        def work(connection: sqlite3.Connection) -> BudgetPolicy:
            check(self._policy(connection, tenant))
            row = tenant, *(getattr(policy, field.name) for field in policy.DESCRIPTOR.fields)
            connection.execute(_SET_POLICY, row)
            return self._policy(connection, tenant)

        return await self._write(work)

    async def usage(
        self, tenant: str, now: datetime, choose: Callable[[str], tuple[str, str]]
    ) -> list[DayUsage]:
        def work(connection: sqlite3.Connection) -> list[DayUsage]:
            today = moment(now, self._policy(connection, tenant).time_zone).day
            rows = connection.execute(_USAGE, (tenant, *choose(today)))
            return [DayUsage(**dict(row)) for row in rows]

        return await self._database.read(work)

    async def held(self, before: datetime, *, limit: int, skip: int) -> list[HeldRun]:
        before_us = int(before.timestamp() * 1_000_000)

        def work(connection: sqlite3.Connection) -> list[HeldRun]:
            # a day in any time zone may be called by tomorrow's date
            holding = connection.execute(_HOLDING, (moment(before, "Pacific/Kiritimati").day,))
            runs = (_held(connection, tenant, run, before_us) for tenant, run in holding)
            return list(islice((run for run in runs if run is not None), skip, skip + limit))

        return await self._database.read(work)

    async def _write(self, work: Work[T]) -> T:
        try:
            return await self._database.write(work)
        except sqlite3.OperationalError as error:  # a full disk, a file that somebody else has locked
            log.error("ledger_not_written", error=str(error))
            raise unavailable("the ledger's database") from error

    def _known(
        self, connection: sqlite3.Connection, who: Who, now: datetime, *, limits: bool = True
    ) -> Known:
        policy = self._policy(connection, who.tenant)
        at = moment(now, policy.time_zone)
        if not limits:
            return Known({}, policy, at, Rules([], 0, None, set()))
        budgets = _budgets(connection, who, policy)
        rules = terms.rules(budgets, who, policy, at, self._house)
        for limit in rules.limits:
            if _stand(connection, limit.account, limit.span, limit.status) and limit.account.scope == RUN:
                rules.begun.add(limit.account.scope_id)
        if rules.quota is not None:
            since, until = span(MONTH, False, at)
            row = connection.execute(_STANDING, (who.tenant, TENANT, "", since, until)).fetchone()
            rules.quota.used_tokens, rules.quota.reserved_tokens = row[2], row[3]
        return Known({}, policy, at, rules)

    def _policy(self, connection: sqlite3.Connection, tenant: str) -> BudgetPolicy:
        row = connection.execute(_POLICY, (tenant,)).fetchone()
        if row is None:
            return self._default
        names = (field.name for field in BudgetPolicy.DESCRIPTOR.fields)
        return terms.resolved(BudgetPolicy(**dict(zip(names, row, strict=True))), self._house)


def _budgets(connection: sqlite3.Connection, who: Who, policy: BudgetPolicy) -> Iterator[Budget]:
    sessions = list(who.sessions) or [""]
    asked = [(who.tenant, who.key_id, who.user_id, sessions[0])]
    asked += [(who.tenant, session, session, session) for session in sessions[1:]]
    if policy.organisation:
        asked.append((NOBODY, policy.organisation, "", ""))
    for values in asked:
        for scope, scope_id, kind, limit in connection.execute(_BUDGETS, values):
            rolling, window = divmod(kind, ROLLING)
            yield Budget(
                scope=scope, scope_id=scope_id, window=window, limit_microusd=limit, rolling=bool(rolling)
            )


def _stand(connection: sqlite3.Connection, account: Account, over: Span, status: BudgetStatus) -> bool:
    """Read what is spent and reserved; whether tokens are used or held there, where those are kept."""
    if over == WHOLE and account.scope != RUN:
        row = connection.execute(_TOTAL, account).fetchone()
    else:
        row = connection.execute(_STANDING, (*account, *over)).fetchone()
    status.spent_microusd, status.reserved_microusd = row[0], row[1]
    return any(row[2:])


def _store(connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    """Add entries, and their sums to the balances they belong to."""
    for entry in entries:
        connection.execute(_APPEND, entry)
    for place, move in moves(entries).items():
        values = (*move, *place)
        if connection.execute(_MOVE, values).rowcount == 0:
            connection.execute(_BEGIN, values)


def _held(connection: sqlite3.Connection, tenant: str, run: str, before_us: int) -> HeldRun | None:
    """What a run holds; None where it reserved something lately."""
    prefix = f"{tenant}/{run}/"
    rows = connection.execute(_OPEN, (tenant, prefix, prefix + "~")).fetchall()
    if not rows or max(row[2] for row in rows) > before_us:
        return None
    return HeldRun(
        tenant=tenant,
        run_id=run,
        keys=[row[0] for row in rows],
        reserved_microusd=sum(row[1] for row in rows),
    )
