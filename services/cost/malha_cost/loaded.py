"""What a group of questions needs from the ledger, read at once, and what was decided on it since.

For a database that is asked over a wire: one reading serves all questions that are decided together, and
each sees what those before it have changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypeAlias

from malha.api.cost.v1.budget_pb2 import Budget, BudgetPolicy
from malha_cost import budget as terms
from malha_cost.accounts import NOBODY, RUN, TENANT, Account, Move, accounts, changes
from malha_cost.authorization import Known, Question
from malha_cost.budget import House, Rules, Who
from malha_cost.ledger import Entry
from malha_cost.windows import MONTH, Moment, Span, moment, periods, span

Where: TypeAlias = tuple[Account, Span]
"""An account over a range of periods."""


class Loaded:
    """What a transaction has read, and what was decided on it since."""

    def __init__(self, house: House, default: BudgetPolicy, policies: Mapping[str, BudgetPolicy]) -> None:
        self.policies = policies
        self.budgets: defaultdict[str, list[Budget]] = defaultdict(list)
        self.histories: dict[tuple[str, str], list[Entry]] = {}
        self._house = house
        self._default = default
        self._sums: dict[Where, list[int]] = {}
        self._spans: defaultdict[Account, list[Span]] = defaultdict(list)

    def stand(self, sums: Mapping[Where, list[int]]) -> None:
        """Take what the balances say."""
        for (account, over), amounts in sums.items():
            self._sums[account, over] = amounts
            self._spans[account].append(over)

    def add(self, entries: Iterable[Entry]) -> None:
        """Let what comes next see what was decided."""
        kept = list(entries)
        for entry in kept:
            self.histories[entry.tenant, entry.key].append(entry)
        for entry, move in changes(kept):
            for account in accounts(entry):
                self._count(account, entry, move)

    def _count(self, account: Account, entry: Entry, move: Move) -> None:
        counted = periods(account.scope, entry.day, entry.opened_us, entry.grains)
        for over in self._spans[account]:
            if any(over.since <= period <= over.until for period in counted):
                sums = self._sums[account, over]
                sums[:] = [before + by for before, by in zip(sums, move, strict=True)]

    def of(self, question: Question, now: datetime) -> Known:
        """What the ledger holds of a question."""
        known = self.known(question.who, now, limits=question.bounded)
        for key in question.step_keys():
            known.histories[key] = list(self.histories[question.who.tenant, key])
        return known

    def known(self, who: Who, now: datetime, *, limits: bool) -> Known:
        """The limits of somebody and where they stand."""
        policy = self.policies.get(who.tenant, self._default)
        at = moment(now, policy.time_zone)
        if not limits:
            return Known({}, policy, at, Rules([], 0, None, set()))
        rules = self.rules(who, now)
        for limit in rules.limits:
            sums = self._sums[limit.account, limit.span]
            limit.status.spent_microusd, limit.status.reserved_microusd = sums[:2]
            if limit.account.scope == RUN and any(sums[2:]):
                rules.begun.add(limit.account.scope_id)
        if rules.quota is not None:
            sums = self._sums[_month(who, at)]
            rules.quota.used_tokens, rules.quota.reserved_tokens = sums[2:]
        return Known({}, policy, at, rules)

    def rules(self, who: Who, now: datetime) -> Rules:
        """The limits of somebody, at zero."""
        policy = self.policies.get(who.tenant, self._default)
        at = moment(now, policy.time_zone)
        theirs = self.budgets[who.tenant]
        if policy.organisation:
            theirs = [*theirs, *self.budgets[NOBODY]]
        return terms.rules(theirs, who, policy, at, self._house)

    def places(self, rules: Rules, who: Who, now: datetime) -> list[Where]:
        """What must be summed for these limits."""
        policy = self.policies.get(who.tenant, self._default)
        wheres = [(limit.account, limit.span) for limit in rules.limits]
        if rules.quota is not None:
            wheres.append(_month(who, moment(now, policy.time_zone)))
        return wheres


def _month(who: Who, at: Moment) -> Where:
    return Account(who.tenant, TENANT, ""), span(MONTH, False, at)
