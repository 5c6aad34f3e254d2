"""Whoever orders a roll is told what became of it, whatever that is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from malha.stack.control import NoMeshError, RollFailedError, listening, order_roll
from malha.stack.rolling import Tell


async def test_each_replacement_is_told_as_it_is_done(tmp_path: Path) -> None:
    async def roll(names: Sequence[str], tell: Tell) -> None:
        for name in names:
            tell(f"{name}: replaced")

    told: list[str] = []
    async with listening(tmp_path, roll):
        await order_roll(tmp_path, ["guard", "cost"], told.append)
    assert told == ["guard: replaced", "cost: replaced"]
    with pytest.raises(NoMeshError):
        await order_roll(tmp_path, [], told.append)


async def test_a_roll_that_the_end_of_the_mesh_cut_short_is_no_success(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def roll(_names: Sequence[str], tell: Tell) -> None:
        tell("guard: replaced")
        begun.set()
        await asyncio.Event().wait()

    told: list[str] = []
    async with listening(tmp_path, roll):
        order = asyncio.create_task(order_roll(tmp_path, [], told.append))
        await begun.wait()
    with pytest.raises(RollFailedError, match="the mesh ended meanwhile"):
        await order
    assert told == ["guard: replaced"]
