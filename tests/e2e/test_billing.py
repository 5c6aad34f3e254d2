"""Stripe's webhooks through the real edge, before two gateways: the signed bytes are the bytes that come."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from malha.api.common.v1.principal_pb2 import Tier
from malha.testing import stripe_webhooks as sent
from malha.testing.mesh import Mesh
from malha.testing.stripe_webhooks import SECRET, signature

PATH = "/v1/billing/stripe"
SETTINGS = {
    "MALHA_GATEWAY_STRIPE_WEBHOOK_SECRETS": SECRET,
    "MALHA_GATEWAY_STRIPE_TIERS": '{"price_pro": "pro"}',
    "MALHA_GATEWAY_FREE_RATE": "4",
    "MALHA_GATEWAY_KEY_MEMORY_SECONDS": "1",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def billed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    """A mesh with Stripe set up, on which a free key has four calls a minute."""
    state = tmp_path_factory.mktemp("billed")
    async with Mesh(state, SETTINGS, options=("--replicas", "gateway=2")) as mesh:
        yield mesh


async def post(mesh: Mesh, body: bytes, header: str = "") -> tuple[int, dict[str, Any]]:
    """Send a webhook as Stripe does."""
    headers = {"content-type": "application/json; charset=utf-8", "user-agent": "Stripe/1.0"}
    headers["stripe-signature"] = header or signature(body, time.time())
    async with (
        aiohttp.ClientSession(mesh.rest_url) as session,
        session.post(PATH, data=body, headers=headers) as response,
    ):
        return response.status, await response.json()


async def refused_for_rate(mesh: Mesh, api_key: str, calls: int = 12) -> int:
    """How many of so many calls, over both gateways, come too fast for the key's tier."""
    headers = {"authorization": f"Bearer {api_key}"}
    statuses = []
    for _ in range(calls):  # a connection each, so that both gateways are asked
        async with (
            aiohttp.ClientSession(mesh.rest_url, headers=headers) as session,
            session.get("/v1/agents") as response,
        ):
            statuses.append(response.status)
    assert set(statuses) <= {200, 429}
    return statuses.count(429)


async def test_a_subscription_moves_a_tenant_up_and_its_end_down_at_both_gateways(billed: Mesh) -> None:
    api_key = await billed.key_of("ana", "runs", tier=Tier.TIER_FREE)
    unpaid = await billed.key_of("bob", "runs", tier=Tier.TIER_FREE)
    assert await refused_for_rate(billed, unpaid) > 0
    begun = time.time()
    body = sent.subscription("created", begun, tenant="ana", event_id="evt_first")
    assert await post(billed, body) == (200, {"outcome": "applied"})
    assert await refused_for_rate(billed, api_key) == 0, "a hundred a minute, at either gateway"
    assert await post(billed, body) == (200, {"outcome": "repeated"})
    ended = sent.subscription("deleted", begun + 2, "canceled")
    assert await post(billed, ended) == (200, {"outcome": "applied"})
    assert await post(billed, sent.subscription("updated", begun + 1)) == (200, {"outcome": "applied"})
    assert await refused_for_rate(billed, api_key) > 0, "the older one came later and undid nothing"
    async with billed.client() as operator:
        assert (await operator.tenant("ana")).tier == Tier.TIER_FREE


async def test_what_was_not_signed_so_is_refused_without_effect(billed: Mesh) -> None:
    body = sent.subscription("created", time.time(), customer="cus_Bia", name="sub_Bia", tenant="bia")
    for header in (signature(body, time.time(), "whsec_another"), signature(body, time.time() - 400), "t=1"):
        status, refusal = await post(billed, body, header)
        assert status == 400
        assert refusal["message"].startswith("stripe-signature: ")
    status, _ = await post(billed, body.replace(b"  ", b" "), signature(body, time.time()))
    assert status == 400, "the same JSON in other bytes"
    async with billed.client() as operator:
        assert not (await operator.tenant("bia")).stripe_customer


async def test_any_bytes_come_as_they_were_sent(billed: Mesh) -> None:
    strange = (
        '{"unknown": [1.0, 1e5], "é":\t"\\u00e9", "type": "customer.created",\r\n "data": {"object": {}}}\n'
    )
    for body in (strange.encode(), sent.event("customer.created", time.time(), {"id": "cus_1"})):
        assert await post(billed, body) == (200, {"outcome": "ignored"})


async def test_an_operator_links_a_customer_and_nobody_else_may(billed: Mesh) -> None:
    body = sent.subscription("created", time.time(), customer="cus_Eva", name="sub_Eva")
    assert await post(billed, body) == (200, {"outcome": "unlinked"})
    admin = await billed.key_of("eva", "runs", "admin")
    async with aiohttp.ClientSession(billed.rest_url) as session:
        for api_key, status in ((admin, 403), (billed.api_key, 200)):
            headers = {"authorization": f"Bearer {api_key}"}
            async with session.post(
                "/v1/operator/tenants/eva:link", json={"customer": "cus_Eva"}, headers=headers
            ) as response:
                assert response.status == status
                told = await response.json()
    assert told == {"tenant": "eva", "tier": "TIER_PRO", "stripe_customer": "cus_Eva"}


async def test_without_a_secret_there_is_no_such_path(mesh: Mesh) -> None:
    status, refusal = await post(mesh, sent.subscription("created", time.time(), tenant="ana"))
    assert (status, refusal["details"][0]["reason"]) == (404, "ROUTE_NOT_FOUND")
