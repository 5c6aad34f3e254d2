"""Laws of the effect records: whatever the order of calls and crashes, each key has one fate."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malha.api.run.v1.record_pb2 import Effect as EffectKind
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.clock import SystemClock
from malha.errors import MalhaError
from malha_tools.adapters.sqlite_effects import SqliteEffectRecords
from malha_tools.ports import Effect, Fate

KINDS = [EffectKind.EFFECT_READ, EffectKind.EFFECT_IDEMPOTENT, EffectKind.EFFECT_ONCE]
moves = st.lists(st.sampled_from(["begin", "finish", "recall", "resolve", "reopen"]), max_size=12)


async def outcomes(kind: EffectKind, order: list[str], path: Path) -> list[tuple[str, str]]:
    """What each move answered: "act", "result n", a reason, or a fate."""
    effect = Effect("acme", "k", "tool", kind, b"hash")
    database = await SqliteEffectRecords.open(path)
    told: list[tuple[str, str]] = []
    for number, move in enumerate(order):
        records = SqliteEffectRecords(database, SystemClock())
        answer: ToolResult | Fate | None
        try:
            match move:
                case "begin":
                    answer = await records.begin(effect)
                case "finish":
                    answer = await records.finish(effect, ToolResult(text=f"result {number}"))
                case "recall":
                    if (answer := await records.recall(effect)) is None:
                        continue
                case "resolve":
                    answer = await records.resolve("acme", "k")
                case _:
                    await database.close()
                    database = await SqliteEffectRecords.open(path)
                    continue
        except MalhaError as error:
            told.append((move, error.reason_name))
            continue
        if isinstance(answer, ToolResult):
            told.append((move, answer.text))
        else:
            told.append((move, answer.name if answer else "act"))
    await database.close()
    return told


@settings(max_examples=60)
@given(st.sampled_from(KINDS), moves)
def test_each_key_has_one_fate(kind: EffectKind, order: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        told = asyncio.run(outcomes(kind, order, Path(folder) / "tools.db"))
    said = [answer for _, answer in told]
    results = {answer for answer in said if answer.startswith("result")}
    closed = {"TOMBSTONED", "EFFECT_TOMBSTONED"} & set(said)

    assert len(results) <= 1, "a key has one result"
    assert not (results and closed), "a key with a result is never closed, nor the other way round"
    if kind == EffectKind.EFFECT_ONCE:
        assert said.count("act") <= 1, "one may act"
        assert not ("act" in said and closed), "what may have acted is never told as never run"
    else:
        assert "UNKNOWN" not in said
        assert "OUTCOME_UNKNOWN" not in said
    final = [answer for answer in said if answer not in ("act", "UNKNOWN", "OUTCOME_UNKNOWN")]
    if final:
        after = said[said.index(final[0]) :]
        assert set(after) <= results | {"TOMBSTONED", "EFFECT_TOMBSTONED"}, "a fate is final"


async def test_equal_keys_of_two_tenants_never_meet(tmp_path: Path) -> None:
    database = await SqliteEffectRecords.open(tmp_path / "tools.db")
    records = SqliteEffectRecords(database, SystemClock())
    mine = Effect("acme", "k", "tool", EffectKind.EFFECT_ONCE, b"hash")
    await records.finish(mine, ToolResult(text="mine"))
    assert await records.resolve("other", "k") is Fate.TOMBSTONED
    assert await records.begin(mine) == ToolResult(text="mine")
    await database.close()


async def test_an_erased_run_leaves_no_byte_and_its_keys_stay_closed(tmp_path: Path) -> None:
    """A call that was held up, or a tool that is still at it, brings nothing back and acts on nothing."""
    database = await SqliteEffectRecords.open(tmp_path / "tools.db")
    records = SqliteEffectRecords(database, SystemClock())
    run, other = "a" * 52, "a" * 51 + "b"
    done = Effect("acme", f"acme/{run}/1/7/1", "tool", EffectKind.EFFECT_ONCE, b"hash")
    under_way = Effect("acme", f"acme/{run}/2/7/1", "tool", EffectKind.EFFECT_READ, b"hash")
    neighbour = Effect("acme", f"acme/{other}/1/7/1", "tool", EffectKind.EFFECT_ONCE, b"hash")
    await records.finish(done, ToolResult(text="what was found"))
    await records.begin(under_way)
    await records.finish(neighbour, ToolResult(text="a neighbour's"))

    await records.erase("other", run)
    assert await records.begin(done) == ToolResult(text="what was found"), "another tenant's word is none"
    for _ in range(2):
        await records.erase("acme", run)
    for call in (records.begin(done), records.finish(under_way, ToolResult(text="late"))):
        with pytest.raises(MalhaError) as refused:
            await call
        assert refused.value.reason_name == "EFFECT_TOMBSTONED"
    assert await records.resolve("acme", done.key) is Fate.TOMBSTONED
    assert await records.begin(neighbour) == ToolResult(text="a neighbour's")
    words = [b"a neighbour's", run.encode(), b"what was found", b"late"]
    assert stored(tmp_path, words) == words[:1]
    await database.close()


def stored(folder: Path, words: list[bytes]) -> list[bytes]:
    """Which of the words a reader of the disk finds."""
    content = b"".join(path.read_bytes() for path in folder.glob("tools.db*"))
    return [word for word in words if word in content]
