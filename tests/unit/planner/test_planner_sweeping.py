"""What is held for a run that is over is paid at its ceiling, and nothing else is touched."""

from __future__ import annotations

from datetime import timedelta

from malha.api.cost.v1.cost_service_pb2 import HeldRun, ListHeldResponse, SettleRequest, SettleResponse
from malha.clock import SystemClock
from malha.run.keys import run_id_for
from malha.testing.planner import Leading, says
from malha.testing.shop import TENANT, Shop
from malha.wire import acting_for, current
from malha_planner.sweeping import Sweeper

AFTER = timedelta(minutes=10)


class Till:
    """What the ledger holds, by run, and who settled it."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.runs: dict[tuple[str, str], list[str]] = {}
        self.settled_as: list[str] = []

    def hold(self, run_id: str, *keys: str, tenant: str = TENANT) -> None:
        self.runs[tenant, run_id] = list(keys)
        for key in keys:
            self.shop.ledger.enter(key, 70, None)

    async def held(self, older_than: timedelta, *, skip: int) -> ListHeldResponse:
        """One at a time."""
        assert older_than == AFTER
        held = [HeldRun(tenant=t, run_id=r, keys=keys) for (t, r), keys in self.runs.items()]
        more = len(held) > skip + 1
        return ListHeldResponse(runs=held[skip : skip + 1], next=skip + 1 if more else 0)

    async def settle(self, request: SettleRequest) -> SettleResponse:
        assert all(one.at_ceiling for one in request.settle)
        self.settled_as += [current().principal.tenant] * len(request.settle)
        return await self.shop.ledger.settle(request)


def sweeper(shop: Shop, till: Till) -> Sweeper:
    return Sweeper(journal=shop.journal, ledger=till, acting=acting_for, clock=SystemClock(), after=AFTER)


async def test_a_reservation_of_a_run_that_is_over_is_paid_at_its_ceiling(shop: Shop) -> None:
    shop.model.script = [says("done")]
    item = await shop.accept()
    await shop.run(item)
    spent = shop.ledger.spent
    till = Till(shop)
    keys = [f"{TENANT}/{item.run_id}/{step}/1/1" for step in range(7, 77)]
    till.hold(item.run_id, *keys)
    assert await sweeper(shop, till).sweep(Leading()) == 70
    assert (shop.ledger.spent, shop.ledger.reserved) == (spent + 70 * 70, 0)
    assert set(till.settled_as) == {TENANT}


async def test_a_run_that_goes_on_keeps_what_it_holds(shop: Shop) -> None:
    item = await shop.accept()
    till = Till(shop)
    till.hold(item.run_id, f"{TENANT}/{item.run_id}/1/1/1")
    assert await sweeper(shop, till).sweep(Leading()) == 0
    assert shop.ledger.reserved == 70


async def test_runs_that_go_on_hide_none_that_is_over(shop: Shop) -> None:
    till = Till(shop)
    for n in range(2):
        item = await shop.accept()
        till.hold(item.run_id, f"{TENANT}/{item.run_id}/1/1/{n}")
    till.hold(run_id_for("other", "gone"), "other/gone/1/1/1", tenant="other")
    assert await sweeper(shop, till).sweep(Leading()) == 1
    assert till.settled_as == ["other"]


async def test_what_an_erased_run_left_is_paid_for_its_own_tenant(shop: Shop) -> None:
    till = Till(shop)
    till.hold(run_id_for("other", "gone"), "other/gone/1/1/1", tenant="other")
    assert await sweeper(shop, till).sweep(Leading()) == 1
    assert till.settled_as == ["other"]
