"""Every query of the planner's databases has its index, so that a million archived runs slow no new one."""

from __future__ import annotations

import re
import sqlite3

import pytest

from malha_planner.adapters import archive, runs_table
from malha_planner.adapters.run_pages import page_query

STATEMENTS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": statement
    for module in (runs_table, archive)
    for name, statement in vars(module).items()
    if isinstance(statement, str) and re.search(r"\b(INSERT|UPDATE|DELETE|SELECT)\b", statement)
}
PAGES = [
    ({}, "runs_newest"),
    ({"status": "SUCCEEDED"}, "runs_newest"),
    ({"status": "QUEUED"}, "runs_open"),
    ({"status": "WAITING"}, "runs_waiting"),
    ({"status": "FAILED"}, "runs_unhappy"),
    ({"open": "true"}, "runs_open"),
    ({"open": "true", "key_id": "k"}, "runs_open"),
    ({"status": "FAILED", "agent": "docs"}, "runs_unhappy"),
    ({"status": "SUCCEEDED", "agent": "docs"}, "runs_of_agent"),
    ({"open": "false"}, "runs_newest"),
    ({"agent": "docs"}, "runs_of_agent"),
    ({"session_id": "s"}, "runs_of_session"),
    ({"key_id": "k"}, "runs_of_key"),
]


@pytest.fixture(scope="module")
def connection() -> sqlite3.Connection:
    """Both of the planner's schemas in one empty file."""
    made = sqlite3.connect(":memory:")
    for folder in (runs_table.MIGRATIONS, archive.MIGRATIONS):
        for script in sorted(folder.glob("*.sql")):
            made.executescript(script.read_text())
    return made


def plan(connection: sqlite3.Connection, statement: str) -> list[str]:
    """What SQLite says it will do; values play no part in it."""
    without_values = re.sub(r"(\?\d*|:\w+)", "NULL", statement)
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {without_values}")]


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_reads_a_table_from_end_to_end_or_sorts_it(
    connection: sqlite3.Connection, name: str
) -> None:
    steps = plan(connection, STATEMENTS[name])
    whole = [step for step in steps if step.startswith("SCAN") and "USING" not in step]
    assert not [step for step in whole if step != "SCAN CONSTANT ROW"], steps
    assert not [step for step in steps if "TEMP B-TREE" in step], steps


@pytest.mark.parametrize(("where", "index"), PAGES)
def test_a_page_of_runs_is_read_in_order_from_an_index_made_for_its_filter(
    connection: sqlite3.Connection, where: dict[str, str], index: str
) -> None:
    (step,) = plan(connection, page_query(where))
    assert re.search(rf"USING INDEX ({index}) \(tenant=\?", step), step
    assert "accepted_sequence<?" in step
