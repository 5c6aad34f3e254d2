"""What many calls of the suite found together: a file of counts by commit, and the tables made of it.

``python -m malha.testing.faults.report build/faults.json`` prints the tables of docs/reliability.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from malha.testing.faults.plan import POINTS, Kind, deck
from malha.testing.faults.verdict import Verdict

_ROOT = Path(__file__).parents[3]


class Report:
    """A file of verdicts: of each commit the sum, the seeds, the seconds and the days."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._commit = _commit()
        self._commits: dict[str, dict[str, Any]] = {}
        if path is not None and path.exists():
            self._commits = json.loads(path.read_text())

    @property
    def commits(self) -> dict[str, dict[str, Any]]:
        """What the file holds, by commit."""
        return self._commits

    @property
    def total(self) -> Verdict:
        """All there is, of all commits."""
        return sum((Verdict.from_json(part) for part in self._commits.values()), Verdict())

    def add(self, seed: int, verdict: Verdict, seconds: float) -> None:
        """Enter a seed's verdict under the commit that was checked out at first, and write the file."""
        today = datetime.now(UTC).date().isoformat()
        empty = {**Verdict().as_json(), "seeds": [], "seconds": 0, "days": []}
        part = self._commits.setdefault(self._commit, empty)
        part |= (Verdict.from_json(part) + verdict).as_json()
        part["seeds"] = sorted({*part["seeds"], seed})
        part["days"] = sorted({*part["days"], today})
        part["seconds"] += round(seconds)
        if self._path is not None:
            part_file = self._path.with_suffix(".part")
            part_file.write_text(json.dumps(self._commits, indent=2) + "\n")
            os.replace(part_file, self._path)


def tables(report: Report) -> Iterator[str]:
    """The lines of docs/reliability.md that are counted."""
    total = report.total
    yield "| commit | days | seeds | minutes | faults | runs | wrong |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for commit, part in report.commits.items():
        of_it = Verdict.from_json(part)
        days = " to ".join(sorted({part["days"][0], part["days"][-1]}))
        yield (
            f"| {commit} | {days} | {len(part['seeds'])} | {part['seconds'] / 60:.0f} "
            f"| {of_it.faults.total()} | {of_it.runs} | {of_it.wrong.total()} |"
        )
    yield f"\n```\n{total}\n```\n"
    yield "| kind | places | hit | injected | fewest at a place | planned, not reached |"
    yield "| --- | --- | --- | --- | --- | --- |"
    by_kind: defaultdict[Kind, list[str]] = defaultdict(list)
    for card in deck():
        by_kind[card.kind].append(str(card))
    for kind, names in by_kind.items():
        counts = [total.faults[name] for name in names]
        missed = sum(total.missed[name] for name in names)
        hit = sum(count > 0 for count in counts)
        yield f"| {kind.value} | {len(names)} | {hit} | {sum(counts)} | {min(counts)} | {missed} |"
    yield "\nKills by boundary, before and after:\n"
    yield "| boundary | before | after |"
    yield "| --- | --- | --- |"
    for boundary in dict.fromkeys(point.rpartition(".")[0] for point in POINTS):
        sides = (total.faults[f"{Kind.KILL_AT.value} {boundary}.{side}"] for side in ("before", "after"))
        yield f"| {boundary} | {' | '.join(map(str, sides))} |"


def _commit() -> str:
    """The commit of this checkout, with "-dirty" where files differ from it."""
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    except FileNotFoundError:
        return "unknown"
    return said.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.stdout.write("\n".join(tables(Report(Path(sys.argv[1])))) + "\n")
