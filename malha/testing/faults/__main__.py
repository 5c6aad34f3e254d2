"""``python -m malha.testing.faults --seeds 1-20``: the fault suite, and its closing line.

Exits 1 where anything was found wrong, after the seed that found it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from malha.testing.faults import broken
from malha.testing.faults.plan import alone, seeds_a_deck, short, waves
from malha.testing.faults.trial import trial
from malha.testing.faults.verdict import Verdict


def main() -> None:
    """Run the seeds one after another."""
    parser = argparse.ArgumentParser(description="Faults, by seeds, in a mesh under load.")
    parser.add_argument("--seeds", default="0", help=f"such as 3 or 1-20; {seeds_a_deck()} cover all once")
    parser.add_argument("--short", action="store_true", help="every kind once, in a minute")
    parser.add_argument("--broken", default="", choices=["", *broken.PARTS], help="a broken part to put in")
    parser.add_argument("--only", help="a fault by its name, in the seeds' faults' place")
    parser.add_argument("--report", type=Path, help="file for the counts, in JSON")
    options = parser.parse_args()
    total = Verdict()
    for seed in _seeds(options.seeds):
        began = time.monotonic()
        planned = short() if options.short else alone(options.only, seed) if options.only else waves(seed)
        verdict = asyncio.run(trial(seed, planned, broken=options.broken, say=_say))
        total += verdict
        _say(f"seed {seed}, {time.monotonic() - began:.0f} s: {verdict}")
        if not verdict.good:
            for sentence in verdict.sentences[:20]:
                _say(f"  {sentence}")
            _say(f"  again: make faults SEEDS={seed}")
        if options.report:
            options.report.write_text(json.dumps(total.as_json(), indent=2) + "\n")
    _say(str(total))
    sys.exit(0 if total.good else 1)


def _seeds(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
