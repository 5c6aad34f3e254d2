"""Every model keeps the planner's port: the same questions to the offline model and to one over HTTP."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from malha.api.run.v1.chat_pb2 import ChatMessage, Role, ToolCall
from malha.api.tools.v1.tool_pb2 import Tool
from malha.testing.model_server import ModelServer
from malha_planner.adapters.openai_model import OpenAiModel, OpenAiServer
from malha_planner.models.offline.model import OfflineModel
from malha_planner.ports import Listening, Model

SUM = [ChatMessage(role=Role.ROLE_USER, text="What is 17 * 23?")]
CALCULATOR = Tool(
    name="calculator",
    description="Calculates arithmetic.",
    input_schema_json='{"type":"object","properties":{"expression":{"type":"string"}},"required":["expression"]}',
)
ASKED_FOR = ToolCall(call_id="c1", tool="calculator", arguments_json='{"expression": "17 * 23"}')
SCRIPT = {
    "rules": [
        {"turn": 0, "tool_calls": [{"name": "calculator", "arguments": {"expression": "17 * 23"}}]},
        {"text": "It is {tool}."},
    ]
}


@pytest.fixture(params=["offline", "openai"])
async def model(request: pytest.FixtureRequest) -> AsyncIterator[Model]:
    if request.param == "offline":
        yield OfflineModel("extractive")
        return
    async with ModelServer(SCRIPT) as server:
        opened = OpenAiModel(OpenAiServer(server.base_url, SecretStr("key")), "scripted")
        yield opened
        await opened.close()


async def test_a_tool_is_asked_for_and_its_result_answered_with(model: Model) -> None:
    first = await model.complete(SUM, [CALCULATOR], max_output_tokens=100, deadline_seconds=5)
    assert first.finish == "tool_calls"
    (call,) = first.message.tool_calls
    assert call.call_id
    assert (call.tool, call.arguments_json) == ("calculator", '{"expression":"17 * 23"}')
    result = ChatMessage(role=Role.ROLE_TOOL, text="391", tool_call_id=call.call_id)
    conversation = [*SUM, first.message, result]
    second = await model.complete(conversation, [CALCULATOR], max_output_tokens=100, deadline_seconds=5)
    assert second.finish == "stop"
    assert second.message.role == Role.ROLE_ASSISTANT
    assert "391" in second.message.text


async def test_usage_is_told_and_what_was_counted_before_bounds_a_short_prompt(model: Model) -> None:
    reply = await model.complete(SUM, [CALCULATOR], max_output_tokens=100, deadline_seconds=5)
    assert reply.usage.output_tokens > 0
    assert 0 < reply.usage.input_tokens <= model.count(SUM, [CALCULATOR])


async def test_closing_twice_is_harmless(model: Model) -> None:
    await model.close()
    await model.close()


async def test_what_is_heard_while_it_is_written_is_the_replys_text_or_nothing(model: Model) -> None:
    pieces: list[str] = []
    listening = Listening(pieces.append)
    asked = ChatMessage(role=Role.ROLE_ASSISTANT, tool_calls=[ASKED_FOR])
    result = ChatMessage(role=Role.ROLE_TOOL, text="391", tool_call_id=ASKED_FOR.call_id)
    reply = await model.complete(
        [*SUM, asked, result],
        [CALCULATOR],
        max_output_tokens=100,
        deadline_seconds=5,
        listening=listening,
    )
    assert "391" in reply.message.text
    assert "".join(pieces) in (reply.message.text, "")
    assert listening.usage is None, "the reply tells it"
