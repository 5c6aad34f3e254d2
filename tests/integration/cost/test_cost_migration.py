"""A ledger of the version before: brought up to date, and still written by that version for a while."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.common.v1.usage_pb2 import Usage
from malha.api.cost.v1.cost_service_pb2 import ExportUsageRequest, Settlement
from malha.api.cost.v1.usage_pb2 import UsageGroup
from malha.sqlite import Database
from malha.testing.clock import FakeClock
from malha.testing.money import PRICE_FILE, Till, call, used
from malha_cost.accountant import Accountant
from malha_cost.adapters import price_file, sqlite_audit
from malha_cost.adapters.sqlite_ledger import MIGRATIONS, SqliteLedger
from malha_cost.adapters.sqlite_usage import SqliteUsage
from malha_cost.budget import House
from malha_cost.judge import Judge
from malha_cost.prices import PriceTable

FIRST = next(MIGRATIONS.glob("0001_*.sql"))
# the statements of the version before, word for word
COLUMNS = (
    "tenant, key, stage, kind, at_us, day, key_id, run_id, agent, component, provider, model, price_row,"
    " input_rate, cached_rate, output_rate, input_tokens, cached_tokens, output_tokens, reasoning_tokens,"
    " reserved, spent, reference, reference_model"
)
APPEND = f"INSERT INTO entries ({COLUMNS}) VALUES ({', '.join('?' * 24)})"  # noqa: S608  # constants above
MOVE = (
    "UPDATE balances SET spent = spent + ?, reserved = reserved + ?"
    " WHERE tenant = ? AND scope = ? AND scope_id = ? AND day = ?"
)
BEGIN = "INSERT INTO balances (spent, reserved, tenant, scope, scope_id, day) VALUES (?, ?, ?, ?, ?, ?)"
RATES = 10**9, 10**8, 10**10


def reserve_as_before(connection: sqlite3.Connection, key: str, amount: int) -> None:
    day = "2026-01-15"
    said = ("a", "model", "scripted", "m", "scripted/m@0001-01-01", *RATES, amount, 0, 0, 0, amount, 0, 0, "")
    connection.execute(APPEND, ("ana", key, 0, "reservation", 7, day, "key-1", "r", *said))
    for scope, scope_id in ((1, "r"), (3, ""), (2, "key-1")):
        values = (0, amount, "ana", scope, scope_id, day)
        if connection.execute(MOVE, values).rowcount == 0:
            connection.execute(BEGIN, values)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file of the first schema, with a reservation in it."""
    path = tmp_path / "cost.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(f"BEGIN;{FIRST.read_text()};PRAGMA user_version=1;COMMIT;")
        reserve_as_before(connection, "old", 100)
        connection.execute("INSERT INTO budgets VALUES ('ana', 3, '', 1, 1000)")
    return path


async def test_what_the_version_before_wrote_is_settled_and_counts(old: Path) -> None:
    prices = old.with_name("prices.yaml")
    prices.write_text(PRICE_FILE)
    database = await Database.open(old, MIGRATIONS, durable=False)
    clock = FakeClock(datetime(2026, 1, 15, 12, tzinfo=UTC))
    ledger = SqliteLedger(database, House(10**6))
    till = Till(Judge(ledger, price_file.load(prices), reference=None, clock=clock))
    assert await till.standing() == (0, 100)
    await till.reserve(call("new", 200))
    with closing(sqlite3.connect(old, isolation_level=None)) as before:
        reserve_as_before(before, "beside", 50)  # it has not been replaced yet
    assert await till.settle(used("old", 40), used("beside", 30), used("new", 200)) == [40, 30, 200]
    assert await till.standing() == (270, 0)
    denied = (await till.reserve(call("more", 731))).denied
    assert denied.budget.budget.limit_microusd == 1000
    await database.close()
    assert sqlite_audit.read(old).off == []


def close_as_before(connection: sqlite3.Connection, key: str, kind: str, cached: int, amount: int) -> None:
    """Close a key as the version before does, which knows nothing of terms and rounds to the nearest."""
    held = [row[1] for row in connection.execute("PRAGMA table_info(entries)") if row[1] != "terms"]
    closing = {
        "stage": "1",
        "kind": f"'{kind}'",
        "cached_tokens": str(cached),
        "spent": str(amount),
        "reserved": "-reserved",
        "held_tokens": "-held_tokens",
        "tokens": "input_tokens",
    }
    values = ", ".join(closing.get(name, name) for name in held)
    opened = f"SELECT {values} FROM entries WHERE key = ? AND stage = 0"  # noqa: S608  # columns and constants
    connection.execute(f"INSERT INTO entries ({', '.join(held)}) {opened}", (key,))  # likewise
    connection.execute(
        "UPDATE balances SET spent = spent + ?, reserved = reserved - 101,"
        " tokens = tokens + 101, held_tokens = held_tokens - 101",
        (amount,),
    )


async def test_what_the_version_before_closed_by_its_own_rounding_is_neither_a_conflict_nor_off(
    tmp_path: Path,
) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text(PRICE_FILE)
    database = await Database.open(tmp_path / "cost.db", MIGRATIONS, durable=False)
    clock = FakeClock(datetime(2026, 1, 15, 12, tzinfo=UTC))
    ledger = SqliteLedger(database, House(10**6))
    till = Till(Judge(ledger, price_file.load(prices), reference=None, clock=clock))
    await till.reserve(call("settled", 101), call("guessed", 101), call("mine", 101))
    with closing(sqlite3.connect(database.path, isolation_level=None)) as before:
        close_as_before(before, "settled", "settlement", cached=101, amount=10)  # 10.1, by what it rounds to
        close_as_before(before, "guessed", "provisional", cached=0, amount=101)
    figures = Usage(input_tokens=101, cached_input_tokens=101)
    ends = [Settlement(key=key, usage=figures) for key in ("settled", "guessed", "mine")]
    for _ in range(2):  # asked again, by this version
        assert await till.settle(*ends) == [10, 11, 11]
    assert await till.standing() == (32, 0)
    await database.close()
    assert sqlite_audit.read(tmp_path / "cost.db").off == []


def settle_as_before(connection: sqlite3.Connection, key: str, amount: int) -> None:
    day, model = "2026-01-15", ("a", "model", "scripted", "m", "scripted/m@0001-01-01")
    figures = (amount, 0, 0, 0, -amount, amount, 0, "")
    told = ("ana", key, 1, "settlement", 8, day, "key-1", "r")
    connection.execute(APPEND, (*told, *model, *RATES, *figures))
    for scope, scope_id in ((1, "r"), (3, ""), (2, "key-1")):
        assert connection.execute(MOVE, (amount, -amount, "ana", scope, scope_id, day)).rowcount


async def test_what_the_version_before_settled_and_still_settles_is_in_usage_and_on_the_bill(
    old: Path,
) -> None:
    with closing(sqlite3.connect(old, isolation_level=None)) as before:
        settle_as_before(before, "old", 100)
    database = await Database.open(old, MIGRATIONS, durable=False)
    ledger, clock = SqliteLedger(database, House(10**6)), FakeClock(datetime(2026, 1, 15, 12, tzinfo=UTC))
    accountant = Accountant(ledger, SqliteUsage(database), PriceTable([]), clock)
    with closing(sqlite3.connect(old, isolation_level=None)) as before:
        reserve_as_before(before, "beside", 50)
        settle_as_before(before, "beside", 50)
    ana = Principal(tenant="ana")
    records = (await accountant.export(ana, ExportUsageRequest())).records
    assert [(r.sequence, r.key, r.amount_microusd) for r in records] == [(1, "old", 100), (2, "beside", 50)]
    [agent] = await accountant.usage(ana, UsageGroup.USAGE_GROUP_AGENT, "", "")
    assert (agent.name, agent.calls, agent.amount_microusd) == ("a", 2, 150)
    await database.close()
    assert sqlite_audit.read(old).off == []


def test_a_ledger_that_was_not_migrated_yet_is_no_proof(old: Path) -> None:
    with pytest.raises(sqlite_audit.UnreadableError, match="migrated by a start"):
        sqlite_audit.read(old)
