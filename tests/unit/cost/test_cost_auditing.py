"""What an audit finds: every kind of damage that a ledger can take."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from malha.api.cost.v1.budget_pb2 import BudgetPolicy, Scope, Window
from malha.api.cost.v1.cost_service_pb2 import AdjustRequest
from malha.sqlite import Database
from malha.testing.clock import FakeClock
from malha.testing.money import PRICE_FILE, Till, at_ceiling, call, free, limit, release, tool, used
from malha_cost.adapters import price_file, sqlite_audit
from malha_cost.adapters.sqlite_ledger import MIGRATIONS, SqliteLedger
from malha_cost.budget import House
from malha_cost.judge import Judge


@pytest.fixture
async def ledger(tmp_path: Path) -> Path:
    """A file with every kind of entry and every kind of balance in it."""
    prices = tmp_path / "prices.yaml"
    prices.write_text(PRICE_FILE)
    path = tmp_path / "cost.db"
    database = await Database.open(path, MIGRATIONS, durable=False)
    judge = Judge(
        SqliteLedger(database, House(10**6)),
        price_file.load(prices),
        reference=None,
        clock=FakeClock(datetime(2026, 1, 15, 12, tzinfo=UTC)),
    )
    till = Till(judge, user="ana@x")
    await judge.set_policy(till.principal, BudgetPolicy(organisation="acme"), operator=True)
    await judge.set_budget(till.principal, limit(10**6, rolling=True))
    await judge.set_budget(
        till.principal, limit(10**6, window=Window.WINDOW_MINUTE, scope=Scope.SCOPE_ORGANISATION)
    )
    await till.reserve(*(call(key, 100, session="s") for key in "abcde"), tool("t", 5))
    await till.settle(used("a", 150), at_ceiling("b"), release("c"), at_ceiling("d"), free("f"))
    await till.settle(used("d", 60))
    await judge.adjust(till.principal, AdjustRequest(id="1", key="a", amount_microusd=-50, reason="refund"))
    await database.close()
    return path


def test_a_sound_ledger_adds_up(ledger: Path) -> None:
    audit = sqlite_audit.read(ledger)
    assert (audit.off, audit.keys, audit.entries, audit.overruns) == ([], 7, 14, 1)


DAMAGE = {
    "a balance": ("UPDATE balances SET spent = spent + 1 WHERE scope = 3", "differ by spent -1"),
    "a total": (
        "UPDATE totals SET reserved = 0 WHERE scope = 3",
        "total ana/3/: its days differ by reserved",
    ),
    "a lost balance": ("DELETE FROM balances WHERE scope = 1", "balance ana/1/r/2026-01-15"),
    "an invented balance": (
        "INSERT INTO balances VALUES ('bia', 3, '', '2026-01-15', 7, 0, 0, 0)",
        "balance bia/3//2026-01-15: its entries differ by spent -7",
    ),
    "an organisation's balance": ("UPDATE balances SET reserved = 0 WHERE scope = 7", "balance /7/acme/"),
    "an hour's balance": ("UPDATE balances SET spent = 0 WHERE day LIKE 'h%'", "ana/3//h"),
    "an entry's amount": (
        "UPDATE entries SET spent = spent + 1 WHERE key = 'a' AND stage = 1",
        "its tokens cost 150",
    ),
    "an entry gone": ("DELETE FROM entries WHERE key = 'e'", "differ by reserved -100"),
    "an opening gone": (
        "DELETE FROM entries WHERE key = 'a' AND stage = 0",
        "key ana a: its entries are settlement",
    ),
    "a second settlement": (
        "UPDATE entries SET kind = 'settlement' WHERE key = 'd' AND stage = 2",
        "key ana d: its entries are reservation, provisional, settlement",
    ),
    "an entry moved": (
        "UPDATE entries SET day = '2026-01-14' WHERE key = 'a' AND stage = 1",
        "different places",
    ),
    "money kept": ("UPDATE entries SET reserved = -1 WHERE key = 'a' AND stage = 1", "gave back 1"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_an_audit_finds_damage_and_names_it(ledger: Path, damage: str) -> None:
    statement, told = DAMAGE[damage]
    with closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
        connection.executescript(
            "DROP TRIGGER entries_are_never_changed; DROP TRIGGER entries_are_never_deleted;" + statement
        )
    off = sqlite_audit.read(ledger).off
    assert any(told in line for line in off), off


@pytest.mark.parametrize("statement", ["UPDATE entries SET spent = 0", "DELETE FROM entries"])
def test_the_database_itself_refuses_to_change_an_entry(ledger: Path, statement: str) -> None:
    with (
        closing(sqlite3.connect(ledger)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="only ever added to"),
    ):
        connection.execute(statement)


def test_every_entrys_postings_add_up_to_zero(ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as connection:
        sums = connection.execute("SELECT sum(amount) FROM postings GROUP BY tenant, key, stage").fetchall()
        assert {amount for (amount,) in sums} == {0}
        spent, reserved = connection.execute(
            "SELECT spent, reserved FROM balances WHERE scope = 7"
        ).fetchone()
        by_account = dict(connection.execute("SELECT account, sum(amount) FROM postings GROUP BY account"))
        assert by_account == {"spent": spent, "reserved": reserved, "free": -spent - reserved}


def test_no_ledger_is_no_proof(tmp_path: Path) -> None:
    with pytest.raises(sqlite_audit.UnreadableError):
        sqlite_audit.read(tmp_path / "cost.db")


@pytest.mark.parametrize("content", [b"no database at all" * 1000, b"SQLite format 3\x00" + b"\xff" * 8176])
def test_a_file_that_is_damaged_is_no_proof(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cost.db"
    path.write_bytes(content)
    with pytest.raises(sqlite_audit.UnreadableError, match="cannot be read"):
        sqlite_audit.read(path)


def test_a_ledger_is_read_in_a_folder_of_any_name_and_nothing_is_made_beside_it(
    ledger: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "malha#1" / "50%41?x=y"
    folder.mkdir(parents=True)
    moved = ledger.rename(folder / ledger.name)
    assert sqlite_audit.read(moved).off == []
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("malha")] == ["malha#1"]
