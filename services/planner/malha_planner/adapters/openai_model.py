"""Any server that speaks OpenAI's chat completions over HTTP: OpenAI itself, vLLM, Ollama, llama.cpp.

Bare aiohttp instead of an SDK: an agent run makes a few such calls, and the SDK costs ten times the
CPU. One call is one request; whoever calls owns retries, breakers and money. Failures are told apart by
status and by the provider's error code, never by its text, and neither its text nor the key is passed on.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
from pydantic import SecretStr

from malha.api.run.v1.chat_pb2 import ChatMessage
from malha.api.tools.v1.tool_pb2 import Tool
from malha.errors import ConfigurationError, ErrorReason, MalhaError
from malha_planner.adapters.openai_chat import function_of, message_of, only_completions, reply_of
from malha_planner.adapters.openai_stream import EVENT_STREAM, StreamedAnswer
from malha_planner.models.tokens import at_most
from malha_planner.ports import Listening, ModelReply, NoAnswerError

_MAY_PASS = frozenset({408, 409, 425, 429})
# An account without funds answers 429 as a busy server does, but no waiting mends it.
_WILL_NOT_PASS = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_BYTES = 8 * 1024 * 1024
_CONNECT_SECONDS = 10.0
_MOST_OF_AN_ERROR = 64 * 1024
_ERROR_SECONDS = 1.0
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_RETRY_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 60.0
_BILL_SECONDS = 2.0
"""For usage and the end, once the answer itself is whole: some servers send neither."""
_LAST_BYTES_SECONDS = 0.05


class OpenAiServer:
    """The address, the key and the connections; shared by all its models."""

    def __init__(
        self, base_url: str, api_key: SecretStr, *, connect_within: float = _CONNECT_SECONDS
    ) -> None:
        """
        Args:
            base_url: up to and including the version, such as "https://api.openai.com/v1".
            api_key: sent as a bearer token; empty sends none.
            connect_within: seconds for name, connection and TLS, within which nothing is sent.

        Raises ConfigurationError where no request could be made with them.
        """
        host = _host(base_url)
        self._url = base_url.rstrip("/") + "/chat/completions"
        # OpenAI has deprecated max_tokens and refuses it for some models; many others know nothing else.
        self.limit_field = "max_completion_tokens" if host == "api.openai.com" else "max_tokens"
        self._headers = {"Content-Type": "application/json"}
        if secret := api_key.get_secret_value():
            if not secret.isprintable():
                raise ConfigurationError("the model server's key holds a character that no header may hold")
            self._headers["Authorization"] = f"Bearer {secret}"
        self._connect_within = connect_within
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def asked(self, body: bytes) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request; the answer of a success, to be read in the block.

        Raises MODEL_UNAVAILABLE, MODEL_REFUSED, or NoAnswerError where the connection was lost.
        """
        session = self._session or self._open()
        try:
            async with session.post(self._url, data=body, allow_redirects=False) as response:
                if response.status != 200:
                    raise _failure(response.status, response.headers, await _error(response))
                yield response
        except aiohttp.ClientSSLError:
            raise _unavailable("no trusted connection") from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
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
            # no limit: there are as many calls as runs are worked on, and none may wait here for another
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30.0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_within),
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
        listening: Listening | None = None,
    ) -> ModelReply:
        """One chat completion: whole, or streamed where somebody listens."""
        body: dict[str, Any] = {
            "model": self.name,
            "messages": [message_of(message) for message in messages],
            self._server.limit_field: max_output_tokens,
        }
        if tools:
            body["tools"] = [function_of(t.name, t.description, t.input_schema_json) for t in tools]
        if listening is not None:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        try:
            async with asyncio.timeout(deadline_seconds), self._server.asked(orjson.dumps(body)) as response:
                if listening is not None and response.content_type == EVENT_STREAM:
                    return await _heard(response, listening, messages, tools)
                answer = await _read(response)
        except TimeoutError:
            raise NoAnswerError("the model provider did not answer in time") from None
        with only_completions():
            completion = orjson.loads(answer)
        return reply_of(completion, messages, tools)

    async def close(self) -> None:
        """Closes the server's connections, once for all its models."""
        await self._server.close()


def open_server(base_url: str, api_key: SecretStr, names: Sequence[str]) -> list[OpenAiModel]:
    """Models of one server, by name; they share its connections."""
    server = OpenAiServer(base_url, api_key)
    return [OpenAiModel(server, name) for name in names]


def _host(base_url: str) -> str:
    """The host of an address that requests can be sent to. Raises ConfigurationError for any other."""
    with suppress(ValueError):
        parts = urlsplit(base_url)
        plain = parts.port != 0 and "@" not in parts.netloc and not parts.query
        if parts.scheme in ("http", "https") and parts.hostname and plain:
            return parts.hostname
    raise ConfigurationError("the model server's base URL is no http(s)://host[:port]/path")


async def _heard(
    response: aiohttp.ClientResponse,
    listening: Listening,
    messages: Sequence[ChatMessage],
    tools: Sequence[Tool],
) -> ModelReply:
    """The whole of an answer that comes in parts; where it is cut, what had come is counted."""
    answer, whole = StreamedAnswer(listening.hear), False
    try:
        try:
            async with asyncio.timeout(None) as patience:
                async for piece in response.content.iter_any():
                    answer.take(piece)
                    if answer.over:
                        break
                    if answer.finished and patience.when() is None:
                        patience.reschedule(asyncio.get_running_loop().time() + _BILL_SECONDS)
        except (TimeoutError, aiohttp.ClientError, OSError):
            if not answer.finished:  # else only its bill was lost
                raise
        if not answer.finished:
            raise NoAnswerError("the model provider ended its answer in the middle")
        with suppress(TimeoutError, aiohttp.ClientError, OSError):
            async with asyncio.timeout(_LAST_BYTES_SECONDS):
                await response.content.readany()  # the end of the response: the connection can be used again
        whole = True
    finally:
        if not whole:
            listening.usage, listening.told = answer.counted(messages, tools), answer.billed
    return answer.reply(messages, tools)


async def _error(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of an error's body, for its code. The status has said what counts, however this ends."""
    answer = b""
    with suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(_ERROR_SECONDS):
            async for piece in response.content.iter_any():
                answer += piece
                if len(answer) > _MOST_OF_AN_ERROR:
                    break
    return answer


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
    said = headers.get("retry-after", "")
    for number, unit in ((headers.get("retry-after-ms", ""), 0.001), (said, 1.0)):
        if _NUMBER.fullmatch(number):
            return min(float(number) * unit, _LONGEST_RETRY_SECONDS)
    with suppress(ValueError, TypeError):  # a date, by the provider's own clock
        wait = parsedate_to_datetime(said) - parsedate_to_datetime(headers.get("date", ""))
        return min(max(wait.total_seconds(), 0.0), _LONGEST_RETRY_SECONDS)
    return _RETRY_SECONDS


def _unavailable(what: str, retry_after: float = _RETRY_SECONDS) -> MalhaError:
    return MalhaError(
        ErrorReason.ERROR_REASON_MODEL_UNAVAILABLE,
        f"the model provider is unavailable ({what})",
        retry_after=retry_after,
    )
