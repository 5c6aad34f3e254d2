"""NATS goes away and comes back: what was acknowledged stays, what waited goes on by itself."""

import asyncio

import pytest
import structlog

from malha.errors import ErrorReason, MalhaError
from malha.run.nats_journal import NatsJournal, connect, ensure_streams
from malha.testing.records import RecordsOf
from malha.testing.servers import RunningServer


@pytest.mark.parametrize("crash", [False, True], ids=["stopped", "killed"])
async def test_an_append_waits_through_an_outage_and_is_stored_once(
    own_server: RunningServer, crash: bool
) -> None:
    run = RecordsOf()
    connection = await connect(own_server.url, name="outage")
    await ensure_streams(connection, max_bytes=256 << 20)
    journal = NatsJournal(connection, patience=20, answer_within=0.2)
    accepted = await journal.append(run.accepted(), expected=0)
    async with journal.doorbell(run.tenant, run.run_id) as bell:
        await asyncio.to_thread(own_server.kill if crash else own_server.stop)
        appending = asyncio.create_task(journal.append(run.claimed(), expected=accepted.sequence))
        while connection.connected:  # noqa: ASYNC110 - nats-py tells of a loss by its state alone
            await asyncio.sleep(0)
        assert not appending.done()
        own_server.start()  # on this thread: a server dies with the thread that started it
        claim = await appending
        rings = [await bell.wait(5), await bell.wait(5)]
    assert None in rings, "after a reconnect the leader must be asked: rings may have been missed"
    assert [entry.sequence for entry in await journal.load(run.tenant, run.run_id)] == [
        accepted.sequence,
        claim.sequence,
    ]
    await connection.close()


async def test_a_server_that_is_away_is_unavailable_within_the_patience(own_server: RunningServer) -> None:
    run = RecordsOf()
    connection = await connect(own_server.url, name="outage")
    await ensure_streams(connection, max_bytes=256 << 20)
    await asyncio.to_thread(own_server.stop)
    with pytest.raises(MalhaError) as away:
        await NatsJournal(connection, patience=0.2).append(run.accepted(), expected=0)
    assert away.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
    assert not connection.connected
    await asyncio.wait_for(connection.close(), 5)


async def test_a_connection_closed_while_it_reconnects_leaves_nothing_behind(
    own_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await connect(own_server.url, name="outage")
    attempting = asyncio.Event()
    lost = False

    async def refused_as_it_is_cancelled(*_: object) -> None:
        # what asyncio.wait_for makes of both at once on Python 3.11: the cancellation is lost
        nonlocal lost
        attempting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if lost:
                raise
            lost = True
            raise ConnectionRefusedError from None

    monkeypatch.setattr(connection.nc, "_connect_to_server", refused_as_it_is_cancelled)
    await asyncio.to_thread(own_server.stop)
    await asyncio.wait_for(attempting.wait(), 5)
    await connection.close()
    assert lost
    if left := asyncio.all_tasks() - {asyncio.current_task()}:
        _, left = await asyncio.wait(left, timeout=5)
    assert not left


async def test_no_password_reaches_a_log_line(own_server: RunningServer) -> None:
    with structlog.testing.capture_logs() as lines:
        connection = await connect(own_server.url, name="outage", user="ana", password="s3cret-w0rd")
        await asyncio.to_thread(own_server.stop)
        while connection.connected:  # noqa: ASYNC110 - nats-py tells of a loss by its state alone
            await asyncio.sleep(0)
        with pytest.raises(MalhaError) as refused:
            await connect(own_server.url, name="outage", user="ana", password="s3cret-w0rd", timeout=0.3)
        await connection.close()
    assert lines
    assert "s3cret" not in repr(lines) + repr(refused.value) + repr(refused.value.__cause__)
