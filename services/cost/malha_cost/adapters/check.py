"""``python -m malha_cost.adapters.check STATE`` audits a ledger, whether its service runs or not.

Where MALHA_COST_DATABASE_URL names a PostgreSQL the ledger is there, else in cost.db of the folder.

It reads one moment of the database and writes nothing. Exit code 0: all adds up; 1: something is off, and
what is told; 2: there is no ledger that can be read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from malha_cost.adapters import sqlite_audit
from malha_cost.auditing import MOST_TOLD, Audit, told


def main() -> int:
    """Audit what the arguments name."""
    parser = argparse.ArgumentParser(prog="malha ledger check", description="Proves that the ledger adds up.")
    parser.add_argument("state", type=Path, help="folder of the cost service, which holds cost.db")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    asked = parser.parse_args()
    try:
        audit = _read(asked.state)
    except sqlite_audit.UnreadableError as error:
        print(f"malha: {error}", file=sys.stderr)  # noqa: T201  # a command's output
        return 2
    print(json.dumps(told(audit)) if asked.json else _text(audit))  # noqa: T201  # likewise
    return 1 if audit.off else 0


def _read(state: Path) -> Audit:
    url = os.environ.get("MALHA_COST_DATABASE_URL", "")
    if not url:
        return sqlite_audit.read(state / "cost.db")
    from malha_cost.adapters import postgres_audit  # its driver need not be there

    return asyncio.run(postgres_audit.read(url))


def _text(audit: Audit) -> str:
    counted = f"{audit.entries:,} entries of {audit.keys:,} keys, {audit.overruns:,} overruns"
    if not audit.off:
        return f"{counted}: every balance is the sum of its entries, every key was opened and closed once"
    return "\n".join([f"{counted}: {len(audit.off):,} things are off", *audit.off[:MOST_TOLD]])


if __name__ == "__main__":
    sys.exit(main())
