"""On the users that the stack writes: a service gets what it does, a tenant its own events, nobody more."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from malha.run.nats_journal import connect, ensure_streams
from malha.stack import servers
from malha.stack.accounts import accounts
from malha.stack.secrets import CALLERS, Secrets
from malha.testing.servers import RunningServer

Connect = Callable[[str], Awaitable[Client]]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Secrets]]:
    state = tmp_path_factory.mktemp("accounts")
    secrets = Secrets(state / "secrets")
    server = RunningServer(servers.nats(state, extra=accounts(secrets)), state / "nats.log")
    server.start()
    yield server, secrets
    server.stop()


@pytest.fixture
async def user(mesh: tuple[RunningServer, Secrets]) -> AsyncIterator[Connect]:
    server, secrets = mesh
    planner = await connect(
        server.url, name="planner", user="planner", password=secrets.nats_password("planner")
    )
    await ensure_streams(planner)
    await planner.close()
    clients = []

    async def as_user(name: str) -> Client:
        async def quiet(_: Exception) -> None: ...

        client = await nats.connect(
            server.url,
            user=name,
            password=secrets.nats_password(name),
            inbox_prefix="_INBOX" if name == "dev" else f"_INBOX_{name}",
            error_cb=quiet,
        )
        clients.append(client)
        return client

    yield as_user
    for client in clients:
        await client.close()


async def test_a_tenant_pulls_its_own_events_and_no_others(user: Connect) -> None:
    planner, outside = await user("planner"), await user("dev")
    for subject in ("malha.event.dev.a", "malha.event.other.a", "malha.event.dev.b"):
        await planner.jetstream().publish(subject, subject.encode())
    events = await outside.jetstream().pull_subscribe("malha.event.dev.>", durable="mine")
    received = await events.fetch(2, timeout=5)
    assert [message.data for message in received] == [b"malha.event.dev.a", b"malha.event.dev.b"]
    for message in received:
        await message.ack_sync()
    with pytest.raises(TimeoutError):
        await events.fetch(1, timeout=0.2)
    passing = await outside.jetstream().pull_subscribe("malha.event.dev.>", stream="EVENTS")
    assert len(await passing.fetch(2, timeout=5)) == 2


async def test_a_tenant_sees_its_events_live(user: Connect) -> None:
    planner, outside = await user("planner"), await user("dev")
    mine = await outside.subscribe("malha.event.dev.>")
    await outside.flush()
    await planner.jetstream().publish("malha.event.other.a", b"other")
    await planner.jetstream().publish("malha.event.dev.a", b"mine")
    assert (await mine.next_msg(5)).data == b"mine"


@pytest.mark.parametrize(
    ("name", "subject", "payload"),
    [
        ("dev", "$JS.API.STREAM.MSG.GET.RUNS", b'{"seq":1}'),
        ("dev", "$JS.API.STREAM.MSG.GET.EVENTS", b'{"seq":1}'),
        ("dev", "$JS.API.CONSUMER.CREATE.EVENTS.dev.malha.event.>", b"{}"),
        ("dev", "$JS.API.CONSUMER.CREATE.EVENTS.dev.malha.event.other.>", b"{}"),
        ("dev", "$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.dev", b"{}"),
        ("dev", "$JS.API.CONSUMER.CREATE.EVENTS.guard.malha.event.dev.>", b"{}"),
        ("dev", "$JS.API.CONSUMER.MSG.NEXT.EVENTS.guard", b"1"),
        ("dev", "$JS.API.CONSUMER.DELETE.EVENTS.guard", b""),
        ("dev", "malha.run.dev.x", b""),
        ("gateway", "malha.work.interactive.dev", b""),
        ("gateway", "malha.event.dev.a", b""),
        ("gateway", "$JS.API.CONSUMER.CREATE.RUNS.x.malha.run.>", b"{}"),
        ("gateway", "$JS.API.CONSUMER.DELETE.EVENTS.mine", b""),
        ("dev", "$JS.API.CONSUMER.MSG.NEXT.EVENTS.gateway", b"1"),
        ("dev", "$JS.API.CONSUMER.CREATE.EVENTS.gateway", b"{}"),
        ("gateway", "$JS.API.STREAM.PURGE.RUNS", b"{}"),
        ("planner", "$JS.API.STREAM.DELETE.RUNS", b"{}"),
        ("planner", "$JS.API.STREAM.PURGE.RUNS", b"{}"),
        ("gateway", "$JS.API.STREAM.MSG.DELETE.RUNS", b'{"seq":1}'),
    ],
)
async def test_what_is_not_granted_is_not_answered(
    user: Connect, name: str, subject: str, payload: bytes
) -> None:
    client = await user(name)
    with pytest.raises((TimeoutError, nats.errors.NoRespondersError)):
        await client.request(subject, payload, timeout=0.3)


async def test_a_tenant_cannot_listen_to_the_inboxes_of_services(user: Connect) -> None:
    planner, outside = await user("planner"), await user("dev")
    heard = [await outside.subscribe(subject) for subject in ("_INBOX.>", "_INBOX_planner.>", ">")]
    await outside.flush()
    await planner.jetstream().publish("malha.run.dev.x", b"record")
    await asyncio.gather(planner.flush(), outside.flush())
    assert [subscription.pending_msgs for subscription in heard] == [0, 0, 0]


@pytest.mark.parametrize("name", ["dev", "planner"])
async def test_texts_being_written_are_heard_by_the_gateway_and_by_nobody_else(
    user: Connect, name: str
) -> None:
    planner, gateway, other = await user("planner"), await user("gateway"), await user(name)
    heard = await gateway.subscribe("malha.delta.*.*")
    others = [await other.subscribe(subject) for subject in ("malha.delta.dev.*", "malha.delta.>", ">")]
    await asyncio.gather(gateway.flush(), other.flush())
    await planner.publish("malha.delta.dev.x", b"text")
    assert (await heard.next_msg(5)).data == b"text"
    await asyncio.gather(planner.flush(), other.flush())
    assert [subscription.pending_msgs for subscription in others] == [0, 0, 0]


@pytest.mark.parametrize("name", ["dev", "gateway"])
async def test_texts_being_written_are_told_by_the_planner_and_by_nobody_else(
    user: Connect, name: str
) -> None:
    gateway, teller = await user("gateway"), await user(name)
    heard = await gateway.subscribe("malha.delta.*.*")
    await gateway.flush()
    await teller.publish("malha.delta.dev.x", b"forged")
    await asyncio.gather(teller.flush(), gateway.flush())
    assert not heard.pending_msgs


def test_secrets_are_made_once_and_shared_no_further_than_needed(tmp_path: Path) -> None:
    first, again = Secrets(tmp_path), Secrets(tmp_path)
    assert first.api_key == again.api_key
    assert first.nats_password("dev") == again.nats_password("dev")
    assert {path.name for path in first.of("guard").iterdir()} == {
        "guard.key",
        *(f"{name}.pub" for name in CALLERS),
    }
    assert (
        first.of("gateway").joinpath("master.key").read_text()
        == first.of("planner").joinpath("master.key").read_text()
    )
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.rglob("*"))
