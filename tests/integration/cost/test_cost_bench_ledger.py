"""The old ledger that the benchmark measures is one that the service could have written."""

from __future__ import annotations

from pathlib import Path

from benchmarks.money import fill
from malha.sqlite import Database
from malha_cost.adapters import sqlite_audit
from malha_cost.adapters.sqlite_ledger import MIGRATIONS


async def test_every_balance_of_the_benchmarks_ledger_is_the_sum_of_its_entries(tmp_path: Path) -> None:
    path = tmp_path / "cost.db"
    await (await Database.open(path, MIGRATIONS, durable=False)).close()
    fill(path, 1_000)
    audit = sqlite_audit.read(path)
    assert audit.entries == 1_000
    assert audit.off == []
