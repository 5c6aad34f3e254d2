"""Data keys live in the stream wrapped, and only the master key that wrapped them opens them."""

import asyncio
from pathlib import Path

import pytest

from malha.api.run.v1.record_pb2 import Content
from malha.run import Sealer, UnsealableError, run_id_for
from malha.run.nats_journal import KEYS, Connection, NatsKeyRing, connect, read_master_key
from malha.run.nats_journal.subject_log import Stored


async def test_the_stored_key_is_not_the_key(connection: Connection) -> None:
    tenant = run_id_for("x", None)[:20]
    key = await NatsKeyRing(connection, b"m" * 32).current(tenant)
    stored = await connection.js.get_msg(KEYS, subject=f"malha.key.{tenant}")
    assert stored.data is not None
    assert key.secret not in stored.data


async def test_another_master_key_opens_nothing_and_replaces_nothing(connection: Connection) -> None:
    tenant = run_id_for("x", None)[:20]
    key = await NatsKeyRing(connection, b"m" * 32).current(tenant)
    with pytest.raises(UnsealableError):
        await NatsKeyRing(connection, b"n" * 32).current(tenant)
    assert await NatsKeyRing(connection, b"m" * 32).current(tenant) == key


async def test_a_wrapped_key_moved_to_another_tenant_does_not_open(connection: Connection) -> None:
    mine, theirs = run_id_for("x", None)[:20], run_id_for("x", None)[:20]
    await NatsKeyRing(connection, b"m" * 32).current(mine)
    stored = await connection.js.get_msg(KEYS, subject=f"malha.key.{mine}")
    await connection.js.publish(f"malha.key.{theirs}", stored.data or b"")
    with pytest.raises(UnsealableError):
        await NatsKeyRing(connection, b"m" * 32).current(theirs)


async def test_what_one_process_sealed_another_opens(connection: Connection) -> None:
    tenant = run_id_for("x", None)[:20]
    run_id = run_id_for(tenant, None)
    content = Content(text="três garrafas")
    sealed = await Sealer(NatsKeyRing(connection, b"m" * 32)).seal(tenant, run_id, "accepted", content)
    another = Sealer(NatsKeyRing(connection, b"m" * 32))
    assert await another.open(tenant, run_id, "accepted", sealed) == content


async def test_a_process_that_was_cut_off_while_a_key_was_destroyed_seals_with_the_new_one(
    nats_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = run_id_for("x", None)[:20]
    place = (tenant, run_id_for(tenant, None), "accepted")
    cut = await connect(nats_url, name="cut")
    keys = NatsKeyRing(cut, b"m" * 32)
    await keys.listen()
    old = await keys.current(tenant)
    back, let = asyncio.Event(), asyncio.Event()
    cut.on_reconnect(back.set)
    reconnect = cut.nc._select_next_server

    async def held_back() -> None:
        await let.wait()
        await reconnect()

    monkeypatch.setattr(cut.nc, "_select_next_server", held_back)
    await cut.nc._process_op_err(ConnectionResetError())
    assert not cut.connected
    await NatsKeyRing(connection, b"m" * 32).destroy(tenant)
    let.set()
    await asyncio.wait_for(back.wait(), 5)

    assert await keys.find(tenant, old.key_id) is None
    content = Content(text="new")
    sealed = await Sealer(keys).seal(*place, content)
    assert await Sealer(NatsKeyRing(connection, b"m" * 32)).open(*place, sealed) == content
    await cut.close()


async def test_a_key_that_is_destroyed_while_it_is_read_is_not_kept(
    connection: Connection, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = run_id_for("x", None)[:20]
    other = await connect(nats_url, name="other")
    destroyer = NatsKeyRing(other, b"m" * 32)
    old = await destroyer.current(tenant)
    keys, heard = NatsKeyRing(connection, b"m" * 32), asyncio.Event()
    await keys.listen()
    load, on_key = keys._log.load, keys._on_key

    async def overtaken(subject: str) -> list[Stored]:
        read = await load(subject)
        monkeypatch.undo()
        watched = await connection.nc.subscribe(subject)
        await destroyer.destroy(tenant)
        await on_key(await watched.next_msg(5))
        heard.set()
        return read

    monkeypatch.setattr(keys._log, "load", overtaken)
    await keys.current(tenant)
    assert heard.is_set()
    assert await keys.find(tenant, old.key_id) is None
    assert await keys.current(tenant) == await destroyer.current(tenant)
    await other.close()


def test_a_master_key_is_32_bytes_in_hex(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    path.write_text("ab" * 32 + "\n")
    assert read_master_key(path) == b"\xab" * 32


@pytest.mark.parametrize("text", ["", "ab" * 31, "ab" * 33, "not hexadecimal"])
def test_what_is_no_master_key_is_refused_and_not_quoted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "master.key"
    path.write_text(text)
    with pytest.raises(ValueError, match="32 bytes") as refused:
        read_master_key(path)
    assert not text or text not in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
