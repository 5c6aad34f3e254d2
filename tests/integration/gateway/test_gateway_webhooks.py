"""Webhooks over sockets: signed, at least once each, and nobody waits for anybody else's receiver."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import grpc.aio
import orjson
import pytest

from malha.api.gateway.v1 import admin_service_pb2 as admin_pb
from malha.api.gateway.v1 import webhook_service_pb2 as pb
from malha.api.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from malha.api.gateway.v1.webhook_service_pb2_grpc import WebhookServiceStub
from malha.errors import MalhaError
from malha.ids import ulid
from malha.run.nats_journal import EVENTS, Connection, connect, ensure_streams, event_subject, overwrite
from malha.stack.secrets import Secrets
from malha.testing.gateways import running_gateway
from malha.testing.mesh import bearer
from malha.testing.peers import FakePeers
from malha.testing.receivers import Receiver
from malha.testing.servers import RunningServer
from malha.testing.tls import self_signed
from malha.wire import codec
from malha_gateway.adapters.webhook_sender import HttpSender
from malha_gateway.webhook_address import Reach

Gateway = Callable[..., AbstractAsyncContextManager[int]]


class Hooks:
    """An administrator's calls."""

    def __init__(self, port: int, api_key: str) -> None:
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self._stub = WebhookServiceStub(self._channel)
        self._admin = AdminServiceStub(self._channel)
        self._key = api_key

    async def _said(self, call: Any, request: Any) -> Any:
        try:
            return await call(request, metadata=bearer(self._key), timeout=20)
        except grpc.aio.AioRpcError as error:
            raise codec.from_rpc(error, "gateway") from None

    async def add(self, receiver: Receiver, *types: str, url: str = "") -> str:
        asked = pb.CreateWebhookRequest(url=url or receiver.url, event_types=types)
        made = await self._said(self._stub.CreateWebhook, asked)
        receiver.secret = made.secret
        return str(made.webhook.webhook_id)

    async def list(self) -> Sequence[pb.Webhook]:
        return (await self._said(self._stub.ListWebhooks, pb.ListWebhooksRequest())).webhooks  # type: ignore[no-any-return]  # the stub's answer

    async def remove(self, webhook_id: str) -> None:
        await self._said(self._stub.DeleteWebhook, pb.DeleteWebhookRequest(webhook_id=webhook_id))

    async def test(self, webhook_id: str) -> tuple[bool, str]:
        answer = await self._said(self._stub.TestWebhook, pb.TestWebhookRequest(webhook_id=webhook_id))
        return answer.delivered, answer.outcome

    async def key_of(self, tenant: str, *scopes: str) -> str:
        asked = admin_pb.CreateApiKeyRequest(tenant=tenant, subject="t", scopes=scopes)
        return str((await self._said(self._admin.CreateApiKey, asked)).api_key)

    async def until(self, webhook_id: str, true: Callable[[pb.Webhook], bool]) -> pb.Webhook:
        """Return once it is true of the webhook."""
        async with asyncio.timeout(20):
            while True:
                for webhook in await self.list():
                    if webhook.webhook_id == webhook_id and true(webhook):
                        return webhook
                await asyncio.sleep(0.05)


@pytest.fixture
async def planner(nats_server: RunningServer) -> AsyncIterator[Connection]:
    """Whoever announces events."""
    connection = await connect(nats_server.url, name="planner")
    await ensure_streams(connection)
    yield connection
    await connection.close()


async def announce(
    planner: Connection, event_type: str = "run.finished", *, tenant: str = "dev", count: int = 1
) -> list[str]:
    """Announce events; their ids."""
    ids = [ulid() for _ in range(count)]
    for event_id in ids:
        body = orjson.dumps({"id": event_id, "type": f"malha.{event_type}", "data": {"tenant": tenant}})
        await planner.js.publish(event_subject(tenant, event_type), body)
    return ids


@pytest.fixture
async def gateway(tmp_path: Path, secrets: Secrets, nats_url: str, valkey_url: str) -> AsyncIterator[Gateway]:
    """Gateways on one database, as replicas of one machine are."""
    async with FakePeers(secrets) as peers:

        def started(**settings: Any) -> AbstractAsyncContextManager[int]:
            (tmp_path / "gateway" / "port").unlink(missing_ok=True)
            said: dict[str, Any] = {"webhook_networks": ["127.0.0.0/8"], "webhook_retry_seconds": 0.1}
            return running_gateway(
                *(tmp_path / "gateway", secrets, peers),
                nats_url=nats_url,
                valkey_url=valkey_url,
                **said | settings,
            )

        yield started


@pytest.fixture
async def hooks(gateway: Gateway, secrets: Secrets) -> AsyncIterator[Hooks]:
    """A running gateway's."""
    async with gateway() as port:
        yield Hooks(port, secrets.api_key)


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


@pytest.mark.parametrize(
    ("networks", "url", "outcome"),
    [
        (["10.0.0.0/8"], "http://localhost:{port}/hook", "its address may not be reached"),
        ([], "https://localhost:{port}/hook", "its address may not be reached"),
        (["127.0.0.0/8"], "http://127.0.0.1:1/", "no connection"),
        (["127.0.0.0/8", "::1/128"], "https://localhost:{port}/hook", "no connection"),
    ],
)
async def test_where_a_name_leads_is_judged_when_it_is_connected_to(
    gateway: Gateway, secrets: Secrets, networks: list[str], url: str, outcome: str
) -> None:
    async with Receiver() as receiver, gateway(webhook_networks=networks) as port:
        hooks = Hooks(port, secrets.api_key)
        name = await hooks.add(receiver, url=url.format(port=receiver.port))
        assert await hooks.test(name) == (False, outcome)
        assert receiver.most_under_way == 0


async def test_https_is_known_however_it_is_written() -> None:
    class Asked(Reach):
        secure = False

        def allows(self, address: IPv4Address | IPv6Address, *, secure: bool) -> bool:
            self.secure = secure
            return True

    reach = Asked()
    sender = HttpSender(reach)
    assert await sender.post("HTTPS://127.0.0.1:1/", {}, b"") == (0, "no connection")
    assert reach.secure
    await sender.close()


async def test_a_certificate_that_nobody_vouches_for_gets_nothing(hooks: Hooks, tmp_path: Path) -> None:
    async with Receiver(self_signed(tmp_path)) as receiver:
        name = await hooks.add(receiver)
        assert await hooks.test(name) == (False, "its certificate is not valid")
        assert receiver.most_under_way == 0


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


def test_a_gateway_without_webhooks_loads_no_http_client() -> None:
    look = "import malha_gateway.app, sys; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0  # noqa: S603  # our own words
