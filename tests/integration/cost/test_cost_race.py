"""Many tasks of many processes race for budgets: nothing above the limit, nothing left that would fit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import pytest

from malha.cli.racing import CALLER, Outcome, race
from malha.stack.secrets import Secrets
from malha.testing.ledgers import PostgresBook
from malha.testing.shop import until
from malha_cost.adapters import postgres_audit, sqlite_audit


class Running(Protocol):
    """A started service."""

    target: str

    async def kill(self) -> None: ...


Start = Callable[..., Awaitable[Running]]
ROUNDS = 3


def won(outcome: Outcome) -> None:
    assert (outcome.rounds, outcome.overshoot_microusd, outcome.unused_calls) == (ROUNDS, 0, 0)
    assert outcome.granted >= ROUNDS * 20
    assert outcome.denied == ROUNDS * 500, "every task went on until there was nothing left"


@pytest.mark.timeout(240)
async def test_500_tasks_of_4_processes_spend_a_budget_to_the_last_call_and_no_further(
    start_cost: Start, mesh_secrets: Secrets, tmp_path: Path
) -> None:
    running = await start_cost()
    won(await race(running.target, mesh_secrets.of(CALLER), rounds=ROUNDS, processes=4))
    assert sqlite_audit.read(tmp_path / "state" / "cost.db").off == []


@pytest.mark.timeout(240)
async def test_so_they_do_on_postgresql_with_three_replicas_of_the_service(
    start_cost: Start, mesh_secrets: Secrets, postgres_book: PostgresBook
) -> None:
    replicas = [await start_cost(database_url=postgres_book.url) for _ in range(3)]
    target = ",".join(replica.target for replica in replicas)
    won(await race(target, mesh_secrets.of(CALLER), rounds=ROUNDS, processes=4))
    assert (await postgres_audit.read(postgres_book.owner_url)).off == []


@pytest.mark.timeout(240)
async def test_so_they_do_when_one_replica_is_killed_in_the_middle_of_it(
    start_cost: Start, mesh_secrets: Secrets, postgres_book: PostgresBook
) -> None:
    replicas = [await start_cost(database_url=postgres_book.url) for _ in range(3)]
    target = ",".join(replica.target for replica in replicas)

    async def in_the_middle() -> bool:
        [(granted,)] = await postgres_book.rows("SELECT count(*) FROM entries WHERE kind = 'settlement'")
        return bool(granted >= 10)

    async with asyncio.TaskGroup() as tasks:
        racing = tasks.create_task(race(target, mesh_secrets.of(CALLER), rounds=ROUNDS, processes=4))
        await until(in_the_middle)
        await replicas[0].kill()
    won(racing.result())
    assert (await postgres_audit.read(postgres_book.owner_url)).off == []
