"""A model that says what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import orjson

from malha.api.common.v1.usage_pb2 import Usage
from malha.api.run.v1.chat_pb2 import ChatMessage, Citation, Role, ToolCall
from malha.api.tools.v1.tool_pb2 import Tool
from malha.errors import MalhaError
from malha_planner.ports import Listening, ModelReply

_TURNS = 50
"""Of the event loop between two pieces of a text: enough for whoever listens to hand one on."""


def says(text: str, *, citations: Sequence[Citation] = ()) -> ModelReply:
    """A model's answer."""
    message = ChatMessage(role=Role.ROLE_ASSISTANT, text=text)
    return ModelReply(message, Usage(input_tokens=7, output_tokens=3), citations)


def asks(*calls: tuple[str, dict[str, object]], text: str = "") -> ModelReply:
    """A model's wish for tools: (tool, arguments)."""
    wishes = [
        ToolCall(call_id=f"call-{place}", tool=tool, arguments_json=orjson.dumps(arguments).decode())
        for place, (tool, arguments) in enumerate(calls)
    ]
    message = ChatMessage(role=Role.ROLE_ASSISTANT, text=text, tool_calls=wishes)
    return ModelReply(message, Usage(input_tokens=7, output_tokens=3), finish="tool_calls")


class ScriptedModel:
    """Says the reply whose turn it is in the conversation, so a call made again gets the same one."""

    provider = "scripted"
    name = "m"
    is_llm = True

    def __init__(self) -> None:
        self.script: list[ModelReply] = []
        """By the number of its earlier turns that the model is shown."""
        self.failures: list[MalhaError] = []
        """Raised first, one a call."""
        self.shown: list[list[ChatMessage]] = []
        self.offered: list[list[str]] = []
        self.allowed: list[int] = []
        """Output tokens, by call."""
        self.entered = asyncio.Event()
        self.hold: asyncio.Event | None = None
        """Set to an Event: calls wait for it."""
        self.tells = False
        """Whether the provider itself tells the usage of what it said before `hold`."""
        self.said_before: list[str] = []
        """What is said of the text before `hold`, to whoever listens."""
        self.listened = 0
        """Calls with somebody who listened."""

    def count(self, messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> int:
        return sum(len(message.text) for message in messages) + len(tools)

    async def complete(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Tool],
        *,
        max_output_tokens: int,
        deadline_seconds: float,
        listening: Listening | None = None,
    ) -> ModelReply:
        del deadline_seconds
        self.allowed.append(max_output_tokens)
        self.shown.append(list(messages))
        self.offered.append([tool.name for tool in tools])
        self.entered.set()
        if listening is not None:
            self.listened += 1
            await self._speak(listening)
        if self.hold is not None:
            await self.hold.wait()
        if self.failures:
            raise self.failures.pop(0)
        reply = self.script[sum(message.role == Role.ROLE_ASSISTANT for message in messages)]
        if listening is not None:
            listening.usage = None
            listening.hear(reply.message.text.removeprefix("".join(self.said_before)))
        return reply

    async def _speak(self, listening: Listening) -> None:
        """The pieces that were given to be said before anything else happens."""
        for piece in self.said_before:
            listening.usage, listening.told = Usage(input_tokens=7, output_tokens=1), self.tells
            listening.hear(piece)
            for _ in range(_TURNS):
                await asyncio.sleep(0)

    async def close(self) -> None:
        return
