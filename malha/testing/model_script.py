"""What a scripted model says: the rules of a script, and answers in OpenAI's chat wire format.

A script is JSON (or the same as Python values): {"rules": [rule, ...]}. The first rule that matches a
request answers it. A rule:

    user         regular expression, searched in the last user message; absent: any
    turn         model calls since that message (assistant messages behind it); absent: any
    model        the requested model; absent: any
    after        how often the rule is passed over before it answers; 0
    times        how often it answers, then it matches no more; absent: always
    text         what the assistant says
    pieces       the same in the chunks of its stream; else it is cut into words
    tool_calls   [{"name", "arguments": {...} or text, "id"?}]
    usage        {"prompt_tokens", "completion_tokens", "cached_tokens"?, "reasoning_tokens"?};
                 null leaves it out
    finish       finish_reason, else "tool_calls" or "stop"
    latency_ms   waited before the first byte; 0
    chunk_ms     waited between the chunks of a stream; 0
    first_chunks how many chunks of a stream come without waiting; 0
    unstreamed   answers whole where a stream was asked for
    status       answers this HTTP status with `error` {"code"?, "message"?} and `headers`
    body         answers these characters as they are
    disconnect   "before" any byte, or "middle": half an answer (or error), then the connection is cut
    hang         half an answer (or error), or all of a stream, then nothing more

Strings in `text` and `arguments` may hold {user}, {tool} and {turn}: the last user message, the last
tool message and the turn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

_PLACEHOLDER = re.compile(r"\{(user|tool|turn)\}")
_IDENTITY = {"id": "chatcmpl-scripted", "created": 1_700_000_000}
_USAGE = {"prompt_tokens": 100, "completion_tokens": 20}


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules look at in a request."""

    model: str
    turn: int
    user: str
    tool: str


def facts_of(body: Mapping[str, Any]) -> Facts:
    """The facts of a request's body. Raises KeyError or TypeError for what is no chat request."""
    turn, user, tool = 0, "", ""
    for message in reversed(body["messages"]):
        role = message["role"]
        if role == "user":
            user = _text(message.get("content"))
            break
        if role == "assistant":
            turn += 1
        elif role == "tool" and not tool:
            tool = _text(message.get("content"))
    return Facts(body["model"], turn, user, tool)


class Rule:
    """One rule, and how often it has answered."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw = raw
        self.answered = 0
        self._user = re.compile(raw["user"]) if "user" in raw else None
        self._passed = 0
        self._encoded: dict[str, bytes] = {}
        # An answer that is the same each time is encoded once: ids of tool calls hold the turn.
        varies = _PLACEHOLDER.search(orjson.dumps(dict(raw)).decode()) is not None
        self._is_fixed = not varies and ("turn" in raw or not raw.get("tool_calls"))

    def takes(self, facts: Facts) -> bool:
        """Whether it answers this request; counts that it was asked."""
        raw = self.raw
        if raw.get("turn", facts.turn) != facts.turn or raw.get("model", facts.model) != facts.model:
            return False
        if self._user is not None and self._user.search(facts.user) is None:
            return False
        if self._passed < raw.get("after", 0):
            self._passed += 1
            return False
        if self.answered >= raw.get("times", self.answered + 1):
            return False
        self.answered += 1
        return True

    def whole(self, facts: Facts) -> bytes:
        """The body of an answer that is not streamed."""
        if (kept := self._encoded.get(facts.model)) is not None:
            return kept
        if "body" in self.raw:
            return str(self.raw["body"]).encode()
        choice = {
            "index": 0,
            "message": self._message(facts),
            "logprobs": None,
            "finish_reason": self._finish,
        }
        body = {**_IDENTITY, "object": "chat.completion", "model": facts.model, "choices": [choice]}
        if (usage := self._usage) is not None:
            body["usage"] = usage
        encoded = orjson.dumps(body)
        if self._is_fixed:
            self._encoded[facts.model] = encoded
        return encoded

    def events(self, facts: Facts, *, with_usage: bool) -> list[bytes]:
        """The server-sent events of a streamed answer: text by words, arguments in halves."""
        if "body" in self.raw:
            return [str(self.raw["body"]).encode()]
        message = self._message(facts)
        chunks = [
            _chunk(facts, [{"index": 0, "delta": delta, "finish_reason": None}])
            for delta in _deltas(message, self.raw.get("pieces"))
        ]
        chunks.append(_chunk(facts, [{"index": 0, "delta": {}, "finish_reason": self._finish}]))
        if with_usage and (usage := self._usage) is not None:
            chunks.append(_chunk(facts, [], usage))
        return [*chunks, b"data: [DONE]\n\n"]

    def _message(self, facts: Facts) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": _filled(self._text, facts)}
        message["refusal"] = None
        if calls := self.raw.get("tool_calls"):
            message["tool_calls"] = [_call(call, place, facts) for place, call in enumerate(calls)]
        return message

    @property
    def _text(self) -> str | None:
        return "".join(self.raw["pieces"]) if "pieces" in self.raw else self.raw.get("text")

    @property
    def _finish(self) -> str:
        return str(self.raw.get("finish") or ("tool_calls" if self.raw.get("tool_calls") else "stop"))

    @property
    def _usage(self) -> dict[str, Any] | None:
        told = self.raw.get("usage", _USAGE)
        if told is None:
            return None
        given, made = told.get("prompt_tokens", 0), told.get("completion_tokens", 0)
        return {
            "prompt_tokens": given,
            "completion_tokens": made,
            "total_tokens": given + made,
            "prompt_tokens_details": {"cached_tokens": told.get("cached_tokens", 0)},
            "completion_tokens_details": {"reasoning_tokens": told.get("reasoning_tokens", 0)},
        }


def error_body(error: Mapping[str, Any]) -> bytes:
    """An error as OpenAI writes one; `error` holds "code" and "message", both optional."""
    told = {"message": "scripted", "type": "scripted_error", "param": None, "code": None, **error}
    return orjson.dumps({"error": told})


def _call(call: Mapping[str, Any], place: int, facts: Facts) -> dict[str, Any]:
    arguments = _filled(call.get("arguments", {}), facts)
    written = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
    function = {"name": call["name"], "arguments": written}
    return {"id": call.get("id", f"call_{facts.turn}_{place}"), "type": "function", "function": function}


def _deltas(message: Mapping[str, Any], pieces: Sequence[str] | None) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    for piece in pieces or re.findall(r"\s*\S+|\s+", message["content"] or ""):
        yield {"content": piece}
    for index, call in enumerate(message.get("tool_calls", ())):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        yield {"tool_calls": [{**call, "index": index, "function": {"name": name, "arguments": ""}}]}
        half = len(arguments) // 2
        for piece in (arguments[:half], arguments[half:]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _chunk(
    facts: Facts, choices: Sequence[Mapping[str, Any]], usage: Mapping[str, Any] | None = None
) -> bytes:
    chunk = {**_IDENTITY, "object": "chat.completion.chunk", "model": facts.model, "choices": choices}
    return b"data: " + orjson.dumps({**chunk, "usage": usage}) + b"\n\n"


def _text(content: Any) -> str:
    """A message's content, which may be a list of parts."""
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content or ""


def _filled(value: Any, facts: Facts) -> Any:
    """A scripted value with its placeholders filled in."""
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda match: str(getattr(facts, match.group(1))), value)
    if isinstance(value, Mapping):
        return {key: _filled(inner, facts) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, facts) for inner in value]
    return value
