"""A year of money in seconds: tenants in four calendars, prices that change, and all that can befall a call.

    python -m malha.testing.simulated_year --seed 1 --calls 20000

lives through it on a ledger of its own and prints, as JSON, what it came to and where the ledger differs from
the books that `bookkeeping` keeps by hand. Exit code 1 where it does.

The year is 2024: it has a 29th of February; New York and Havana put their clocks on on the 10th of March
and back on the 3rd of November, Santiago back on the 7th of April and on on the 8th of September. In Havana
and Santiago that is done at midnight, so a day begins at one o'clock, or an hour comes twice beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from malha.api.common.v1.usage_pb2 import Usage
from malha.api.cost.v1.budget_pb2 import BudgetPolicy, Window
from malha.api.cost.v1.cost_service_pb2 import AdjustRequest, Settlement
from malha.testing.bookkeeping import Books, Call, Line, Totals
from malha.testing.clock import FakeClock
from malha.testing.ledgers import Book, SqliteBook
from malha.testing.money import Till, at_ceiling, call, limit, release, tool
from malha_cost.adapters import price_file, sqlite_audit
from malha_cost.budget import House
from malha_cost.judge import Judge

ZONES = {"ana": "America/New_York", "bia": "America/Santiago", "caio": "America/Havana", "dora": "UTC"}
ORGANISATION = {"ana", "bia"}
AMPLE = 10**12
LONG = 2_000
"""Input tokens above which some prices are others."""
PRICES = [
    Line("m", date(2020, 1, 1), "1.5", "0.15", "6"),
    Line("m", date(2024, 2, 29), "1.1", "0.275", "4.4"),
    Line("m", date(2024, 7, 15), "1.25", "0.125", "10", LONG, "2.5", "0.25", "15"),
    Line("n", date(2020, 1, 1), "0.02", "0.02", "0"),
    Line("n", date(2024, 3, 10), "0.13", "0.13", "0"),
    Line("o", date(2020, 1, 1), "3", "0.3", "15", LONG, "6", "0.6", "22.5"),
    Line("o", date(2025, 1, 1), "2", "0.2", "9.5"),
]
DAYS = [date(2024, month, 1) for month in range(1, 13)]
DAYS += [date(2024, 2, 29), date(2024, 3, 10), date(2024, 3, 11), date(2024, 4, 7), date(2024, 4, 8)]
DAYS += [date(2024, 9, 8), date(2024, 9, 9), date(2024, 11, 3), date(2024, 11, 4), date(2025, 1, 1)]
"""Days at whose beginning somebody calls, and a microsecond before."""
TICK = timedelta(microseconds=1)
_ENDS = ["used"] * 6 + ["guessed"] * 3 + ["released", "open"]
_BY = {"month": "substr(day, 1, 7)", "model": "model", "agent": "agent", "key": "key_id"}
_SUMS = "sum(spent), sum(reserved), sum(tokens)"
_TOTALS = " UNION ALL ".join(
    [
        *(f"SELECT '{what}', tenant, {by}, {_SUMS} FROM entries GROUP BY 2, 3" for what, by in _BY.items()),  # noqa: S608  # words of our own
        f"SELECT 'organisation', '', 'in all', {_SUMS} FROM balances WHERE scope = 7",  # noqa: S608  # likewise
    ]
)


def planned(seed: int, calls: int) -> Books:
    """A year's calls: some at both sides of the days above, the others at any time."""
    dice = random.Random(seed)  # noqa: S311  # to be repeated, not to be secret
    empty = Books([], PRICES, ZONES, ORGANISATION)
    places = [
        (tenant, empty.begins(tenant, day) - before)
        for tenant in ZONES
        for day in DAYS
        for before in (TICK, 0 * TICK)
    ]
    first, last = datetime(2024, 1, 1, 6, tzinfo=UTC), datetime(2025, 1, 3, tzinfo=UTC)
    places += [
        (dice.choice([*ZONES]), first + (last - first) * dice.random()) for _ in range(calls - len(places))
    ]
    return Books(
        [_call(dice, f"{tenant}/{number}", tenant, at) for number, (tenant, at) in enumerate(places)],
        PRICES,
        ZONES,
        ORGANISATION,
    )


def _call(dice: random.Random, key: str, tenant: str, at: datetime) -> Call:
    model = dice.choice(["m", "m", "n", "o", ""])
    most_input = dice.choice([LONG, LONG + 1, dice.randint(1, 4_000)]) if model else 0
    most_output = dice.randint(1, 2_000)
    within = 1 if dice.random() < 0.9 else 3  # some use more than they reserved
    length = min(most_input * within, dice.choice([LONG, LONG + 1, dice.randint(1, 4_000)]))
    cached = dice.randint(0, length)
    ended, later = (
        dice.choice(_ENDS),
        at + timedelta(seconds=dice.choice((1, 90, 10_000, 300_000)) * dice.random()),
    )
    corrected = dice.choice(["used", "used", "released", ""]) if ended == "guessed" else ""
    settled = ended == "used" or corrected == "used"
    return Call(
        key,
        tenant,
        dice.choice(["key-1", "key-2"]),
        dice.choice(["clerk", "guide"]),
        model,
        at,
        most_input,
        most_output,
        length - cached,
        cached,
        dice.randint(0, most_output * within),
        ended,
        later,
        corrected,
        later + timedelta(days=40) * dice.random(),
        dice.choice([0, 0, 0, 17, 1_000]) if settled else 0,
        later + timedelta(days=41) + timedelta(days=40) * dice.random(),
    )


def price_table(folder: Path) -> Path:
    """The prices, as an operator writes them."""
    rows = [
        f'- {{provider: scripted, model: {line.model}, from: {line.since}, input: "{line.fresh}", '
        f'cached_input: "{line.cached}", output: "{line.output}", above: {{{line.above}: {{'
        f'input: "{line.long_fresh}", cached_input: "{line.long_cached}", output: "{line.long_output}"}}}}}}'
        if line.above < AMPLE
        else f'- {{provider: scripted, model: {line.model}, from: {line.since}, input: "{line.fresh}", '
        f'cached_input: "{line.cached}", output: "{line.output}"}}'
        for line in PRICES
    ]
    path = folder / "year.yaml"
    path.write_text("\n".join(["source: a year", "prices:", *rows, ""]))
    return path


async def live_through(books: Books, book: Book, prices: Path) -> list[str]:
    """Let the ledger see the year; what windows showed otherwise than the books, at the turns of days."""
    clock = FakeClock(datetime(2023, 12, 1, tzinfo=UTC))
    house = House(AMPLE, request_microusd=AMPLE, brake_percent=100)
    judge = Judge(await book.open(house), price_file.load(prices), reference=None, clock=clock)
    for tenant, zone in ZONES.items():
        till = Till(judge, tenant)
        policy = BudgetPolicy(time_zone=zone, organisation="acme" if tenant in ORGANISATION else "")
        await judge.set_policy(till.principal, policy, operator=True)
        await judge.set_budget(till.principal, limit(AMPLE, window=Window.WINDOW_MONTH))
    differences: list[str] = []
    for at, _, what, subject in sorted(_events(books), key=lambda event: event[:2]):
        clock.advance((at - clock.now()).total_seconds())
        assert clock.now() == at
        if isinstance(subject, Call):
            await _befall(Till(judge, subject.tenant, subject.api_key), what, subject)
        else:
            differences += await _turned(books, Till(judge, subject), at, what)
    return differences


def _events(books: Books) -> Iterator[tuple[datetime, int, str, Call | str]]:
    """What happens, when: a day's first microsecond is looked at before its calls, its last one after."""
    for one in books.calls:
        yield one.at, 1, "reserved", one
        if one.ended != "open":
            yield one.ended_at, 2, one.ended, one
        if one.corrected:
            yield one.corrected_at, 3, one.corrected, one
        if one.adjusted:
            yield one.adjusted_at, 4, "adjusted", one
    for tenant in ZONES:
        for day in DAYS:
            yield books.begins(tenant, day), 0, "begins", tenant
            yield books.begins(tenant, day) - TICK, 5, "ends", tenant


async def _befall(till: Till, what: str, one: Call) -> None:
    usage = Usage(
        input_tokens=one.fresh + one.cached, cached_input_tokens=one.cached, output_tokens=one.output
    )
    match what:
        case "reserved":
            asked = call(
                one.key, one.most_input, output=one.most_output, run=one.key, limit=AMPLE, model=one.model
            )
            asked = asked if one.model else tool(one.key, one.most_output, run=one.key, limit=AMPLE)
            asked.agent = one.agent
            answer = await till.reserve(asked)
            assert answer.reserved, answer
        case "used":
            figures = Settlement(key=one.key, usage=usage)
            await till.settle(figures if one.model else Settlement(key=one.key, amount_microusd=one.output))
        case "guessed":
            await till.settle(at_ceiling(one.key))
        case "released":
            await till.settle(release(one.key))
        case _:
            moved = AdjustRequest(id="1", key=one.key, amount_microusd=one.adjusted, reason="an invoice")
            assert isinstance(till.judge, Judge)
            await till.judge.adjust(till.principal, moved)


async def _turned(books: Books, till: Till, at: datetime, what: str) -> list[str]:
    """Where the windows of day and month differ from the books in that instant."""
    tenant, day = till.principal.tenant, books.day(till.principal.tenant, at)
    seen = at if what == "ends" else at - TICK
    month = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
    found = []
    for status in (await till.judge.standing(till.principal)).statuses:
        if status.budget.window == Window.WINDOW_DAY:
            sums = books.spent(lambda one, its: one.tenant == tenant and its == day, seen)
            end = books.begins(tenant, day + timedelta(days=1))
        elif status.budget.window == Window.WINDOW_MONTH:
            sums = books.spent(
                lambda one, its: one.tenant == tenant and (its.year, its.month) == (day.year, day.month), seen
            )
            end = books.begins(tenant, month)
        else:
            continue
        told = status.spent_microusd, status.reserved_microusd, status.resets_at.ToDatetime(UTC)
        if told != (*sums[:2], end):
            found.append(f"{tenant} at {at.isoformat()}: {told}, not {(*sums[:2], end)}")
    return found


async def told(book: Book) -> Totals:
    """What the ledger says it came to: days as it tells people, the rest as its tables add up."""
    ledger = Judge(
        await book.open(House(AMPLE)),
        price_file.load(),
        reference=None,
        clock=FakeClock(datetime(2025, 1, 20, tzinfo=UTC)),
    )
    found: Totals = {
        (kind, whose, which): (int(spent or 0), int(held or 0), int(tokens or 0))
        for kind, whose, which, spent, held, tokens in await book.rows(_TOTALS)
    }
    for tenant in ZONES:
        for day in await ledger.usage(Till(ledger, tenant).principal, "2023-12-01", "2025-01-20"):
            found["day", tenant, day.day] = (day.spent_microusd, day.reserved_microusd, day.used_tokens)
    return {which: sums for which, sums in found.items() if any(sums)}


def compared(books: Books, found: Totals) -> list[str]:
    """Totals that differ."""
    expected = books.totals()
    return [
        f"{' '.join(which)}: {found.get(which)}, not {expected.get(which)}"
        for which in sorted({*expected, *found})
        if found.get(which) != expected.get(which)
    ]


async def _main(seed: int, calls: int) -> int:
    books = planned(seed, calls)
    with TemporaryDirectory() as folder:
        book = SqliteBook(Path(folder))
        differences = await live_through(books, book, price_table(Path(folder)))
        differences += compared(books, await told(book))
        [(entries,)] = await book.rows("SELECT count(*) FROM entries")
        await book.close()
        differences += sqlite_audit.read(book.path).off
    spent, held, tokens = books.spent(lambda *_: True)
    answer = {
        "seed": seed,
        "calls": calls,
        "entries": entries,
        "spent_microusd": spent,
        "held_microusd": held,
        "tokens": tokens,
        "differences": differences,
    }
    sys.stdout.write(json.dumps(answer) + "\n")
    return 1 if differences else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Hold a ledger to a year of books kept by hand.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calls", type=int, default=5_000)
    chosen = parser.parse_args()
    raise SystemExit(asyncio.run(_main(chosen.seed, chosen.calls)))
