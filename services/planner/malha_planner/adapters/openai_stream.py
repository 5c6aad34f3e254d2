"""A streamed chat completion: its server-sent events, put together to what it would have been whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import orjson

from malha.api.common.v1.usage_pb2 import Usage
from malha.api.run.v1.chat_pb2 import ChatMessage, Role
from malha.api.tools.v1.tool_pb2 import Tool
from malha_planner.adapters.openai_chat import only_completions, reply_of, text_of, usage_of
from malha_planner.models.tokens import estimate
from malha_planner.ports import ModelReply, NoAnswerError

EVENT_STREAM = "text/event-stream"
_DATA = b"data:"
_DONE = b"[DONE]"
_MOST_BYTES = 64 * 1024 * 1024
"""Of a whole stream: a chunk of a few letters is some three hundred bytes."""
_LONGEST_LINE = 8 * 1024 * 1024
_THOUGHTS = ("reasoning_content", "reasoning")
"""What some servers send besides the text, and bill; nobody is shown it."""


class StreamedAnswer:
    """One answer as it comes. Text is handed to `hear`, piece by piece.

    Attributes:
        finished: the model has said why it stopped, so nothing of the answer is missing.
        over: nothing more will come.
    """

    def __init__(self, hear: Callable[[str], None]) -> None:
        self.finished = False
        self.over = False
        self._hear = hear
        self._unread = b""
        self._size = 0
        self._content: list[str] = []
        self._refusal: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[tuple[int, dict[str, Any]]] = []
        self._open: dict[int, dict[str, Any]] = {}
        """The call that goes on at each place."""
        self._finish: str | None = None
        self._usage: Mapping[str, Any] | None = None

    @property
    def billed(self) -> bool:
        """The provider has told what it counted."""
        return self._usage is not None

    def take(self, piece: bytes) -> None:
        """Read on. Raises NoAnswerError for what is no chat completion, or for the provider's own error."""
        self._size += len(piece)
        if self._size > _MOST_BYTES or len(self._unread) > _LONGEST_LINE:
            raise NoAnswerError("the model provider's answer is too long")
        *lines, self._unread = (self._unread + piece).split(b"\n")
        for line in lines:
            if line.startswith(_DATA) and not self.over:
                self._event(line[len(_DATA) :].strip())

    def reply(self, messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> ModelReply:
        """The finished answer; usage that was not told is estimated."""
        return reply_of(self._body(), messages, tools)

    def counted(self, messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> Usage | None:
        """Tokens of what came of an answer that was cut, as the provider told or else counted here.

        None where nothing came.
        """
        said = [*self._content, *self._refusal, *self._thoughts]
        said += [call["function"]["name"] + call["function"]["arguments"] for _, call in self._calls]
        if not said and self._usage is None:
            return None
        usage = usage_of(self._usage or {}, messages, tools, ChatMessage(role=Role.ROLE_ASSISTANT))
        usage.output_tokens = max(usage.output_tokens, estimate("".join(said)), 1)
        return usage

    def _event(self, data: bytes) -> None:
        if data == _DONE:
            self.over = True
            return
        with only_completions():
            chunk = orjson.loads(data)
            if chunk.get("error"):
                raise NoAnswerError("the model provider broke its answer off with an error")
            if told := chunk.get("usage"):
                usage_of(told, (), (), ChatMessage())  # it can be read
                self._usage = told
            for choice in chunk.get("choices") or ():
                if not choice.get("index"):
                    self._choice(choice)

    def _choice(self, choice: Mapping[str, Any]) -> None:
        delta = choice.get("delta") or {}
        if content := _text(delta.get("content")):
            self._content.append(content)
            self._hear(content)
        if refusal := _text(delta.get("refusal")):
            self._refusal.append(refusal)
            if not self._content:
                self._hear(refusal)
        self._thoughts += [thought for name in _THOUGHTS if (thought := _text(delta.get(name)))]
        for place, part in enumerate(delta.get("tool_calls") or ()):
            index = part.get("index")
            self._call(place if index is None else index, part)
        if finish := choice.get("finish_reason"):
            self._finish, self.finished = finish, True

    def _call(self, index: int, part: Mapping[str, Any]) -> None:
        """Some servers give all calls the same index, or none: then another id begins another call."""
        if not isinstance(index, int):
            raise TypeError("no place")
        call, named = self._open.get(index), part.get("id") or ""
        if call is None or (named and call["id"] and named != call["id"]):
            call = self._open[index] = {"id": "", "function": {"name": "", "arguments": ""}}
            self._calls.append((index, call))
        function = part.get("function") or {}
        call["id"] = call["id"] or named
        if (name := function.get("name") or "") != call["function"]["name"]:  # else said again
            call["function"]["name"] += name
        call["function"]["arguments"] += function.get("arguments") or ""

    def _body(self) -> dict[str, Any]:
        message = {
            "content": "".join(self._content),
            "refusal": "".join(self._refusal),
            "tool_calls": [call for _, call in sorted(self._calls, key=itemgetter(0))],
        }
        choice = {"message": message, "finish_reason": self._finish}
        return {"choices": [choice], "usage": self._usage}


def _text(content: Any) -> str:
    """As `text_of`; TypeError for what is no text, for it is handed on at once."""
    text = text_of(content)
    if not isinstance(text, str):
        raise TypeError("no text")
    return text
