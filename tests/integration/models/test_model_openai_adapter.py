"""The OpenAI-compatible adapter against the scripted server, over real sockets."""

import asyncio
import logging
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from malha.api.run.v1.chat_pb2 import ChatMessage, Role, ToolCall
from malha.api.tools.v1.tool_pb2 import Tool
from malha.errors import ErrorReason, MalhaError
from malha.testing.model_server import ModelServer
from malha.testing.shop import until
from malha.testing.tls import self_signed
from malha_planner.adapters.openai_model import OpenAiModel, OpenAiServer
from malha_planner.models.tokens import estimate, estimate_messages
from malha_planner.ports import ModelReply, NoAnswerError

KEY = "sk-very-secret"
DAY = "Wed, 21 Oct 2026"
ASKED = [
    ChatMessage(role=Role.ROLE_SYSTEM, text="Be brief."),
    ChatMessage(role=Role.ROLE_USER, text="What is 17 * 23?"),
]
CALCULATOR = Tool(
    name="calculator",
    description="Works out an expression.",
    input_schema_json='{"type":"object","properties":{"expression":{"type":"string"}},"required":["expression"]}',
)


@asynccontextmanager
async def scripted(*rules: dict[str, Any]) -> AsyncIterator[tuple[ModelServer, OpenAiModel]]:
    async with ModelServer({"rules": list(rules)}) as server:
        model = OpenAiModel(OpenAiServer(server.base_url, SecretStr(KEY)), "scripted-1")
        try:
            yield server, model
        finally:
            await model.close()


async def ask(
    model: OpenAiModel, *, deadline: float = 5.0, messages: list[ChatMessage] | None = None
) -> ModelReply:
    return await model.complete(
        messages or ASKED, [CALCULATOR], max_output_tokens=64, deadline_seconds=deadline
    )


async def refusal(model: OpenAiModel, *, deadline: float = 5.0) -> MalhaError:
    with pytest.raises(MalhaError) as caught:
        await ask(model, deadline=deadline)
    return caught.value


async def test_text_usage_and_finish_come_through() -> None:
    usage = {"prompt_tokens": 30, "completion_tokens": 9, "cached_tokens": 20, "reasoning_tokens": 4}
    async with scripted({"text": "391", "usage": usage}) as (server, model):
        reply = await ask(model)
    assert (reply.message.role, reply.message.text, reply.finish) == (Role.ROLE_ASSISTANT, "391", "stop")
    assert (reply.usage.input_tokens, reply.usage.cached_input_tokens) == (30, 20)
    assert (reply.usage.output_tokens, reply.usage.reasoning_tokens) == (9, 4)
    body = server.requests[0].body
    assert body["model"] == "scripted-1"
    assert body["max_tokens"] == 64
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["tools"][0]["function"]["name"] == "calculator"
    assert body["tools"][0]["function"]["parameters"]["required"] == ["expression"]
    assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"


async def test_tool_calls_come_through_and_go_back_with_their_results() -> None:
    calls = [{"name": "calculator", "arguments": {"expression": "17 * 23"}, "id": "c1"}]
    async with scripted({"turn": 0, "tool_calls": calls}, {"turn": 1, "text": "{tool}"}) as (server, model):
        reply = await ask(model)
        assert reply.finish == "tool_calls"
        assert list(reply.message.tool_calls) == [
            ToolCall(call_id="c1", tool="calculator", arguments_json='{"expression":"17 * 23"}')
        ]
        result = ChatMessage(role=Role.ROLE_TOOL, text="391", tool_call_id="c1")
        reply = await ask(model, messages=[*ASKED, reply.message, result])
    assert reply.message.text == "391"
    sent = server.requests[1].body["messages"]
    assert sent[2]["tool_calls"][0]["function"]["arguments"] == '{"expression":"17 * 23"}'
    assert sent[2]["content"] is None
    assert sent[3] == {"role": "tool", "content": "391", "tool_call_id": "c1"}


@pytest.mark.parametrize(
    "ids", [["call_1", ""], ["", "call_0"], ["x" * 200, "y" * 200], ["a b", "\x00"]], ids=str
)
async def test_ids_that_a_server_makes_up_badly_are_made_anew(ids: list[str]) -> None:
    """An id stands in the clear in the journal and ties a result to its call."""
    calls = [{"name": "calculator", "arguments": "{}", "id": one} for one in ids]
    async with scripted({"tool_calls": calls}) as (_, model):
        made = [call.call_id for call in (await ask(model)).message.tool_calls]
    assert len(set(made)) == 2
    assert all(re.fullmatch(r"[\w.:-]{1,64}", one) for one in made)


async def test_calls_without_or_with_equal_ids_are_told_apart() -> None:
    calls = [{"name": "calculator", "arguments": "{}", "id": ""}] * 2
    async with scripted({"tool_calls": calls}) as (_, model):
        reply = await ask(model)
    assert len({call.call_id for call in reply.message.tool_calls}) == 2


@pytest.mark.parametrize("written", ["{no json", "17", "[]", "null", "[" * 5000], ids=lambda text: text[:9])
async def test_a_call_whose_arguments_are_no_object_goes_back_as_one_that_every_server_can_read(
    written: str,
) -> None:
    """vLLM reads the arguments of earlier calls as JSON objects, and answers 500 where they are none."""
    call = ToolCall(call_id="c1", tool="calculator", arguments_json=written)
    said = ChatMessage(role=Role.ROLE_ASSISTANT, tool_calls=[call])
    told = ChatMessage(role=Role.ROLE_TOOL, text="the arguments are no JSON object", tool_call_id="c1")
    async with scripted({"text": "{tool}"}) as (server, model):
        assert (await ask(model, messages=[*ASKED, said, told])).message.text == told.text
    (sent,) = server.requests[0].body["messages"][2]["tool_calls"]
    assert sent["function"] == {"name": "calculator", "arguments": "{}"}


@pytest.mark.parametrize(
    "usage",
    [None, {"prompt_tokens": 0, "completion_tokens": 0}, {"prompt_tokens": -5, "completion_tokens": -1}],
    ids=["nothing", "zeros", "less"],
)
async def test_usage_that_the_provider_leaves_out_is_estimated(usage: dict[str, int] | None) -> None:
    """Some servers write zeros until they have counted; nothing that was asked and said is free of tokens."""
    async with scripted({"text": "three short words", "usage": usage}) as (_, model):
        reply = await ask(model)
    assert reply.usage.input_tokens == estimate_messages(ASKED, [CALCULATOR])
    assert reply.usage.output_tokens == estimate("three short words")


async def test_the_reservation_bounds_the_estimate() -> None:
    async with scripted({"text": "x"}) as (_, model):
        assert model.count(ASKED, [CALCULATOR]) >= estimate_messages(ASKED, [CALCULATOR])


@pytest.mark.parametrize(
    "rule",
    [
        {"status": 429},
        {"status": 500},
        {"status": 503},
        {"status": 408},
        {"disconnect": "before"},
        {"disconnect": "middle", "text": "half of this is lost"},
        {"body": "<html>not JSON</html>"},
        {"body": '{"choices": []}'},
        {"body": '{"choices": [{"message": {"content": 5}}]}'},
        {"body": '{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": "many"}}'},
    ],
    ids=str,
)
async def test_what_may_pass_is_unavailable_and_says_when_to_come_back(rule: dict[str, Any]) -> None:
    async with scripted(rule) as (server, model):
        error = await refusal(model)
    assert error.reason == ErrorReason.ERROR_REASON_MODEL_UNAVAILABLE
    assert error.retry_after is not None
    assert error.retry_after > 0
    assert server.answered == 1, "one call is one request: retries belong to the caller"


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 413, 422])
async def test_what_will_not_pass_is_refused(status: int) -> None:
    async with scripted({"status": status, "headers": {"Location": "http://127.0.0.1:9/"}}) as (_, model):
        assert (await refusal(model)).reason == ErrorReason.ERROR_REASON_MODEL_REFUSED


async def test_an_empty_account_is_no_busy_server() -> None:
    async with scripted({"status": 429, "error": {"code": "insufficient_quota"}}) as (_, model):
        assert (await refusal(model)).reason == ErrorReason.ERROR_REASON_MODEL_REFUSED


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"Retry-After": "86400"}, 60.0),
        ({"Date": f"{DAY} 07:28:00 GMT", "Retry-After": f"{DAY} 07:28:09 GMT"}, 9.0),
        ({"Date": f"{DAY} 07:28:00 GMT", "Retry-After": f"{DAY} 07:27:00 GMT"}, 0.0),
        ({"Retry-After": "Wed, 99 Oct"}, 1.0),
        ({"Retry-After": "nan"}, 1.0),
        ({"retry-after-ms": "soon", "Retry-After": "3"}, 3.0),
    ],
    ids=str,
)
async def test_the_provider_says_when_to_come_back(headers: dict[str, str], seconds: float) -> None:
    async with scripted({"status": 429, "headers": headers}) as (_, model):
        assert (await refusal(model)).retry_after == seconds


async def test_errors_repeat_the_providers_code_but_neither_its_text_nor_the_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = {"code": "invalid_api_key", "message": f"Incorrect API key provided: {KEY}"}
    with caplog.at_level(logging.DEBUG):
        async with scripted({"status": 401, "error": told}) as (_, model):
            error = await refusal(model)
    assert "invalid_api_key" in error.message
    assert KEY not in f"{error.message} {error.metadata} {caplog.text} {error.__cause__!r}"
    assert "127.0.0.1" not in error.message


async def test_an_answer_later_than_the_deadline_may_have_cost_money() -> None:
    """The caller settles such a call at its ceiling, for the provider may bill it."""
    async with scripted({"text": "late", "latency_ms": 30_000}) as (_, model):
        error = await refusal(model, deadline=0.1)
    assert isinstance(error, NoAnswerError)


@pytest.mark.parametrize(
    "rule",
    [
        {"text": "x", "disconnect": "before"},
        {"text": "x", "disconnect": "middle"},
        {"body": "no JSON"},
        {"text": "x", "usage": {"prompt_tokens": 10**9}},
        {"text": "x", "usage": {"prompt_tokens": 1, "completion_tokens": 10**18}},
    ],
    ids=str,
)
async def test_a_connection_lost_after_the_request_and_an_answer_without_sense_may_have_cost_money(
    rule: dict[str, Any],
) -> None:
    async with scripted(rule) as (_, model):
        assert isinstance(await refusal(model), NoAnswerError)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_provider_that_says_it_did_nothing_costs_nothing(status: int) -> None:
    async with scripted({"status": status}) as (_, model):
        assert not isinstance(await refusal(model), NoAnswerError)


@pytest.mark.parametrize(
    "how",
    [{"disconnect": "middle"}, {"hang": True}, {"error": {"message": "x" * 20_000_000}}],
    ids=["cut", "silent", "endless"],
)
@pytest.mark.parametrize(("status", "reason"), [(429, "MODEL_UNAVAILABLE"), (400, "MODEL_REFUSED")])
async def test_an_error_is_told_by_its_status_whatever_becomes_of_its_text(
    status: int, reason: str, how: dict[str, Any]
) -> None:
    async with scripted({"status": status, "headers": {"Retry-After": "7"}, **how}) as (_, model):
        error = await refusal(model)
    assert error.reason_name == reason
    assert not isinstance(error, NoAnswerError), "it did nothing"
    if status == 429:
        assert error.retry_after == 7


async def test_half_an_answer_and_then_silence_hangs_up_at_the_deadline() -> None:
    async with scripted({"text": "late", "hang": True}) as (server, model):
        assert isinstance(await refusal(model, deadline=0.2), NoAnswerError)
        await until(lambda: server.hung_up == 1)


async def test_a_server_that_takes_no_connection_was_sent_nothing() -> None:
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for waiting in (first, second):  # as many as it lets wait
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/v1"
        model = OpenAiModel(OpenAiServer(url, SecretStr(""), connect_within=0.2), "m")
        try:
            error = await refusal(model)
        finally:
            await model.close()
    assert error.reason == ErrorReason.ERROR_REASON_MODEL_UNAVAILABLE
    assert not isinstance(error, NoAnswerError), "nothing was sent"


async def test_a_server_whose_certificate_nobody_vouches_for_is_sent_nothing(tmp_path: Path) -> None:
    came: list[bytes] = []

    async def take(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        came.append(await reader.read())

    server = await asyncio.start_server(take, "127.0.0.1", 0, ssl=self_signed(tmp_path))
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        model = OpenAiModel(OpenAiServer(url, SecretStr(KEY)), "m")
        try:
            error = await refusal(model)
        finally:
            await model.close()
    assert error.message == "the model provider is unavailable (no trusted connection)"
    assert not isinstance(error, NoAnswerError)
    assert not any(came)


async def test_a_server_that_is_away_is_unavailable() -> None:
    model = OpenAiModel(OpenAiServer("http://127.0.0.1:1/v1", SecretStr("")), "m")
    try:
        error = await refusal(model)
    finally:
        await model.close()
    assert error.reason == ErrorReason.ERROR_REASON_MODEL_UNAVAILABLE
    assert not isinstance(error, NoAnswerError), "nothing was sent"


async def test_a_cancelled_call_hangs_up() -> None:
    async with scripted({"text": "late", "latency_ms": 30_000}) as (server, model):
        task = asyncio.create_task(ask(model))
        async with asyncio.timeout(5):
            while not server.answered:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            while not server.hung_up:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0)


async def test_calls_at_the_same_time_share_one_session() -> None:
    async with scripted({"text": "{user}"}) as (_, model):
        questions = [[ChatMessage(role=Role.ROLE_USER, text=f"number {n}")] for n in range(50)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(model, messages=question)) for question in questions]
    assert [task.result().message.text for task in tasks] == [f"number {n}" for n in range(50)]
