"""Did every benchmarked run leave what it must? Read from the stores themselves, after the load.

A benchmark that is fast because something was left out is worth nothing: so ledger, effect records,
spans, journal and guard verdicts are counted for each run, and any that is missing is named.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from malha.api.gateway.v1 import run_pb2
from malha.api.run.v1 import record_pb2

# Served calls of one such run (gateway 1, guard 3, cost 4, tools 1) and the planner's own (run, 3 steps).
SPANS_A_RUN = 13
STEPS_A_RUN = 3


def audit(state: Path, runs: Sequence[run_pb2.Run], spans: Mapping[str, int]) -> dict[str, object]:
    """How many runs have everything; what the first incomplete one lacks."""
    ledger = _counted(
        state / "cost" / "cost.db",
        "SELECT run_id, count(*) FROM entries WHERE kind = 'settlement' GROUP BY run_id",
    )
    missing: list[str] = []
    complete = 0
    for run in runs:
        verdicts = [step.verdict.action for step in run.steps if step.kind == record_pb2.STEP_KIND_TOOL]
        lacks = [
            what
            for what, there in (
                ("ledger rows", ledger.get(run.run_id, 0) >= STEPS_A_RUN),
                ("spans", spans.get(run.trace_id, 0) >= SPANS_A_RUN),
                ("journal records", len(run.steps) == STEPS_A_RUN and bool(run.position)),
                ("guard verdicts", bool(verdicts) and all(verdicts)),
            )
            if not there
        ]
        complete += not lacks
        if lacks and not missing:
            missing = [run.run_id, *lacks, f"{spans.get(run.trace_id, 0)} spans"]
    return {"audited": len(runs), "complete": complete, "first_incomplete": missing}


def _counted(path: Path, query: str) -> dict[str, int]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        return dict(database.execute(query).fetchall())
