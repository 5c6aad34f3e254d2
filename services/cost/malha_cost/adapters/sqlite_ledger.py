"""The ledger in SQLite: a handful of plain statements, each answered by one primary key.

Statement texts are constants, so that the driver's cache prepares each once. The reasons for SQL
without a mapper on this path, with figures, are in docs/adr/0005.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from malha.api.cost.v1.budget_pb2 import Budget, BudgetStatus
from malha.sqlite import Database
from malha_cost import budget as rules
from malha_cost.authorization import Decision, Known, Question
from malha_cost.ledger import Entry

MIGRATIONS = Path(__file__).parent.parent / "migrations"

_HISTORY = f"SELECT {', '.join(Entry._fields)} FROM entries WHERE tenant = ? AND key = ? ORDER BY stage"  # noqa: S608  # names from our own class
_APPEND = f"INSERT INTO entries ({', '.join(Entry._fields)}) VALUES ({', '.join('?' * len(Entry._fields))})"  # noqa: S608  # names from our own class
_BUDGETS = (
    "SELECT scope, scope_id, window_kind, limit_microusd FROM budgets"
    " WHERE tenant = ? AND scope_id IN ('', ?) ORDER BY scope, window_kind"
)
_SET_BUDGET = (
    "INSERT INTO budgets (tenant, scope, scope_id, window_kind, limit_microusd) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET limit_microusd = excluded.limit_microusd"
)
_STANDING = (
    "SELECT coalesce(sum(spent), 0), coalesce(sum(reserved), 0) FROM balances"
    " WHERE tenant = ? AND scope = ? AND scope_id = ? AND day >= ?"
)
_MOVE = (
    "UPDATE balances SET spent = spent + ?, reserved = reserved + ?"
    " WHERE tenant = ? AND scope = ? AND scope_id = ? AND day = ?"
)
_BEGIN = "INSERT INTO balances (spent, reserved, tenant, scope, scope_id, day) VALUES (?, ?, ?, ?, ?, ?)"


class SqliteLedger:
    """Implements :class:`malha_cost.ports.Ledger` on one file.

    Args:
        database: opened with :data:`MIGRATIONS` and ``durable=True``.
        tenant_daily_microusd: the daily budget of a tenant for whom none was set.
    """

    def __init__(self, database: Database, tenant_daily_microusd: int) -> None:
        self._database = database
        self._tenant_daily = tenant_daily_microusd

    async def change(self, question: Question, decide: Callable[[Question, Known], Decision]) -> Decision:
        def work(connection: sqlite3.Connection) -> Decision:
            decision = decide(question, self._load(connection, question))
            _store(connection, decision.entries)
            return decision

        return await self._database.write(work)

    async def statuses(self, tenant: str, key_id: str, day: str) -> list[BudgetStatus]:
        def work(connection: sqlite3.Connection) -> list[BudgetStatus]:
            budgets = self._in_force(connection, tenant, key_id)
            return [_status(connection, tenant, budget, day) for budget in budgets]

        return await self._database.read(work)

    async def set_budget(self, tenant: str, budget: Budget, day: str) -> BudgetStatus:
        def work(connection: sqlite3.Connection) -> BudgetStatus:
            connection.execute(
                _SET_BUDGET, (tenant, budget.scope, budget.scope_id, budget.window, budget.limit_microusd)
            )
            return _status(connection, tenant, budget, day)

        return await self._database.write(work)

    def _load(self, connection: sqlite3.Connection, question: Question) -> Known:
        tenant, day = question.tenant, question.day
        histories: dict[str, list[Entry]] = {}
        for key in question.step_keys():
            rows = connection.execute(_HISTORY, (tenant, key))
            histories[key] = [Entry(*row) for row in rows]
        statuses: list[BudgetStatus] = []
        if question.reserve:
            budgets = self._in_force(connection, tenant, question.key_id)
            budgets += [rules.of_run(run, limit) for run, limit in question.run_limits.items()]
            statuses = [_status(connection, tenant, budget, day) for budget in budgets]
        return Known(histories, statuses)

    def _in_force(self, connection: sqlite3.Connection, tenant: str, key_id: str) -> list[Budget]:
        budgets = [
            Budget(scope=scope, scope_id=scope_id, window=window, limit_microusd=limit)
            for scope, scope_id, window, limit in connection.execute(_BUDGETS, (tenant, key_id))
        ]
        return rules.in_force(budgets, self._tenant_daily)


def _status(connection: sqlite3.Connection, tenant: str, budget: Budget, day: str) -> BudgetStatus:
    since = rules.first_day(budget.window, day)
    spent, reserved = connection.execute(_STANDING, (tenant, budget.scope, budget.scope_id, since)).fetchone()
    return BudgetStatus(budget=budget, spent_microusd=spent, reserved_microusd=reserved)


def _store(connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    """Add entries, and their sums to the balances they belong to."""
    moves: dict[tuple[str, int, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for entry in entries:
        connection.execute(_APPEND, entry)
        accounts = [(rules.RUN, entry.run_id), (rules.TENANT, "")]
        if entry.key_id:
            accounts.append((rules.KEY, entry.key_id))
        for scope, scope_id in accounts:
            move = moves[entry.tenant, scope, scope_id, entry.day]
            move[0] += entry.spent
            move[1] += entry.reserved
    for account, (spent, reserved) in moves.items():
        if spent or reserved:
            values = (spent, reserved, *account)
            if connection.execute(_MOVE, values).rowcount == 0:
                connection.execute(_BEGIN, values)
