"""Keys as the gateway's database keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest

import malha_gateway
from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.api.gateway.v1.admin_service_pb2 import CreateApiKeyRequest
from malha.errors import MalhaError
from malha.sqlite import Database
from malha.testing.clock import FakeClock
from malha_gateway.adapters.key_store import SqliteKeyStore
from malha_gateway.administration import Administration
from malha_gateway.authentication import Authenticator

MIGRATIONS = Path(malha_gateway.__file__).parent / "migrations"


async def test_a_key_made_for_as_long_as_a_calendar_goes_opens_and_can_be_revoked(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "gateway.sqlite", MIGRATIONS, durable=False)
    try:
        clock, keys = FakeClock(), SqliteKeyStore(database)
        authenticator = Authenticator(keys, clock, memory_seconds=2)
        administration = Administration(keys, authenticator, clock)
        scopes = ["admin", "runs"]
        admin = Principal(tenant="acme", subject="ana", key_id="a", tier=Tier.TIER_PRO, scopes=scopes)
        request = CreateApiKeyRequest(subject="bo")
        request.expire_time.FromJsonString("9999-12-31T23:59:59.999999999Z")
        key, api_key = await administration.create(admin, request)
        assert (await keys.find(key.principal.key_id)) == key, "it ends when its maker was told it does"
        assert (await authenticator.principal({"x-api-key": api_key})).subject == "bo"
        await administration.revoke(admin, key.principal.key_id)
        with pytest.raises(MalhaError):
            await authenticator.principal({"x-api-key": api_key})
    finally:
        await database.close()
