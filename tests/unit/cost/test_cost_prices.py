"""Prices: exact, dated, with a source; unknown is refused and never free."""

from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from genai_prices.data import providers
from genai_prices.types import Usage as Published
from hypothesis import given
from hypothesis import strategies as st

from malha.api.common.v1.usage_pb2 import Usage
from malha.errors import ErrorReason, MalhaError
from malha.testing import published_prices
from malha_cost.adapters import price_file
from malha_cost.adapters.price_file import BUNDLED, PriceFileError
from malha_cost.prices import Band, Price, PriceTable, Rates

TODAY = date(2026, 11, 25)
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
tokens = st.integers(0, 10**8)
amounts = st.integers(0, 10**11)
lengths = st.lists(st.integers(1, 10**8), max_size=3, unique=True).map(sorted)
three = (amounts, amounts, amounts)
bands = lengths.flatmap(lambda above: st.tuples(*(st.builds(Band, st.just(n), *three) for n in above)))
rates = st.builds(Rates, *three, bands, st.just(False))


def _row(model: str, start: date, dollars: int) -> Price:
    return Price("p", model, start, Rates(dollars, dollars, dollars), "a test")


@given(rates, tokens, tokens, tokens)
def test_a_cost_is_the_decimal_sum_rounded_up(rates: Rates, fresh: int, cached: int, output: int) -> None:
    usage = Usage(input_tokens=fresh + cached, cached_input_tokens=cached, output_tokens=output)
    band = [band for band in rates.by_length if not band.above or fresh + cached > band.above][-1]
    exact = (Decimal(fresh * band.input) + cached * band.cached_input + output * band.output) / 10**9
    assert rates.cost(usage) == exact.quantize(Decimal(1), ROUND_CEILING)
    assert rates._replace(half_up=True).cost(usage) == exact.quantize(Decimal(1), ROUND_HALF_UP)


@given(rates, tokens, tokens, st.data())
def test_what_keeps_within_its_ceiling_never_costs_more(
    rates: Rates, input_: int, output: int, data: st.DataObject
) -> None:
    used = data.draw(st.integers(0, input_))
    usage = Usage(
        input_tokens=used,
        cached_input_tokens=data.draw(st.integers(0, used)),
        output_tokens=data.draw(st.integers(0, output)),
    )
    assert rates.cost(usage) <= rates.ceiling(input_, output)
    assert rates._replace(half_up=True).cost(usage) <= rates.ceiling(input_, output)


@given(rates, tokens, tokens)
def test_a_ceiling_is_what_the_dearest_use_within_it_costs(rates: Rates, input_: int, output: int) -> None:
    lengths = {input_, *(band.above for band in rates.bands if band.above < input_)}
    uses = [
        Usage(input_tokens=length, cached_input_tokens=cached, output_tokens=output)
        for length in lengths
        for cached in (0, length)
    ]
    assert rates.ceiling(input_, output) == max(rates.cost(use) for use in uses)


@given(rates, st.integers(0, 10**7), st.integers(0, 10**6), st.integers(0, 10**9))
def test_the_output_that_fits_is_the_largest_that_does(
    rates: Rates, input_: int, most: int, amount: int
) -> None:
    fits = rates.output_within(amount, input_, most)
    assert 0 <= fits <= most
    assert fits == 0 or rates.ceiling(input_, fits) <= amount
    assert fits == most or rates.ceiling(input_, fits + 1) > amount


@given(rates, st.booleans())
def test_an_entry_keeps_rates_whole(rates: Rates, half_up: bool) -> None:
    kept = rates._replace(bands=(), half_up=True) if half_up else rates
    assert Rates.kept(*kept[:3], kept.terms) == kept


def test_nothing_that_has_a_price_is_free() -> None:
    assert Rates(1, 0, 0).cost(Usage(input_tokens=1)) == 1
    assert Rates(1, 0, 0).ceiling(1, 0) == 1
    assert Rates(0, 0, 0).cost(Usage(input_tokens=1)) == 0


def test_a_longer_input_prices_the_whole_call_by_its_band() -> None:
    longer = Rates(10**9, 10**8, 10**9, (Band(1_000, 2 * 10**9, 2 * 10**8, 3 * 10**9),))
    assert longer.cost(Usage(input_tokens=1_000, output_tokens=10)) == 1_010
    assert longer.cost(Usage(input_tokens=1_001, cached_input_tokens=1, output_tokens=10)) == 2_031


@pytest.mark.parametrize(
    ("day", "dollars"),
    [(date(2026, 1, 31), 1), (date(2026, 2, 1), 2), (date(2026, 12, 31), 2), (date(2027, 1, 1), 3)],
)
def test_the_newest_row_that_has_begun_is_in_force(day: date, dollars: int) -> None:
    table = PriceTable(
        [_row("m", date(2026, 2, 1), 2), _row("m", date.min, 1), _row("m", date(2027, 1, 1), 3)]
    )
    assert table.find("p", "m", day).rates.input == dollars


def test_a_row_of_its_own_wins_over_the_providers_any_model() -> None:
    table = PriceTable([_row("*", date.min, 1), _row("m", date.min, 2)])
    assert table.find("p", "m", TODAY).rates.input == 2
    assert table.find("p", "other", TODAY).rates.input == 1


@pytest.mark.parametrize(("provider", "model"), [("openai", "gpt-99"), ("nobody", "gpt-4o"), ("openai", "*")])
def test_a_model_without_a_row_is_refused(provider: str, model: str) -> None:
    with pytest.raises(MalhaError) as refusal:
        price_file.load(BUNDLED).find(provider, model, TODAY)
    assert refusal.value.reason == ErrorReason.ERROR_REASON_PRICE_UNKNOWN
    assert refusal.value.metadata["model"] == model


def test_a_model_has_no_price_before_its_first_row() -> None:
    with pytest.raises(MalhaError):
        PriceTable([_row("m", date(2026, 2, 1), 2)]).find("p", "m", date(2026, 1, 31))


def test_the_offline_model_costs_nothing_under_any_name() -> None:
    assert price_file.load(BUNDLED).find("offline", "extractive-1", TODAY).rates == Rates(0, 0, 0)


def test_bundled_prices_are_what_genai_prices_publishes() -> None:
    bundled = BUNDLED.read_text(encoding="utf-8")
    retrieved = date.fromisoformat(bundled.partition("retrieved: ")[2].partition("\n")[0])
    assert bundled == published_prices.table(retrieved), "make prices"


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google"])
def test_bundled_prices_cost_what_genai_prices_calculates(provider: str) -> None:
    """The package's own arithmetic, of calls on both sides of every length at which a price changes."""
    known = {one.id: one for one in providers}[provider]
    table, checked = price_file.load(BUNDLED), 0
    for price in (price for price in table.named("", TODAY) if price.provider == provider):
        model = known.find_model(price.model)
        assert model is not None, price.model
        for batch in (False, True) if price.batch else (False,):
            published = model.get_prices(NOON, {"processing": "batch"} if batch else None)
            writes = provider == "openai" and published.cache_write_mtok is not None
            rates, _ = price.terms_of(batch=batch)
            for length in {90_000, *(band.above + more for band in rates.bands for more in (0, 1))}:
                cached = length // 3 if published.cache_read_mtok is not None else 0
                output = 1_234 if published.output_mtok is not None else 0
                usage = Published(
                    input_tokens=length,
                    cache_read_tokens=cached,
                    cache_write_tokens=length - cached if writes else 0,
                    output_tokens=output,
                )
                exact = published.calc_price(usage)["total_price"] * 10**6
                ours = Usage(input_tokens=length, cached_input_tokens=cached, output_tokens=output)
                assert rates.cost(ours) == exact.quantize(Decimal(1), ROUND_CEILING), (price.row, length)
                checked += 1
    assert checked >= 20


def test_an_operators_file_wins_and_adds(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        "source: our contract\nprices:\n"
        '- {provider: openai, model: gpt-4o, input: "1.5", output: "9"}\n'
        '- {provider: scripted, model: "*", input: "2", output: "6"}\n'
    )
    table = price_file.load(BUNDLED, own)
    negotiated = table.find("openai", "gpt-4o", TODAY)
    assert negotiated.rates == Rates(1_500_000_000, 1_500_000_000, 9_000_000_000)
    assert negotiated.source == "our contract"
    assert table.find("scripted", "anything", TODAY).rates.output == 6_000_000_000
    assert table.find("openai", "gpt-4o-mini", TODAY).rates.input == 150_000_000


def test_from_the_first_day_an_operator_names_a_models_price_no_other_files_price_of_it_holds(
    tmp_path: Path,
) -> None:
    shipped, own = tmp_path / "shipped.yaml", tmp_path / "own.yaml"
    shipped.write_text(
        "source: a page\nprices:\n"
        '- {provider: p, model: a, input: "1", output: "1"}\n'
        '- {provider: p, model: a, from: 2026-06-01, input: "2", output: "2"}\n'
        '- {provider: p, model: b, input: "3", output: "3"}\n'
        '- {provider: p, model: b, from: 2026-06-01, input: "4", output: "4"}\n'
    )
    own.write_text(
        "source: our contract\nprices:\n"
        '- {provider: p, model: a, input: "7", output: "7"}\n'
        '- {provider: p, model: b, from: 2026-03-01, input: "8", output: "8"}\n'
    )
    table = price_file.load(shipped, own)

    def dollars(model: str, month: int) -> int:
        return table.find("p", model, date(2026, month, 15)).rates.input // 10**9

    assert [dollars("a", month) for month in (1, 7)] == [7, 7]
    assert [dollars("b", month) for month in (1, 4, 7)] == [3, 8, 8]


def test_an_operator_may_let_unknown_models_cost_a_ceiling(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        'source: our ceiling\nprices:\n- {provider: "*", model: "*", input: "50", output: "200"}\n'
    )
    table = price_file.load(BUNDLED, own)
    assert table.find("nobody", "gpt-99", TODAY).rates == Rates(50 * 10**9, 50 * 10**9, 200 * 10**9)
    assert table.find("openai", "gpt-4o-mini", TODAY).rates.input == 150_000_000
    assert table.find("offline", "extractive-1", TODAY).rates.free


def test_a_batch_costs_its_own_rates_where_they_are_known(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        "source: a test\nprices:\n"
        '- {provider: p, model: m, input: "2", output: "8", batch: {input: "1", output: "4"}}\n'
        '- {provider: p, model: n, input: "2", output: "8"}\n'
    )
    table = price_file.load(path)
    rates, row = table.find("p", "m", TODAY).terms_of(batch=True)
    assert (rates.input, row) == (10**9, "p/m@0001-01-01/batch")
    rates, row = table.find("p", "n", TODAY).terms_of(batch=True)
    assert (rates.input, row) == (2 * 10**9, "p/n@0001-01-01")


def test_a_row_says_where_it_was_taken_from(tmp_path: Path) -> None:
    bundled = price_file.load(BUNDLED).find("openai", "gpt-4o", TODAY)
    assert bundled.source.startswith("genai-prices")
    assert bundled.url.startswith("https://")
    assert bundled.retrieved is not None
    own = tmp_path / "own.yaml"
    own.write_text(
        "source: our contract\nretrieved: 2026-02-03\nurls: {p: https://p.example/prices}\nprices:\n"
        '- {provider: p, model: m, input: "1", output: "1"}\n'
        '- {provider: p, model: n, input: "1", output: "1", source: a letter, retrieved: 2026-03-04}\n'
    )
    by_model = {price.model: price for price in price_file.load(own).named("", TODAY)}
    assert by_model["m"][4:9:2] == ("our contract", False, date(2026, 2, 3))
    assert (by_model["n"].source, by_model["n"].retrieved) == ("a letter", date(2026, 3, 4))
    assert by_model["n"].url == "https://p.example/prices"


FULL = '{provider: p, model: m, input: "1", output: "1"'


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{provider: p, model: m, input: 0.15, output: "1"}', "input: write the amount 0.15 in quotes"),
        ('{provider: p, model: m, input: "-1", output: "1"}', "input: -1 is not an amount"),
        (
            '{provider: p, model: m, input: "0.0000000001", output: "1"}',
            "input: 0.0000000001 is not an amount",
        ),
        ('{provider: p, model: m, input: "cheap", output: "1"}', "input: cheap is not an amount"),
        (
            '{provider: p, model: m, input: "1e-999999999", output: "1"}',
            "input: 1e-999999999 is not an amount",
        ),
        ('{provider: p, model: m, input: "1e999999999", output: "1"}', "input: 1e999999999 is not an amount"),
        (
            '{provider: p, model: m, input: "0.15000000000000000000000000001", output: "1"}',
            "input: 0.15000000000000000000000000001 is not an amount",
        ),
        ('{provider: p, model: m, input: "NaN", output: "1"}', "input: NaN is not an amount"),
        ('{provider: p, model: m, input: "Infinity", output: "1"}', "input: Infinity is not an amount"),
        ('{provider: p, model: m, input: true, output: "1"}', "input: write the amount True in quotes"),
        ('{provider: p, model: m, input: "1"}', "output: is missing"),
        ('{model: m, input: "1", output: "1"}', "provider: is a text"),
        ('{provider: p, model: 5, input: "1", output: "1"}', "model: is a text"),
        ('{provider: "*", model: m, input: "1", output: "1"}', "provider: is"),
        ('{provider: p, model: m, input: "0", output: "0"}', "where that is meant, write free: true"),
        (FULL + ', above: {9: {input: "0", output: "0"}}}', "where that is meant, write free: true"),
        (FULL + ', batch: {input: "0", output: "0"}}', "where that is meant, write free: true"),
        ('{provider: "*", model: "*", input: "0", output: "0", free: true}', "free: a model that nobody"),
        (FULL + ", free: true}", "free: is true, and"),
        (FULL + ', outptu: "2"}', "outptu: unknown"),
        (FULL + ', input: "2"}', "'input' stands twice"),
        (FULL + ", from: soon}", "from: is a date"),
        (FULL + ", from: 2026-01-01 10:00:00}", "from: is a date"),
        (FULL + ", also: n}", "also: is a list"),
        (FULL + ", also: [m]}", "model: p/m@0001-01-01 has a row already"),
        (FULL + ', reasons: "yes"}', "reasons: is true or false"),
        (FULL + ", above: 200000}", "above: says the rates"),
        (FULL + ', above: {many: {input: "1", output: "1"}}}', "above: 'many' is no number of tokens"),
        (FULL + ', above: {200000: {input: "1"}}}', "output: is missing"),
        (FULL + ', above: {200000: {input: "1", output: "1", batch: "1"}}}', "above 200000: batch: unknown"),
        (FULL + ", batch: cheap}", "batch: is no mapping"),
        ("nonsense", "is no mapping"),
    ],
)
def test_a_price_that_cannot_be_trusted_stops_the_start(tmp_path: Path, row: str, said: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(f"source: a test\nprices:\n- {row}\n")
    with pytest.raises(PriceFileError) as stopped:
        price_file.load(path)
    assert said in str(stopped.value)
    assert "prices.yaml, price 1" in str(stopped.value) or "stands twice" in said
    assert str(tmp_path) not in str(stopped.value)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("prices: []", "source: is a text"),
        ("source: a test", "prices: is a list"),
        ("source: a test\nprices: {a: b}", "prices: is a list"),
        ("source: a test\nurls: here\nprices: []", "urls: says the page"),
        ("source: a test\ncurrency: EUR\nprices: []", "currency: unknown"),
        ("- a list", "is no mapping"),
        ("source: a\nprices: [{from: 2026-02-30}]", "is no YAML: .*day is out of range"),
        ("source: [", "is no YAML"),
        ("", "is no mapping"),
    ],
)
def test_a_file_that_is_no_price_file_stops_the_start(tmp_path: Path, file: str, said: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(file)
    with pytest.raises(PriceFileError, match=said):
        price_file.load(path)


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(PriceFileError):
        price_file.load(tmp_path / "none.yaml")
