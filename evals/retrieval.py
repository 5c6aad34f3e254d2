"""How well passages are found: nDCG@10 and recall@5 on a set in BEIR's format.

The shipped chunker and index do the work: a document of the set is taken in as Markdown with its title
as heading, and ranks where its best passage ranks. Published BM25 on SciFact: nDCG@10 0.679 (Thakur
et al. 2021, BEIR, table 2).

    python -m evals.retrieval --data ../shared/data/retrieval/scifact [--train] [--limit N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from malha.api.retrieval.v1.retrieval_pb2 import Document
from malha.clock import SystemClock
from malha.sqlite import Database
from malha_retrieval.adapters.sqlite_index import MIGRATIONS, SqliteIndex
from malha_retrieval.ingestion import ingest
from malha_retrieval.terms import terms

_TENANT = "eval"
_PASSAGES = 50  # of which the ten best documents are taken


def ndcg(ranking: Sequence[str], grades: Mapping[str, int], at: int = 10) -> float:
    """Normalised discounted cumulative gain, with linear gain and log2 discount, as trec_eval has it."""
    gain = sum(grades.get(name, 0) / math.log2(rank + 2) for rank, name in enumerate(ranking[:at]))
    best = sorted(grades.values(), reverse=True)[:at]
    return gain / sum(grade / math.log2(rank + 2) for rank, grade in enumerate(best))


def recall(ranking: Sequence[str], grades: Mapping[str, int], at: int = 5) -> float:
    """Share of the relevant documents among the first ``at``."""
    relevant = {name for name, grade in grades.items() if grade > 0}
    return len(relevant.intersection(ranking[:at])) / len(relevant)


async def evaluate(data: Path, *, train: bool = False, limit: int = 0) -> dict[str, float]:
    """Take the corpus in, ask every judged query (or the first ``limit``), and average."""
    suffix = "_train" if train else ""
    judged = _judged(data / f"qrels{suffix}.tsv")
    queries = [q for q in _rows(data / f"queries{suffix}.jsonl") if q["id"] in judged]
    queries = queries[:limit] if limit else queries
    with tempfile.TemporaryDirectory() as folder:
        database = await Database.open(Path(folder) / "index.db", MIGRATIONS, durable=False)
        try:
            index = SqliteIndex(database, SystemClock())
            started = time.perf_counter()
            passages = 0
            for row in _rows(data / "corpus.jsonl"):
                text = f"# {row['title']}\n\n{row['text']}\n"
                outcome = await ingest(index, _TENANT, Document(name=f"{row['id']}.md", text=text))
                passages += outcome.chunks
            ingested = time.perf_counter() - started
            scores = [_scored(await _ranking(index, q["text"]), judged[q["id"]]) for q in queries]
            searched = time.perf_counter() - started - ingested
        finally:
            await database.close()
    return {
        "queries": len(scores),
        "passages": passages,
        "ndcg_at_10": round(sum(s[0] for s in scores) / len(scores), 4),
        "recall_at_5": round(sum(s[1] for s in scores) / len(scores), 4),
        "recall_at_10": round(sum(s[2] for s in scores) / len(scores), 4),
        "ingest_s": round(ingested, 2),
        "search_ms": round(searched / len(scores) * 1000, 3),
    }


async def _ranking(index: SqliteIndex, query: str) -> list[str]:
    found = await index.search(_TENANT, terms(query), _PASSAGES)
    return list(dict.fromkeys(passage.document.removesuffix(".md") for passage in found))


def _scored(ranking: Sequence[str], grades: Mapping[str, int]) -> tuple[float, float, float]:
    return ndcg(ranking, grades), recall(ranking, grades), recall(ranking, grades, 10)


def _rows(path: Path) -> Iterable[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _judged(path: Path) -> dict[str, dict[str, int]]:
    judged: dict[str, dict[str, int]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        query, document, grade = line.split("\t")
        if int(grade) > 0:
            judged.setdefault(query, {})[document] = int(grade)
    return judged


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder in BEIR's format")
    parser.add_argument("--train", action="store_true", help="train queries: to choose by, not to report")
    parser.add_argument("--limit", type=int, default=0, help="ask only so many queries")
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(evaluate(arguments.data, train=arguments.train, limit=arguments.limit))))


if __name__ == "__main__":
    main()
