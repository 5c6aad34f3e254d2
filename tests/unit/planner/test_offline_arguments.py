"""What the offline model fills a tool's arguments with: one table per rule."""

from typing import Any

import orjson
import pytest

from malha_planner.models.offline.arguments import fill
from malha_planner.models.offline.mentions import mentions
from malha_planner.models.offline.request import Request
from malha_planner.models.offline.schema import view

DELIVERY = {
    "colour": {
        "type": "string",
        "enum": ["red", "blue", "natural"],
        "description": "Colour of the tile (cor: red = vermelho, blue = azul, natural = barro or tijolo).",
    },
    "crates": {"type": "integer", "minimum": 1, "maximum": 90, "description": "Number of crates (caixotes)."},
    "hour": {"type": "integer", "minimum": 8, "maximum": 19, "description": "Hour at which it comes."},
    "finish": {
        "type": "array",
        "items": {"type": "string", "enum": ["wax", "matte"]},
        "description": "Finish (acabamento: wax - cera de abelha, matte - fosco).",
    },
    "lifted": {"type": "boolean", "description": "Whether a crane is needed (se precisa de guindaste)."},
    "trade": {"type": "boolean", "description": "Whether the buyer is a mason (se o comprador é pedreiro)."},
}
STOPS = ["mill", "quarry", "pier"]
HAUL = {
    "from_place": {
        "type": "string",
        "enum": STOPS,
        "description": "Start: mill = moinho, quarry = pedreira.",
    },
    "to_place": {"type": "string", "enum": STOPS, "description": "End (pier: cais)."},
    "leaves": {"type": "string", "pattern": "^[0-9]{2}:[0-9]{2}$", "description": "When, as HH:MM."},
}


def filled(properties: dict[str, Any], required: list[str], text: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    tool = view("deliver_tiles", "Delivers tiles (entrega telhas).", orjson.dumps(schema).decode())
    assert tool is not None
    return next((filling.arguments for filling in fill(tool, Request.of(text))), {})


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("blue tiles, 4 crates", {"colour": "blue", "crates": 4}),
        ("telhas de barro, 4 caixotes", {"colour": "natural", "crates": 4}),
        ("telhas cor de tijolo, 4 caixotes", {"colour": "natural", "crates": 4}),
        ("um caixote de telhas azuis", {"colour": "blue", "crates": 1}),
        ("one crate of red tiles", {"colour": "red", "crates": 1}),
        ("a single crate of red tiles", {"colour": "red", "crates": 1}),
        ("a crate of red tiles", {"colour": "red", "crates": 1}),
        ("twenty-five crates of red tiles", {"colour": "red", "crates": 25}),
        ("trinta e dois caixotes de telha vermelha", {"colour": "red", "crates": 32}),
    ],
)
def test_a_value_is_known_by_what_its_description_calls_it(text: str, given: dict[str, Any]) -> None:
    assert filled(DELIVERY, ["colour", "crates"], text) == given


def test_a_list_takes_its_values_from_the_description_too() -> None:
    text = "4 caixotes de telha azul com cera de abelha e fosco"
    assert filled(DELIVERY, ["colour", "crates"], text)["finish"] == ["wax", "matte"]


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("4 blue crates at 6 pm", 18),
        ("4 blue crates at 11 a.m.", 11),
        ("4 blue crates at nine in the morning", 9),
        ("4 blue crates at 3.", 15),
        ("4 caixotes azuis às 9h", 9),
        ("4 caixotes azuis às 18 horas", 18),
        ("4 caixotes azuis às duas da tarde", 14),
        ("4 caixotes azuis ao meio-dia", 12),
        ("4 blue crates at 10:00", 10),
        ("4 blue crates at 10:30", None),
        ("4 blue crates at 11 pm", None),
    ],
)
def test_an_hour_is_read_off_the_clock_within_its_bounds(text: str, hour: int | None) -> None:
    assert filled(DELIVERY, ["colour", "crates"], text).get("hour") == hour


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("4 blue crates, with a crane", "lifted", True),
        ("4 blue crates without a crane", "lifted", False),
        ("4 caixotes azuis com guindaste", "lifted", True),
        ("4 blue crates, I am a mason", "trade", True),
        ("sou pedreiro: 4 caixotes azuis", "trade", True),
        ("quero comprar 4 caixotes azuis", "trade", None),
    ],
)
def test_a_flag_is_raised_by_what_its_description_says_of_it(
    text: str, name: str, value: bool | None
) -> None:
    assert filled(DELIVERY, ["colour", "crates"], text).get(name) is value


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("from the mill to the pier at 6:30 pm", ("mill", "pier", "18:30")),
        ("to the pier from the mill at noon", ("mill", "pier", "12:00")),
        ("da pedreira ao moinho às 7h15", ("quarry", "mill", "07:15")),
        ("do cais para a pedreira às nove e meia", ("pier", "quarry", "09:30")),
    ],
)
def test_a_way_is_read_from_its_beginning_to_its_end(text: str, given: tuple[str, str, str]) -> None:
    assert tuple(filled(HAUL, ["from_place", "to_place", "leaves"], text).values()) == given


def test_a_slot_that_merely_has_time_in_its_name_takes_no_time_of_day() -> None:
    zone = {"time_zone": {"type": "string", "description": "A zone, such as Lisbon or Tokyo."}}
    assert filled(zone, ["time_zone"], "tiles for Lisbon at 9 am") == {"time_zone": "Lisbon"}


LEASE = {
    "days": {"type": "integer", "minimum": 1, "maximum": 60, "description": "Number of days (dias)."},
    "minutes": {"type": "integer", "enum": [30, 90], "description": "Length of the lesson in minutes."},
    "engine": {"type": "string", "enum": ["diesel", "electric"], "description": "Engine."},
}


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("a boat for two weeks", {"days": 14}),
        ("um barco por uma semana", {"days": 7}),
        ("a boat for 72 hours", {"days": 3}),
        ("a boat for 5 days with a lesson of 1.5 hours", {"days": 5, "minutes": 90}),
        ("4 days, electirc", {"days": 4, "engine": "electric"}),
    ],
)
def test_a_length_of_time_is_told_in_the_unit_asked_for_and_a_slip_is_forgiven(
    text: str, given: dict[str, Any]
) -> None:
    assert filled(LEASE, ["days"], text) == given


@pytest.mark.parametrize(
    ("text", "dates"),
    [
        ("from 3 to 7 July 2027", ["2027-07-03", "2027-07-07"]),
        ("entre 5 e 9 de outubro de 2027", ["2027-10-05", "2027-10-09"]),
        ("10 a 12/09/2027", ["2027-09-10", "2027-09-12"]),
        ("4 boats on 5 May 2027", ["2027-05-05"]),
        ("from 30 to 31 June 2027", ["2027-06-30"]),
    ],
)
def test_the_first_day_of_a_span_has_the_month_of_the_last(text: str, dates: list[str]) -> None:
    assert [m.value for m in mentions(text) if m.kind == "date"] == dates


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("on April 7th, 2027", "2027-04-07"),
        ("the 3rd of March 2027", "2027-03-03"),
        ("the first of June 2027", "2027-06-01"),
        ("em vinte de março de 2027", "2027-03-20"),
        ("no dia 1º de maio de 2027", "2027-05-01"),
        ("em 03/09/26", "2026-09-03"),
        ("am 14.08.2026", "2026-08-14"),
        ("em 31/02/2027", None),
        ("version 12.05.10", None),
        ("in May 2027", None),
    ],
)
def test_a_date_is_read_in_digits_and_in_words_if_the_calendar_has_it(text: str, date: str | None) -> None:
    assert next((m.value for m in mentions(text) if m.kind == "date"), None) == date


@pytest.mark.parametrize(
    "text", ["for 9 hours", "por 9h", "at 5 providers", "das 9 às 5 caixas", "open 24/7"]
)
def test_a_number_that_lasts_or_counts_is_no_time_of_day(text: str) -> None:
    assert [m.value for m in mentions(text) if m.kind == "time"] == []
