"""Whose webhooks they are."""

from __future__ import annotations

import pytest

from malha.errors import MalhaError
from malha.stack.secrets import Secrets
from malha.testing.receivers import Receiver
from malha.testing.webhooks import Gateway, Hooks


async def test_webhooks_are_their_tenants_alone_and_an_administrators(
    hooks: Hooks, secrets: Secrets, gateway: Gateway
) -> None:
    async with Receiver() as receiver, gateway() as port:
        name = await hooks.add(receiver)
        other = Hooks(port, await hooks.key_of("other", "admin"))
        assert not await other.list()
        for call in (other.remove, other.test):
            with pytest.raises(MalhaError) as refusal:
                await call(name)
            assert refusal.value.reason_name == "WEBHOOK_NOT_FOUND"
        nobody = Hooks(port, await hooks.key_of("dev", "runs"))
        with pytest.raises(MalhaError) as refusal:
            await nobody.list()
        assert refusal.value.reason_name == "SCOPE_MISSING"
        for bad in ("http://10.0.0.1/", "ftp://example.org"):
            with pytest.raises(MalhaError) as refusal:
                await hooks.add(receiver, url=bad)
            assert refusal.value.violations[0][0] == "url"
        for _ in range(15):
            await hooks.add(receiver)
        with pytest.raises(MalhaError, match="16 webhooks"):
            await hooks.add(receiver)
        await hooks.remove(name)
        assert name not in [webhook.webhook_id for webhook in await hooks.list()]
