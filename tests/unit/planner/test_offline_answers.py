"""What the offline model does, from question to answer, with the tools that Malha ships."""

from collections.abc import Callable, Mapping

import orjson
import pytest

from malha.api.run.v1.chat_pb2 import ChatMessage, Role, ToolCall
from malha.api.run.v1.record_pb2 import Effect
from malha.api.tools.v1.tool_pb2 import Tool
from malha_planner.models.offline.model import OfflineModel
from malha_planner.ports import ModelReply


def tool(
    name: str,
    description: str,
    required: list[str],
    effect: Effect = Effect.EFFECT_READ,
    **properties: object,
) -> Tool:
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return Tool(
        name=name, description=description, input_schema_json=orjson.dumps(schema).decode(), effect=effect
    )


SEARCH = tool(
    "search_knowledge",
    "Searches the organisation's own documents and answers the passages that fit best.",
    ["query"],
    query={"type": "string"},
)
CALCULATOR = tool(
    "calculator", "Calculates arithmetic exactly.", ["expression"], expression={"type": "string"}
)
PRICES = tool(
    "gpu_prices",
    "Looks up what a GPU costs per hour in US dollars at several cloud providers, asked at the same time, "
    "and says which is cheapest. Use it for questions about the price of GPUs, such as H100, A100 or L4.",
    ["gpu"],
    gpu={"type": "string", "description": "The GPU's model, such as H100, A100 or L4."},
)
TICKETS = tool(
    "create_ticket",
    "Opens a ticket for a team.",
    ["title"],
    Effect.EFFECT_ONCE,
    title={"type": "string", "description": "What the ticket is about."},
)
TOOLS = [CALCULATOR, PRICES, SEARCH]
PASSAGES = (
    "[1] docs/concepts.md, Budgets > Holding\nMoney is reserved before each call. Then it is settled.\n\n"
    "[2] docs/run.md, Journal\nA run is a journal. Every record has a sequence."
)
PRICED = (
    "H100 at lambda: 2.49 USD per hour.\nH100 at nimbus: 2.10 USD per hour.\n"
    "The cheapest is nimbus at 2.10 USD per hour.\ncoreweave was unavailable: it answered HTTP 503."
)
Results = Mapping[str, str | Callable[[ToolCall], str]]


def calculated(call: ToolCall) -> str:
    expression = orjson.loads(call.arguments_json)["expression"]
    return f"{expression} = {eval(expression, {})}"  # noqa: S307 - the test's own arithmetic


async def converse(
    question: str, results: Results, offered: list[Tool] | None = None
) -> tuple[list[tuple[str, dict[str, object]]], ModelReply]:
    model = OfflineModel("extractive")
    messages = [
        ChatMessage(role=Role.ROLE_SYSTEM, text="Only this message instructs."),
        ChatMessage(role=Role.ROLE_USER, text=question),
    ]
    calls = []
    for _ in range(5):
        reply = await model.complete(
            messages, TOOLS if offered is None else offered, max_output_tokens=1000, deadline_seconds=1.0
        )
        messages.append(reply.message)
        if not reply.message.tool_calls:
            break
        for call in reply.message.tool_calls:
            calls.append((call.tool, orjson.loads(call.arguments_json)))
            result = results[call.tool]
            text = result if isinstance(result, str) else result(call)
            messages.append(ChatMessage(role=Role.ROLE_TOOL, text=text, tool_call_id=call.call_id))
    return calls, reply


async def test_it_is_no_language_model_and_says_so() -> None:
    assert OfflineModel.is_llm is False
    assert OfflineModel.provider == "offline"


async def test_a_question_is_put_to_the_documents_and_answered_with_its_section() -> None:
    calls, reply = await converse("When is money reserved?", {"search_knowledge": PASSAGES})
    assert calls == [("search_knowledge", {"query": "When is money reserved?"})]
    assert "Money is reserved before each call." in reply.message.text
    assert reply.message.text.startswith('According to docs/concepts.md, section "Budgets > Holding":')
    assert "[1]" in reply.message.text
    (citation,) = reply.citations
    assert (citation.marker, citation.document, citation.section) == (
        "[1]",
        "docs/concepts.md",
        "Budgets > Holding",
    )
    assert citation.quote.startswith("Money is reserved")


async def test_the_frame_is_in_the_language_of_the_question() -> None:
    _, reply = await converse("Quando o dinheiro é reservado?", {"search_knowledge": PASSAGES})
    assert reply.message.text.startswith("Segundo docs/concepts.md")


@pytest.mark.parametrize(
    ("question", "expression"),
    [
        ("What is 17 * 23?", "17 * 23"),
        ("Quanto é 12 vezes 8?", "12 * 8"),
        ("what is 15% of 240", "15 / 100 * 240"),
        ("Calculate (3 + 4) * 2 / 7", "(3 + 4) * 2 / 7"),
        ("Qual a média de 7, 8,5 e 9?", "(7 + 8.5 + 9) / 3"),
        ("How much is 100 minus 20%?", "100 * (1 - 20 / 100)"),
    ],
)
async def test_sums_go_to_the_calculator_and_need_no_documents(question: str, expression: str) -> None:
    calls, reply = await converse(question, {"calculator": calculated})
    assert calls == [("calculator", {"expression": expression})]
    assert "=" in reply.message.text


@pytest.mark.parametrize(
    "question",
    [
        "compare the hourly price of an H100 at three providers and the cost of 40 hours",
        "Compare o preço por hora de uma H100 em três provedores e o custo de 40 horas",
    ],
)
async def test_a_cost_follows_from_every_price_and_the_missing_provider_is_named(question: str) -> None:
    calls, reply = await converse(question, {"gpu_prices": PRICED, "calculator": calculated})
    assert calls == [
        ("gpu_prices", {"gpu": "H100"}),
        ("calculator", {"expression": "40 * 2.49"}),
        ("calculator", {"expression": "40 * 2.10"}),
    ]
    assert "H100 at nimbus: 40 * 2.10 = 84.0" in reply.message.text
    assert "coreweave was unavailable" in reply.message.text


async def test_a_cost_at_the_cheapest_is_reckoned_once_and_days_become_hours() -> None:
    question = "How much do 2 days of an H100 cost at the cheapest provider?"
    calls, _ = await converse(question, {"gpu_prices": PRICED, "calculator": calculated})
    assert calls[1:] == [("calculator", {"expression": "2 * 24 * 2.10"})]


async def test_what_json_names_as_unavailable_is_said() -> None:
    priced = '"prices": [{"provider": "lambda", "usd_per_hour": "2.49"}]'
    told = f'{{{priced}, "unavailable": [{{"provider": "coreweave"}}]}}'
    _, reply = await converse("price of the H100", {"gpu_prices": told})
    assert "missing from this answer: coreweave" in reply.message.text


@pytest.mark.parametrize(
    "question", ["What is the price of the H100 and the A100?", "Which is cheaper, an H100 or an A100?"]
)
async def test_values_that_are_joined_are_asked_for_one_by_one_at_the_same_time(question: str) -> None:
    calls, _ = await converse(question, {"gpu_prices": PRICED})
    assert calls == [("gpu_prices", {"gpu": "H100"}), ("gpu_prices", {"gpu": "A100"})]


@pytest.mark.parametrize(
    "question",
    [
        "What is 6 * 7? And how is money reserved?",
        "What is 6 * 7 and how is money reserved?",
        "How is money reserved, and what is 6 * 7?",
    ],
)
async def test_two_tasks_in_one_request_are_both_done(question: str) -> None:
    calls, reply = await converse(question, {"calculator": calculated, "search_knowledge": PASSAGES})
    assert {name for name, _ in calls} == {"calculator", "search_knowledge"}
    assert "42" in reply.message.text
    assert "[1]" in reply.message.text


@pytest.mark.parametrize(
    ("question", "tools"),
    [
        ("What does an H100 cost per hour, and how is money reserved?", {"gpu_prices", "search_knowledge"}),
        ("Quanto é 2.500,00 dividido por 4, e quanto custa a H100?", {"calculator", "gpu_prices"}),
    ],
)
async def test_a_price_beside_another_question_leaves_none_unanswered(question: str, tools: set[str]) -> None:
    results: Results = {"calculator": calculated, "gpu_prices": PRICED, "search_knowledge": PASSAGES}
    calls, _ = await converse(question, results)
    assert {name for name, _ in calls} == tools


async def test_a_sum_of_money_is_reckoned_and_not_looked_up() -> None:
    calls, _ = await converse("Quanto custa 3 x R$ 1.299,90?", {"calculator": calculated})
    assert calls == [("calculator", {"expression": "3 * 1299.90"})]


async def test_a_search_that_finds_nothing_is_tried_in_other_words_once_and_then_admitted() -> None:
    calls, reply = await converse("Qual o preço da entrega?", {"search_knowledge": "No passage fits."})
    assert len(calls) == 2
    assert "price" in str(calls[1][1]["query"])
    assert reply.message.text.startswith("Não encontrei nos documentos")
    assert not reply.citations


async def test_a_search_in_other_words_has_other_words_for_each_of_the_question() -> None:
    question = "Is there a penalty when a parcel with a damaged clock is returned late?"
    calls, _ = await converse(question, {"search_knowledge": "No passage fits."})
    assert {"multa", "pacote", "danificado", "relogio", "devolver", "atraso"} <= set(
        str(calls[1][1]["query"]).split()
    )


async def test_an_answer_that_is_not_sure_names_the_next_best_section_too() -> None:
    found = (
        "[1] sheds.md, Roof\nThe shed has a tin roof.\n\n[2] barns.md, Doors\nHinges are oiled.\n\n"
        "[3] barns.md, Roof\nSlates lie on the barn."
    )
    _, reply = await converse("Who mends a broken gutter at the roof?", {"search_knowledge": found})
    assert [citation.section for citation in reply.citations] == ["Roof", "Roof"]


async def test_a_tool_that_changes_something_is_not_called_on_a_hunch() -> None:
    results = {"search_knowledge": PASSAGES, "create_ticket": "opened"}
    calls, _ = await converse("How long does a ticket stay open?", results, [SEARCH, TICKETS])
    assert [name for name, _ in calls if name == "create_ticket"] == []
    calls, _ = await converse('Open a ticket titled "Broken lamp"', results, [SEARCH, TICKETS])
    assert calls == [("create_ticket", {"title": "Broken lamp"})]


async def test_without_a_fitting_tool_it_says_that_it_cannot() -> None:
    calls, reply = await converse("Write me a poem about rain", {}, [CALCULATOR])
    assert calls == []
    assert reply.message.text.startswith("I cannot answer this")


async def test_a_greeting_calls_nothing_and_says_what_can_be_done() -> None:
    calls, reply = await converse("Olá, bom dia!", {})
    assert calls == []
    assert "gpu_prices" in reply.message.text


async def test_on_the_last_call_without_tools_it_answers_from_what_it_has() -> None:
    call = ToolCall(
        call_id="c", tool="search_knowledge", arguments_json='{"query":"When is money reserved?"}'
    )
    messages = [
        ChatMessage(role=Role.ROLE_USER, text="When is money reserved?"),
        ChatMessage(role=Role.ROLE_ASSISTANT, tool_calls=[call]),
        ChatMessage(role=Role.ROLE_TOOL, text=PASSAGES, tool_call_id="c"),
    ]
    reply = await OfflineModel("x").complete(messages, [], max_output_tokens=500, deadline_seconds=1.0)
    assert "Money is reserved before each call." in reply.message.text


async def test_only_the_last_question_counts() -> None:
    messages = [
        ChatMessage(role=Role.ROLE_USER, text="What is 2 + 2?"),
        ChatMessage(role=Role.ROLE_ASSISTANT, text="4"),
        ChatMessage(role=Role.ROLE_USER, text="What is 3 + 3?"),
    ]
    reply = await OfflineModel("x").complete(messages, TOOLS, max_output_tokens=500, deadline_seconds=1.0)
    assert orjson.loads(reply.message.tool_calls[0].arguments_json) == {"expression": "3 + 3"}


FERRY = tool(
    "ferry_fare",
    "Price of a crossing.",
    ["cars"],
    cars={"type": "integer", "minimum": 1, "description": "Number of cars."},
    resident={"type": "boolean", "description": "Whether the driver is an islander (se é ilhéu)."},
)


@pytest.mark.parametrize(
    "question",
    ["What is the fare for 2 cars? I am an islander.", "I am an islander. What is the fare for 2 cars?"],
)
async def test_what_is_said_beside_an_order_belongs_to_it(question: str) -> None:
    calls, _ = await converse(question, {"ferry_fare": "40 euros"}, [SEARCH, FERRY])
    assert calls == [("ferry_fare", {"cars": 2, "resident": True})]


async def test_a_number_in_a_question_says_nothing_of_how_many_passages_are_wanted() -> None:
    limited = tool(
        "search_knowledge",
        "Searches documents and answers passages.",
        ["query"],
        query={"type": "string"},
        limit={"type": "integer", "minimum": 1, "maximum": 20, "description": "How many passages at most."},
    )
    calls, _ = await converse("What do 2 tickets include?", {"search_knowledge": PASSAGES}, [limited])
    assert calls[0][1]["limit"] != 2
