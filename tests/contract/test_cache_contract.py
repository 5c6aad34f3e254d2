"""What every cache promises, asked of the one in memory and of the one on a real Valkey."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from malha.ids import ulid
from malha.limits.cache import Cache, tenant_key
from malha.limits.on_valkey import ValkeyCache
from malha.limits.valkey import Valkey
from malha.testing.limits import MemoryCache

NOWHERE = "redis://127.0.0.1:1"


@pytest.fixture(params=["memory", "valkey"])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    if request.param == "memory":
        yield MemoryCache()
        return
    valkey = Valkey(request.getfixturevalue("valkey_url"))
    yield ValkeyCache(valkey)
    await valkey.close()


async def test_what_was_set_is_got_and_what_was_dropped_is_not(cache: Cache) -> None:
    key = tenant_key("acme", "thing", ulid())
    assert await cache.get(key) is None
    await cache.set(key, b"\x00bytes\xff", 60)
    assert await cache.get(key) == b"\x00bytes\xff"
    await cache.drop(key)
    assert await cache.get(key) is None


async def test_another_tenant_does_not_read_it(cache: Cache) -> None:
    part = ulid()
    await cache.set(tenant_key("acme", "thing", part), b"theirs", 60)
    assert await cache.get(tenant_key("other", "thing", part)) is None


async def test_without_its_store_a_cache_misses_and_raises_nothing() -> None:
    valkey = Valkey(NOWHERE)
    cache = ValkeyCache(valkey)
    key = tenant_key("acme", "thing", "x")
    await cache.set(key, b"x", 60)
    assert await cache.get(key) is None
    await valkey.close()
