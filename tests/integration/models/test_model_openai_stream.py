"""The OpenAI-compatible adapter with somebody listening: text as it comes, as rigorous as a whole answer."""

import asyncio
import json
from typing import Any

import pytest
from pydantic import SecretStr

from malha.api.run.v1.chat_pb2 import ChatMessage, Role, ToolCall
from malha.api.tools.v1.tool_pb2 import Tool
from malha.errors import ErrorReason, MalhaError
from malha.testing.model_server import ModelServer
from malha.testing.shop import until
from malha_planner.adapters.openai_model import OpenAiModel, OpenAiServer
from malha_planner.models.tokens import estimate, estimate_messages
from malha_planner.ports import Listening, ModelReply, NoAnswerError

ASKED = [ChatMessage(role=Role.ROLE_USER, text="What is 17 * 23?")]
CALCULATOR = Tool(name="calculator", input_schema_json='{"type":"object"}')
USAGE = {"prompt_tokens": 30, "completion_tokens": 9, "cached_tokens": 20, "reasoning_tokens": 4}
LONG = " ".join(f"word{number}" for number in range(40))


class Heard:
    """One call to a scripted server, and what was heard of it."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.listening = Listening(self.pieces.append)
        self.reply: ModelReply | None = None
        self.error: MalhaError | None = None
        self.server = ModelServer({"rules": []})

    @property
    def text(self) -> str:
        return "".join(self.pieces)


async def hear(*rules: dict[str, Any], deadline: float = 5.0) -> Heard:
    heard = Heard()
    heard.server.add(*rules)
    async with heard.server as server:
        model = OpenAiModel(OpenAiServer(server.base_url, SecretStr("sk-x")), "scripted-1")
        try:
            heard.reply = await model.complete(
                ASKED,
                [CALCULATOR],
                max_output_tokens=64,
                deadline_seconds=deadline,
                listening=heard.listening,
            )
        except MalhaError as error:
            heard.error = error
        finally:
            await model.close()
    return heard


async def test_text_comes_in_pieces_and_ends_as_the_reply() -> None:
    heard = await hear({"text": LONG, "usage": USAGE})
    assert heard.reply is not None
    assert heard.text == heard.reply.message.text == LONG
    assert len(heard.pieces) == 40
    assert heard.reply.finish == "stop"
    usage = heard.reply.usage
    assert (usage.input_tokens, usage.cached_input_tokens) == (30, 20)
    assert (usage.output_tokens, usage.reasoning_tokens) == (9, 4)
    assert heard.listening.usage is None, "the reply tells it"
    body = heard.server.requests[0].body
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}


async def test_tool_calls_are_put_together_from_their_parts() -> None:
    calls = [
        {"name": "calculator", "arguments": {"expression": "17 * 23"}, "id": "c1"},
        {"name": "calculator", "arguments": {"expression": "1 + 1"}, "id": "c1"},
    ]
    heard = await hear({"text": "Let me see.", "tool_calls": calls})
    assert heard.reply is not None
    assert heard.reply.finish == "tool_calls"
    assert list(heard.reply.message.tool_calls) == [
        ToolCall(call_id="c1", tool="calculator", arguments_json='{"expression":"17 * 23"}'),
        ToolCall(call_id="call_1", tool="calculator", arguments_json='{"expression":"1 + 1"}'),
    ]
    assert heard.text == heard.reply.message.text == "Let me see."


@pytest.mark.parametrize("index", [0, None, "absent"])
@pytest.mark.parametrize("chunks", [1, 2])
async def test_calls_that_share_a_place_are_told_apart_by_their_ids(index: Any, chunks: int) -> None:
    calls: list[dict[str, Any]] = [
        {"id": name, "function": {"name": "calculator", "arguments": f'{{"expression":"{name}"}}'}}
        for name in ("a", "b")
    ]
    for call in calls:
        if index != "absent":
            call["index"] = index
    deltas = [{"tool_calls": calls}] if chunks == 1 else [{"tool_calls": [call]} for call in calls]
    choices = [{"index": 0, "delta": delta} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    body = "".join(f"data: {json.dumps({'choices': [choice]})}\n\n" for choice in choices)
    heard = await hear({"body": body + "data: [DONE]\n\n", "type": "text/event-stream"})
    assert heard.reply is not None
    assert [(call.call_id, call.arguments_json) for call in heard.reply.message.tool_calls] == [
        ("a", '{"expression":"a"}'),
        ("b", '{"expression":"b"}'),
    ]


async def test_a_name_and_an_id_that_come_with_every_part_of_a_call_are_said_once() -> None:
    parts = [
        {"index": index, "id": name, "function": {"name": "calculator", "arguments": piece}}
        for piece in ('{"expression":', '"1+1"}')
        for index, name in enumerate(("a", "b"))
    ]
    choices: list[dict[str, Any]] = [{"index": 0, "delta": {"tool_calls": [part]}} for part in parts]
    choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    heard = await hear({"body": "".join(chunk(choices=[choice]) for choice in choices) + "data: [DONE]\n\n"})
    assert heard.reply is not None
    assert list(heard.reply.message.tool_calls) == [
        ToolCall(call_id=name, tool="calculator", arguments_json='{"expression":"1+1"}')
        for name in ("a", "b")
    ]


async def test_a_call_at_no_place_at_all_is_no_answer() -> None:
    choice = {"index": 0, "delta": {"tool_calls": [{"index": "0", "function": {"name": "calculator"}}]}}
    heard = await hear({"body": f"data: {json.dumps({'choices': [choice]})}\n\n"})
    assert isinstance(heard.error, NoAnswerError)


async def test_usage_that_the_provider_leaves_out_is_estimated() -> None:
    heard = await hear({"text": LONG, "usage": None})
    assert heard.reply is not None
    assert heard.reply.usage.input_tokens == estimate_messages(ASKED, [CALCULATOR])
    assert heard.reply.usage.output_tokens == estimate(LONG)


async def test_a_server_that_cannot_stream_is_understood_all_the_same() -> None:
    heard = await hear({"text": "391", "unstreamed": True})
    assert heard.reply is not None
    assert heard.reply.message.text == "391"
    assert heard.pieces == []


async def test_of_a_stream_that_was_cut_what_came_is_counted() -> None:
    heard = await hear({"text": LONG, "usage": USAGE, "disconnect": "middle"})
    assert isinstance(heard.error, NoAnswerError)
    assert LONG.startswith(heard.text)
    assert heard.text
    usage = heard.listening.usage
    assert usage is not None
    assert usage.input_tokens == estimate_messages(ASKED, [CALCULATOR])
    assert usage.output_tokens == estimate(heard.text)
    assert not heard.listening.told


def chunk(**fields: Any) -> str:
    return f"data: {json.dumps(fields)}\n\n"


def said(text: str, finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


async def test_what_the_provider_itself_counted_of_a_cut_stream_is_believed() -> None:
    told = {"prompt_tokens": 30, "completion_tokens": 12}
    heard = await hear({"body": chunk(**said("so far"), usage=told)})
    assert isinstance(heard.error, NoAnswerError)
    usage = heard.listening.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (30, 12)
    assert heard.listening.told


async def test_thoughts_that_nobody_hears_are_counted_where_the_stream_is_cut() -> None:
    thought = {"choices": [{"index": 0, "delta": {"reasoning_content": "hm, seventeen"}}]}
    heard = await hear({"body": chunk(**thought)})
    assert heard.listening.usage is not None
    assert heard.listening.usage.output_tokens == estimate("hm, seventeen")
    assert heard.pieces == []


@pytest.mark.parametrize("body", ["", ": alive\n\n", "data: {}\n\n", "data: [DONE]\n\n"], ids=repr)
async def test_of_a_stream_that_was_cut_before_anything_came_nobody_knows_the_cost(body: str) -> None:
    heard = await hear({"body": body})
    assert isinstance(heard.error, NoAnswerError)
    assert heard.listening.usage is None


@pytest.mark.parametrize(
    "rest",
    [
        "data: no JSON\n\n",
        'data: {"choices": [{"index": 0, "delta": {"content": 5}}]}\n\n',
        'data: {"usage": {"prompt_tokens": "many"}}\n\n',
        'data: {"error": {"code": "server_error", "message": "secret words"}}\n\n',
        "data: [DONE]\n\n",
    ],
    ids=["no JSON", "no text", "no usage", "error", "no end"],
)
async def test_a_stream_that_goes_wrong_is_no_answer_and_may_be_asked_for_again(rest: str) -> None:
    heard = await hear({"body": chunk(**said("so far")) + rest})
    assert isinstance(heard.error, NoAnswerError)
    assert heard.error.reason == ErrorReason.ERROR_REASON_MODEL_UNAVAILABLE
    assert "secret" not in heard.error.message
    assert heard.listening.usage is not None
    assert heard.text == "so far"


async def test_an_answer_whose_bill_alone_was_lost_is_an_answer() -> None:
    heard = await hear({"body": chunk(**said("391")) + chunk(**said("", "stop"))})
    assert heard.reply is not None
    assert heard.reply.message.text == "391"
    assert heard.reply.usage.output_tokens == estimate("391")


async def test_an_answer_that_is_finished_does_not_wait_for_its_bill_until_the_deadline() -> None:
    heard = await hear({"body": chunk(**said("391")) + chunk(**said("", "stop")), "hang": True})
    assert heard.reply is not None
    assert heard.reply.message.text == "391"
    assert heard.reply.usage.output_tokens == estimate("391")
    await until(lambda: heard.server.hung_up == 1)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_provider_that_says_it_did_nothing_costs_nothing(status: int) -> None:
    heard = await hear({"status": status})
    assert heard.error is not None
    assert not isinstance(heard.error, NoAnswerError)
    assert heard.listening.usage is None


async def test_a_stream_that_falls_silent_is_given_up_at_the_deadline() -> None:
    heard = await hear({"text": LONG, "chunk_ms": 60_000, "first_chunks": 5}, deadline=0.3)
    assert isinstance(heard.error, NoAnswerError)
    assert heard.listening.usage is not None
    assert heard.listening.usage.output_tokens == estimate(heard.text) > 1


async def test_a_cancelled_stream_hangs_up_and_what_came_is_counted() -> None:
    heard = Heard()
    heard.server.add({"text": LONG, "chunk_ms": 60_000, "first_chunks": 5})
    async with heard.server as server:
        model = OpenAiModel(OpenAiServer(server.base_url, SecretStr("sk-x")), "scripted-1")
        call = model.complete(ASKED, [], max_output_tokens=64, deadline_seconds=30, listening=heard.listening)
        task = asyncio.create_task(call)
        async with asyncio.timeout(5):
            while len(heard.pieces) < 4:  # noqa: ASYNC110 - what is heard has no event
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while not server.hung_up:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0)
        await model.close()
    assert heard.listening.usage is not None
    assert heard.listening.usage.output_tokens == estimate(heard.text)


async def test_connections_are_used_again() -> None:
    ports: list[Any] = []
    heard = Heard()
    heard.server.add({"text": "391"})
    async with heard.server as server:
        model = OpenAiModel(OpenAiServer(server.base_url, SecretStr("sk-x")), "scripted-1")
        for _ in range(5):
            await model.complete(
                ASKED, [], max_output_tokens=64, deadline_seconds=5, listening=heard.listening
            )
            ports.append(server.connections)
        await model.close()
    assert ports[-1] == 1
