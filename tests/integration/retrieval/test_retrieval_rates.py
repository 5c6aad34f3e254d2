"""Quality of search that may not fall, on a public set that is not part of the project."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals import retrieval

SCIFACT = Path(__file__).parents[4] / "shared" / "data" / "retrieval" / "scifact"


async def test_search_ranks_as_well_as_published_bm25() -> None:
    if not SCIFACT.exists():
        pytest.skip("the evaluation set SciFact is not on this machine")
    rates = await retrieval.evaluate(SCIFACT)
    assert rates["ndcg_at_10"] >= 0.675
    assert rates["recall_at_5"] >= 0.735
