"""Search in the tenant's own documents, with citations that name document and section."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from typing import Any

import orjson
from google.protobuf.duration_pb2 import Duration

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.retrieval.v1.retrieval_pb2 import Passage
from malha.api.run.v1.chat_pb2 import Citation
from malha.api.run.v1.record_pb2 import Effect
from malha.api.tools.v1.tool_pb2 import Tool
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha_tools.ports import Knowledge

_PASSAGES = 5
_QUOTE = 280

_INPUT = {
    "type": "object",
    "properties": {
        "query": {
            "type": "string",
            "minLength": 1,
            "maxLength": 2000,
            "description": "What to look for, in plain words: the question itself, or its key terms.",
        },
        "limit": {
            "type": "integer",
            "minimum": 1,
            "maximum": 20,
            "description": f"How many passages at most; {_PASSAGES} if left out.",
        },
    },
    "required": ["query"],
    "additionalProperties": False,
}
_OUTPUT = {
    "type": "object",
    "properties": {
        "passages": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "marker": {"type": "string"},
                    "document": {"type": "string"},
                    "section": {"type": "string"},
                    "text": {"type": "string"},
                },
                "required": ["marker", "document", "section", "text"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["passages"],
    "additionalProperties": False,
}


class SearchKnowledge:
    """Answers passages, best first. Not cached: a document stored a moment ago must be found."""

    contract = Tool(
        name="search_knowledge",
        version="1",
        description="Searches the organisation's own documents and answers the passages that fit best, each "
        "with the document and section it stands in. Use it for any question about facts, products, "
        "procedures or concepts that documents may explain; cite the passages by their markers.",
        input_schema_json=json.dumps(_INPUT),
        output_schema_json=json.dumps(_OUTPUT),
        effect=Effect.EFFECT_READ,
        timeout=Duration(seconds=15),  # more than a restart of retrieval takes
        harmless=True,
    )

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge

    async def run(
        self, arguments: Mapping[str, Any], _principal: Principal, _idempotency_key: str
    ) -> ToolResult:
        query: str = arguments["query"]
        passages = await self._knowledge.search(query, arguments.get("limit", _PASSAGES))
        marked = [(f"[{number}]", passage) for number, passage in enumerate(passages, 1)]
        found = [
            {"marker": marker, "document": p.document, "section": p.section, "text": p.text}
            for marker, p in marked
        ]
        return ToolResult(
            result_json=orjson.dumps({"passages": found}).decode(),
            text="\n\n".join(f"{marker} {_place(p)}\n{p.text}" for marker, p in marked)
            or f"No passage of the documents fits: {textwrap.shorten(query, _QUOTE, placeholder=' ...')}",
            citations=[
                Citation(
                    marker=marker,
                    document=p.document,
                    section=p.section,
                    quote=textwrap.shorten(p.text, _QUOTE, placeholder=" ..."),
                )
                for marker, p in marked
            ],
        )


def _place(passage: Passage) -> str:
    return f"{passage.document}, {passage.section}" if passage.section else passage.document
