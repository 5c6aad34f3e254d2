"""Whether the ledger holds what a ledger must: every key its lawful history, every balance its entries' sum.

The sums are asked of the database, which adds up millions of entries in seconds; the words of SQL used
for it are those that all databases share. The histories are read one after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from malha.api.common.v1.usage_pb2 import Usage
from malha_cost.accounts import KEY, ORGANISATION, RUN, SESSION, TENANT, USER, Move, Place, moves
from malha_cost.ledger import CORRECTED, DECLARED, OPENED, Entry, Kind, rates_of

MOST_TOLD = 100

_COLUMNS = {
    RUN: "run_id",
    KEY: "key_id",
    TENANT: "''",
    USER: "user_id",
    SESSION: "session",
    ORGANISATION: "organisation",
}
_DIFFERENCES = """
    SELECT owner, scope_id, day, sum(spent), sum(reserved), sum(tokens), sum(held_tokens) FROM (
      SELECT {owner} AS owner, {column} AS scope_id, day, spent, reserved, tokens, held_tokens
      FROM entries WHERE {column} <> '' {or_all}
      UNION ALL
      SELECT tenant, scope_id, day, -spent, -reserved, -tokens, -held_tokens
      FROM balances WHERE scope = {scope} AND day < 'a'
    ) AS lines
    GROUP BY owner, scope_id, day
    HAVING sum(spent) <> 0 OR sum(reserved) <> 0 OR sum(tokens) <> 0 OR sum(held_tokens) <> 0
    ORDER BY owner, scope_id, day LIMIT 100
"""
TOTALS = """
    SELECT owner, scope, scope_id, sum(spent), sum(reserved) FROM (
      SELECT tenant AS owner, scope, scope_id, spent, reserved FROM balances WHERE scope <> 1 AND day < 'a'
      UNION ALL
      SELECT tenant, scope, scope_id, -spent, -reserved FROM totals
    ) AS lines
    GROUP BY owner, scope, scope_id HAVING sum(spent) <> 0 OR sum(reserved) <> 0
    ORDER BY owner, scope, scope_id LIMIT 100
"""
"""Totals that are not the sum of their days, and by how much."""
_USED = "kind IN ('settlement', 'provisional', 'correction', 'adjustment')"
_GROUP = "tenant, day, key_id, agent, agent_version, component, provider, model"
USAGE = f"""
    SELECT {_GROUP}, sum(calls), sum(input_tokens), sum(output_tokens), sum(spent), sum(saved) FROM (
      SELECT {_GROUP}, CASE WHEN stage = 1 THEN 1 ELSE 0 END AS calls,
        input_tokens, output_tokens, spent, saved
      FROM entries WHERE {_USED}
      UNION ALL
      SELECT {_GROUP}, -calls, -input_tokens, -output_tokens, -spent, -saved FROM usage
    ) AS lines
    GROUP BY {_GROUP} HAVING sum(calls) <> 0 OR sum(input_tokens) <> 0 OR sum(output_tokens) <> 0
      OR sum(spent) <> 0 OR sum(saved) <> 0
    ORDER BY {_GROUP} LIMIT 100
"""  # noqa: S608  # constants above
"""Sums of usage that are not those of their entries, and by how much."""
METERED = f"""
    SELECT tenant, sum(used), sum(numbered), max(highest) FROM (
      SELECT tenant, 1 AS used, 0 AS numbered, 0 AS highest FROM entries WHERE {_USED}
      UNION ALL SELECT m.tenant, 0, 1, m.sequence FROM metered m CROSS JOIN entries e
      WHERE e.tenant = m.tenant AND e.key = m.key AND e.stage = m.stage AND {_USED}
    ) AS lines
    GROUP BY tenant HAVING sum(used) <> sum(numbered) OR sum(used) <> max(highest)
    ORDER BY tenant LIMIT 100
"""  # noqa: S608  # likewise
"""Tenants whose entries are not numbered from one on without a gap."""
_FINER = "a"
"""Every finer period sorts behind this, and every day before."""

ENTRIES = f"SELECT {', '.join(Entry._fields)} FROM entries ORDER BY tenant, key, stage"  # noqa: S608  # names from our own class
FINER_BALANCES = (
    "SELECT tenant, scope, scope_id, day, spent, reserved, tokens, held_tokens FROM balances"
    " WHERE day >= 'a' ORDER BY tenant, scope, scope_id, day"
)


def differences() -> Iterator[tuple[int, str]]:
    """For each scope, the query of day balances that are not their entries' sums, and by how much."""
    for scope, column in _COLUMNS.items():
        owner = "''" if scope == ORGANISATION else "tenant"
        borne_by_all = f"OR {scope} IN ({RUN}, {TENANT})"
        yield scope, _DIFFERENCES.format(owner=owner, column=column, scope=scope, or_all=borne_by_all)


@dataclass
class Audit:
    """What was read so far, and what is off."""

    entries: int = 0
    keys: int = 0
    overruns: int = 0
    off: list[str] = field(default_factory=list)
    _history: list[Entry] = field(default_factory=list)
    _finer: Counter[tuple[Place, str]] = field(default_factory=Counter)

    def take(self, lines: Iterable[Entry]) -> None:
        """Read entries on, in the order of :data:`ENTRIES`."""
        for entry in lines:
            self.entries += 1
            if self._history and (self._history[0].tenant, self._history[0].key) != (entry.tenant, entry.key):
                self._close()
            self._history.append(entry)
            if entry.grains:
                self._count_finer(entry)

    def take_differences(self, scope: int, rows: Iterable[Sequence[object]]) -> None:
        """Read what one of :func:`differences` found."""
        for owner, scope_id, day, *by in rows:
            named = ", ".join(f"{what} {much}" for what, much in zip(Move._fields, by, strict=True) if much)
            self.off.append(f"balance {owner}/{scope}/{scope_id}/{day}: its entries differ by {named}")

    def take_totals(self, rows: Iterable[Sequence[object]]) -> None:
        """Read what :data:`TOTALS` found."""
        for owner, scope, scope_id, *by in rows:
            named = ", ".join(f"{what} {much}" for what, much in zip(Move._fields, by, strict=False) if much)
            self.off.append(f"total {owner}/{scope}/{scope_id}: its days differ by {named}")

    def take_usage(self, sums: Iterable[Sequence[object]], numbers: Iterable[Sequence[object]]) -> None:
        """Read what :data:`USAGE` and :data:`METERED` found."""
        measures = ("calls", "input tokens", "output tokens", "spent", "saved")
        for row in sums:
            named = ", ".join(f"{what} {much}" for what, much in zip(measures, row[8:], strict=True) if much)
            self.off.append(f"usage {'/'.join(map(str, row[:8]))}: its entries differ by {named}")
        for tenant, used, numbered, highest in numbers:
            self.off.append(
                f"records of {tenant}: {used} entries, {numbered} of them numbered, up to {highest}"
            )

    def finish(self, finer: Iterable[Sequence[object]]) -> None:
        """Close the last key, and read the balances of :data:`FINER_BALANCES`."""
        self._close()
        held: Counter[tuple[Place, str]] = Counter()
        for tenant, scope, scope_id, period, *amounts in finer:
            place = Place(str(tenant), int(str(scope)), str(scope_id), str(period))
            held.update({(place, what): int(str(much)) for what, much in _named(amounts)})
        for (place, what), much in self._finer.items():
            held[place, what] -= much
        self.off += [
            f"balance {'/'.join(map(str, place))}: its entries differ by {what} {-much}"
            for (place, what), much in sorted(held.items())
            if much
        ]

    def _count_finer(self, entry: Entry) -> None:
        for place, move in moves([entry]).items():
            if place.period >= _FINER:
                self._finer.update({(place, what): much for what, much in _named(move)})

    def _close(self) -> None:
        if not self._history:
            return
        self.keys += 1
        first = self._history[0]
        self.off += [f"key {first.tenant} {first.key}: {fault}" for fault in faults(self._history)]
        closed = [entry for entry in self._history if OPENED < entry.stage <= CORRECTED]
        self.overruns += sum(entry.spent for entry in closed) > first.reserved
        self._history = []


_LAWFUL = (
    [Kind.RESERVATION],
    [Kind.RESERVATION, Kind.SETTLEMENT],
    [Kind.RESERVATION, Kind.RELEASE],
    [Kind.RESERVATION, Kind.PROVISIONAL],
    [Kind.RESERVATION, Kind.PROVISIONAL, Kind.CORRECTION],
)


def faults(history: Sequence[Entry]) -> Iterator[str]:
    """What is unlawful about a key's entries."""
    own = [entry for entry in history if entry.stage <= CORRECTED]
    if [entry.kind for entry in own] not in _LAWFUL:
        yield f"its entries are {', '.join(entry.kind for entry in own)}"
        return
    first = own[0]
    if (
        len({(e.day, e.run_id, e.key_id, e.user_id, e.session, e.organisation, e.grains) for e in history})
        > 1
    ):
        yield "its entries count in different places"
    if first.reserved < 0 or first.spent:
        yield f"it was reserved at {first.reserved} and spent {first.spent} at once"
    if len(own) > 1 and own[1].reserved != -first.reserved:
        yield f"it was reserved at {first.reserved} and gave back {-own[1].reserved}"
    if any(entry.reserved for entry in history[2:]):
        yield "it holds money after it was closed"
    spent = sum(entry.spent for entry in own)
    if len(own) > 1 and first.price_row != DECLARED and own[-1].kind in (Kind.SETTLEMENT, Kind.CORRECTION):
        priced = rates_of(own[-1]).cost(_usage(own[1:]))
        if priced != spent:
            yield f"its tokens cost {priced}, and {spent} was spent"
    if any(e.kind != Kind.ADJUSTMENT or not e.adjustment or not e.reason for e in history[len(own) :]):
        yield "an adjustment has no id or no reason"
    if sum(entry.spent for entry in history) < 0:
        yield "more was given back than spent"


def _usage(lines: Iterable[Entry]) -> Usage:
    used = Usage()
    for line in lines:
        used.input_tokens += line.input_tokens
        used.cached_input_tokens += line.cached_tokens
        used.output_tokens += line.output_tokens
    return used


def _named(amounts: Sequence[object]) -> list[tuple[str, int]]:
    return [(what, int(str(much))) for what, much in zip(Move._fields, amounts, strict=True)]


def told(audit: Audit) -> Mapping[str, object]:
    """The audit for people and programs."""
    return {
        "entries": audit.entries,
        "keys": audit.keys,
        "overruns": audit.overruns,
        "off": audit.off[:MOST_TOLD],
        "off_in_all": len(audit.off),
    }
