"""What holds for the offline model whatever it is asked, offered and answered."""

import asyncio
import string
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from malha.api.run.v1.chat_pb2 import ChatMessage, Role
from malha.api.tools.v1.tool_pb2 import Tool
from malha_planner.models.offline.model import OfflineModel
from malha_planner.ports import ModelReply

TEXT = (
    "what is the price of a blue bike and how many days between 2025-01-02 until 2025-03-04 convert 12 kg "
    'to lb quanto custa 3,5 horas de SKU-77 em São Paulo with insurance "some title" documents 17 * 23 '
    "calcule a média de 4, 5 e 6 where status city Lisbon and Porto order 4521 ? . ; : R$ 20 15% cheapest"
)
WORDS = TEXT.split(" ")
LEAF: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.sampled_from(["string", "number", "integer", "boolean"]).map(lambda kind: {"type": kind}),
    st.just({"type": "integer", "minimum": 3, "maximum": 10}),
    st.just({"type": "string", "format": "date"}),
    st.just({"type": "string", "pattern": "^[A-Z]{3}-[0-9]{2}$"}),
    st.just({"type": "string", "minLength": 30}),
    st.just({"enum": ["kg", "lb", "blue", 12, None]}),
    st.just({"anyOf": [{"type": "number"}, {"type": "null"}]}),
    st.just({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}),
    st.just({"type": "array", "items": {"type": "number"}, "minItems": 2}),
    st.just({"type": "array", "items": {"enum": ["Lisbon", "Porto"]}, "uniqueItems": True}),
)
PROPERTIES = "query expression value from_unit to_unit date city insurance title status limit order_id days"
NAMES = PROPERTIES.split(" ")
DESCRIPTIONS = (
    "Searches documents and answers passages for a question.",
    "Calculates arithmetic expressions.",
    "Looks up the price of a bike by city and days.",
    "Converte um peso de uma unidade para outra.",
    "",
)


@st.composite
def tools(draw: st.DrawFn) -> Tool:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4))
    described = st.sampled_from(["", "Such as SKU-77.", "Weight in kilograms.", "The city, e.g. Lisbon."])
    properties = {name: {**draw(LEAF), "description": draw(described)} for name in names}
    required = [name for name in names if draw(st.booleans())]
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return Tool(
        name=draw(st.text(string.ascii_lowercase + "_", min_size=1, max_size=12)),
        description=draw(st.sampled_from(DESCRIPTIONS)),
        input_schema_json=orjson.dumps(schema).decode(),
    )


TOOLS = st.lists(tools(), max_size=4, unique_by=lambda tool: tool.name)
QUESTIONS = st.one_of(st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join), st.text(max_size=120))
RESULTS = st.one_of(
    st.text(max_size=200),
    st.sampled_from(
        [
            "[1] a.md, Prices > Bikes\nA blue bike costs 20 USD per day.\n\n[2] b.md, Days\nThree days.",
            '{"prices": [{"shop": "one", "usd_per_day": 3.5}], "unavailable": ["two"]}',
            "one: 2.50 USD per hour\ntwo: 3 USD per hour\nthree was unavailable: it failed",
            "17 * 23 = 391",
            "[3] not in order\n[1] x, y\n",
            '{"price": "NaN", "cost": true, "rate": null}',
        ]
    ),
)


def reply(messages: list[ChatMessage], offered: list[Tool], most: int = 400) -> ModelReply:
    model = OfflineModel("extractive")
    return asyncio.run(model.complete(messages, offered, max_output_tokens=most, deadline_seconds=1.0))


def asked(question: str) -> list[ChatMessage]:
    return [ChatMessage(role=Role.ROLE_USER, text=question)]


@settings(max_examples=150)
@given(QUESTIONS, TOOLS)
def test_the_same_conversation_gives_the_same_reply(question: str, offered: list[Tool]) -> None:
    assert reply(asked(question), offered) == reply(asked(question), offered)


@settings(max_examples=300)
@given(QUESTIONS, TOOLS)
def test_a_tool_is_called_with_arguments_that_its_schema_accepts_or_not_at_all(
    question: str, offered: list[Tool]
) -> None:
    schemas = {tool.name: orjson.loads(tool.input_schema_json) for tool in offered}
    for call in reply(asked(question), offered).message.tool_calls:
        Draft202012Validator(schemas[call.tool]).validate(orjson.loads(call.arguments_json))


@settings(max_examples=150)
@given(QUESTIONS, TOOLS, st.lists(RESULTS, min_size=1, max_size=6))
def test_it_answers_within_three_rounds_and_never_repeats_a_call(
    question: str, offered: list[Tool], results: list[str]
) -> None:
    messages = asked(question)
    made: list[tuple[str, str]] = []
    for _ in range(4):
        said = reply(messages, offered)
        messages.append(said.message)
        if not said.message.tool_calls:
            break
        for call in said.message.tool_calls:
            made.append((call.tool, call.arguments_json))
            text = results[len(made) % len(results)]
            messages.append(ChatMessage(role=Role.ROLE_TOOL, text=text, tool_call_id=call.call_id))
    assert not said.message.tool_calls
    assert said.message.text.strip()
    assert len(set(made)) == len(made)


@settings(max_examples=100)
@given(QUESTIONS, TOOLS, st.integers(1, 60))
def test_the_answer_keeps_to_its_tokens_and_cites_only_what_it_shows(
    question: str, offered: list[Tool], most: int
) -> None:
    said = reply(asked(question), offered, most)
    if not said.message.tool_calls:
        assert said.usage.output_tokens <= most
    assert all(citation.marker in said.message.text for citation in said.citations)
