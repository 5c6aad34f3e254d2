"""Money over a real socket: races, hang-ups, kills, and who may ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import pytest

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.cost.v1 import cost_service_pb2 as pb
from malha.api.cost.v1.budget_pb2 import Budget, BudgetStatus
from malha.api.cost.v1.cost_service_pb2_grpc import CostServiceStub
from malha.api.cost.v1.usage_pb2 import DayUsage
from malha.errors import ErrorReason, MalhaError
from malha.stack.secrets import Secrets
from malha.testing.ledgers import PostgresBook
from malha.testing.money import Till, at_ceiling, call, limit, release, used
from malha.wire import Identity, Peer, acting_for

DIES_AFTER_COMMIT = """
import os, signal
from malha_cost import alarms
def dies(_alarms, decision):
    if any(entry.kind == {kind!r} for entry in decision.entries):
        os.kill(os.getpid(), signal.SIGKILL)
alarms.Alarms.decided = dies
from malha_cost import __main__
"""


class Running(Protocol):
    """A started service."""

    target: str

    async def kill(self) -> None: ...


Start = Callable[..., Awaitable[Running]]


class RemoteJudge:
    """The contract, asked as the planner asks it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = CostServiceStub(peer.channel)

    async def authorize(
        self, principal: Principal, settle: Sequence[pb.Settlement], reserve: Sequence[pb.Reservation]
    ) -> pb.AuthorizeResponse:
        request = pb.AuthorizeRequest(settle=settle, reserve=reserve)
        with acting_for(principal, timeout=60):
            return await self._peer.call(self._stub.Authorize, request, timeout=60)

    async def settle(self, principal: Principal, settlements: Sequence[pb.Settlement]) -> list[pb.Settled]:
        with acting_for(principal, timeout=60):
            answer = await self._peer.call(
                self._stub.Settle, pb.SettleRequest(settle=settlements), timeout=60
            )
        return list(answer.settled)

    async def standing(self, principal: Principal) -> pb.GetBudgetResponse:
        with acting_for(principal, timeout=60):
            return await self._peer.call(self._stub.GetBudget, pb.GetBudgetRequest(), timeout=60)

    async def usage(self, principal: Principal, since: str, until: str) -> Sequence[DayUsage]:
        with acting_for(principal, timeout=60):
            request = pb.GetUsageRequest(since=since, until=until)
            return (await self._peer.call(self._stub.GetUsage, request, timeout=60)).days

    async def set_budget(self, principal: Principal, wanted: Budget) -> BudgetStatus:
        with acting_for(principal, timeout=60):
            answer = await self._peer.call(
                self._stub.SetBudget, pb.SetBudgetRequest(budget=wanted), timeout=60
            )
        return answer.status

    async def adjust(self, principal: Principal, asked: pb.AdjustRequest) -> int:
        with acting_for(principal, timeout=60):
            return (await self._peer.call(self._stub.Adjust, asked, timeout=60)).amount_microusd


@asynccontextmanager
async def asking(target: str, secrets: Secrets, caller: str = "planner") -> AsyncIterator[RemoteJudge]:
    peer = Peer("cost", target, identity=Identity.load(secrets.of(caller), caller))
    try:
        yield RemoteJudge(peer)
    finally:
        await peer.close()


@pytest.fixture
async def judge(start_cost: Start, mesh_secrets: Secrets) -> AsyncIterator[RemoteJudge]:
    running = await start_cost()
    async with asking(running.target, mesh_secrets) as judge:
        yield judge


async def test_one_call_after_another_over_the_wire(judge: RemoteJudge) -> None:
    till = Till(judge)
    answer = await till.reserve(call("a/r/1/1/1", 7, output=5))
    price = answer.reserved[0].amount_microusd
    assert price == await ceiling_today(till, 7) + 50
    answer = await till.reserve(call("a/r/2/1/1", 10), settle=[used("a/r/1/1/1", 7)])
    assert answer.settled[0].cost.reference_model == "half"
    spent = answer.settled[0].cost.amount_microusd
    [settled] = await judge.settle(till.principal, [release("a/r/2/1/1")])
    assert settled.cost.amount_microusd == 0
    assert await till.standing() == (spent, 0)


async def ceiling_today(till: Till, tokens: int) -> int:
    """What so many tokens are reserved at on the day the test runs."""
    answer = await till.reserve(call(f"probe/{tokens}", tokens, run="probe"))
    await till.settle(release(f"probe/{tokens}"))
    return answer.reserved[0].amount_microusd


async def test_five_hundred_tasks_race_for_ten_calls_and_ten_get_them(judge: RemoteJudge) -> None:
    till = Till(judge)
    price = await ceiling_today(till, 100)
    budget = 10 * price + price // 2
    await judge.set_budget(till.principal, limit(budget))

    async def task(number: int) -> bool:
        answer = await till.reserve(call(f"ana/{number}/1", 100, run=f"run-{number}"))
        spent, reserved = await till.standing()
        assert spent + reserved <= budget
        if not answer.reserved:
            return False
        await till.settle(used(f"ana/{number}/1", 100))
        return True

    granted = await asyncio.gather(*map(task, range(500)))
    assert sum(granted) == 10
    assert await till.standing() == (10 * price, 0)


async def test_five_hundred_runs_of_two_calls_on_a_budget_for_ten_finish_at_least_nine(
    judge: RemoteJudge,
) -> None:
    till = Till(judge)
    price = await ceiling_today(till, 100)
    # each call is reserved at twice what it turns out to use
    budget = 10 * price
    await judge.set_budget(till.principal, limit(budget))

    async def run(number: int) -> bool:
        settle: list[pb.Settlement] = []
        for step in (1, 2):
            asked = call(f"ana/{number}/{step}", 100, run=f"run-{number}")
            while not (answer := await till.reserve(asked, settle=settle)).reserved:
                if not answer.denied.may_free:
                    return False
                await asyncio.sleep(0.05 + number * 37 % 200 / 1000)  # asks again as the planner does
            settle = [used(asked.key, 50)]
        await till.settle(*settle)
        return True

    finished = await asyncio.gather(*map(run, range(500)))
    spent, reserved = await till.standing()
    assert spent <= budget
    assert reserved == 0
    assert sum(finished) >= 9


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_a_kill_between_commit_and_answer_changes_nothing(
    start_cost: Start, mesh_secrets: Secrets, database: str, postgres_book: PostgresBook
) -> None:
    url = postgres_book.url if database == "postgres" else ""
    for kind, settle, reserve in (
        ("reservation", [], [call("k", 100)]),
        ("provisional", [at_ceiling("k")], []),
        ("correction", [used("k", 40)], [call("n", 10)]),
    ):
        dying = await start_cost(DIES_AFTER_COMMIT.format(kind=kind), url)
        async with asking(dying.target, mesh_secrets) as judge:
            with pytest.raises(MalhaError) as lost:
                await Till(judge).reserve(*reserve, settle=settle)
            assert lost.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
        running = await start_cost(database_url=url)
        async with asking(running.target, mesh_secrets) as judge:
            till = Till(judge)
            committed = await till.standing()
            again = await till.reserve(*reserve, settle=settle)
            assert await till.standing() == committed
            assert await till.reserve(*reserve, settle=settle) == again
            assert sum(committed) > 0
        await running.kill()


async def test_a_kill_under_load_loses_nothing_that_was_answered(
    start_cost: Start, mesh_secrets: Secrets
) -> None:
    running = await start_cost()
    answered: dict[str, int] = {}
    asked = [call(f"ana/{number}/1", number, run=f"run-{number}") for number in range(1, 301)]
    some = asyncio.Event()
    async with asking(running.target, mesh_secrets) as judge:
        till = Till(judge)

        async def ask(reservation: pb.Reservation) -> None:
            try:
                answer = await till.reserve(reservation)
            except MalhaError:
                return
            answered[reservation.key] = answer.reserved[0].amount_microusd
            if len(answered) >= 40:
                some.set()

        async with asyncio.TaskGroup() as tasks:
            for reservation in asked:
                tasks.create_task(ask(reservation))
            await some.wait()
            await running.kill()
    running = await start_cost()
    async with asking(running.target, mesh_secrets) as judge:
        till = Till(judge)
        assert (await till.standing())[1] >= sum(answered.values())
        again = await till.reserve(*asked[:64]), await till.reserve(*asked[64:128])
        assert all(
            answered.get(r.key, r.amount_microusd) == r.amount_microusd for a in again for r in a.reserved
        )


async def test_another_tenants_key_is_not_found(judge: RemoteJudge) -> None:
    await Till(judge).reserve(call("k"))
    with pytest.raises(MalhaError) as refusal:
        await judge.settle(Till(judge, tenant="bia").principal, [used("k", 1)])
    assert refusal.value.reason == ErrorReason.ERROR_REASON_RESERVATION_NOT_FOUND
    assert "ana" not in refusal.value.message


@pytest.mark.parametrize(
    ("reservation", "field"),
    [
        (pb.Reservation(run_id="r", tool=pb.ToolUse(tool="t")), "reserve[0].key"),
        (pb.Reservation(key="k", tool=pb.ToolUse(tool="t")), "reserve[0].run_id"),
        (pb.Reservation(key="k", run_id="r"), "reserve[0].priced"),
        (call("k", -1), "reserve[0].model.input_tokens"),
        (call("k", 1, limit=-1), "reserve[0].run_limit_microusd"),
        (call("k", 1, output=2**40), "reserve[0].model.max_output_tokens"),
    ],
)
async def test_what_breaks_the_contract_is_refused_by_field(
    judge: RemoteJudge, reservation: pb.Reservation, field: str
) -> None:
    with pytest.raises(MalhaError) as refusal:
        await Till(judge).reserve(reservation)
    assert refusal.value.reason == ErrorReason.ERROR_REASON_FIELD_INVALID
    assert refusal.value.violations[0][0] == field


async def test_a_budget_is_set_by_an_admin_alone(judge: RemoteJudge) -> None:
    with pytest.raises(MalhaError) as refusal:
        await judge.set_budget(Principal(tenant="ana", scopes=["runs"]), limit(10**9))
    assert refusal.value.reason == ErrorReason.ERROR_REASON_SCOPE_MISSING
    assert await Till(judge).limits() == [limit(25_000_000)]


@pytest.mark.parametrize("wrong", [limit(5), limit(5, key="k")])
async def test_a_budgets_id_fits_its_scope_on_the_wire_too(judge: RemoteJudge, wrong: Budget) -> None:
    wrong = Budget(
        scope=wrong.scope, scope_id="" if wrong.scope_id else "x", window=wrong.window, limit_microusd=5
    )
    with pytest.raises(MalhaError) as refusal:
        await judge.set_budget(Till(judge).principal, wrong)
    assert refusal.value.violations[0][0] == "budget.scope_id"


@pytest.mark.parametrize("caller", ["tools", "guard", "cost"])
async def test_only_those_who_spend_may_ask(start_cost: Start, mesh_secrets: Secrets, caller: str) -> None:
    running = await start_cost()
    async with asking(running.target, mesh_secrets, caller) as judge:
        with pytest.raises(MalhaError) as refusal:
            await Till(judge).reserve(call("k"))
        assert refusal.value.reason == ErrorReason.ERROR_REASON_CALLER_NOT_ALLOWED
