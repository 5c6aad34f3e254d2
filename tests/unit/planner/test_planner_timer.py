"""The timer: who is due gets a hint, by the queue's clock, ever more rarely, and only from the leader."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from malha.api.planner.v1.planner_service_pb2 import RunRow
from malha.api.run.v1.record_pb2 import Record
from malha.run import fold
from malha.sqlite import Database
from malha.testing.clock import FakeClock
from malha.testing.journals import START, stored
from malha.testing.records import RecordsOf, finished
from malha_planner.adapters.runs_table import MIGRATIONS, SqliteRunsTable
from malha_planner.ports import Hint, Overtaken, Row
from malha_planner.rows import row_of
from malha_planner.timer import Timer

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
IDLE = timedelta(seconds=90)


def row(number: int, status: str = "WAITING", *, due: datetime | None = NOON, last: int = 0) -> Row:
    shown = RunRow(run_id=f"run-{number}", agent="default", status=status)
    return Row("acme", last or number, number, NOON, "interactive", shown, due)


class QueueClock:
    """A queue that keeps the names of its hints, under a clock of its own."""

    def __init__(self) -> None:
        self.time = NOON
        self.names: list[str] = []

    async def wake(self, hints: Sequence[Hint]) -> None:
        self.names += [hint.name for hint in hints]

    async def now(self) -> datetime:
        return self.time


class Bench:
    """A timer over a real table."""

    def __init__(self, table: SqliteRunsTable) -> None:
        self.table = table
        self.queue = QueueClock()
        self.overtaken = False
        self.timer = Timer(table, self.queue, FakeClock(), idle=IDLE, leads=self._leads)

    async def _leads(self) -> None:
        if self.overtaken:
            raise Overtaken

    async def hints_at(self, time: datetime) -> list[str]:
        self.queue.time, self.queue.names = time, []
        await self.timer.tick()
        return [name.removeprefix("acme/") for name in self.queue.names]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / "planner.db", MIGRATIONS, durable=False)
    yield opened
    await opened.close()


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(SqliteRunsTable(database))


async def test_a_parked_run_gets_a_hint_when_its_time_has_come_and_not_before(bench: Bench) -> None:
    await bench.table.upsert([row(1)], followed=1)
    assert await bench.hints_at(NOON - timedelta(microseconds=1)) == []
    assert await bench.hints_at(NOON) == ["run-1:1:due-0"]


async def test_a_run_that_waits_for_a_person_or_is_over_is_never_due(bench: Bench) -> None:
    await bench.table.upsert([row(1, due=None), row(2, "SUCCEEDED", due=None)], followed=2)
    assert await bench.hints_at(NOON + timedelta(days=400)) == []


async def test_a_run_that_stays_due_is_reminded_ever_more_rarely(bench: Bench) -> None:
    await bench.table.upsert([row(1)], followed=1)
    at, gaps, last = NOON, [], NOON
    for _ in range(40):
        if await bench.hints_at(at):
            gaps.append((at - last) / IDLE)
            last = at
        at += IDLE
    assert gaps == [0, 1, 2, 4, 8, 16]


async def test_names_of_reminders_differ_so_that_the_queue_takes_each_and_none_twice(bench: Bench) -> None:
    await bench.table.upsert([row(1)], followed=1)
    names = [*await bench.hints_at(NOON), *await bench.hints_at(NOON + IDLE)]
    assert names == ["run-1:1:due-0", "run-1:1:due-1"]


async def test_a_run_that_moved_on_counts_from_its_new_record(bench: Bench) -> None:
    await bench.table.upsert([row(1)], followed=1)
    await bench.hints_at(NOON)
    later = NOON + timedelta(hours=1)
    await bench.table.upsert([row(1, due=later, last=8)], followed=8)
    assert await bench.hints_at(later - IDLE) == []
    assert await bench.hints_at(later) == ["run-1:8:due-0"]


async def test_more_due_runs_than_one_tick_takes_all_get_their_turn(bench: Bench) -> None:
    await bench.table.upsert([row(number) for number in range(1, 1201)], followed=1200)
    names = [name for _ in range(3) for name in await bench.hints_at(NOON)]
    assert len(names) == len(set(names)) == 1200
    assert await bench.hints_at(NOON) == []


async def test_a_standby_reminds_nobody(bench: Bench) -> None:
    await bench.table.upsert([row(1)], followed=1)
    bench.overtaken = True
    with pytest.raises(Overtaken):
        await bench.hints_at(NOON)
    assert bench.queue.names == []
    bench.overtaken = False
    assert await bench.hints_at(NOON) == ["run-1:1:due-0"]


async def test_the_timer_finds_who_is_due_by_an_index_and_sorts_nothing(database: Database) -> None:
    query = """EXPLAIN QUERY PLAN SELECT tenant, run_id FROM runs
        WHERE status IN ('QUEUED', 'RUNNING', 'WAITING') AND due_us <= 1 ORDER BY due_us LIMIT 10"""
    plan = await database.read(lambda connection: [str(one["detail"]) for one in connection.execute(query)])
    assert plan == ["SEARCH runs USING INDEX runs_due (due_us<?)"]


async def test_a_row_of_a_version_that_knows_no_due_time_is_looked_at(database: Database) -> None:
    bench = Bench(SqliteRunsTable(database))
    before = """INSERT INTO runs (tenant, run_id, last_sequence, accepted_sequence, updated_us,
        work_class, status, agent, session_id, row)
        VALUES ('acme', 'old', 1, 1, 1, 'interactive', 'QUEUED', 'a', '', x'')"""
    await database.write(lambda connection: connection.execute(before))
    assert await bench.hints_at(NOON) == ["old:1:due-0"]


RUN = RecordsOf()
HOUR = timedelta(hours=1)


def parked(until: datetime | None) -> Record:
    record = RUN.parked(10)
    if until is not None:
        record.events[0].parked.wake_at.FromDatetime(until)
    return record


DUES = [
    ("queued: it may have lost its hint", [], IDLE),
    ("running: it may have lost its worker", [RUN.claimed()], IDLE),
    ("it waits for a person", [RUN.claimed(), parked(None)], None),
    ("it waits for a person and was cancelled", [RUN.claimed(), parked(None), RUN.cancel()], IDLE),
    ("it is over", [RUN.claimed(), RUN.record(finished(), epoch=10)], None),
]


@pytest.mark.parametrize(("says", "records", "after"), DUES)
def test_a_row_says_when_the_run_wants_a_hint(
    says: str, records: list[Record], after: timedelta | None
) -> None:
    entries = stored([RUN.accepted(), *records])
    made = row_of(fold(entries), entries[-1], accepted_sequence=3, idle=IDLE)
    assert made.due == (entries[-1].time + after if after is not None else None), says


def test_a_run_parked_until_a_time_is_due_then() -> None:
    entries = stored([RUN.accepted(), RUN.claimed(), parked(START + HOUR)])
    assert row_of(fold(entries), entries[-1], accepted_sequence=3, idle=IDLE).due == START + HOUR
