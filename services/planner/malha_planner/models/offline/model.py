"""The offline model behind the planner's port.

It reads the conversation, calls the tools it still needs, and otherwise answers from what they
returned. The same conversation and tools give the same reply, always, and it costs nothing.
"""

import asyncio
from collections.abc import Sequence

import orjson

from malha.api.common.v1.usage_pb2 import Usage
from malha.api.run.v1.chat_pb2 import ChatMessage, Role, ToolCall
from malha.api.tools.v1.tool_pb2 import Tool
from malha_planner.models.offline.answer import compose
from malha_planner.models.offline.conversation import Conversation, read
from malha_planner.models.offline.plan import Wish, plan
from malha_planner.models.offline.schema import views
from malha_planner.models.tokens import estimate, estimate_messages
from malha_planner.ports import Listening, ModelReply

_SHORT_QUESTION, _SHORT_RESULTS = 500, 10_000
"""Characters that are read on the event loop, in a few milliseconds; more goes to a thread."""


class OfflineModel:
    """Deterministic and extractive; no LLM, and says so."""

    provider = "offline"
    is_llm = False

    def __init__(self, name: str) -> None:
        self.name = name

    def count(self, messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> int:
        """What `complete` will report as input, exactly: both use the same estimate."""
        return estimate_messages(messages, tools)

    async def complete(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Tool],
        *,
        max_output_tokens: int,
        deadline_seconds: float,  # noqa: ARG002 - the port's; a reply takes milliseconds
        listening: Listening | None = None,  # noqa: ARG002 - it has its text at once
    ) -> ModelReply:
        """The next tool calls, or the answer, cut to `max_output_tokens`."""
        conversation = read(messages)
        results = sum(len(call.result or "") for call in conversation.calls)
        if len(conversation.question) <= _SHORT_QUESTION and results <= _SHORT_RESULTS:
            return self._reply(conversation, messages, tools, max_output_tokens)
        return await asyncio.to_thread(self._reply, conversation, messages, tools, max_output_tokens)

    def _reply(
        self,
        conversation: Conversation,
        messages: Sequence[ChatMessage],
        tools: Sequence[Tool],
        max_output_tokens: int,
    ) -> ModelReply:
        offered = views(tools)
        planned = plan(conversation, offered)
        if planned.wishes:
            calls = [_call(wish, conversation, place) for place, wish in enumerate(planned.wishes)]
            message = ChatMessage(role=Role.ROLE_ASSISTANT, tool_calls=calls)
            said = "".join(call.tool + call.arguments_json for call in calls)
            return ModelReply(message, self._usage(messages, tools, said), finish="tool_calls")
        text, citations = compose(conversation, planned, offered)
        kept = _cut(text, max_output_tokens)
        return ModelReply(
            ChatMessage(role=Role.ROLE_ASSISTANT, text=kept),
            self._usage(messages, tools, kept),
            citations=[citation for citation in citations if citation.marker in kept],
            finish="stop" if kept == text else "length",
        )

    async def close(self) -> None:
        """Nothing is held."""

    def _usage(self, messages: Sequence[ChatMessage], tools: Sequence[Tool], said: str) -> Usage:
        return Usage(input_tokens=self.count(messages, tools), output_tokens=estimate(said))


def _call(wish: Wish, conversation: Conversation, place: int) -> ToolCall:
    return ToolCall(
        call_id=f"call_{len(conversation.calls) + place + 1}",
        tool=wish.tool.name,
        arguments_json=orjson.dumps(wish.arguments).decode(),
    )


def _cut(text: str, most_tokens: int) -> str:
    """The text up to the last whole line or word that fits."""
    while text and most_tokens > 0 and estimate(text) > most_tokens:
        text = text[: len(text) * 9 // 10].rpartition(" ")[0]
    return text
