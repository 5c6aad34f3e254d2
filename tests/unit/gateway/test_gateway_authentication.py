"""Whose key it is, and what happens to keys that are not good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.api.gateway.v1.admin_service_pb2 import CreateApiKeyRequest
from malha.errors import ConfigurationError, ErrorReason, MalhaError
from malha.testing.clock import FakeClock
from malha.testing.keys import MemoryKeys
from malha_gateway.administration import Administration
from malha_gateway.authentication import (
    Authenticator,
    import_development_key,
    read_development_key,
    require,
)
from malha_gateway.keys import digest, key_id_of, new_key

ADMIN = Principal(
    tenant="acme", subject="ana", key_id="a", tier=Tier.TIER_PRO, scopes=["runs", "knowledge", "admin"]
)


class Door:
    """A clock, a store, and what stands on them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.keys = MemoryKeys()
        self.authenticator = Authenticator(self.keys, self.clock, memory_seconds=2)
        self.administration = Administration(self.keys, self.authenticator, self.clock)

    async def key(self, **fields: object) -> str:
        request = CreateApiKeyRequest(subject="bo", **fields)  # type: ignore[arg-type] # keywords of the message
        return (await self.administration.create(ADMIN, request))[1]

    async def principal(self, api_key: str) -> Principal:
        return await self.authenticator.principal({"authorization": f"Bearer {api_key}"})


@pytest.fixture
def door() -> Door:
    return Door()


async def refused(door: Door, api_key: str) -> ErrorReason:
    with pytest.raises(MalhaError) as raised:
        await door.principal(api_key)
    return raised.value.reason


async def test_a_key_opens_by_bearer_and_by_header(door: Door) -> None:
    api_key = await door.key()
    assert (await door.principal(api_key)).subject == "bo"
    assert (await door.authenticator.principal({"x-api-key": api_key})).tenant == "acme"


@pytest.mark.parametrize("metadata", [{}, {"authorization": "Basic abc"}, {"x-api-key": " "}])
async def test_no_key_is_told_how_to_send_one(door: Door, metadata: dict[str, str]) -> None:
    with pytest.raises(MalhaError) as raised:
        await door.authenticator.principal(metadata)
    assert raised.value.reason == ErrorReason.ERROR_REASON_CREDENTIAL_MISSING
    assert "Bearer" in raised.value.message


async def test_every_bad_key_is_refused_with_the_same_words(door: Door) -> None:
    good = await door.key()
    key_id, other = new_key()
    wrong_secret = f"mk_{key_id_of(good)}_{other.split('_', 2)[2]}"
    messages = set()
    for bad in ("nonsense", "mk_dev_short", other, wrong_secret, good + "x", key_id):
        with pytest.raises(MalhaError) as raised:
            await door.principal(bad)
        assert raised.value.reason == ErrorReason.ERROR_REASON_CREDENTIAL_INVALID
        messages.add(raised.value.message)
    assert len(messages) == 1


async def test_a_wrong_secret_is_refused_while_the_right_one_is_remembered(door: Door) -> None:
    api_key = await door.key()
    await door.principal(api_key)
    assert await refused(door, api_key[:-1] + ("a" if api_key[-1] != "a" else "b"))


async def test_a_revoked_key_is_refused_at_once_though_it_was_remembered(door: Door) -> None:
    api_key = await door.key()
    await door.principal(api_key)
    await door.administration.revoke(ADMIN, str(key_id_of(api_key)))
    assert await refused(door, api_key) == ErrorReason.ERROR_REASON_CREDENTIAL_INVALID


async def test_a_key_revoked_elsewhere_is_refused_when_the_memory_fades(door: Door) -> None:
    api_key = await door.key()
    await door.principal(api_key)
    await door.keys.revoke(str(key_id_of(api_key)), door.clock.now())
    door.clock.advance(2)
    assert await refused(door, api_key)


async def test_a_key_ends_after_90_days_unless_asked_otherwise(door: Door) -> None:
    api_key = await door.key()
    door.clock.advance(timedelta(days=90).total_seconds() - 1)
    await door.principal(api_key)
    door.clock.advance(1)
    assert await refused(door, api_key), "expiry is checked each time, remembered or not"


async def test_a_busy_key_is_looked_up_once_a_memory(door: Door) -> None:
    api_key = await door.key()
    for _ in range(100):
        await door.principal(api_key)
    assert door.keys.asked == 1


async def test_only_a_hash_of_the_key_is_kept(door: Door) -> None:
    api_key = await door.key()
    kept = door.keys.kept[str(key_id_of(api_key))]
    assert kept.digest == digest(api_key)
    assert api_key.split("_", 2)[2] not in repr(kept)


async def test_nobody_makes_a_key_stronger_than_their_own(door: Door) -> None:
    for fields in (
        {"tenant": "other"},
        {"tier": Tier.TIER_ENTERPRISE},
        {"scopes": ["operator"]},
    ):
        with pytest.raises(MalhaError) as raised:
            await door.key(**fields)
        assert raised.value.reason == ErrorReason.ERROR_REASON_SCOPE_MISSING
        assert raised.value.metadata["scope"] == "operator"


async def test_a_key_of_another_tenant_cannot_be_revoked_nor_found(door: Door) -> None:
    api_key = await door.key()
    stranger = Principal(tenant="other", scopes=["admin"])
    for key_id in (str(key_id_of(api_key)), "unknown"):
        with pytest.raises(MalhaError) as raised:
            await door.administration.revoke(stranger, key_id)
        assert raised.value.reason == ErrorReason.ERROR_REASON_KEY_NOT_FOUND
    await door.principal(api_key)


async def test_an_expiry_in_the_past_is_named(door: Door) -> None:
    request = CreateApiKeyRequest(subject="bo")
    request.expire_time.FromDatetime(datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(MalhaError) as raised:
        await door.administration.create(ADMIN, request)
    assert raised.value.violations[0][0] == "expire_time"


async def test_an_expiry_that_is_no_time_is_named(door: Door) -> None:
    request = CreateApiKeyRequest(subject="bo")
    request.expire_time.seconds = 10**15
    with pytest.raises(MalhaError) as raised:
        await door.administration.create(ADMIN, request)
    assert raised.value.violations[0][0] == "expire_time"


async def test_the_development_key_has_every_right_and_stays_revoked_over_restarts(door: Door) -> None:
    api_key = "mk_dev_" + "s" * 43
    await import_development_key(door.keys, api_key, door.clock)
    developer = await door.principal(api_key)
    assert developer.tenant == "dev"
    assert developer.tier == Tier.TIER_ENTERPRISE
    for scope in ("runs", "knowledge", "approvals", "admin", "operator"):
        require(developer, scope)
    await door.administration.revoke(developer, "dev")
    await import_development_key(door.keys, api_key, door.clock)
    assert await refused(door, api_key)


@pytest.mark.parametrize("content", [None, b"", b"hunter2", b"\xff\xfe"])
async def test_a_development_key_that_cannot_be_used_is_said_in_a_line_that_does_not_quote_it(
    door: Door, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "dev.key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"dev\.key cannot be read|mk_<key id>_<secret>") as refusal:
        await import_development_key(door.keys, read_development_key(file), door.clock)
    assert "hunter2" not in str(refusal.value)
    assert not door.keys.kept
