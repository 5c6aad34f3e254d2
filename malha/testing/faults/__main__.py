"""``python -m malha.testing.faults --seeds 1-20``: the fault suite, and its closing line.

Exits 1 where anything was found wrong, after the seed that found it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from malha.testing.faults import broken
from malha.testing.faults.dealing import alone, hand, of_places, owed, seeds_a_deck, short
from malha.testing.faults.plan import Fault
from malha.testing.faults.report import Report
from malha.testing.faults.trial import trial
from malha.testing.faults.verdict import Verdict


def main() -> None:
    """Run the seeds, some at a time."""
    parser = argparse.ArgumentParser(description="Faults, by seeds, in a mesh under load.")
    parser.add_argument("--seeds", default="0", help=f"such as 3 or 1-20; {seeds_a_deck()} cover all once")
    parser.add_argument("--at-least", type=int, help="seeds from the first on until each came up so often")
    parser.add_argument("--at-once", type=int, default=1, help="how many seeds run beside each other")
    parser.add_argument("--short", action="store_true", help="every kind once, in a minute")
    parser.add_argument("--broken", default="", choices=["", *broken.PARTS], help="a broken part to put in")
    parser.add_argument("--only", help="a fault by its name, in the seeds' faults' place")
    parser.add_argument("--cards", help="places in the deck, in the seeds' faults' place")
    parser.add_argument("--report", type=Path, help="file for the counts, in JSON; it is added to")
    suite = Suite(parser.parse_args())
    try:
        asyncio.run(suite.run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(f"stopped before the end; until then: {suite.total}")
    say(str(suite.total))
    sys.exit(0 if suite.total.good else 1)


class Suite:
    """One call: its seeds, and what they found. ``total`` is the sum."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.total = Verdict()
        self._options = options
        self._report = Report(options.report)
        self._seeds = _numbers(options.seeds)
        if options.at_least:
            self._seeds = itertools.count(next(self._seeds))
        before = self._report.total
        self._came = before.faults
        self._tried = before.faults + before.missed

    async def run(self) -> None:
        """All seeds, as many at a time as were asked for."""
        me = asyncio.current_task()
        assert me is not None
        # told to end, it ends as at Ctrl-C: meshes are stopped and disks unmounted on the way out
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
        async with asyncio.TaskGroup() as rows:
            for _ in range(self._options.at_once):
                rows.create_task(self._row())

    async def _row(self) -> None:
        for seed in self._seeds:
            faults, again = self._dealt(seed)
            if not faults:
                if self._owed_to_any(seed):
                    continue
                return
            self._tried.update(map(str, faults))
            began = time.monotonic()
            verdict = await trial(seed, faults, broken=self._options.broken, say=say)
            seconds = time.monotonic() - began
            self._came += verdict.faults
            self.total += verdict
            self._report.add(seed, verdict, seconds)
            say(f"seed {seed}, {seconds:.0f} s: {verdict}")
            if not verdict.good:
                for sentence in verdict.sentences[:20]:
                    say(f"  {sentence}")
                say(f"  again: make faults SEEDS={seed}{again}")

    def _dealt(self, seed: int) -> tuple[list[Fault], str]:
        """A seed's faults, and what makes them again besides the seed."""
        options = self._options
        if options.short:
            return short(), ""
        if options.only:
            return alone(options.only, seed), f" (with --only {options.only!r})"
        if options.cards:
            return of_places(seed, _numbers(options.cards)), f" CARDS={options.cards}"
        if options.at_least:
            places = owed(seed, options.at_least, self._came, self._tried)
            return of_places(seed, places), f" CARDS={','.join(map(str, places))}"
        return hand(seed), ""

    def _owed_to_any(self, seed: int) -> bool:
        """Whether one of the next seeds has what this one, with its broker, cannot be dealt."""
        return bool(self._options.at_least) and any(self._dealt(seed + further)[0] for further in range(1, 9))


def _numbers(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def say(text: str) -> None:
    """A line of the report."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
