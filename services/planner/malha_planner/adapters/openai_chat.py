"""OpenAI's chat completions as they are written on the wire, and the messages of ours they stand for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import count
from typing import Any

import orjson

from malha.api.common.v1.usage_pb2 import Usage
from malha.api.run.v1.chat_pb2 import ChatMessage, Role, ToolCall
from malha.api.tools.v1.tool_pb2 import Tool
from malha_planner.models.tokens import estimate, estimate_messages
from malha_planner.ports import ModelReply, NoAnswerError

_ROLES = {
    Role.ROLE_SYSTEM: "system",
    Role.ROLE_USER: "user",
    Role.ROLE_ASSISTANT: "assistant",
    Role.ROLE_TOOL: "tool",
}
_CALL_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_MOST_TOKENS = 100_000_000
"""Ten times the longest context there is: a count beyond is no count, and nobody is billed by it."""
_FINISHES = {"tool_calls", "length", "content_filter"}


def message_of(message: ChatMessage) -> dict[str, Any]:
    """A message as the wire wants it."""
    written: dict[str, Any] = {"role": _ROLES[message.role], "content": message.text}
    if message.tool_calls:
        written["content"] = message.text or None
        written["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.tool, "arguments": _object(call.arguments_json)},
            }
            for call in message.tool_calls
        ]
    if message.role == Role.ROLE_TOOL:
        written["tool_call_id"] = message.tool_call_id
    return written


def _object(arguments_json: str) -> str:
    """Arguments as they were written. What is no JSON object is left out: some servers (vLLM) fail on it, and
    the call's result says what was wrong."""
    try:
        return arguments_json if isinstance(orjson.loads(arguments_json), dict) else "{}"
    except orjson.JSONDecodeError:
        return "{}"


@lru_cache(maxsize=1024)
def function_of(name: str, description: str, schema_json: str) -> orjson.Fragment:
    """A tool as the wire wants it. Encoded once: the same few tools go out with every call."""
    parameters = orjson.loads(schema_json) if schema_json else {"type": "object", "properties": {}}
    function = {"name": name, "description": description, "parameters": parameters}
    return orjson.Fragment(orjson.dumps({"type": "function", "function": function}))


def reply_of(body: Mapping[str, Any], messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> ModelReply:
    """A chat completion as the port's reply. Raises NoAnswerError for what is none."""
    with only_completions():
        choice = body["choices"][0]
        said = choice["message"]
        message = ChatMessage(
            role=Role.ROLE_ASSISTANT,
            text=text_of(said.get("content")) or text_of(said.get("refusal")),
            tool_calls=_calls(said.get("tool_calls") or ()),
        )
        finish = choice.get("finish_reason")
        usage = usage_of(body.get("usage") or {}, messages, tools, message)
    if message.tool_calls:
        finish = "tool_calls"
    return ModelReply(message, usage, finish=finish if finish in _FINISHES else "stop")


@contextmanager
def only_completions() -> Iterator[None]:
    """Whatever is wrong with the form of an answer that is read in the block is a NoAnswerError."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise NoAnswerError("the model provider sent an answer that is no chat completion") from None


def text_of(content: Any) -> str:
    """Text as a string or, from some servers, as a list of parts."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content)
    return content or ""


def _calls(written: Sequence[Mapping[str, Any]]) -> list[ToolCall]:
    """Tool calls; ids are made up where a server gives none, one twice, or what is no id."""
    calls: list[ToolCall] = []
    for place, call in enumerate(written):
        function = call["function"]
        arguments = function.get("arguments") or "{}"
        if not isinstance(arguments, str):
            arguments = orjson.dumps(arguments).decode()
        call_id, taken = call.get("id") or "", {other.call_id for other in calls}
        if call_id in taken or not _CALL_ID.fullmatch(call_id):
            call_id = next(made for n in count(place) if (made := f"call_{n}") not in taken)
        calls.append(ToolCall(call_id=call_id, tool=function["name"], arguments_json=arguments))
    return calls


def usage_of(
    told: Mapping[str, Any], messages: Sequence[ChatMessage], tools: Sequence[Tool], message: ChatMessage
) -> Usage:
    """The provider's count; our estimate of whatever it leaves out, or says was nothing."""
    given = told.get("prompt_tokens") or 0
    made = told.get("completion_tokens") or 0
    if given <= 0:
        given = estimate_messages(messages, tools)
    if made <= 0:
        made = estimate(message.text) + sum(estimate(c.tool + c.arguments_json) for c in message.tool_calls)
    if max(given, made) > _MOST_TOKENS:
        raise ValueError("no count")
    cached = (told.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    reasoning = (told.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    return Usage(
        input_tokens=given,
        cached_input_tokens=min(max(0, cached), given),
        output_tokens=made,
        reasoning_tokens=min(max(0, reasoning), made),
    )
