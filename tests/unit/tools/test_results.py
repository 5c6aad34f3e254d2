"""A result fits a journal, or is cut and says so."""

from __future__ import annotations

import pytest

from malha.api.run.v1.chat_pb2 import Citation
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha_tools.results import MOST_BYTES, cut


def test_a_result_that_fits_is_left_alone() -> None:
    result = ToolResult(result_json='{"a":1}', text="a" * (MOST_BYTES - 100))
    before = result.SerializeToString()
    cut(result)
    assert result.SerializeToString() == before


@pytest.mark.parametrize(
    "result",
    [
        ToolResult(text="x" * MOST_BYTES),
        ToolResult(result_json='"' + "x" * MOST_BYTES + '"', text="é" * MOST_BYTES),
        ToolResult(result_json='"' + "x" * MOST_BYTES + '"'),
        ToolResult(text="short", citations=[Citation(quote="q" * 1000) for _ in range(500)]),
    ],
)
def test_a_result_too_long_is_cut_to_256_kib_and_says_so(result: ToolResult) -> None:
    cut(result)
    assert result.ByteSize() <= MOST_BYTES
    assert result.truncated
    assert result.result_json == ""
    assert result.text
    assert result.text == "short" or "cut here" in result.text
