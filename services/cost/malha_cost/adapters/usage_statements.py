"""What both databases are asked about usage, in the words of SQL that they share.

Parameters are written $1 as PostgreSQL does; SQLite takes the same with a question mark. Sums are cast,
since PostgreSQL makes decimals of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from malha.api.cost.v1.report_pb2 import CacheSavings, QueryCost, Uncertain
from malha.api.cost.v1.usage_pb2 import UsageGroup, UsageRow
from malha_cost.advice import ModelCalls, Unknown
from malha_cost.ledger import Entry
from malha_cost.ports import DayFigures
from malha_cost.prices import Rates


class _Group(NamedTuple):
    name: str
    version: str = "''"
    only: str = ""
    order: str = "spent DESC, 1, 2"


_MODELS, _TOOLS = "AND component IN ('model', 'embedding')", "AND component IN ('tool', 'search')"
_GROUPS = {
    UsageGroup.USAGE_GROUP_DAY: _Group("day", order="1"),
    UsageGroup.USAGE_GROUP_AGENT: _Group("agent", "agent_version"),
    UsageGroup.USAGE_GROUP_MODEL: _Group("provider || '/' || model", only=_MODELS),
    UsageGroup.USAGE_GROUP_TOOL: _Group("model", only=_TOOLS),
    UsageGroup.USAGE_GROUP_COMPONENT: _Group("component"),
    UsageGroup.USAGE_GROUP_TENANT: _Group("tenant"),
    UsageGroup.USAGE_GROUP_KEY: _Group("key_id"),
}


def _sum(what: str) -> str:
    return f"CAST(sum({what}) AS BIGINT)"


_MEASURES = ("calls", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "spent", "saved")
_GROUPED = """
    SELECT {group.name}, {group.version}, {measures}, CAST(sum(sum(spent)) OVER () AS BIGINT)
    FROM usage WHERE day BETWEEN $1 AND $2 {tenant} {group.only}
    GROUP BY 1, 2 ORDER BY {group.order} LIMIT 10000
"""


def grouped(group: UsageGroup, *, everybody: bool) -> str:
    """Rows of :func:`row`; of a first day, a last day and, unless everybody is meant, a tenant."""
    measures = ", ".join(f"{_sum(measure)} AS {measure}" for measure in _MEASURES)
    tenant = "" if everybody else "AND tenant = $3"
    return _GROUPED.format(group=_GROUPS[group], measures=measures, tenant=tenant)


def row(found: Sequence[Any]) -> UsageRow:
    """A row of :func:`grouped`."""
    name, version, calls, input_tokens, cached, output, reasoning, spent, saved, total = found
    return UsageRow(
        name=name,
        version=version,
        calls=calls,
        input_tokens=input_tokens,
        cached_input_tokens=cached,
        output_tokens=output,
        reasoning_tokens=reasoning,
        amount_microusd=spent,
        saved_microusd=saved,
        share=spent / total if total > 0 else 0.0,
    )


SPAN = """
    SELECT coalesce(min(sequence), 0), coalesce(max(sequence), 0) FROM metered
    WHERE tenant = $1 AND day = $2
"""
"""Between which sequences the records of a day lie; of a tenant and a day. There is no index by day, which
every call would have to pay for: this reads the numbers alone, and what follows the few between."""
# CROSS JOIN has SQLite begin with the few rows of the day.
_THE_DAY = "m.tenant = $1 AND m.day = $2 AND m.sequence BETWEEN $3 AND $4"
_OF_THE_DAY = f"FROM metered m CROSS JOIN entries e WHERE {_THE_DAY}"
_THE_ENTRY = "AND e.tenant = m.tenant AND e.key = m.key AND e.stage = m.stage"

# Nearest rank: of n runs, the one at place n * p / 100, rounded up.
_QUERY_COSTS = f"""
    WITH runs AS (
      SELECT e.agent, e.component, e.run_id, {_sum("e.spent")} AS spent
      {_OF_THE_DAY} {_THE_ENTRY} GROUP BY 1, 2, 3
    ), sums AS (
      SELECT agent, component, spent FROM runs
      UNION ALL SELECT agent, '', {_sum("spent")} FROM runs GROUP BY agent, run_id
    ), ranked AS (
      SELECT agent, component, spent,
        row_number() OVER (PARTITION BY agent, component ORDER BY spent) AS place,
        count(*) OVER (PARTITION BY agent, component) AS runs
      FROM sums
    )
    SELECT agent, component, max(runs), {_sum("spent")},
      max(CASE WHEN place = (50 * runs + 99) / 100 THEN spent END),
      max(CASE WHEN place = (95 * runs + 99) / 100 THEN spent END)
    FROM ranked GROUP BY agent, component ORDER BY agent, component
"""  # noqa: S608  # constants above
_CALLS = f"""
    WITH calls AS (
      SELECT e.agent, e.component, e.provider, e.model, e.input_rate, e.cached_rate, e.output_rate,
        e.terms, e.input_tokens, e.cached_tokens, e.output_tokens, e.spent,
        o.output_tokens AS reserved_output,
        lag(e.input_tokens) OVER (
          PARTITION BY e.run_id, e.agent, e.provider, e.model ORDER BY e.opened_us, e.key
        ) AS earlier
      FROM metered m CROSS JOIN entries e CROSS JOIN entries o
      WHERE {_THE_DAY} {_THE_ENTRY}
        AND o.tenant = m.tenant AND o.key = m.key AND o.stage = 0
        AND e.kind = 'settlement' AND e.component IN ('model', 'embedding')
    ), repeated AS (
      SELECT calls.*, CASE
        WHEN earlier IS NULL THEN 0
        WHEN earlier <= input_tokens AND earlier > cached_tokens THEN earlier - cached_tokens
        WHEN earlier > input_tokens THEN input_tokens - cached_tokens
        ELSE 0 END AS repeated
      FROM calls
    )
    SELECT agent, component, provider, model, input_rate, cached_rate, output_rate, terms, count(*),
      {_sum("input_tokens")}, {_sum("cached_tokens")}, {_sum("output_tokens")}, {_sum("spent")},
      max(output_tokens), {_sum("reserved_output")}, {_sum("repeated")}
    FROM repeated GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, {{length}} ORDER BY 1, 2, 3, 4, 5, 6, 7, 8
"""  # noqa: S608  # likewise
_UNKNOWN = f"""
    SELECT e.agent, e.provider, e.model, count(*), {_sum("e.spent")}
    {_OF_THE_DAY} {_THE_ENTRY} AND e.kind = 'provisional' AND NOT EXISTS (
      SELECT 1 FROM entries c WHERE c.tenant = e.tenant AND c.key = e.key AND c.stage = 2
    ) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""  # noqa: S608  # likewise
# An entry that closes a key gives back what was reserved; a correction follows one that took all of it.
_TOTALS = f"""
    SELECT coalesce({_sum("CASE WHEN above THEN 1 ELSE 0 END")}, 0),
      coalesce({_sum("CASE WHEN above THEN e.spent + e.reserved ELSE 0 END")}, 0)
    FROM (
      SELECT e.*, e.kind IN ('settlement', 'correction') AND e.spent + e.reserved > 0 AS above
      {_OF_THE_DAY} {_THE_ENTRY}
    ) AS e
"""  # noqa: S608  # likewise
# A correction has the difference to the figures that closed its key; a price goes by the length of both.
_CACHED = f"""
    WITH cached AS (
      SELECT e.input_rate, e.cached_rate, e.output_rate, e.terms, e.cached_tokens,
        e.input_tokens + CASE WHEN e.kind = 'correction' THEN (
          SELECT c.input_tokens FROM entries c WHERE c.tenant = e.tenant AND c.key = e.key AND c.stage = 1
        ) ELSE 0 END AS input_tokens
      {_OF_THE_DAY} {_THE_ENTRY} AND e.cached_tokens <> 0
    )
    SELECT input_rate, cached_rate, output_rate, terms, max(input_tokens), {_sum("cached_tokens")}
    FROM cached GROUP BY 1, 2, 3, 4, {{length}}
"""  # noqa: S608  # likewise


def day(lengths: Sequence[int]) -> list[tuple[str, Sequence[int]]]:
    """What :func:`figures` is made of; of a tenant, a day, its :data:`SPAN`, and what stands beside each.

    Args:
        lengths: of an input, beyond which prices are others; calls between two of them are summed up.
    """
    beyond = (f"CASE WHEN input_tokens > ${place} THEN 1 ELSE 0 END" for place, _ in enumerate(lengths, 5))
    length = " + ".join(beyond) or "terms"  # by which they are grouped anyhow
    by_length = [(query.format(length=length), lengths) for query in (_CALLS, _CACHED)]
    return [(_QUERY_COSTS, ()), (_UNKNOWN, ()), (_TOTALS, ()), *by_length]


def figures(
    costs: Sequence[Sequence[Any]],
    unknown: Sequence[Sequence[Any]],
    totals: Sequence[Sequence[Any]],
    calls: Sequence[Sequence[Any]],
    cached: Sequence[Sequence[Any]],
) -> DayFigures:
    """The answers to :func:`day`, in its order."""
    [(overruns, overrun)] = totals
    without_outcome = [Unknown(*found) for found in unknown]
    return DayFigures(
        query_costs=[
            QueryCost(
                agent=agent,
                component=component,
                runs=runs,
                average_microusd=(2 * spent + runs) // (2 * runs),
                p50_microusd=p50,
                p95_microusd=p95,
            )
            for agent, component, runs, spent, p50, p95 in costs
        ],
        calls=[ModelCalls._make((*found[:4], Rates.kept(*found[4:8]), *found[8:])) for found in calls],
        unknown=without_outcome,
        savings=CacheSavings(cached_input_microusd=_saved(cached)),
        uncertain=Uncertain(
            provisional_calls=sum(of.calls for of in without_outcome),
            provisional_microusd=sum(of.spent for of in without_outcome),
            overrun_calls=overruns,
            overrun_microusd=overrun,
        ),
    )


def _saved(cached: Sequence[Sequence[Any]]) -> int:
    """What cached tokens would have cost more as new ones, in micro-dollars."""
    exact = 0
    for *kept, length, tokens in cached:
        rates = Rates.kept(*kept).at(length)
        exact += tokens * (rates.input - rates.cached_input)
    return exact // 1_000_000_000


LAST = "SELECT coalesce(max(sequence), 0) FROM metered WHERE tenant = $1"
BETWEEN = f"""
    SELECT m.sequence, {", ".join(f"e.{name}" for name in Entry._fields)}
    FROM metered m CROSS JOIN entries e
    WHERE m.tenant = $1 AND m.sequence > $2 AND m.sequence <= $3 AND m.day BETWEEN $4 AND $5 {_THE_ENTRY}
    ORDER BY m.sequence LIMIT $6
"""  # noqa: S608  # names from our own class
