"""Pages of the runs table: filters, tokens and the wall between tenants."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.planner.v1.planner_service_pb2 import ListDeadRunsRequest, ListRunsRequest, RunRow
from malha.errors import MalhaError
from malha.sqlite import Database
from malha_planner.adapters.runs_table import MIGRATIONS, SqliteRunsTable
from malha_planner.listing import _token, list_dead, list_runs, parse_filter
from malha_planner.ports import Row

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def row(
    number: int, *, tenant: str = "acme", status: str = "SUCCEEDED", agent: str = "default", last: int = 0
) -> Row:
    shown = RunRow(run_id=f"run-{number}", agent=agent, status=status)
    return Row(tenant, last or number, number, NOON + timedelta(seconds=number), "interactive", shown)


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[SqliteRunsTable]:
    database = await Database.open(tmp_path / "planner.db", MIGRATIONS, durable=False)
    yield SqliteRunsTable(database)
    await database.close()


async def test_pages_go_from_the_newest_to_the_oldest_each_run_once(table: SqliteRunsTable) -> None:
    await table.upsert([row(number) for number in range(1, 8)], followed=7)
    seen: list[str] = []
    token, pages = "", 0
    while pages == 0 or token:
        page = await list_runs(table, "acme", ListRunsRequest(page_size=3, page_token=token))
        seen += [one.run_id for one in page.rows]
        token, pages = page.next_page_token, pages + 1
    assert seen == [f"run-{number}" for number in range(7, 0, -1)]
    assert pages == 3


async def test_a_run_accepted_between_two_pages_moves_nothing(table: SqliteRunsTable) -> None:
    await table.upsert([row(1), row(2), row(3)], followed=3)
    first = await list_runs(table, "acme", ListRunsRequest(page_size=2))
    await table.upsert([row(4)], followed=4)
    second = await list_runs(table, "acme", ListRunsRequest(page_size=2, page_token=first.next_page_token))
    assert [one.run_id for one in second.rows] == ["run-1"]


async def test_the_open_runs_of_a_key_are_found(table: SqliteRunsTable) -> None:
    states = ["QUEUED", "RUNNING", "WAITING", "SUCCEEDED", "DEAD", "RUNNING"]
    rows = [row(number, status=status) for number, status in enumerate(states, 1)]
    for one in rows:
        one.row.key_id = "k2" if one.row.run_id == "run-6" else "k1"
    await table.upsert(rows, followed=6)
    page = await list_runs(table, "acme", ListRunsRequest(filter='key_id = "k1" AND open = true'))
    assert [one.run_id for one in page.rows] == ["run-3", "run-2", "run-1"]
    page = await list_runs(table, "acme", ListRunsRequest(filter='key_id = "k1" AND open = "false"'))
    assert [one.run_id for one in page.rows] == ["run-5", "run-4"]
    with pytest.raises(MalhaError):
        parse_filter("open = perhaps")


async def test_another_tenants_runs_are_not_there(table: SqliteRunsTable) -> None:
    await table.upsert([row(1), row(2, tenant="other")], followed=2)
    page = await list_runs(table, "acme", ListRunsRequest())
    assert [one.run_id for one in page.rows] == ["run-1"]


async def test_a_filter_is_a_conjunction(table: SqliteRunsTable) -> None:
    rows = [row(1, status="FAILED"), row(2, agent="docs"), row(3, status="FAILED", agent="docs")]
    await table.upsert(rows, followed=3)
    page = await list_runs(table, "acme", ListRunsRequest(filter='status = "FAILED" AND agent = "docs"'))
    assert [one.run_id for one in page.rows] == ["run-3"]


async def test_a_row_is_never_replaced_by_an_older_one(table: SqliteRunsTable) -> None:
    await table.upsert([row(1, last=9)], followed=9)
    await table.upsert([row(1, status="RUNNING", last=5)], followed=5)
    page = await list_runs(table, "acme", ListRunsRequest())
    assert page.rows[0].status == "SUCCEEDED"
    assert await table.followed() == 9


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", {}),
        ("  ", {}),
        ("status=FAILED", {"status": "FAILED"}),
        ('agent = "gpu-price-analyst"', {"agent": "gpu-price-analyst"}),
        ('session_id = "a AND b" AND status = DEAD', {"session_id": "a AND b", "status": "DEAD"}),
        ('session_id = ""', {"session_id": ""}),
    ],
)
def test_filters_that_are_understood(text: str, where: dict[str, str]) -> None:
    assert parse_filter(text) == where


@pytest.mark.parametrize(
    "text",
    [
        "tenant = other",
        "status = NICE",
        "status = FAILED OR agent = docs",
        "status = FAILED AND status = DEAD",
        "status",
        "status > FAILED",
        'agent = "x',
        "agent = x AND",
        "agent = x; DROP TABLE runs",
    ],
)
def test_filters_that_are_refused_by_name(text: str) -> None:
    with pytest.raises(MalhaError) as refused:
        parse_filter(text)
    assert refused.value.violations[0][0] == "filter"


@pytest.mark.parametrize(
    "token",
    ["x", "AAAA", "not base64!", "AAAAAAAAAAA=", *(_token(number, {}) for number in (2**63, 10**300, -1))],
)
async def test_a_token_of_ones_own_making_is_refused(table: SqliteRunsTable, token: str) -> None:
    with pytest.raises(MalhaError) as refused:
        await list_runs(table, "acme", ListRunsRequest(page_token=token))
    assert refused.value.violations[0][0] == "page_token"


async def test_a_token_of_another_filter_is_refused(table: SqliteRunsTable) -> None:
    await table.upsert([row(1), row(2)], followed=2)
    page = await list_runs(table, "acme", ListRunsRequest(page_size=1))
    with pytest.raises(MalhaError):
        await list_runs(
            table, "acme", ListRunsRequest(filter="agent = docs", page_token=page.next_page_token)
        )


OPERATOR = Principal(tenant="house", subject="otto", scopes=["operator"])


async def test_the_dead_of_all_tenants_are_listed_to_an_operator_page_by_page(table: SqliteRunsTable) -> None:
    tenants = ["acme", "other", "acme", "other"]
    dead = [row(number, tenant=tenant, status="DEAD") for number, tenant in enumerate(tenants, 1)]
    await table.upsert([*dead, row(9), row(10, status="CANCELLED")], followed=10)
    first = await list_dead(table, OPERATOR, ListDeadRunsRequest(page_size=3))
    second = await list_dead(
        table, OPERATOR, ListDeadRunsRequest(page_size=3, page_token=first.next_page_token)
    )
    found = [(one.tenant, one.row.run_id) for page in (first, second) for one in page.rows]
    assert found == [("other", "run-4"), ("acme", "run-3"), ("other", "run-2"), ("acme", "run-1")]
    assert not second.next_page_token
    of_one = await list_dead(table, OPERATOR, ListDeadRunsRequest(tenant="acme"))
    assert [one.row.run_id for one in of_one.rows] == ["run-3", "run-1"]


async def test_the_dead_are_listed_to_nobody_else(table: SqliteRunsTable) -> None:
    with pytest.raises(MalhaError) as refused:
        await list_dead(table, Principal(tenant="acme", scopes=["runs", "admin"]), ListDeadRunsRequest())
    assert refused.value.metadata == {"scope": "operator"}
