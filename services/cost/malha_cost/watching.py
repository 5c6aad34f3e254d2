"""The watch: follows what was settled, some seconds behind, and finds what people must hear of.

It finds marks that a run's last settlement passed, which no reservation comes after; hours in which a
tenant or an agent spends unlike in the same hour of past days; and runs that are unlike their agent's
others. How far it came is stored with what it found, so nothing is lost by a crash and nothing counted
twice, also where several processes watch one ledger.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from malha.api.common.v1.principal_pb2 import Tier
from malha.api.event.v1.alert_pb2 import Alert
from malha.clock import Clock
from malha.errors import MalhaError
from malha.run.keys import alert_id
from malha.telemetry.logs import log
from malha_cost.alarms import alarm
from malha_cost.alerts import ANOMALY, RUNAWAY, Reached, Told, alert_of, reached
from malha_cost.budget import Who
from malha_cost.ports import Ledger, Spending
from malha_cost.spending import (
    HOURS_KEPT,
    Findings,
    Hour,
    Run,
    RunSum,
    Spent,
    by_hour,
    by_run,
    same_hour,
)
from malha_cost.unusual import Rule, Usual, unusual, usual
from malha_cost.windows import moment

BEHIND = timedelta(seconds=6)
"""An entry's time is taken before its transaction. Callers wait five seconds, and nothing is decided for who
has left: by now it is there, also where the clocks of several processes are a little apart."""
_BATCH = 1000
_LATE = timedelta(hours=1)
"""What is older alarms nobody any more: a watch that begins on an old ledger learns from it."""


class Rules(NamedTuple):
    """What is unusual."""

    hour: Rule = Rule(score=3.5, least=1_000_000, history=7)
    run: Rule = Rule(score=5.0, least=100_000, history=20)
    calls: Rule = Rule(score=5.0, least=20, history=20)


class _Agent(NamedTuple):
    """Runs of an agent, and what is usual among them."""

    runs: Mapping[str, RunSum]
    spent: Usual
    calls: Usual

    @classmethod
    def of(cls, runs: Mapping[str, RunSum]) -> _Agent:
        sums = runs.values()
        return cls(runs, usual([one.spent for one in sums]), usual([one.calls for one in sums]))


class Watch:
    """Watches a ledger.

    Args:
        told: shared with the judge, which stores what it finds itself.
    """

    def __init__(
        self, book: Ledger, spending: Spending, *, rules: Rules, told: Told, clock: Clock, every: float
    ) -> None:
        self._book = book
        self._spending = spending
        self._rules = rules
        self._told = told
        self._clock = clock
        self._every = every

    async def run(self) -> None:
        """Watch for ever; a database that is away is looked at again."""
        while True:
            await self._clock.sleep(self._every)
            try:
                while await self.look():
                    pass
            except MalhaError as error:
                log.warning("watch_waits", reason=error.reason_name)
            except Exception as error:
                log.exception("watch_failed", error=type(error).__name__)

    async def look(self) -> bool:
        """Take what is new; whether there was anything."""
        now = self._clock.now()
        batch = await self._spending.spent(now - BEHIND, limit=_BATCH)
        if not batch.spent:
            return False
        recent_us = int((now - _LATE).timestamp() * 1_000_000)
        recent = [one for one in batch.spent if one.at_us > recent_us]
        hours, runs = by_hour(batch.spent), by_run(batch.spent)
        marks = await self._marks(recent, now)
        alerts = [alert_of(found, moment(now, "")) for found in marks]
        alerts += await self._anomalies(hours, by_hour(recent), now)
        alerts += await self._runaways(runs, by_run(recent), now)
        after_us = batch.spent[-1].at_us
        new = await self._spending.follow(Findings(batch.before_us, after_us, hours, runs, alerts))
        if new is not None:
            self._told.took(marks)
            for alert in new:
                alarm(alert)
        return True

    async def _marks(self, spent: Iterable[Spent], now: datetime) -> list[Reached]:
        """What budgets have reached that no reservation has asked since."""
        sessions: dict[tuple[str, str, str], set[str]] = {}
        for one in spent:
            sessions.setdefault((one.tenant, one.key_id, one.user_id), set()).add(one.session)
        found: list[Reached] = []
        for (tenant, key_id, user_id), theirs in sessions.items():
            who = Who(tenant, key_id, user_id, Tier.TIER_UNSPECIFIED, frozenset(theirs - {""}))
            known = await self._book.standing(who, now)
            found += self._told.new(reached(known.rules, known.policy, known.moment))
        return found

    async def _anomalies(
        self, changes: Mapping[Hour, int], recent: Iterable[Hour], now: datetime
    ) -> list[Alert]:
        """At most one of a tenant's hour: of all its agents together before that of one."""
        alerts: dict[str, Alert] = {}
        for place in sorted(recent):
            past = await self._spending.hours(place, HOURS_KEPT)
            spent = past.pop(place.hour, 0) + changes[place]
            stands_out = unusual(spent, usual(same_hour(past, place.hour)), self._rules.hour)
            name = alert_id(place.tenant, ANOMALY, str(place.hour))
            if stands_out is None or name in alerts:
                continue
            alert = Alert(
                id=name,
                tenant=place.tenant,
                type=ANOMALY,
                agent=place.agent,
                spent_microusd=spent,
                usual_microusd=stands_out.median,
                score=stands_out.score,
            )
            alert.hour.FromSeconds(place.hour * 3600)
            alert.time.FromDatetime(now)
            alerts[name] = alert
        return list(alerts.values())

    async def _runaways(
        self, changes: Mapping[Run, RunSum], recent: Collection[Run], now: datetime
    ) -> list[Alert]:
        alerts = []
        theirs: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for run in recent:
            theirs[run[:2]].append(run.run_id)
        agents = {who: _Agent.of(await self._spending.runs(*who, names)) for who, names in theirs.items()}
        for run in recent:
            agent = agents[run[:2]]
            before, change = agent.runs.get(run.run_id, RunSum(0, 0, 0)), changes[run]
            spent, calls = before.spent + change.spent, before.calls + change.calls
            dear = unusual(spent, agent.spent, self._rules.run)
            busy = unusual(calls, agent.calls, self._rules.calls)
            if dear is None and busy is None:
                continue
            alert = Alert(
                id=alert_id(run.tenant, RUNAWAY, run.run_id),
                tenant=run.tenant,
                type=RUNAWAY,
                agent=run.agent,
                run_id=run.run_id,
                spent_microusd=spent,
                usual_microusd=round(agent.spent.median),
                calls=calls,
                usual_calls=round(agent.calls.median),
                score=max(found.score for found in (dear, busy) if found is not None),
            )
            alert.time.FromDatetime(now)
            alerts.append(alert)
        return alerts
