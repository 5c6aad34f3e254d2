"""Where a conversation stands: what was asked last, what was called since, and what came back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from malha.api.run.v1.chat_pb2 import ChatMessage, Role


@dataclass(frozen=True)
class Call:
    """A tool call made since the question, with its result; None while it has none."""

    tool: str
    arguments: Any
    result: str | None

    @property
    def key(self) -> bytes:
        """Equal for calls that ask for the same thing."""
        return call_key(self.tool, self.arguments)


@dataclass(frozen=True)
class Conversation:
    """The last question and everything done about it."""

    question: str
    calls: tuple[Call, ...]


def call_key(tool: str, arguments: Any) -> bytes:
    """Identity of a call: the tool and its arguments, whatever their order."""
    return orjson.dumps([tool, arguments], option=orjson.OPT_SORT_KEYS)


def read(messages: Sequence[ChatMessage]) -> Conversation:
    """Reads a conversation; system messages instruct language models and say nothing here."""
    last = max((i for i, message in enumerate(messages) if message.role == Role.ROLE_USER), default=-1)
    since = messages[last + 1 :] if last >= 0 else ()
    results = {m.tool_call_id: m.text for m in since if m.role == Role.ROLE_TOOL}
    calls = [
        Call(call.tool, _arguments(call.arguments_json), results.get(call.call_id))
        for message in since
        if message.role == Role.ROLE_ASSISTANT
        for call in message.tool_calls
    ]
    return Conversation(messages[last].text if last >= 0 else "", tuple(calls))


def _arguments(text: str) -> Any:
    try:
        return orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return text
