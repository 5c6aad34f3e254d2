"""How many attempts the guard stops, and how many harmless texts with them.

Rows are {text, label, channel}: label is "injection" or "benign"; a text of channel "user" is judged
at the stage INPUT, any other at TOOL_RESULT. An attempt counts as stopped where an injection rule led
to a block or a mask, as seen where it led at least to a flag; a text refused for its length alone is
counted apart, since that is no detection. The rules were never fitted to rows by copying any.

    python -m evals.guard --data ../shared/data/guard [--policy FILE] [--missed N]
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from malha.api.guard.v1.guard_service_pb2 import Stage
from malha.api.run.v1.record_pb2 import Action
from malha_guard.adapters.policy_files import BUNDLED, PolicyFile
from malha_guard.judge import judge
from malha_guard.policy import Policy

_ACTED = (Action.ACTION_BLOCK, Action.ACTION_MASK)


def evaluate(policy: Policy, rows: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Rates over the rows; a rate of a label that does not occur is left out."""
    counts: Counter[tuple[str, str]] = Counter()
    characters, started = 0, time.process_time()
    for row in rows:
        label = row["label"]
        verdict = judge(policy, _stage(row), row["text"]).verdict
        characters += len(row["text"])
        counts[label, "all"] += 1
        if any(rule.startswith("injection.") for rule in verdict.rules):
            counts[label, "seen"] += 1
            counts[label, "stopped"] += verdict.action in _ACTED
        elif "length" in verdict.rules:
            counts[label, "too_long"] += 1
    spent = time.process_time() - started
    result: dict[str, float] = {"rows": counts["injection", "all"] + counts["benign", "all"]}
    for label, name in (("injection", "recall"), ("benign", "false_positives")):
        total = counts[label, "all"]
        if total:
            result[name] = round(counts[label, "stopped"] / total, 4)
            result[f"{name}_with_flags"] = round(counts[label, "seen"] / total, 4)
            result[f"{label}_too_long"] = counts[label, "too_long"]
    return result | {"cpu_ms_per_kb": round(spent * 1e6 / max(characters, 1), 3)}


def missed(policy: Policy, rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Attempts that passed unseen, and harmless texts that did not pass."""
    for row in rows:
        verdict = judge(policy, _stage(row), row["text"]).verdict
        seen = any(rule.startswith("injection.") for rule in verdict.rules)
        if seen != (row["label"] == "injection"):
            yield f"{row['label']} {list(verdict.rules)}: {row['text'][:300]!r}"


def _stage(row: dict[str, Any]) -> Stage:
    return Stage.STAGE_INPUT if row.get("channel") == "user" else Stage.STAGE_TOOL_RESULT


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of JSON-lines files")
    parser.add_argument("--policy", type=Path, default=BUNDLED)
    parser.add_argument("--missed", type=int, default=0, help="print so many misjudged rows a file instead")
    arguments = parser.parse_args()
    policy = PolicyFile(arguments.policy).policy
    files = sorted(arguments.data.glob("*.jsonl"))
    if arguments.missed:
        for path in files:
            for line in list(missed(policy, rows_of(path)))[: arguments.missed]:
                print(path.stem, line)
        return
    sets = {path.stem: evaluate(policy, rows_of(path)) for path in files}
    print(json.dumps({"policy": policy.version, "sets": sets}, indent=2))


if __name__ == "__main__":
    main()
