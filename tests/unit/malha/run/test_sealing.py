"""Sealed content opens in its own place and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha.api.run.v1.record_pb2 import Content, Sealed
from malha.run import DataKey, Sealer, UnsealableError, run_id_for
from malha.testing.journal import MemoryKeyRing

RUN, OTHER_RUN = run_id_for("acme", "1"), run_id_for("acme", "2")
SECRET = Content(text="o segredo", result_json='{"a": 1}')


@given(st.text(), st.text())
async def test_what_is_sealed_is_opened_as_it_was(text: str, result: str) -> None:
    sealer = Sealer(MemoryKeyRing())
    content = Content(text=text, result_json=result)
    assert (
        await sealer.open("acme", RUN, "answered", await sealer.seal("acme", RUN, "answered", content))
        == content
    )


@pytest.mark.parametrize(
    ("tenant", "run_id", "kind"),
    [("globex", RUN, "answered"), ("acme", OTHER_RUN, "answered"), ("acme", RUN, "step_finished")],
    ids=["another tenant", "another run", "another kind"],
)
async def test_content_moved_to_another_place_does_not_open(tenant: str, run_id: str, kind: str) -> None:
    keys = MemoryKeyRing()
    sealer = Sealer(keys)
    await keys.current("globex")
    sealed = await sealer.seal("acme", RUN, "answered", SECRET)
    with pytest.raises(UnsealableError):
        await sealer.open(tenant, run_id, kind, sealed)


async def test_even_under_one_key_another_tenants_place_does_not_open() -> None:
    """The key ring is not the only wall: the additional data holds too."""

    class OneKey(MemoryKeyRing):
        async def current(self, tenant: str) -> DataKey:
            return await super().current("everyone")

        async def find(self, tenant: str, key_id: str) -> DataKey | None:
            return await super().find("everyone", key_id)

    sealer = Sealer(OneKey())
    sealed = await sealer.seal("acme", RUN, "answered", SECRET)
    with pytest.raises(UnsealableError):
        await sealer.open("globex", RUN, "answered", sealed)


@given(st.integers(0), st.integers(0, 7))
async def test_a_changed_bit_is_noticed(byte: int, bit: int) -> None:
    sealer = Sealer(MemoryKeyRing())
    sealed = await sealer.seal("acme", RUN, "answered", SECRET)
    changed = bytearray(sealed.ciphertext)
    changed[byte % len(changed)] ^= 1 << bit
    with pytest.raises(UnsealableError):
        await sealer.open(
            "acme",
            RUN,
            "answered",
            Sealed(key_id=sealed.key_id, nonce=sealed.nonce, ciphertext=bytes(changed)),
        )


async def test_a_destroyed_key_opens_nothing_any_more() -> None:
    keys = MemoryKeyRing()
    sealer = Sealer(keys)
    sealed = await sealer.seal("acme", RUN, "answered", SECRET)
    keys.destroy("acme")
    with pytest.raises(UnsealableError):
        await sealer.open("acme", RUN, "answered", sealed)


async def test_the_same_words_never_look_the_same() -> None:
    sealer = Sealer(MemoryKeyRing())
    one = await sealer.seal("acme", RUN, "answered", SECRET)
    other = await sealer.seal("acme", RUN, "answered", SECRET)
    assert one.nonce != other.nonce
    assert one.ciphertext != other.ciphertext
    assert b"segredo" not in one.SerializeToString()


async def test_no_content_is_sealed_as_nothing() -> None:
    sealer = Sealer(MemoryKeyRing())
    assert await sealer.seal("acme", RUN, "claimed", Content()) == Sealed()
    assert await sealer.open("acme", RUN, "claimed", Sealed()) == Content()
