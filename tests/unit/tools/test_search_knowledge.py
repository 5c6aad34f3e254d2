"""Passages come with citations that name document and section."""

from __future__ import annotations

import json
from collections.abc import Sequence

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.retrieval.v1.retrieval_pb2 import Passage
from malha.api.run.v1.chat_pb2 import Citation
from malha_tools.registry import Registry
from malha_tools.schema import Schema
from malha_tools.tools.search_knowledge import SearchKnowledge


class Library:
    def __init__(self, *passages: Passage) -> None:
        self.asked: list[tuple[str, int]] = []
        self._passages = passages

    async def search(self, query: str, limit: int) -> Sequence[Passage]:
        self.asked.append((query, limit))
        return self._passages


async def test_each_passage_has_a_marker_a_place_and_a_quote() -> None:
    library = Library(
        Passage(
            document="docs/cost.md",
            section="Budgets > Reservation",
            text="Money is reserved\nbefore it is spent.",
        ),
        Passage(document="README.md", text="word " * 200),
    )
    tool = SearchKnowledge(library)
    result = await tool.run({"query": "when is money reserved?"}, Principal(), "")
    assert library.asked == [("when is money reserved?", 5)]
    assert result.citations[0] == Citation(
        marker="[1]",
        document="docs/cost.md",
        section="Budgets > Reservation",
        quote="Money is reserved before it is spent.",
    )
    assert len(result.citations[1].quote) <= 280
    assert result.text.startswith("[1] docs/cost.md, Budgets > Reservation\nMoney is reserved\nbefore")
    assert "\n\n[2] README.md\nword" in result.text
    assert Schema(tool.contract.output_schema_json).faults(json.loads(result.result_json)) == []


async def test_finding_nothing_is_an_answer() -> None:
    tool = SearchKnowledge(Library())
    result = await tool.run({"query": "the colour of money", "limit": 3}, Principal(), "")
    assert result.text == "No passage of the documents fits: the colour of money"
    assert json.loads(result.result_json) == {"passages": []}


def test_its_contract_is_sound() -> None:
    Registry([SearchKnowledge(Library())])
