"""A revoked key's open runs end with it."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.api.gateway.v1.admin_service_pb2 import CreateApiKeyRequest
from malha.api.planner.v1.planner_service_pb2 import ListRunsResponse, RunRow
from malha.errors import ErrorReason, MalhaError, unavailable
from malha.testing.clock import FakeClock
from malha.testing.keys import MemoryKeys
from malha.wire import acting_for, current
from malha_gateway.administration import Administration
from malha_gateway.authentication import Authenticator
from malha_gateway.ports import Planner
from malha_gateway.revocation import Revocation
from malha_gateway.runs import Runs

ADMIN = Principal(tenant="acme", subject="ana", tier=Tier.TIER_PRO, scopes=["runs", "knowledge", "admin"])


class Mesh:
    """A table of runs of one key, and the runs that were asked to end."""

    def __init__(self) -> None:
        self.open: list[str] = []
        self.away = False
        self.filters: list[str] = []
        self.tenants: set[str] = set()
        self.cancelled: list[tuple[str, str, str, str]] = []
        self.over: set[str] = set()

    async def runs(self, filter_: str, page_size: int, page_token: str) -> ListRunsResponse:
        if self.away:
            raise unavailable("planner")
        self.filters.append(filter_)
        self.tenants.add(current().principal.tenant)
        start = int(page_token or 0)
        rows = [RunRow(run_id=run_id) for run_id in self.open[start : start + page_size]]
        more = str(start + page_size) if start + page_size < len(self.open) else ""
        return ListRunsResponse(rows=rows, next_page_token=more)

    async def end(self, principal: Principal, run_id: str, reason: str) -> None:
        if run_id in self.over:
            raise MalhaError(ErrorReason.ERROR_REASON_RUN_FINISHED, "over")
        self.cancelled.append((principal.tenant, principal.subject, run_id, reason))


class House:
    def __init__(self) -> None:
        self.clock, self.mesh, self.keys = FakeClock(), Mesh(), MemoryKeys()
        administration = Administration(
            self.keys, Authenticator(self.keys, self.clock, memory_seconds=2), self.clock
        )
        self.administration = administration
        self.revocation = Revocation(
            administration,
            cast(Planner, self.mesh),  # of which only runs is used
            cast(Runs, self.mesh),  # and only cancel
            acting_for,
            self.clock,
            memory_seconds=2,
        )

    async def key(self) -> str:
        key, _ = await self.administration.create(ADMIN, CreateApiKeyRequest(subject="bo"))
        return key.principal.key_id

    async def revoke(self, by: Principal, key_id: str) -> int:
        revoking = asyncio.create_task(self.revocation.revoke(by, key_id))
        while not revoking.done():
            await asyncio.sleep(0)
            self.clock.advance(0.5)
        return await revoking


@pytest.fixture
def house() -> House:
    return House()


async def test_every_open_run_of_a_revoked_key_is_asked_to_end_by_whom_and_why(house: House) -> None:
    key_id = await house.key()
    house.mesh.open = [f"run-{n}" for n in range(250)]
    assert await house.revoke(ADMIN, key_id) == 250
    assert {run_id for _, _, run_id, _ in house.mesh.cancelled} == set(house.mesh.open)
    assert house.mesh.cancelled[0][:2] == ("acme", "ana")
    assert house.mesh.cancelled[0][3] == f"the API key {key_id} was revoked"
    assert set(house.mesh.filters) == {f'key_id = "{key_id}" AND open = true'}


async def test_a_run_that_another_replica_accepted_a_moment_later_is_found_too(house: House) -> None:
    key_id = await house.key()
    revoking = asyncio.create_task(house.revocation.revoke(ADMIN, key_id))
    while not house.mesh.filters:  # noqa: ASYNC110 - a list has no event for it
        await asyncio.sleep(0)
    house.mesh.open = ["late"]
    while not revoking.done():
        await asyncio.sleep(0)
        house.clock.advance(0.5)
    assert await revoking == 1


async def test_a_run_that_ended_meanwhile_is_no_failure(house: House) -> None:
    key_id = await house.key()
    house.mesh.open, house.mesh.over = ["a", "b"], {"a"}
    await house.revoke(ADMIN, key_id)
    assert [run_id for _, _, run_id, _ in house.mesh.cancelled] == ["b"]


async def test_the_key_has_ended_even_if_its_runs_cannot_be_found(house: House) -> None:
    key_id = await house.key()
    house.mesh.away = True
    with pytest.raises(MalhaError):
        await house.revoke(ADMIN, key_id)
    assert house.keys.kept[key_id].revoked_at is not None
    house.mesh.away, house.mesh.open = False, ["left"]
    assert await house.revoke(ADMIN, key_id) == 1


async def test_an_operator_s_revocation_looks_among_the_runs_of_the_key_s_tenant(house: House) -> None:
    key_id = await house.key()
    operator = Principal(tenant="house", subject="op", scopes=["admin", "operator"])
    house.mesh.open = ["a"]
    await house.revoke(operator, key_id)
    assert house.mesh.tenants == {"acme"}
    assert house.mesh.cancelled[0][:2] == ("acme", "op")
