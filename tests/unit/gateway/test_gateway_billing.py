"""Tenants move between tiers as Stripe says, once for each thing it says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import malha_gateway
from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.errors import ErrorReason, MalhaError
from malha.sqlite import Database
from malha.testing import stripe_webhooks as sent
from malha.testing.clock import FakeClock
from malha.testing.stripe_webhooks import CUSTOMER, SECRET, signature
from malha_gateway.adapters.key_store import SqliteKeyStore
from malha_gateway.adapters.tenant_store import SqliteTenantStore
from malha_gateway.authentication import Authenticator
from malha_gateway.billing import Billing
from malha_gateway.keys import StoredKey, digest, new_key

MIGRATIONS = Path(malha_gateway.__file__).parent / "migrations"
MEMORY_SECONDS = 2.0
FREE, PRO, ENTERPRISE = Tier.TIER_FREE, Tier.TIER_PRO, Tier.TIER_ENTERPRISE


class Passing(FakeClock):
    """A clock whose time passes while somebody sleeps."""

    slept = 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.advance(seconds)


class Office:
    """A gateway's database, what is billed on it, and a key of the tenant "ana"."""

    def __init__(self, database: Database) -> None:
        self.clock = Passing(datetime(2026, 11, 25, 12, tzinfo=UTC))
        self.keys = SqliteKeyStore(database)
        # another gateway's: nobody tells it anything
        self.elsewhere = Authenticator(self.keys, self.clock, memory_seconds=MEMORY_SECONDS)
        self._database = database
        self.billing = self.bill({"price_pro": PRO, "team": ENTERPRISE})
        self.api_key = ""

    def bill(self, tiers: Mapping[str, Tier]) -> Billing:
        """A gateway's billing, by these settings."""
        return Billing(
            SqliteTenantStore(self._database),
            self.clock,
            secrets=[SECRET],
            tiers=tiers,
            grace=timedelta(days=7),
            memory_seconds=MEMORY_SECONDS,
        )

    @property
    def now(self) -> float:
        return self.clock.now().timestamp()

    async def key(self, tenant: str, tier: Tier) -> str:
        key_id, api_key = new_key()
        principal = Principal(tenant=tenant, subject="s", key_id=key_id, tier=tier)
        await self.keys.put(StoredKey(principal, digest(api_key), self.clock.now() + timedelta(days=90)))
        return api_key

    async def tier(self) -> Tier:
        """Which tier the next call of ana's key has at the other gateway."""
        principal = await self.elsewhere.principal({"x-api-key": self.api_key})
        return principal.tier

    async def hear(self, body: bytes) -> str:
        return await self.billing.receive(body, signature(body, self.now))


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    database = await Database.open(tmp_path / "gateway.sqlite", MIGRATIONS, durable=False)
    office = Office(database)
    office.api_key = await office.key("ana", FREE)
    yield office
    await database.close()


async def test_a_paid_subscription_moves_the_tenant_from_the_next_call_on_at_every_gateway(
    office: Office,
) -> None:
    assert await office.tier() == FREE, "and for a moment that is believed"
    assert await office.hear(sent.subscription("created", office.now, tenant="ana")) == "applied"
    assert await office.tier() == PRO
    update = sent.subscription("updated", office.now, price="price_x", lookup_key="team")
    assert await office.hear(update) == "applied"
    assert await office.tier() == ENTERPRISE


async def test_a_failed_payment_moves_it_down_after_the_grace_and_a_paid_one_back(office: Office) -> None:
    await office.hear(sent.subscription("created", office.now, tenant="ana"))
    await office.hear(sent.invoice("payment_failed", office.now))
    shown = await office.billing.tenant("ana")
    assert (shown.tier, shown.stripe_customer) == (PRO, CUSTOMER)
    office.clock.advance((shown.lapse_time.ToDatetime(UTC) - office.clock.now()).total_seconds() - 1)
    assert await office.tier() == PRO
    office.clock.advance(MEMORY_SECONDS)
    assert await office.tier() == (await office.billing.tenant("ana")).tier == FREE
    await office.hear(sent.invoice("paid", office.now))
    assert await office.tier() == PRO


async def test_an_ended_subscription_moves_it_down_at_once(office: Office) -> None:
    await office.hear(sent.subscription("created", office.now, tenant="ana"))
    await office.hear(sent.subscription("deleted", office.now, "canceled"))
    assert await office.tier() == FREE


async def test_an_event_that_comes_again_counts_once_and_an_older_one_undoes_nothing(office: Office) -> None:
    begun = office.now
    first = sent.subscription("created", begun, tenant="ana")
    assert [await office.hear(first), await office.hear(first)] == ["applied", "repeated"]
    office.clock.advance(60)
    await office.hear(sent.subscription("deleted", office.now, "canceled"))
    assert await office.hear(sent.subscription("updated", begun + 1)) == "applied"
    assert await office.hear(first) == "repeated"
    assert await office.tier() == FREE


async def test_a_price_that_was_given_its_tier_too_late_counts_when_the_event_is_sent_again(
    office: Office,
) -> None:
    body = sent.subscription("created", office.now, price="price_new", tenant="ana")
    assert await office.hear(body) == "applied"
    assert await office.tier() == FREE
    restarted = office.bill({"price_new": PRO})
    assert await restarted.receive(body, signature(body, office.now)) == "repeated"
    assert await office.tier() == PRO


async def test_what_comes_before_the_tenant_is_named_counts_once_it_is(office: Office) -> None:
    assert await office.hear(sent.subscription("created", office.now)) == "unlinked"
    assert await office.tier() == FREE
    assert await office.hear(sent.checkout(office.now, "ana")) == "applied"
    assert await office.tier() == PRO


async def test_an_operator_says_who_pays_and_for_whom(office: Office) -> None:
    await office.hear(sent.subscription("created", office.now, tenant="bia"))
    assert (await office.billing.link("ana", CUSTOMER)).tier == PRO
    assert await office.tier() == PRO
    assert (await office.billing.tenant("bia")).stripe_customer == ""
    assert (await office.billing.link("ana", "")).tier == Tier.TIER_UNSPECIFIED
    assert await office.tier() == FREE, "its own"


async def test_no_event_moves_a_customer_to_another_tenant_nor_takes_a_tenants_payer(office: Office) -> None:
    await office.billing.link("ana", CUSTOMER)
    await office.hear(sent.subscription("created", office.now))
    await office.hear(sent.checkout(office.now, "bia"))
    assert (await office.billing.tenant("bia")).stripe_customer == ""
    stranger = sent.subscription("deleted", office.now, customer="cus_Eve", name="sub_Eve", tenant="ana")
    assert await office.hear(stranger) == "unlinked"
    assert await office.tier() == PRO


async def test_what_is_about_something_else_is_acknowledged_without_waiting(office: Office) -> None:
    assert await office.hear(sent.event("customer.created", office.now, {"id": CUSTOMER})) == "ignored"
    assert await office.hear(sent.event("invoice.paid", office.now, {"strange": True})) == "ignored"
    assert office.clock.slept == 0


async def test_a_bad_signature_leaves_nothing_behind(office: Office) -> None:
    body = sent.subscription("created", office.now, tenant="ana")
    with pytest.raises(MalhaError) as refusal:
        await office.billing.receive(body, signature(body, office.now, "whsec_another"))
    assert refusal.value.reason == ErrorReason.ERROR_REASON_FIELD_INVALID
    assert await office.tier() == FREE
    assert await office.hear(body) == "applied", "it was not taken for one that came again"
