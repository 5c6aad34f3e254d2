"""How the offline model reads numbers, names, sentences and results: one table per rule."""

import pytest

from malha_planner.models.offline.arithmetic import expression
from malha_planner.models.offline.language import is_portuguese
from malha_planner.models.offline.mentions import mentions
from malha_planner.models.offline.quantities import quantities
from malha_planner.models.offline.rates import rates
from malha_planner.models.offline.results import passages, unavailable
from malha_planner.models.offline.sentences import sentences
from malha_planner.models.offline.stems import stem
from malha_planner.models.offline.words import same, words


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("send 3 kg to Recife", [(3, "kg")]),
        ("20°C, 15% and 3kg", [(20, "celsius"), (15, "percent"), (3, "kg")]),
        ("it costs $1,234.50", [(1234.5, "usd")]),
        ("custa R$ 1.234,50", [(1234.5, "brl")]),
        ("o lote de 1.050 caixas", [(1050, "caixas")]),
        ("a gravity of 1.050", [(1.05, None)]),
        ("$2M and 3 million people", [(2000000, "usd"), (3000000, "people")]),
        ("80 x 35 x 40 cm", [(80, "cm"), (35, "cm"), (40, "cm")]),
        ("an H100, SKU-1001 and 2024-05-06", []),
        ("três provedores", [(3, "provedores")]),
        ("um provedor", []),
        ("3 H100 for 12 hours", [(3, None), (12, "hours")]),
    ],
)
def test_numbers_are_read_with_what_they_count(text: str, read: list[tuple[float, str | None]]) -> None:
    found = quantities(text, portuguese=is_portuguese(text))
    assert [(q.plain, q.unit and q.unit.folded) for q in found] == read


@pytest.mark.parametrize(
    "text", ["on 2024-01-15", "open 24/7", "within 3-5 days", "call 555-1234", "version 1.2.3", "the H100"]
)
def test_dates_ranges_and_versions_are_no_sums(text: str) -> None:
    assert expression(text, portuguese=False) is None


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("What is 3 * $19.90?", "3 * 19.90"),
        ("Quanto é 3 x R$ 1.299,90?", "3 * 1299.90"),
        ("Quanto é R$ 10,50 + R$ 3,25?", "10.50 + 3.25"),
        ("€5 + €6", "5 + 6"),
        ("5% of €200", "5 / 100 * 200"),
        ("Divide 100 by 8", "100 / 8"),
        ("Divida R$ 1.000 por 8", "1000 / 8"),
        ("Subtract 3 from 10", "10 - 3"),
        ("Subtraia 3,5 de 10", "10 - 3.5"),
    ],
)
def test_a_sum_is_read_with_its_money_and_its_verb(text: str, asked: str) -> None:
    assert expression(text, portuguese=is_portuguese(text)) == asked


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ('a ticket titled "Broken lamp"', "quoted", "Broken lamp"),
        ("order SKU-1001 now", "identifier", "SKU-1001"),
        ("write to ana@example.org.", "email", "ana@example.org"),
        ("see https://example.org/a?b=1.", "uri", "https://example.org/a?b=1"),
        ("on 3 May 2025", "date", "2025-05-03"),
        ("em 12/09/2025", "date", "2025-09-12"),
        ("no dia 1 de março de 2026", "date", "2026-03-01"),
        ("at 9:05", "time", "09:05"),
        ("a praia de São Paulo", "name", "São Paulo"),
        ("the Museum of Modern Art", "name", "Museum of Modern Art"),
    ],
)
def test_values_are_recognised_where_they_stand(text: str, kind: str, value: str) -> None:
    assert (kind, value) in [(mention.kind, mention.value) for mention in mentions(text)]


@pytest.mark.parametrize(
    ("text", "portuguese"),
    [
        ("What is the price of the H100?", False),
        ("Qual é o preço da H100?", True),
        ("Estoque de leite", True),
        ("Stock of milk", False),
        ("H100", False),
        ("Obrigado!", True),
        ("oi", True),
    ],
)
def test_the_language_shows_in_the_small_words(text: str, portuguese: bool) -> None:
    assert is_portuguese(text) is portuguese


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("reservation", "reserva"),
        ("reserved", "reservado"),
        ("policies", "policy"),
        ("running", "run"),
        ("configuração", "configuration"),
        ("price", "preços"),
        ("stock", "estoque"),
        ("cães", "cachorro"),
        ("espanhóis", "espanhol"),
        ("premiar", "prêmio"),
        ("called off", "cancelled"),
        ("signing in", "log-in"),
        ("pick up", "retirada"),
        ("fim de semana", "weekends"),
        ("sul", "south"),
        ("esquerda", "left"),
        ("pequenas", "little"),
        ("urgência", "urgent"),
    ],
)
def test_words_of_one_meaning_meet(one: str, other: str) -> None:
    assert same(words(one)[0], words(other)[0])


@pytest.mark.parametrize(
    ("one", "other"),
    [("state", "station"), ("peça", "pessoa"), ("mês", "mesa"), ("porto", "portão"), ("police", "policy")],
)
def test_words_that_merely_begin_alike_do_not_meet(one: str, other: str) -> None:
    assert not same(words(one)[0], words(other)[0])


def test_an_expression_is_one_word_where_it_stands() -> None:
    text = "They log in, then they call it off"
    assert [word.text for word in words(text)] == ["They", "log in", "then", "they", "call", "it", "off"]


def test_a_plural_has_the_stem_of_its_singular() -> None:
    pairs = (
        "day days key keys return returns stream streams box boxes city cities sensor sensores papel papeis "
        "acao acoes item itens bus buses"
    )
    spelt = pairs.split()
    for singular, plural in zip(spelt[::2], spelt[1::2], strict=True):
        assert stem(singular) == stem(plural)


def test_markdown_is_cut_into_what_can_be_quoted() -> None:
    text = (
        "Use e.g. Dr. Smith's way. It costs 3.5 euros.\n\nSteps:\n- first one\n  goes on\n- second\n\n"
        "| Plan | Days |\n|---|---|\n| basic | 5 |\n\n```\ncode here\n```\n"
    )
    assert [sentence.text for sentence in sentences(text)] == [
        "Use e.g. Dr. Smith's way.",
        "It costs 3.5 euros.",
        "Steps:",
        "first one goes on",
        "second",
        "Plan: basic; Days: 5",
        "```\ncode here\n```",
    ]


def test_passages_are_read_as_the_search_tool_writes_them() -> None:
    text = "[4] docs/a, b.md, One > Two, three\nText with\n[1] a marker of its own.\n\n[5] plain.md\nMore."
    assert [(p.marker, p.document, p.section, p.text) for p in passages(text)] == [
        ("[4]", "docs/a, b.md", "One > Two, three", "Text with\n[1] a marker of its own."),
        ("[5]", "plain.md", "", "More."),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("H100 at lambda: 2.49 USD per hour.", [("H100 at lambda", "2.49", "hour")]),
        ("- Acme - $3 a night", [("Acme", "3", "night")]),
        ("The cheapest is Acme at 3 USD per hour.", []),
        ('[{"shop": "one", "eur_per_kg": 4.2}]', [("one", "4.2", "kg")]),
        ('{"one": {"usd_per_hour": "1.5"}}', [("one", "1.5", "hour")]),
        ("It took 3 hours.", []),
    ],
)
def test_prices_are_read_with_what_they_are_for(text: str, found: list[tuple[str, str, str]]) -> None:
    read = [(rate.label, str(rate.price), rate.per.folded if rate.per else None) for rate in rates(text)]
    assert read == found


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('{"unavailable": ["b", "c"]}', ["b", "c"]),
        ('{"unavailable": [{"provider": "b", "why": "answered HTTP 503"}]}', ["b"]),
        ('{"shops": [{"name": "a", "status": "unavailable"}, {"name": "b", "status": "ok"}]}', ["a"]),
        ("a: 3 USD\nb was unavailable: it failed.", ["b was unavailable: it failed."]),
        ('{"prices": []}', []),
    ],
)
def test_what_could_not_be_reached_is_found(text: str, names: list[str]) -> None:
    assert unavailable(text) == names
