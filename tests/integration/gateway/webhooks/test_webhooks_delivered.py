"""Webhooks over sockets: signed, at least once each, and nobody waits for anybody else's receiver."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from malha.run.nats_journal import Connection
from malha.stack.secrets import Secrets
from malha.testing.receivers import Receiver
from malha.testing.webhooks import Gateway, Hooks, announce


async def test_events_of_the_tenant_and_of_types_that_are_wanted_arrive_signed_and_once(
    hooks: Hooks, planner: Connection
) -> None:
    await announce(planner, count=3)
    async with Receiver() as alerts, Receiver() as everything:
        await hooks.add(alerts, "alert.*", "run.erased")
        await hooks.add(everything)
        wanted = await announce(planner, "alert.budget_warned", count=3)
        others = await announce(planner, "run.accepted", count=3)
        await announce(planner, "alert.budget_warned", tenant="other")
        wanted += await announce(planner, "run.erased")
        await alerts.until(wanted)
        await everything.until([*wanted, *others])
        assert sorted(alerts.ids()) == sorted(wanted)
        assert sorted(everything.ids()) == sorted([*wanted, *others])
        assert alerts.forged == everything.forged == 0
        assert alerts.taken[0]["data"] == {"tenant": "dev"}


async def test_a_receiver_that_fails_at_first_gets_everything_in_the_end(
    hooks: Hooks, planner: Connection
) -> None:
    async with Receiver() as receiver:
        name = await hooks.add(receiver)
        receiver.answers = [503, 302, 404, 500]
        receiver.location = receiver.url
        ids = await announce(planner, count=5)
        await receiver.until(ids)
        assert sorted(receiver.ids()) == sorted(ids), "a redirect is an answer, and is not followed"
        webhook = await hooks.until(name, lambda hook: not hook.waiting)
        assert (webhook.last_outcome, webhook.disabled_reason) == ("HTTP 200", "")


async def test_a_receiver_that_does_not_answer_holds_up_no_other(hooks: Hooks, planner: Connection) -> None:
    async with Receiver() as slow, Receiver() as quick:
        slow.hold = asyncio.Event()
        await hooks.add(slow)
        await hooks.add(quick)
        ids = await announce(planner, count=100)
        await quick.until(ids)
        assert slow.taken == []
        assert 1 <= slow.most_under_way <= 4
        assert 1 <= quick.most_under_way <= 4


async def test_what_was_announced_while_no_gateway_was_there_is_delivered_by_the_next(
    gateway: Gateway, secrets: Secrets, planner: Connection
) -> None:
    async with Receiver() as receiver:
        async with gateway() as port:
            await Hooks(port, secrets.api_key).add(receiver)
            receiver.answers = [503] * 100
            ids = await announce(planner, count=2)
            await receiver.until_refused(2)
        ids += await announce(planner, count=2)
        receiver.answers = []
        async with gateway():
            await receiver.until(ids)
        assert set(receiver.ids()) == set(ids)


async def test_of_several_gateways_one_delivers_and_another_goes_on_where_it_ends(
    gateway: Gateway, secrets: Secrets, planner: Connection
) -> None:
    async with Receiver() as receiver, AsyncExitStack() as second:
        async with gateway() as port:
            hooks = Hooks(port, secrets.api_key)
            name = await hooks.add(receiver)
            await second.enter_async_context(gateway())
            ids = await announce(planner, count=20)
            await receiver.until(ids)
            await hooks.until(name, lambda hook: not hook.waiting)  # what is not kept as taken comes again
        ids += await announce(planner, count=20)
        await receiver.until(ids)
        assert sorted(receiver.ids()) == sorted(ids)
