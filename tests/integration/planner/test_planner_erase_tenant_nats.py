"""Erasing a tenant on a real stream: all of its runs, and its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.run.v1.record_pb2 import Content
from malha.errors import ErrorReason, MalhaError
from malha.run import Sealer, UnsealableError, run_id_for
from malha.run.nats_journal import NatsKeyRing
from malha.testing.grep import files_with, traces
from malha.testing.planner_on_nats import PlannerOnNats
from malha.testing.shop import until

ANA = Principal(tenant="acme", subject="ana")


async def test_a_tenant_is_erased_with_its_key_and_other_tenants_are_not(
    planner: PlannerOnNats, tmp_path: Path
) -> None:
    planner.chores = [planner.eraser()]
    items = await planner.finished(5)
    needles: set[bytes] = set()
    for item in items:
        needles |= traces(await planner.journal.load(item.tenant, item.run_id))
    keys = NatsKeyRing(planner.connection, bytes(32))
    elsewhere = NatsKeyRing(planner.connection, bytes(32))
    await elsewhere.listen()
    place = ("acme", run_id_for("acme", None), "accepted")
    sealed = await Sealer(elsewhere).seal(*place, Content(text="a copy somewhere else"))
    others = await elsewhere.current("other")

    operator = Principal(tenant="house", subject="op")
    assert await planner.erase_requests(keys).erase_tenant(operator, "acme") == 5

    await until(lambda: not files_with(needles, tmp_path))
    await planner.connection.nc.flush()
    with pytest.raises(UnsealableError):
        await Sealer(elsewhere).open(*place, sealed)
    again = await Sealer(elsewhere).seal(*place, Content(text="new"))
    assert (await Sealer(NatsKeyRing(planner.connection, bytes(32))).open(*place, again)).text == "new"
    assert await elsewhere.find("other", others.key_id) == others


async def test_a_tenant_with_a_run_still_going_is_not_erased(planner: PlannerOnNats) -> None:
    planner.chores = [planner.eraser()]
    (item,) = await planner.finished()
    await planner.stop_all()
    planner.start_follower()
    await planner.accept()

    async def listed() -> bool:
        return len(await planner.table.page("acme", {}, before=None, limit=10)) == 2

    await until(listed)
    with pytest.raises(MalhaError) as refused:
        await planner.erase_requests().erase_tenant(ANA, "acme")
    assert refused.value.reason == ErrorReason.ERROR_REASON_RUN_NOT_FINISHED
    assert await planner.in_stream(item)
