"""The streams hold what the protocol promises, whoever creates them first."""

import asyncio
from dataclasses import replace

import nats.js.errors
import pytest
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from malha.run.nats_journal import EVENTS, KEYS, RUNS, WORK, Connection, connect, ensure_streams
from malha.run.nats_journal.streams import UnfitServerError, refuse_unfit, stream_configs
from malha.testing.servers import RunningServer


async def test_services_that_start_together_agree_on_the_streams(connection: Connection) -> None:
    await asyncio.gather(*(ensure_streams(connection, max_bytes=256 << 20) for _ in range(6)))
    runs = (await connection.js.stream_info(RUNS)).config
    assert runs.retention == RetentionPolicy.LIMITS
    assert runs.discard == DiscardPolicy.NEW, "a full journal refuses; it forgets nothing"
    assert runs.storage == StorageType.FILE
    assert runs.max_age == 0
    assert runs.max_bytes == 256 << 20
    assert runs.max_msg_size == 900 * 1024
    assert not runs.allow_direct, "a direct get may answer from behind"
    work = (await connection.js.stream_info(WORK)).config
    assert work.retention == RetentionPolicy.WORK_QUEUE
    assert work.duplicate_window == 120
    assert not (await connection.js.stream_info(KEYS)).config.allow_direct


async def test_a_stream_with_other_settings_is_put_right(connection: Connection) -> None:
    await ensure_streams(connection, max_bytes=256 << 20)
    wrong = stream_configs(max_bytes=256 << 20)[0]
    wrong.allow_direct = True
    await connection.js.update_stream(wrong)
    await ensure_streams(connection, max_bytes=256 << 20)
    assert not (await connection.js.stream_info(RUNS)).config.allow_direct


async def test_the_stream_of_events_of_the_version_before_is_taken_over_with_what_is_in_it(
    own_server: RunningServer,
) -> None:
    """It had no limit a subject; the one it has now bounds memory, and no events."""
    connection = await connect(own_server.url, name="streams")
    before = replace(stream_configs()[2], max_msgs_per_subject=-1)
    await connection.js.add_stream(before)
    await connection.js.publish("malha.event.acme.run.accepted", b"{}")
    await ensure_streams(connection, max_bytes=256 << 20)
    events = await connection.js.stream_info(EVENTS)
    assert events.state.messages == 1
    assert events.config.max_msgs_per_subject is not None
    assert events.config.max_msgs_per_subject > 1 << 32
    await connection.close()


async def test_no_reader_can_ask_a_replica_directly(connection: Connection) -> None:
    """Answers from any replica are what makes reads stale; the stream does not offer them at all."""
    await ensure_streams(connection, max_bytes=256 << 20)
    with pytest.raises((nats.js.errors.APIError, nats.errors.NoRespondersError, nats.errors.TimeoutError)):
        await connection.js.get_msg(RUNS, seq=1, direct=True)


async def test_a_stream_that_cannot_be_put_right_stops_the_start(own_server: RunningServer) -> None:
    """A retention policy cannot be changed in place, and a work queue that is none would lose its meaning."""
    connection = await connect(own_server.url, name="streams")
    await connection.js.add_stream(StreamConfig(name=WORK, subjects=["malha.work.*.*"]))
    with pytest.raises(UnfitServerError, match="WORK"):
        await ensure_streams(connection, max_bytes=256 << 20)
    await connection.close()


async def test_a_disk_too_small_for_the_journal_stops_the_start(own_server: RunningServer) -> None:
    connection = await connect(own_server.url, name="streams")
    with pytest.raises(UnfitServerError, match="RUNS"):
        await ensure_streams(connection, max_bytes=1 << 60)
    await connection.close()


@pytest.mark.parametrize("version", ["2.9.10", "2.11.9", "2.2.0", "1.4.1", "", "unknown"])
def test_a_server_that_cannot_hold_the_fence_is_refused(version: str) -> None:
    with pytest.raises(UnfitServerError, match=r"2\.12"):
        refuse_unfit(version)


@pytest.mark.parametrize("version", ["2.12.0", "2.12.0-RC.1", "2.15.0", "3.0.0", "v2.14.2"])
def test_a_new_enough_server_is_taken(version: str) -> None:
    refuse_unfit(version)
