"""Bytes in the journal that are no record break the run they stand in, and no reader of others."""

import pytest

from malha.run import Fenced, fold_whatever
from malha.run.keys import subject
from malha.run.nats_journal import Connection, NatsJournal, entry_of
from malha.testing.records import RecordsOf


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xff no record", id="other bytes"),
        pytest.param(b"", id="nothing"),
        pytest.param(RecordsOf("elsewhere").claimed().SerializeToString(), id="a record of another run"),
    ],
)
async def test_what_is_no_record_of_a_run_breaks_the_run_it_stands_in(
    connection: Connection, data: bytes
) -> None:
    journal, run = NatsJournal(connection), RecordsOf()
    where = subject(run.tenant, run.run_id)
    first = await journal.append(run.accepted(), expected=0)
    await connection.js.publish(where, data)

    loaded = await journal.load(run.tenant, run.run_id)
    assert fold_whatever(loaded).dead
    with pytest.raises(Fenced) as fenced:
        await journal.append(run.claimed(), expected=first.sequence)
    assert fold_whatever(fenced.value.entries, fold_whatever([first])).dead
    followed = await connection.js.subscribe(where, ordered_consumer=True)
    assert [entry_of(await followed.next_msg(5)) for _ in loaded] == loaded
    await followed.unsubscribe()

    await journal.append(run.dropped(), expected=loaded[-1].sequence)
    assert fold_whatever(await journal.load(run.tenant, run.run_id)).dropped is not None
