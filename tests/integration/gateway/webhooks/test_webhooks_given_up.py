"""What is not delivered any more: to receivers that are gone, after days, and what was erased meanwhile."""

from __future__ import annotations

from malha.run.nats_journal import EVENTS, Connection, ensure_streams, overwrite
from malha.stack.secrets import Secrets
from malha.testing.receivers import Receiver
from malha.testing.webhooks import Gateway, Hooks, announce


async def test_one_that_is_gone_is_disabled_and_a_test_that_arrives_enables_it_again(
    hooks: Hooks, planner: Connection
) -> None:
    async with Receiver() as receiver:
        name = await hooks.add(receiver)
        receiver.answers = [410]
        ids = await announce(planner)
        webhook = await hooks.until(name, lambda hook: bool(hook.disabled_reason))
        assert (webhook.disabled_reason, webhook.waiting) == ("HTTP 410", 1)
        receiver.answers = [500]
        assert await hooks.test(name) == (False, "HTTP 500")
        assert await hooks.test(name) == (True, "HTTP 200")
        assert receiver.taken[0]["type"] == "malha.webhook.test"
        await receiver.until(ids)
        assert (await hooks.until(name, lambda hook: not hook.waiting)).disabled_reason == ""


async def test_one_that_fails_for_days_is_disabled_and_said_to_be(
    gateway: Gateway, secrets: Secrets, planner: Connection
) -> None:
    async with Receiver() as receiver, gateway(webhook_disable_days=1e-6) as port:
        hooks = Hooks(port, secrets.api_key)
        name = await hooks.add(receiver)
        receiver.answers = [503] * 100
        await announce(planner, count=3)
        webhook = await hooks.until(name, lambda hook: bool(hook.disabled_reason))
        assert webhook.disabled_reason.startswith("it failed since 20")
        assert webhook.disabled_reason.endswith("UTC: HTTP 503")


async def test_an_event_that_is_not_taken_for_long_is_given_up(
    gateway: Gateway, secrets: Secrets, planner: Connection
) -> None:
    async with Receiver() as receiver, gateway(webhook_give_up_days=1e-6) as port:
        hooks = Hooks(port, secrets.api_key)
        name = await hooks.add(receiver)
        receiver.answers = [500] * 100
        await announce(planner)
        await receiver.until_refused(1)
        await hooks.until(name, lambda hook: not hook.waiting)
        assert receiver.taken == []


async def test_an_event_that_was_erased_meanwhile_is_not_sent(
    gateway: Gateway, secrets: Secrets, planner: Connection
) -> None:
    async with Receiver() as receiver:
        async with gateway(webhook_retry_seconds=2) as port:
            name = await Hooks(port, secrets.api_key).add(receiver)
            receiver.answers = [500] * 100
            await announce(planner)
            await receiver.until_refused(1)
        last = (await planner.js.stream_info(EVENTS)).state.last_seq
        await overwrite(planner, EVENTS, last)
        receiver.answers = []
        async with gateway() as port:
            await Hooks(port, secrets.api_key).until(name, lambda hook: not hook.waiting)
        assert receiver.taken == []


async def test_where_another_tenants_event_took_the_place_in_a_stream_made_anew_nothing_is_sent(
    gateway: Gateway, secrets: Secrets, planner: Connection
) -> None:
    async with Receiver() as receiver:
        async with gateway() as port:
            name = await Hooks(port, secrets.api_key).add(receiver)
            receiver.answers = [500] * 100
            await announce(planner)
            await receiver.until_refused(1)
        last = (await planner.js.stream_info(EVENTS)).state.last_seq
        await planner.js.delete_stream(EVENTS)
        await ensure_streams(planner)
        await announce(planner, tenant="other", count=last)
        receiver.answers = []
        async with gateway() as port:
            await Hooks(port, secrets.api_key).until(name, lambda hook: not hook.waiting)
        assert receiver.taken == []
