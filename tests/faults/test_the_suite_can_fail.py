"""A part with one safety taken out is found, by the seed that is named here.

The broken parts are `malha.testing.faults.broken`; each stands in the place of a sound one in a whole
mesh, and the trial ends with the first few faults that find it.
"""

from __future__ import annotations

import pytest

from malha.testing.faults.broken import PARTS
from malha.testing.faults.dealing import hand
from malha.testing.faults.trial import trial
from malha.testing.faults.verdict import Wrong

FOUND = {
    "unfenced-appender": (0, {Wrong.DOUBLED}),
    "forgetful-effects": (0, {Wrong.DOUBLED}),
    "keyless-settlement": (0, {Wrong.LEDGER}),
    "cursorless-follower": (0, {Wrong.EVENTS}),
    "early-ack": (0, {Wrong.LOST}),
    "gappy-telling": (0, {Wrong.STREAMS}),
}


def test_each_broken_part_has_a_seed_that_finds_it() -> None:
    assert FOUND.keys() == PARTS.keys()


@pytest.mark.parametrize("broken", PARTS)
async def test_the_suite_finds_a_part_without_its_safety(broken: str) -> None:
    seed, expected = FOUND[broken]
    verdict = await trial(seed, hand(seed), broken=broken, say=print)
    assert expected <= {wrong for wrong, count in verdict.wrong.items() if count}, verdict
