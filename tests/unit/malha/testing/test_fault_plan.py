"""Which faults a seed means."""

from __future__ import annotations

from collections import Counter
from itertools import chain, count, islice

import pytest

from malha.testing.faults.plan import Kind, deck, nodes, seeds_a_deck, short, waves
from malha.testing.faults.verdict import Verdict, Wrong


@pytest.mark.parametrize("seed", [0, 1, 17, 1000])
def test_a_seed_always_means_the_same_faults(seed: int) -> None:
    assert list(waves(seed)) == list(waves(seed))


@pytest.mark.parametrize("decks", [1, 3])
def test_every_fault_comes_up_equally_often(decks: int) -> None:
    seeds = islice((seed for seed in count() if nodes(seed) == 1), decks * seeds_a_deck())
    dealt = Counter(str(fault) for seed in seeds for fault in chain.from_iterable(waves(seed)))
    assert dealt == Counter({str(fault): decks for fault in deck()})


def test_the_short_suite_has_every_kind_but_the_one_that_needs_three_nodes() -> None:
    assert {fault.kind for fault in chain.from_iterable(short())} == set(Kind) - {Kind.LEADER}


def test_the_closing_line_counts_what_was_found() -> None:
    verdict = Verdict(faults=Counter({"kill nats": 2}), runs=31)
    verdict.find(Wrong.LOST, "a" * 52, "it is gone")
    assert str(verdict + Verdict(runs=2)) == (
        "faults injected 2, runs 33, lost 1, doubled 0, ledger off 0, events off 0, streams off 0, stuck 0"
    )
    assert not verdict.good
