"""What a call is priced at: by its length, as a batch, never at nothing, and never anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from malha.api.common.v1.usage_pb2 import Usage
from malha.api.cost.v1.cost_service_pb2 import Component, Reservation, Settlement
from malha.errors import ErrorReason
from malha.testing.clock import FakeClock
from malha.testing.ledgers import Book
from malha.testing.money import Till, at_ceiling, call, tool, used
from malha_cost.adapters import price_file
from malha_cost.auditing import faults
from malha_cost.judge import Judge
from malha_cost.ledger import Entry
from malha_cost.ports import Ledger
from malha_cost.prices import PriceTable

# a token in costs a micro-dollar, in longer calls three; out twenty; a batch half of that
FILE = """\
source: arithmetic
prices:
- {provider: scripted, model: m, reasons: true, input: "1", cached_input: "0.1", output: "20",
   above: {100: {input: "3", cached_input: "0.2", output: "20"}}, batch: {input: "0.5", output: "10"}}
- {provider: scripted, model: free, input: "0", output: "0", free: true}
- {provider: scripted, model: tiny, input: "0.02", output: "0"}
- {provider: "*", model: "*", input: "5", output: "50"}
"""
DEARER = """\
source: a year later
prices:
- {provider: scripted, model: m, input: "9", output: "90"}
"""


def priced(folder: Path, text: str = FILE) -> PriceTable:
    path = folder / "prices.yaml"
    path.write_text(text)
    return price_file.load(path)


@pytest.fixture
def till(book: Ledger, tmp_path: Path, clock: FakeClock) -> Till:
    return Till(Judge(book, priced(tmp_path), reference=None, clock=clock))


async def history(books: Book, key: str) -> list[Entry]:
    columns = ", ".join(Entry._fields)
    rows = await books.rows(f"SELECT {columns} FROM entries WHERE key = '{key}' ORDER BY stage")  # noqa: S608  # a test's own
    return [Entry(*row) for row in rows]


async def reserved(till: Till, asked: Reservation) -> int:
    return (await till.reserve(asked)).reserved[0].amount_microusd


async def test_a_longer_input_is_reserved_and_settled_by_its_own_rates(till: Till, books: Book) -> None:
    assert await reserved(till, call("short", 100)) == 100
    assert await reserved(till, call("long", 101)) == 303
    assert await till.settle(used("short", 100), used("long", 101)) == [100, 303]
    assert await reserved(till, call("less", 101)) == 303
    assert await till.settle(used("less", 100)) == [100]
    [opened, closed] = await history(books, "less")
    assert (opened.price_row, opened.terms) == (
        "scripted/m@0001-01-01",
        "up 100:3000000000:200000000:20000000000",
    )
    assert not list(faults([opened, closed]))


async def test_an_input_that_turns_out_longer_is_an_overrun_by_the_rates_of_its_length(till: Till) -> None:
    await till.reserve(call("k", 100))
    answer = await till.reserve(settle=[used("k", 101)])
    assert (answer.settled[0].cost.amount_microusd, answer.settled[0].cost.overrun_microusd) == (303, 203)


async def test_a_batch_is_reserved_and_settled_as_one(till: Till, books: Book) -> None:
    asked = call("k", 100, output=2)
    asked.model.batch = True
    assert await reserved(till, asked) == 70
    assert await till.settle(used("k", 90)) == [45]
    assert [entry.price_row for entry in await history(books, "k")] == ["scripted/m@0001-01-01/batch"] * 2


async def test_the_largest_output_that_fits_is_told_by_the_rates_of_the_length(till: Till) -> None:
    denied = (await till.reserve(call("k", 200, output=100))).denied
    assert denied.fitting_output_tokens == 20  # 600 for the input, and 400 are left of a thousand
    assert await reserved(till, call("n", 200, output=100, shortest=5)) == 1_000


async def test_reasoning_is_paid_as_output(till: Till) -> None:
    answer = await till.reserve(call("k", 10, output=10))
    assert answer.reserved[0].reasons
    figures = Usage(input_tokens=10, output_tokens=10, reasoning_tokens=9)
    assert await till.settle(Settlement(key="k", usage=figures)) == [210]


async def test_the_smallest_call_of_a_priced_model_costs_a_micro_dollar(till: Till) -> None:
    asked = call("k", 1, model="tiny")
    asked.component = Component.COMPONENT_EMBEDDING
    assert await reserved(till, asked) == 1
    assert await till.settle(used("k", 1)) == [1]
    assert not (await till.reserve(call("n", 1, model="tiny"))).reserved[0].reasons


@pytest.mark.parametrize("component", [Component.COMPONENT_SEARCH, Component.COMPONENT_INFRASTRUCTURE])
async def test_a_search_costs_what_it_declares(till: Till, books: Book, component: Component) -> None:
    asked = tool("k", 30)
    asked.component = component
    assert await reserved(till, asked) == 30
    assert await till.settle(Settlement(key="k", amount_microusd=20)) == [20]
    assert [entry.price_row for entry in await history(books, "k")] == ["declared"] * 2


async def test_an_unknown_model_is_priced_at_the_operators_ceiling(till: Till, books: Book) -> None:
    assert await reserved(till, call("k", 10, output=1, model="gpt-99")) == 100
    assert await till.settle(used("k", 10)) == [50]
    assert [(e.model, e.price_row) for e in await history(books, "k")] == [("gpt-99", "*/*@0001-01-01")] * 2


async def test_an_unknown_model_is_refused_without_a_ceiling(
    book: Ledger, prices: PriceTable, clock: FakeClock
) -> None:
    error = await Till(Judge(book, prices, reference=None, clock=clock)).refused(call("k", model="gpt-99"))
    assert error.reason == ErrorReason.ERROR_REASON_PRICE_UNKNOWN
    assert error.metadata == {"provider": "scripted", "model": "gpt-99"}


@pytest.mark.parametrize(
    ("asked", "field"),
    [(call("k", 0), "model.input_tokens"), (tool("k", 0, agent_version="1"), "tool.price_microusd")],
)
async def test_nothing_is_reserved_only_for_what_is_declared_free(
    till: Till, asked: Reservation, field: str
) -> None:
    error = await till.refused(asked)
    assert error.violations[0][0] == f"reserve[0].{field}"
    assert await reserved(till, call("free", 5, output=5, model="free")) == 0
    assert await till.settle(used("free", 5)) == [0]


async def test_a_planner_of_the_version_before_still_reserves_what_is_free(till: Till) -> None:
    """It asks for every tool, and would fail all runs with free ones while it is being replaced."""
    assert await reserved(till, tool("k", 0)) == 0
    assert await till.settle(Settlement(key="k", amount_microusd=0)) == [0]


async def test_another_price_table_changes_no_entry_and_settles_by_the_price_of_the_reservation(
    book: Ledger, books: Book, till: Till, tmp_path: Path, clock: FakeClock
) -> None:
    """Whatever ends a key, after whatever change of prices, is priced as its reservation was."""
    asked = [call(key, 101) for key in ("used", "guessed", "corrected")] + [call("open", 50)]
    await till.reserve(*asked)
    await till.settle(at_ceiling("corrected"))
    before = await history(books, "used"), await history(books, "corrected")
    later = Till(Judge(book, priced(tmp_path, DEARER), reference=None, clock=clock))
    ends = [used("used", 100), at_ceiling("guessed"), used("corrected", 101)]
    assert await later.settle(*ends) == [100, 303, 303]
    assert await reserved(later, call("open", 50)) == 50
    after = await history(books, "used"), await history(books, "corrected")
    assert [lines[: len(old)] for lines, old in zip(after, before, strict=True)] == list(before)
    for key in (one.key for one in asked):
        lines = await history(books, key)
        assert len({(e.price_row, e.input_rate, e.terms) for e in lines}) == 1
        assert not list(faults(lines))
    assert await reserved(later, call("new", 1)) == 9
