"""What asking for money costs: Authorize over gRPC on both databases, and beside a ledger that is years old.

    python -m benchmarks.money [--entries 5000000]

Prints one JSON line. A request is what a run does most: settle the last call, reserve the next, against
the limits of run, key and tenant. The service is a process of its own, every commit reaches the disk, and
the load generator is on the same cores. `authorize_old_over_new` compares the median alone on a ledger of
so many entries with that on an empty one, in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from malha import ids
from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.api.common.v1.usage_pb2 import Usage
from malha.api.cost.v1 import cost_service_pb2 as pb
from malha.api.cost.v1.budget_pb2 import Budget, Scope, Window
from malha.api.cost.v1.cost_service_pb2_grpc import CostServiceStub
from malha.api.cost.v1.usage_pb2 import UsageGroup
from malha.stack.secrets import Secrets
from malha.testing.ledgers import PostgresShelf
from malha.testing.postgres import postgres
from malha.wire import Identity, Peer, acting_for

_IN_FLIGHT = 64
_RUNS, _CALLS = 1_000, 4
_ALONE = 400
_TENANT = "bench"
_DAYS = 730


class Asking:
    """A run's way to the service."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = CostServiceStub(peer.channel)
        self._principal = Principal(tenant=_TENANT, key_id="k", tier=Tier.TIER_ENTERPRISE, scopes=["admin"])

    async def limits(self) -> None:
        """A limit of the key and one in total, beside the run's own."""
        for scope, scope_id, window in (
            (Scope.SCOPE_KEY, "k", Window.WINDOW_MONTH),
            (Scope.SCOPE_TENANT, "", Window.WINDOW_TOTAL),
            (Scope.SCOPE_TENANT, "", Window.WINDOW_DAY),
        ):
            budget = Budget(scope=scope, scope_id=scope_id, window=window, limit_microusd=10**15)
            with acting_for(self._principal, timeout=30):
                request = pb.SetBudgetRequest(budget=budget)
                await self._peer.call(self._stub.SetBudget, request, timeout=30)

    async def usage_ms(self) -> float:
        """Median ms to be told what was spent on each day of two years."""
        took = []
        since = (datetime.now(UTC).date() - timedelta(days=_DAYS)).isoformat()
        for _ in range(21):
            begun = time.perf_counter()
            with acting_for(self._principal, timeout=30):
                request = pb.GetUsageRequest(since=since)
                answer = await self._peer.call(self._stub.GetUsage, request, timeout=30)
            took.append(1000 * (time.perf_counter() - begun))
            assert len(answer.days) >= _DAYS
        return statistics.median(took)

    async def grouped_ms(self, group: UsageGroup) -> float:
        """Median ms to be told what was spent in two years by group."""
        took = []
        since = (datetime.now(UTC).date() - timedelta(days=_DAYS)).isoformat()
        for _ in range(21):
            begun = time.perf_counter()
            with acting_for(self._principal, timeout=30):
                request = pb.GetUsageRequest(since=since, group_by=group)
                answer = await self._peer.call(self._stub.GetUsage, request, timeout=30)
            took.append(1000 * (time.perf_counter() - begun))
            assert answer.rows
        return statistics.median(took)

    async def report_ms(self) -> float:
        """Median ms to be told of a day."""
        took = []
        day = (datetime.now(UTC).date() - timedelta(days=7)).isoformat()
        for _ in range(5):
            begun = time.perf_counter()
            with acting_for(self._principal, timeout=30):
                request = pb.GetDailyReportRequest(day=day)
                answer = await self._peer.call(self._stub.GetDailyReport, request, timeout=30)
            took.append(1000 * (time.perf_counter() - begun))
            assert answer.report.runs
        return statistics.median(took)

    async def run(self, calls: int = _CALLS) -> list[float]:
        """One run of so many calls; how long each request took, in ms."""
        run = ids.ulid().lower()
        settle: list[pb.Settlement] = []
        took = []
        for step in range(1, calls + 1):
            key = f"{_TENANT}/{run}/{step}/1/1"
            call = pb.ModelCall(
                provider="openai", model="gpt-4o-mini", input_tokens=900, max_output_tokens=100
            )
            asked = pb.Reservation(key=key, run_id=run, agent="a", run_limit_microusd=10**12, model=call)
            begun = time.perf_counter()
            with acting_for(self._principal, timeout=30):
                request = pb.AuthorizeRequest(settle=settle, reserve=[asked])
                answer = await self._peer.call(self._stub.Authorize, request, timeout=30)
            took.append(1000 * (time.perf_counter() - begun))
            assert answer.reserved, answer
            settle = [pb.Settlement(key=key, usage=Usage(input_tokens=900, output_tokens=50))]
        return took


@asynccontextmanager
async def service(folder: Path, database_url: str = "") -> AsyncIterator[Asking]:
    """The cost service on the state in a folder, or on a database."""
    secrets = Secrets(folder / "secrets")
    port = folder / f"port-{ids.ulid()}"
    environment = os.environ | {
        "MALHA_COST_STATE_DIR": str(folder),
        "MALHA_COST_SECRETS_DIR": str(secrets.of("cost")),
        "MALHA_COST_PORT_FILE": str(port),
        "MALHA_COST_DATABASE_URL": database_url,
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "malha_cost", env=environment)
    try:
        while not await asyncio.to_thread(port.exists):
            assert process.returncode is None
            await asyncio.sleep(0.02)
        identity = Identity.load(secrets.of("planner"), "planner")
        peer = Peer("cost", f"127.0.0.1:{port.read_text()}", identity=identity)
        try:
            asking = Asking(peer)
            await asking.limits()
            yield asking
        finally:
            await peer.close()
    finally:
        process.terminate()
        await process.wait()


async def alone(asking: Asking) -> float:
    """Median ms of a request with nobody else's under way."""
    took = [ms for _ in range(_ALONE // _CALLS) for ms in await asking.run()]
    return statistics.median(took)


async def rate(asking: Asking) -> float:
    """Requests a second with 64 runs in flight."""
    turns = asyncio.Semaphore(_IN_FLIGHT)

    async def one() -> None:
        async with turns:
            await asking.run()

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(_RUNS)))
    return _RUNS * _CALLS / (time.perf_counter() - begun)


def fill(path: Path, entries: int) -> None:
    """Two years of a tenant's calls, as its service would have written them, and their balances."""
    today = datetime.now(UTC).date()
    day = f"date('{today - timedelta(days=_DAYS - 1)}', (n * {_DAYS} / {entries // 2}) || ' days')"
    told = "'a', 'model', 'openai', 'gpt-4o-mini', 'openai/gpt-4o-mini@0001-01-01'"
    said = f"1, {day}, 'k', printf('run%08d', n / 4), {told}, 150000000, 75000000, 600000000, 900, 0"
    with closing(sqlite3.connect(path, isolation_level=None)) as ledger:
        ledger.execute("PRAGMA synchronous=OFF")
        ledger.execute("BEGIN")
        for stage, kind, amounts in (
            (0, "reservation", "100, 0, 195, 0, 0, '', '', '', '', '1', 1, 0, 1000, 0"),
            (1, "settlement", "50, 0, -195, 165, 0, '', '', '', '', '1', 1, 0, -1000, 950"),
        ):
            ledger.execute(
                "INSERT INTO entries WITH RECURSIVE numbers(n) AS"  # noqa: S608  # constants above
                f" (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {entries // 2})"
                f" SELECT '{_TENANT}', printf('{_TENANT}/run%08d/%d/1/1', n / 4, n % 4), {stage}, '{kind}',"
                f" {said}, {amounts}, 0, '', '', 'up' FROM numbers"
            )
        for scope, column in ((1, "run_id"), (2, "key_id"), (3, "''")):
            ledger.execute(
                "INSERT INTO balances (tenant, scope, scope_id, day, spent, reserved, tokens, held_tokens)"  # noqa: S608  # likewise
                f" SELECT tenant, {scope}, {column}, day, sum(spent), sum(reserved), sum(tokens),"
                f" sum(held_tokens) FROM entries WHERE tenant = '{_TENANT}' GROUP BY 1, 3, 4"
                " ON CONFLICT DO UPDATE SET spent = excluded.spent, reserved = excluded.reserved,"
                " tokens = excluded.tokens, held_tokens = excluded.held_tokens"
            )
        ledger.execute("COMMIT")


async def main(entries: int) -> dict[str, object]:
    """Every measurement, by its name."""
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="malha-bench-") as name:
        folder = Path(name)
        async with service(folder / "new") as asking:
            await rate(asking)  # warm
            figures["authorize_p50_ms"] = round(await alone(asking), 2)
            figures["authorize_per_s"] = round(await rate(asking))
        with postgres(durable=True) as server:
            async with PostgresShelf(server).book() as book, service(folder / "pg", book.url) as asking:
                await rate(asking)
                figures["authorize_postgres_p50_ms"] = round(await alone(asking), 2)
                figures["authorize_postgres_per_s"] = round(await rate(asking))
        async with service(folder / "old"):
            pass  # it makes the file
        await asyncio.to_thread(fill, folder / "old" / "cost.db", entries)
        figures["ledger_entries"] = entries
        figures["ledger_mb"] = round((folder / "old" / "cost.db").stat().st_size / 2**20)
        async with service(folder / "old") as old, service(folder / "newer") as new:
            rounds = [(await alone(old), await alone(new)) for _ in range(5)]
            figures["usage_by_day_ms"] = round(await old.usage_ms(), 1)
            figures["usage_by_model_ms"] = round(await old.grouped_ms(UsageGroup.USAGE_GROUP_MODEL), 1)
            figures["daily_report_ms"] = round(await old.report_ms(), 1)
        figures["authorize_old_p50_ms"] = round(statistics.median(one for one, _ in rounds), 2)
        figures["authorize_old_over_new"] = round(
            statistics.median(one for one, _ in rounds) / statistics.median(other for _, other in rounds), 2
        )
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=5_000_000)
    print(json.dumps(asyncio.run(main(parser.parse_args().entries))))
