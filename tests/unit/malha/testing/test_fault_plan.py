"""Which faults a seed means, and what their counts add up to."""

from __future__ import annotations

from collections import Counter
from itertools import count, islice
from pathlib import Path

import pytest

from malha.testing.faults.dealing import hand, nodes, of_places, owed, seeds_a_deck, short
from malha.testing.faults.plan import Kind, deck
from malha.testing.faults.report import Report, tables
from malha.testing.faults.verdict import Verdict, Wrong


@pytest.mark.parametrize("seed", [0, 1, 17, 1000])
def test_a_seed_always_means_the_same_faults(seed: int) -> None:
    assert hand(seed) == hand(seed)
    assert of_places(seed, [3, 1, 4]) == of_places(seed, [3, 1, 4])


@pytest.mark.parametrize("decks", [1, 3])
def test_every_fault_comes_up_equally_often(decks: int) -> None:
    seeds = islice((seed for seed in count() if nodes(seed) == 1), decks * seeds_a_deck())
    dealt = Counter(str(fault) for seed in seeds for fault in hand(seed))
    assert dealt == Counter({str(fault): decks for fault in deck() if fault.kind is not Kind.LEADER})


def test_a_seed_with_three_nodes_loses_leaders_and_leaves_the_mesh_its_own_broker() -> None:
    (seed, *_) = (seed for seed in range(100) if nodes(seed) == 3)
    faults = hand(seed)
    lost = Counter(fault.where for fault in faults if fault.kind is Kind.LEADER)
    assert lost.keys() == {"RUNS", "WORK", "EVENTS"}
    assert not [fault for fault in faults if fault.of_one_node]


def test_what_came_up_least_is_dealt_until_nothing_is_owed() -> None:
    came: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    never = str(deck()[7])
    for seed in count():
        faults = of_places(seed, owed(seed, 3, came, tried))
        tried.update(map(str, faults))
        came.update(str(fault) for fault in faults if str(fault) != never)
        if not faults and not any(owed(seed + further, 3, came, tried) for further in range(9)):
            break
    assert min(came[str(card)] for card in deck() if str(card) != never) >= 3
    assert 12 <= tried[never] < 16, "what does not come to pass is given up"
    assert max(came.values()) <= 6


def test_the_short_suite_has_every_kind_but_the_one_that_needs_three_nodes() -> None:
    assert {fault.kind for fault in short()} == set(Kind) - {Kind.LEADER}


def test_the_closing_line_counts_what_was_found() -> None:
    verdict = Verdict(faults=Counter({"kill nats": 2}), runs=31)
    verdict.find(Wrong.LOST, "a" * 52, "it is gone")
    assert str(verdict + Verdict(runs=2)) == (
        "faults injected 2, runs 33, lost 1, doubled 0, ledger off 0, events off 0, streams off 0, stuck 0"
    )
    assert not verdict.good


def test_a_report_adds_up_over_calls_and_makes_the_tables(tmp_path: Path) -> None:
    kill = "kill at a boundary planner.announce.after"
    for seed in (4, 5):
        found = Verdict(Counter({kill: 1, "kill nats": 2}), Counter({"full disk nats": 1}), runs=30)
        if seed == 5:
            found.find(Wrong.STUCK, "a" * 52, "it is not over")
        Report(tmp_path / "faults.json").add(seed, found, seconds=60.0)
    report = Report(tmp_path / "faults.json")
    ((_, part),) = report.commits.items()
    assert (part["seeds"], part["seconds"]) == ([4, 5], 120)
    assert str(report.total).startswith("faults injected 6, runs 60, lost 0,")
    lines = list(tables(report))
    assert "| planner.announce | 0 | 2 |" in lines
    assert "| kill | 9 | 1 | 4 | 0 | 0 |" in lines
    assert "| full disk | 1 | 0 | 0 | 0 | 2 |" in lines
