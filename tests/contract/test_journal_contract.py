"""What every journal promises: in memory, on a real nats-server, and on three of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from malha.errors import ErrorReason, MalhaError
from malha.run import Fenced, Journal, KeyRing, accept, amend, fold
from malha.run.limits import MAX_RECORD_BYTES
from malha.run.nats_journal import Connection, NatsJournal, NatsKeyRing, connect, ensure_streams
from malha.testing.journal import MemoryJournal, MemoryKeyRing
from malha.testing.nats_cluster import NODES
from malha.testing.records import RecordsOf, ended, finished, started


async def on_nats(request: pytest.FixtureRequest) -> Connection:
    """A connection to the server or the three servers, the streams made."""
    cluster = request.getfixturevalue("nats_cluster") if request.param == "three nodes" else None
    connection = await connect(
        cluster.url if cluster else request.getfixturevalue("nats_url"), name="contract"
    )
    await ensure_streams(connection, replicas=NODES if cluster else 1, max_bytes=256 << 20, patience=60)
    return connection


@pytest.fixture(params=["memory", "nats", "three nodes"])
async def journal(request: pytest.FixtureRequest) -> AsyncIterator[Journal]:
    if request.param == "memory":
        yield MemoryJournal()
        return
    connection = await on_nats(request)
    yield NatsJournal(connection)
    await connection.close()


@pytest.fixture(params=["memory", "nats", "three nodes"])
async def new_ring(request: pytest.FixtureRequest) -> AsyncIterator[Callable[[], KeyRing]]:
    """Rings that share one store, as two processes do."""
    if request.param == "memory":
        shared = MemoryKeyRing()
        yield lambda: shared
        return
    async with contextlib.AsyncExitStack() as stack:
        connection = await on_nats(request)
        stack.push_async_callback(connection.close)
        yield lambda: NatsKeyRing(connection, b"m" * 32)


async def test_records_come_back_in_order_as_they_were_written(journal: Journal) -> None:
    run = RecordsOf()
    first = await journal.append(run.accepted(), expected=0)
    second = await journal.append(run.claimed(), expected=first.sequence)
    loaded = await journal.load(run.tenant, run.run_id)
    assert [entry.record for entry in loaded] == [run.accepted(), run.claimed()]
    assert [entry.sequence for entry in loaded] == [first.sequence, second.sequence]
    assert first.sequence < second.sequence
    assert [entry.size for entry in loaded] == [first.size, second.size]


async def test_loading_after_a_sequence_answers_only_what_is_newer(journal: Journal) -> None:
    run = RecordsOf()
    sequences = [0]
    for record in (run.accepted(), run.claimed(), run.claimed(delivery=2), run.cancel()):
        sequences.append((await journal.append(record, expected=sequences[-1])).sequence)
    for known, after in enumerate(sequences):
        newer = await journal.load(run.tenant, run.run_id, after=after)
        assert [entry.sequence for entry in newer] == sequences[known + 1 :]
    assert await journal.last_sequence(run.tenant, run.run_id) == sequences[-1]


async def test_a_run_nobody_accepted_has_no_records(journal: Journal) -> None:
    run = RecordsOf()
    assert await journal.load(run.tenant, run.run_id) == []
    assert await journal.last_sequence(run.tenant, run.run_id) == 0


async def test_the_fenced_writer_is_shown_what_came_first(journal: Journal) -> None:
    run = RecordsOf()
    first = await journal.append(run.accepted(), expected=0)
    await journal.append(run.cancel(), expected=first.sequence)
    with pytest.raises(Fenced) as fenced:
        await journal.append(run.claimed(), expected=first.sequence)
    assert [entry.record for entry in fenced.value.entries] == [run.cancel()]
    assert len(await journal.load(run.tenant, run.run_id)) == 2


async def test_of_many_racers_exactly_one_wins_each_sequence(journal: Journal) -> None:
    run = RecordsOf()
    last = (await journal.append(run.accepted(), expected=0)).sequence

    async def race(worker: int, expected: int) -> int:
        try:
            return (await journal.append(run.claimed(worker=f"w{worker}"), expected=expected)).sequence
        except Fenced:
            return 0

    for _ in range(20):
        results = await asyncio.gather(*(race(worker, last) for worker in range(8)))
        winners = [sequence for sequence in results if sequence]
        assert len(winners) == 1
        last = winners[0]
    assert len(await journal.load(run.tenant, run.run_id)) == 21


async def test_a_worker_taken_for_dead_cannot_write_into_the_run_any_more(journal: Journal) -> None:
    run = RecordsOf()
    accepted = await journal.append(run.accepted(), expected=0)
    zombie = await journal.append(run.claimed(worker="zombie"), expected=accepted.sequence)
    owner = await journal.append(run.claimed(worker="owner", delivery=2), expected=zombie.sequence)
    with pytest.raises(Fenced) as fenced:
        await journal.append(run.record(finished(), epoch=zombie.sequence), expected=zombie.sequence)
    assert fenced.value.entries[-1].sequence == owner.sequence
    assert not fold(await journal.load(run.tenant, run.run_id)).final


async def test_two_tenants_share_no_run(journal: Journal) -> None:
    mine = RecordsOf("acme")
    theirs = RecordsOf("globex", mine.run_id)
    await journal.append(mine.accepted(), expected=0)
    assert await journal.load("globex", mine.run_id) == []
    await journal.append(theirs.accepted(), expected=0)
    assert len(await journal.load("acme", mine.run_id)) == 1


async def test_a_record_larger_than_a_message_is_refused_with_the_journals_limit(journal: Journal) -> None:
    run = RecordsOf()
    record = run.accepted()
    record.events[0].content.ciphertext = bytes(MAX_RECORD_BYTES)
    with pytest.raises(MalhaError) as refused:
        await journal.append(record, expected=0)
    assert refused.value.reason == ErrorReason.ERROR_REASON_JOURNAL_LIMIT
    assert await journal.last_sequence(run.tenant, run.run_id) == 0


async def test_the_largest_record_that_is_allowed_fits(journal: Journal) -> None:
    run = RecordsOf()
    record = run.accepted()
    record.events[0].content.ciphertext = bytes(MAX_RECORD_BYTES - record.ByteSize() - 16)
    await journal.append(record, expected=0)
    assert (await journal.load(run.tenant, run.run_id))[0].record == record


async def test_the_doorbell_rings_for_what_others_write_and_not_for_ones_own(journal: Journal) -> None:
    run = RecordsOf()
    async with journal.doorbell(run.tenant, run.run_id) as bell:
        accepted = await journal.append(run.accepted(), expected=0)
        assert await bell.wait(5) == run.accepted()
        claim = await journal.append(run.claimed(), expected=accepted.sequence)
        assert await bell.wait(5) == run.claimed()
        bell.hush(claim.sequence)
        key = f"{run.tenant}/{run.run_id}/1/{claim.sequence}/1"
        own = run.record(started(key), ended(key), epoch=claim.sequence)
        await journal.append(
            run.cancel(), expected=(await journal.append(own, expected=claim.sequence)).sequence
        )
        assert await bell.wait(5) == run.cancel()
        assert await bell.wait(0.001) is None


async def test_accepting_twice_answers_the_run_and_stores_one_record(journal: Journal) -> None:
    run = RecordsOf()
    first = await accept(journal, run.accepted())
    await journal.append(run.claimed(), expected=first.last_sequence)
    again = await accept(journal, run.accepted())
    assert again.epoch
    assert len(await journal.load(run.tenant, run.run_id)) == 2


async def test_accepting_again_what_has_a_broken_journal_answers_a_dead_run(journal: Journal) -> None:
    run = RecordsOf()
    first = await accept(journal, run.accepted())
    await journal.append(run.replayed(), expected=first.last_sequence)
    assert (await accept(journal, run.accepted())).dead


async def test_the_same_key_with_another_request_is_a_conflict(journal: Journal) -> None:
    run = RecordsOf()
    await accept(journal, run.accepted())
    with pytest.raises(MalhaError) as conflict:
        await accept(journal, run.accepted(request_hash=b"another"))
    assert conflict.value.reason == ErrorReason.ERROR_REASON_IDEMPOTENCY_CONFLICT
    assert conflict.value.metadata == {"run_id": run.run_id}


async def test_many_callers_may_amend_one_run_and_none_is_lost(journal: Journal) -> None:
    run = RecordsOf()
    await accept(journal, run.accepted())

    async def cancel(by: str) -> None:
        await amend(journal, run.tenant, run.run_id, lambda _: run.cancel(by))

    people = {f"p{number}" for number in range(10)}
    await asyncio.gather(*map(cancel, people))
    stored = await journal.load(run.tenant, run.run_id)
    assert {entry.record.events[0].cancel_requested.by for entry in stored[1:]} == people


async def test_amending_a_run_that_does_not_exist_is_not_found(journal: Journal) -> None:
    run = RecordsOf()
    with pytest.raises(MalhaError) as missing:
        await amend(journal, run.tenant, run.run_id, lambda _: run.cancel())
    assert missing.value.reason == ErrorReason.ERROR_REASON_RUN_NOT_FOUND


async def test_racing_makers_of_a_tenants_key_agree_on_one(new_ring: Callable[[], KeyRing]) -> None:
    tenant = RecordsOf().run_id[:20]
    keys = await asyncio.gather(*(new_ring().current(tenant) for _ in range(12)))
    assert len(set(keys)) == 1
    assert await new_ring().find(tenant, keys[0].key_id) == keys[0]


async def test_a_tenants_key_is_not_found_under_another_tenant(new_ring: Callable[[], KeyRing]) -> None:
    mine, theirs = RecordsOf().run_id[:20], RecordsOf().run_id[:20]
    key = await new_ring().current(mine)
    assert await new_ring().find(theirs, key.key_id) is None
    assert await new_ring().current(theirs) != key


async def test_the_time_of_ones_own_record_is_the_streams_to_a_quarter_of_a_second(
    journal: Journal,
) -> None:
    run = RecordsOf()
    own = [await journal.append(run.accepted(), expected=0)]
    for _ in range(5):
        own.append(await journal.append(run.claimed(), expected=own[-1].sequence))
    stored = await journal.load(run.tenant, run.run_id)
    for mine, theirs in zip(own, stored, strict=True):
        assert abs((mine.time - theirs.time).total_seconds()) <= 0.25
