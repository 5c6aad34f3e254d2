"""How much personal data is masked, kind by kind, and how much else with it.

Rows are {text, entities: [{type, start, end}], hard_negatives: [{kind, start, end}]}. An entity is
masked where nothing of it is left; a part of one that is left is a leak. A hard negative (a number with
wrong check digits) is a false alarm where any of it was masked as the kind it imitates. Kinds for which
the guard has no rule are listed too: their recall is what it is.

    python -m evals.pii --data ../shared/data/pii
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from evals.guard import rows_of
from malha_guard.contacts import find_contacts
from malha_guard.identifiers import find_identifiers
from malha_guard.reading import Reading

_RULED = frozenset({"CARD", "CPF", "CNPJ", "EMAIL", "PHONE"})


def evaluate(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Recall by kind, false alarms of hard negatives, precision of the kinds that have a rule."""
    masked: Counter[str] = Counter()
    total: Counter[str] = Counter()
    findings = right = negatives = alarms = 0
    for row in rows:
        reading = Reading(row["text"])
        found = [*find_identifiers(reading), *find_contacts(reading)]
        covered = {at for finding in found for at in range(finding.start, finding.end)}
        for entity in row["entities"]:
            total[entity["type"]] += 1
            masked[entity["type"]] += covered.issuperset(range(entity["start"], entity["end"]))
        for negative in row["hard_negatives"]:
            negatives += 1
            imitated = f"pii.{negative['kind'].removeprefix('BAD').lower()}"
            alarms += any(
                f.rule == imitated and f.start < negative["end"] and negative["start"] < f.end for f in found
            )
        for finding in found:
            findings += 1
            right += any(e["start"] < finding.end and finding.start < e["end"] for e in row["entities"])
    recall = {kind: round(masked[kind] / count, 4) for kind, count in sorted(total.items())}
    return {
        "recall": {kind: rate for kind, rate in recall.items() if kind in _RULED},
        "recall_without_rule": {kind: rate for kind, rate in recall.items() if kind not in _RULED},
        "entities": dict(sorted(total.items())),
        "precision": round(right / findings, 4),
        "hard_negatives": negatives,
        "false_alarms_on_hard_negatives": alarms,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of JSON-lines files")
    files = sorted(parser.parse_args().data.glob("*.jsonl"))
    print(json.dumps({path.stem: evaluate(rows_of(path)) for path in files}, indent=2))


if __name__ == "__main__":
    main()
