"""Any server that speaks OpenAI's chat completions over HTTP: OpenAI itself, vLLM, Ollama, llama.cpp.

Bare aiohttp instead of an SDK: an agent run makes a few such calls, and the SDK costs ten times the
CPU. One call is one request; whoever calls owns retries, breakers and money. Failures are told apart by
status and by the provider's error code, never by its text, and neither its text nor the key is passed on.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
from pydantic import SecretStr

from malha.api.common.v1.usage_pb2 import Usage
from malha.api.run.v1.chat_pb2 import ChatMessage, Role, ToolCall
from malha.api.tools.v1.tool_pb2 import Tool
from malha.errors import ErrorReason, MalhaError
from malha_planner.models.tokens import at_most, estimate, estimate_messages
from malha_planner.ports import ModelReply, NoAnswerError

_ROLES = {
    Role.ROLE_SYSTEM: "system",
    Role.ROLE_USER: "user",
    Role.ROLE_ASSISTANT: "assistant",
    Role.ROLE_TOOL: "tool",
}
_FINISHES = {"tool_calls", "length", "content_filter"}
_MAY_PASS = frozenset({408, 409, 425, 429})
# An account without funds answers 429 as a busy server does, but no waiting mends it.
_WILL_NOT_PASS = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_BYTES = 8 * 1024 * 1024
_MOST_CONNECTIONS = 512
_RETRY_SECONDS = 1.0


class OpenAiServer:
    """The address, the key and the connections; shared by all its models."""

    def __init__(self, base_url: str, api_key: SecretStr) -> None:
        """
        Args:
            base_url: up to and including the version, such as "https://api.openai.com/v1".
            api_key: sent as a bearer token; empty sends none.
        """
        self._url = base_url.rstrip("/") + "/chat/completions"
        # OpenAI has deprecated max_tokens and refuses it for some models; many others know nothing else.
        self.limit_field = (
            "max_completion_tokens" if urlsplit(base_url).hostname == "api.openai.com" else "max_tokens"
        )
        self._headers = {"Content-Type": "application/json"}
        if secret := api_key.get_secret_value():
            self._headers["Authorization"] = f"Bearer {secret}"
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes) -> bytes:
        """One request; the body of a success. Raises MODEL_UNAVAILABLE, MODEL_REFUSED or NoAnswerError."""
        session = self._session or self._open()
        try:
            async with session.post(self._url, data=body, allow_redirects=False) as response:
                answer = await _read(response)
                if response.status != 200:
                    raise _failure(response.status, response.headers, answer)
                return answer
        except aiohttp.ClientConnectorError:
            raise _unavailable("no connection") from None
        except (aiohttp.ClientError, OSError):
            # the request may have gone out whole before the connection was lost
            raise NoAnswerError("the connection to the model provider was lost") from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        # Opened on first use, for a session belongs to the running loop.
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            connector=aiohttp.TCPConnector(limit=_MOST_CONNECTIONS, keepalive_timeout=30.0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
        )
        return self._session


class OpenAiModel:
    """One model of such a server."""

    provider = "openai"
    is_llm = True

    def __init__(self, server: OpenAiServer, name: str) -> None:
        self.name = name
        self._server = server

    def count(self, messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> int:
        """A bound on the input tokens: one per byte, framing added."""
        return at_most(messages, tools)

    async def complete(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Tool],
        *,
        max_output_tokens: int,
        deadline_seconds: float,
    ) -> ModelReply:
        """One chat completion, whole (not streamed)."""
        body: dict[str, Any] = {
            "model": self.name,
            "messages": [_message(message) for message in messages],
            self._server.limit_field: max_output_tokens,
        }
        if tools:
            body["tools"] = [_function(t.name, t.description, t.input_schema_json) for t in tools]
        try:
            async with asyncio.timeout(deadline_seconds):
                answer = await self._server.post(orjson.dumps(body))
        except TimeoutError:
            raise NoAnswerError("the model provider did not answer in time") from None
        return _reply(answer, messages, tools)

    async def close(self) -> None:
        """Closes the server's connections, once for all its models."""
        await self._server.close()


def open_server(base_url: str, api_key: SecretStr, names: Sequence[str]) -> list[OpenAiModel]:
    """Models of one server, by name; they share its connections."""
    server = OpenAiServer(base_url, api_key)
    return [OpenAiModel(server, name) for name in names]


def _message(message: ChatMessage) -> dict[str, Any]:
    written: dict[str, Any] = {"role": _ROLES[message.role], "content": message.text}
    if message.tool_calls:
        written["content"] = message.text or None
        written["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.tool, "arguments": call.arguments_json},
            }
            for call in message.tool_calls
        ]
    if message.role == Role.ROLE_TOOL:
        written["tool_call_id"] = message.tool_call_id
    return written


@lru_cache(maxsize=1024)
def _function(name: str, description: str, schema_json: str) -> orjson.Fragment:
    """A tool as the wire wants it. Encoded once: the same few tools go out with every call."""
    parameters = orjson.loads(schema_json) if schema_json else {"type": "object", "properties": {}}
    function = {"name": name, "description": description, "parameters": parameters}
    return orjson.Fragment(orjson.dumps({"type": "function", "function": function}))


def _reply(answer: bytes, messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> ModelReply:
    try:
        body = orjson.loads(answer)
        choice = body["choices"][0]
        said = choice["message"]
        message = ChatMessage(
            role=Role.ROLE_ASSISTANT,
            text=_text(said.get("content")) or _text(said.get("refusal")),
            tool_calls=_calls(said.get("tool_calls") or ()),
        )
        finish = choice.get("finish_reason")
        usage = _usage(body.get("usage") or {}, messages, tools, message)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise NoAnswerError("the model provider sent an answer that is no chat completion") from None
    if message.tool_calls:
        finish = "tool_calls"
    return ModelReply(message, usage, finish=finish if finish in _FINISHES else "stop")


def _text(content: Any) -> str:
    """Text as a string or, from some servers, as a list of parts."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content)
    return content or ""


def _calls(written: Sequence[Mapping[str, Any]]) -> list[ToolCall]:
    """Tool calls; ids are made up where a server leaves them out or gives one twice."""
    calls: list[ToolCall] = []
    for place, call in enumerate(written):
        function = call["function"]
        arguments = function.get("arguments") or "{}"
        if not isinstance(arguments, str):
            arguments = orjson.dumps(arguments).decode()
        call_id = call.get("id") or ""
        if not call_id or any(call_id == other.call_id for other in calls):
            call_id = f"call_{place}"
        calls.append(ToolCall(call_id=call_id, tool=function["name"], arguments_json=arguments))
    return calls


def _usage(
    told: Mapping[str, Any], messages: Sequence[ChatMessage], tools: Sequence[Tool], message: ChatMessage
) -> Usage:
    """The provider's count; our estimate of whatever it leaves out."""
    given = told.get("prompt_tokens")
    made = told.get("completion_tokens")
    if given is None:
        given = estimate_messages(messages, tools)
    if made is None:
        made = estimate(message.text) + sum(estimate(c.tool + c.arguments_json) for c in message.tool_calls)
    cached = (told.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    reasoning = (told.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    return Usage(
        input_tokens=max(0, given),
        cached_input_tokens=min(max(0, cached), max(0, given)),
        output_tokens=max(0, made),
        reasoning_tokens=min(max(0, reasoning), max(0, made)),
    )


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body; a server that sends without end is cut off."""
    if (response.content_length or 0) > _MOST_BYTES:
        raise NoAnswerError("the model provider's answer is too long")
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > _MOST_BYTES:
            raise NoAnswerError("the model provider's answer is too long")
        pieces.append(piece)
    return b"".join(pieces)


def _failure(status: int, headers: Mapping[str, str], answer: bytes) -> MalhaError:
    code = _error_code(answer)
    said = f"HTTP {status}" + (f", {code}" if code else "")
    if (status in _MAY_PASS or status >= 500) and code not in _WILL_NOT_PASS:
        return _unavailable(said, _retry_after(headers))
    return MalhaError(
        ErrorReason.ERROR_REASON_MODEL_REFUSED, f"the model provider refused the request ({said})"
    )


def _error_code(answer: bytes) -> str:
    """The provider's code for an error, if it looks like one: nothing else of its answer is repeated."""
    try:
        error = orjson.loads(answer)["error"]
        code = error.get("code") or error.get("type") or ""
    except (KeyError, TypeError, ValueError, AttributeError):
        return ""
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds the provider asks to wait, 1 where it asks nothing readable; at most a minute."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return min(max(float(headers[name]) * unit, 0.0), 60.0)
        except (KeyError, ValueError):
            continue
    return _RETRY_SECONDS


def _unavailable(what: str, retry_after: float = _RETRY_SECONDS) -> MalhaError:
    return MalhaError(
        ErrorReason.ERROR_REASON_MODEL_UNAVAILABLE,
        f"the model provider is unavailable ({what})",
        retry_after=retry_after,
    )
