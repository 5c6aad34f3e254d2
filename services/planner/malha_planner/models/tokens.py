"""Tokens counted without the provider's tokenizer.

Two figures for two purposes. `at_most` bounds what a call can use, since money is reserved by it:
byte-level BPE never makes more tokens than there are UTF-8 bytes, and every message and tool adds a
few tokens of framing. `estimate` is the likely figure, for providers that report no usage: about one
token for four letters of a word and one for each other sign, which is within some 15% of common
tokenizers on English and Portuguese prose, and high on code.
"""

import re
from collections.abc import Sequence

from malha.api.run.v1.chat_pb2 import ChatMessage
from malha.api.tools.v1.tool_pb2 import Tool

FRAMING = 8
"""Tokens that a message or a tool costs beyond its text; OpenAI documents 3 to 7."""

_PIECE = re.compile(r"\w+|[^\w\s]")


def estimate(text: str) -> int:
    """The likely number of tokens in a text."""
    return sum((len(piece) + 3) // 4 for piece in _PIECE.findall(text))


def estimate_messages(messages: Sequence[ChatMessage], tools: Sequence[Tool] = ()) -> int:
    """The likely number of input tokens of a call."""
    return sum(estimate(text) + FRAMING for text in _texts(messages, tools))


def at_most(messages: Sequence[ChatMessage], tools: Sequence[Tool] = ()) -> int:
    """A number of input tokens that a call cannot exceed."""
    return sum(len(text.encode()) + FRAMING for text in _texts(messages, tools))


def _texts(messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> list[str]:
    said = [
        message.text
        + message.tool_call_id
        + "".join(call.call_id + call.tool + call.arguments_json for call in message.tool_calls)
        for message in messages
    ]
    return said + [tool.name + tool.description + tool.input_schema_json for tool in tools]
