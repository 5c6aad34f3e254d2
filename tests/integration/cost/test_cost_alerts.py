"""Alerts over a real socket: stored once whatever dies, found without a next call, told to few."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.cost.v1 import cost_service_pb2 as pb
from malha.api.cost.v1.cost_service_pb2_grpc import CostServiceStub
from malha.api.event.v1.alert_pb2 import Alert
from malha.errors import ErrorReason, MalhaError
from malha.stack.secrets import Secrets
from malha.testing.money import call, limit, used
from malha.wire import Identity, Peer, acting_for

Start = Callable[..., Awaitable[Any]]
ANA = Principal(tenant="ana", key_id="key-1", scopes=["runs", "admin"])
NOBODY = Principal(subject="planner")
DIES_WITH_THE_ALERT = """
import os, signal
from malha_cost import alarms
def dies(_alarms, decision):
    if decision.alerts:
        os.kill(os.getpid(), signal.SIGKILL)
alarms.Alarms.decided = dies
from malha_cost import __main__
"""


class Asking:
    """The contract, by any caller."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.stub = CostServiceStub(peer.channel)

    async def said(self, principal: Principal, method: Any, request: Any) -> Any:
        with acting_for(principal, timeout=20):
            return await self._peer.call(method, request, timeout=20)

    async def spend(self, key: str) -> None:
        """Two hundred micro-dollars."""
        await self.said(ANA, self.stub.Authorize, pb.AuthorizeRequest(reserve=[call(key, 100)]))
        await self.said(ANA, self.stub.Settle, pb.SettleRequest(settle=[used(key, 100)]))

    async def untold(self) -> list[Alert]:
        answer = await self.said(NOBODY, self.stub.ListUntoldAlerts, pb.ListUntoldAlertsRequest())
        return list(answer.alerts)

    async def until_told_of(self, count: int) -> list[Alert]:
        async with asyncio.timeout(20):
            while len(found := await self.untold()) < count:  # noqa: ASYNC110  # another process's
                await asyncio.sleep(0.05)
        return found


@asynccontextmanager
async def asking(target: str, secrets: Secrets, caller: str = "planner") -> AsyncIterator[Asking]:
    peer = Peer("cost", target, identity=Identity.load(secrets.of(caller), caller))
    try:
        yield Asking(peer)
    finally:
        await peer.close()


async def test_what_a_last_settlement_reached_is_found_though_nothing_is_asked_any_more(
    start_cost: Start, mesh_secrets: Secrets
) -> None:
    running = await start_cost()
    async with asking(running.target, mesh_secrets) as cost:
        await cost.said(ANA, cost.stub.SetBudget, pb.SetBudgetRequest(budget=limit(240)))
        await cost.spend("k")
        [alert] = await cost.until_told_of(1)
        assert (alert.type, alert.tenant, alert.limit_microusd) == ("budget_warned", "ana", 240)
        names = [pb.AlertName(tenant=alert.tenant, id=alert.id)]
        await cost.said(NOBODY, cost.stub.MarkAlertsTold, pb.MarkAlertsToldRequest(alerts=names))
        assert await cost.untold() == []
        answer = await cost.said(ANA, cost.stub.ListAlerts, pb.ListAlertsRequest())
        assert list(answer.alerts) == [alert]


async def test_an_alert_is_stored_once_though_the_service_dies_before_it_answers(
    start_cost: Start, mesh_secrets: Secrets
) -> None:
    running = await start_cost(DIES_WITH_THE_ALERT)
    asked = pb.AuthorizeRequest(reserve=[call("k", 100)])
    async with asking(running.target, mesh_secrets) as cost:
        await cost.said(ANA, cost.stub.SetBudget, pb.SetBudgetRequest(budget=limit(1)))
        with pytest.raises(MalhaError):
            await cost.said(ANA, cost.stub.Authorize, asked)
    running = await start_cost()
    async with asking(running.target, mesh_secrets) as cost:
        [before] = await cost.untold()
        for _ in range(2):
            answer = await cost.said(ANA, cost.stub.Authorize, asked)
            assert answer.HasField("denied")
        assert await cost.untold() == [before]
        assert before.type == "budget_stopped"


async def test_what_is_all_tenants_is_told_to_the_planner_alone_and_a_tenants_to_its_administrators(
    start_cost: Start, mesh_secrets: Secrets
) -> None:
    running = await start_cost()
    name = pb.AlertName(tenant="ana", id="a" * 52)
    async with asking(running.target, mesh_secrets, "gateway") as cost:
        for method, request in (
            (cost.stub.ListUntoldAlerts, pb.ListUntoldAlertsRequest()),
            (cost.stub.MarkAlertsTold, pb.MarkAlertsToldRequest(alerts=[name])),
        ):
            with pytest.raises(MalhaError) as refusal:
                await cost.said(ANA, method, request)
            assert refusal.value.reason == ErrorReason.ERROR_REASON_CALLER_NOT_ALLOWED
        caller = Principal(tenant="ana", scopes=["runs"])
        with pytest.raises(MalhaError) as refusal:
            await cost.said(caller, cost.stub.ListAlerts, pb.ListAlertsRequest())
        assert refusal.value.reason == ErrorReason.ERROR_REASON_SCOPE_MISSING
