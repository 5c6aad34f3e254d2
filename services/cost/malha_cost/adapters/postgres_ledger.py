"""The ledger in PostgreSQL: questions that wait together are one transaction, under locks.

A transaction locks the tenants of its questions, then their organisations, each in one order, so nobody
waits in a circle; whoever has the locks is alone with that money, as the one writer is in SQLite. Then all
is loaded at once, decided one question after the other in memory, and stored at once: some eight round
trips for one question or for sixty-four. Any number of processes may do so on one database. The connection
they are decided on is for nothing else: whoever reads, sets a budget or waits for a tenant's lock to do so
keeps nobody from money.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

import asyncpg

from malha.api.cost.v1.budget_pb2 import Budget, BudgetPolicy, BudgetStatus
from malha.api.cost.v1.cost_service_pb2 import HeldRun
from malha.api.cost.v1.usage_pb2 import DayUsage
from malha.api.event.v1.alert_pb2 import Alert
from malha.errors import ConfigurationError, MalhaError
from malha.telemetry.logs import log
from malha_cost import budget as terms
from malha_cost.accounts import NOBODY, moves
from malha_cost.adapters import postgres_alerts
from malha_cost.adapters import postgres_statements as sql
from malha_cost.adapters.postgres_alerts import PostgresAlerts
from malha_cost.adapters.postgres_reach import AWAY, NO_ADDRESS, connected, reached
from malha_cost.authorization import Decision, Known, Question
from malha_cost.budget import EACH, House, Who
from malha_cost.ledger import Entry
from malha_cost.loaded import Loaded, Where
from malha_cost.ports import NobodyWaitsError
from malha_cost.windows import moment, span

REVISION = "0004"
"""The oldest schema that serves this version; newer ones do, too, since migrations only add."""
ROLLING = 16
_READERS = 3
_GROUP = 64
_WAITING = 4096
_ATTEMPTS = 3
_AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)

_Connection: TypeAlias = Any
"""The driver has no types."""


class _Asked(NamedTuple):
    question: Question
    now: datetime
    decide: Callable[[Question, Known], Decision]
    answer: asyncio.Future[Decision]


class PostgresLedger:
    """Implements :class:`malha_cost.ports.Ledger` on a database that many processes share.

    Open with :meth:`open`, close with :meth:`close`.
    """

    def __init__(self, pool: asyncpg.Pool, writing: asyncpg.Pool, house: House) -> None:
        self._pool = pool
        self._writing = writing
        self._house = house
        self._default = terms.resolved(None, house)
        self._waiting: asyncio.Queue[_Asked] = asyncio.Queue(_WAITING)
        self._writer = asyncio.create_task(self._write_forever())

    @classmethod
    async def open(cls, url: str, house: House) -> PostgresLedger:
        """Connect.

        Raises:
            ConfigurationError: the database cannot be reached, or its schema is not of this version.
        """
        try:
            pool = await connected(url, _READERS)
            writing = await connected(url, 1)
            revision = await pool.fetchval("SELECT version_num FROM alembic_version")
        except (*AWAY, asyncpg.PostgresError) as error:
            raise ConfigurationError(f"the ledger's database cannot be used: {error}") from error
        except ValueError:
            raise ConfigurationError(f"the ledger's database cannot be used: {NO_ADDRESS}") from None
        if (revision or "") < REVISION:
            await pool.close()
            await writing.close()
            raise ConfigurationError(
                f"the ledger's schema is {revision}, older than {REVISION}:"
                " run malha_cost.adapters.postgres_schema"
            )
        return cls(pool, writing, house)

    @property
    def alerts(self) -> PostgresAlerts:
        """The alerts of the same database."""
        return PostgresAlerts(self._pool)

    async def close(self) -> None:
        """Drop what waits; whoever asked asks again."""
        self._writer.cancel()
        with suppress(asyncio.CancelledError):
            await self._writer
        await self._writing.close()
        await self._pool.close()

    async def change(
        self, question: Question, now: datetime, decide: Callable[[Question, Known], Decision]
    ) -> Decision:
        answer: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        await self._waiting.put(_Asked(question, now, decide, answer))
        return await answer

    async def standing(self, who: Who, now: datetime) -> Known:
        async with reached(self._pool) as connection:
            loaded = await self._load(connection, [(who, now, True)])
            return loaded.known(who, now, limits=True)

    async def set_budget(self, tenant: str, budget: Budget, now: datetime) -> BudgetStatus:
        kind = budget.window + ROLLING * budget.rolling
        status = BudgetStatus(budget=budget)
        async with reached(self._pool) as connection, connection.transaction():
            await connection.execute(sql.LOCK, [_lock("tenant", tenant)])  # it stays in its organisation
            policies = await self._policies(connection, [tenant])
            policy = policies.get(tenant, self._default)
            account = terms.bounded(budget, tenant, policy)
            await connection.execute(sql.SET_BUDGET, *account, kind, budget.limit_microusd)
            at = moment(now, policy.time_zone)
            where = account, span(budget.window, budget.rolling, at)
            sums = await _standings(connection, [where])
        status.spent_microusd, status.reserved_microusd = sums[where][:2]
        return terms.dated(status, policy, at)

    async def set_policy(
        self, tenant: str, policy: BudgetPolicy, check: Callable[[BudgetPolicy], None]
    ) -> BudgetPolicy:
        values = [getattr(policy, field.name) for field in policy.DESCRIPTOR.fields]
        async with reached(self._pool) as connection, connection.transaction():
            await connection.execute(sql.LOCK, [_lock("tenant", tenant)])  # not while it decides
            check((await self._policies(connection, [tenant])).get(tenant, self._default))
            await connection.execute(sql.SET_POLICY, tenant, *values)
        return terms.resolved(policy, self._house)

    async def usage(
        self, tenant: str, now: datetime, choose: Callable[[str], tuple[str, str]]
    ) -> list[DayUsage]:
        async with reached(self._pool) as connection:
            policies = await self._policies(connection, [tenant])
            today = moment(now, policies.get(tenant, self._default).time_zone).day
            rows = await connection.fetch(sql.USAGE, tenant, *choose(today))
        return [DayUsage(**dict(row)) for row in rows]

    async def held(self, before: datetime, *, limit: int, skip: int) -> list[HeldRun]:
        before_us = int(before.timestamp() * 1_000_000)
        async with reached(self._pool) as connection:
            # a day in any time zone may be called by tomorrow's date
            tomorrow = moment(before, "Pacific/Kiritimati").day
            rows = await connection.fetch(sql.HELD, tomorrow, before_us, limit, skip)
        return [HeldRun(**dict(row)) for row in rows]

    async def _write_forever(self) -> None:
        while True:
            group = [await self._waiting.get()]
            while len(group) < _GROUP and not self._waiting.empty():
                group.append(self._waiting.get_nowait())
            await self._answer(group)

    async def _answer(self, group: list[_Asked]) -> None:
        """Take a group's questions together; if that fails by one of them, each by itself."""
        try:
            outcomes = await self._transaction(group)
        except asyncio.CancelledError:
            for asked in group:
                asked.answer.cancel()
            raise
        except Exception as error:
            if len(group) > 1 and not isinstance(error, MalhaError):
                for asked in group:
                    await self._answer([asked])
                return
            outcomes = [error] * len(group)
        for asked, outcome in zip(group, outcomes, strict=True):
            if asked.answer.done():
                continue  # the caller went away; what was written stands
            if isinstance(outcome, Exception):
                asked.answer.set_exception(outcome)
            else:
                asked.answer.set_result(outcome)

    async def _transaction(self, group: Sequence[_Asked]) -> list[Decision | Exception]:
        for attempt in range(_ATTEMPTS):
            try:
                async with reached(self._writing) as connection, connection.transaction():
                    return await self._decide(connection, group)
            except _AGAIN as error:
                if attempt + 1 == _ATTEMPTS:
                    raise
                log.warning("ledger_tries_again", error=type(error).__name__)
        raise AssertionError("unreachable")

    async def _decide(self, connection: _Connection, group: Sequence[_Asked]) -> list[Decision | Exception]:
        tenants = {asked.question.who.tenant for asked in group}
        await connection.execute(sql.LOCK, sorted(_lock("tenant", tenant) for tenant in tenants))
        loaded = await self._load(
            connection,
            [(asked.question.who, asked.now, asked.question.bounded) for asked in group],
            {(asked.question.who.tenant, key) for asked in group for key in asked.question.step_keys()},
            locking=True,
        )
        outcomes: list[Decision | Exception] = []
        entries: list[Entry] = []
        alerts: list[Alert] = []
        for question, now, decide, answer in group:
            try:
                if answer.done():
                    raise NobodyWaitsError
                decision = decide(question, loaded.of(question, now))
            except Exception as error:  # its own caller's to hear, and nobody else's
                outcomes.append(error)
            else:
                outcomes.append(decision)
                entries += decision.entries
                alerts += decision.alerts
                loaded.add(decision.entries)
        if entries:
            await connection.execute(sql.APPEND, *map(list, zip(*entries, strict=True)))
            found = moves(entries)
            if found:
                # in one order: money of an organisation that a tenant has left moves without its lock
                rows = sorted((*place, *move) for place, move in found.items())
                await connection.execute(sql.MOVE, *map(list, zip(*rows, strict=True)))
        new = await postgres_alerts.store(connection, alerts)
        return [_first_to_say(outcome, new) for outcome in outcomes]

    async def _load(
        self,
        connection: _Connection,
        asked: Sequence[tuple[Who, datetime, bool]],
        keys: Iterable[tuple[str, str]] = (),
        *,
        locking: bool = False,
    ) -> Loaded:
        """All that the askers' limits, and the keys, say in the database."""
        tenants = sorted({who.tenant for who, _, _ in asked})
        loaded = Loaded(self._house, self._default, await self._policies(connection, tenants))
        organisations = sorted({policy.organisation for policy in loaded.policies.values()} - {""})
        if locking and organisations:
            await connection.execute(sql.LOCK, sorted(_lock("organisation", name) for name in organisations))
        if any(limits for _, _, limits in asked):
            ids = {"", EACH, *organisations}
            for who, _, _ in asked:
                ids.update((who.key_id, who.user_id, *who.sessions))
            for row in await connection.fetch(sql.BUDGETS, [*tenants, NOBODY], list(ids)):
                rolling, window = divmod(row["window_kind"], ROLLING)
                loaded.budgets[row["tenant"]].append(
                    Budget(
                        scope=row["scope"],
                        scope_id=row["scope_id"],
                        window=window,
                        limit_microusd=row["limit_microusd"],
                        rolling=bool(rolling),
                    )
                )
            wheres = {
                where
                for who, now, limits in asked
                if limits
                for where in loaded.places(loaded.rules(who, now), who, now)
            }
            loaded.stand(await _standings(connection, list(wheres)))
        if pairs := list(keys):
            for tenant, key in pairs:
                loaded.histories[tenant, key] = []
            for row in await connection.fetch(sql.HISTORIES, *map(list, zip(*pairs, strict=True))):
                entry = Entry(*row)
                loaded.histories[entry.tenant, entry.key].append(entry)
        return loaded

    async def _policies(self, connection: _Connection, tenants: Sequence[str]) -> dict[str, BudgetPolicy]:
        rows = await connection.fetch(sql.POLICIES, tenants)
        return {
            row["tenant"]: terms.resolved(
                BudgetPolicy(**{name: value for name, value in row.items() if name != "tenant"}), self._house
            )
            for row in rows
        }


def _lock(kind: str, name: str) -> int:
    """An advisory lock's number: 63 bits of a hash, the same in every process."""
    digest = hashlib.sha256(f"malha cost {kind} {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _first_to_say(outcome: Decision | Exception, new: set[tuple[str, str]]) -> Decision | Exception:
    """The outcome with those of its alerts that are new; to the next one they are not."""
    if isinstance(outcome, Exception):
        return outcome
    alerts = [alert for alert in outcome.alerts if (alert.tenant, alert.id) in new]
    new.difference_update((alert.tenant, alert.id) for alert in alerts)
    return outcome._replace(alerts=alerts)


async def _standings(connection: _Connection, wheres: Sequence[Where]) -> dict[Where, list[int]]:
    if not wheres:
        return {}
    columns = list(zip(*((*account, *over) for account, over in wheres), strict=True))
    rows = await connection.fetch(sql.STANDINGS, *map(list, columns))
    return {where: list(row) for where, row in zip(wheres, rows, strict=True)}
