"""Settle what is over, then reserve what comes next: one decision, taken on what the ledger holds.

Pure: a transaction loads what the question touches, :func:`decide` says which entries to add and what
to answer, and the transaction adds them. Since nobody else writes in between, what was decided holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from malha.api.cost.v1.budget_pb2 import BudgetPolicy
from malha.api.cost.v1.cost_service_pb2 import (
    AdjustRequest,
    AuthorizeResponse,
    Denied,
    Reserved,
    Settled,
    Settlement,
)
from malha.api.event.v1.alert_pb2 import Alert
from malha_cost import adjusting, budget, reserving, settling
from malha_cost.accounts import RUN, Account, accounts, changes
from malha_cost.alerts import Reached, reached
from malha_cost.budget import Limit, Rules, Who
from malha_cost.ledger import CLOSED, Entry, Kind
from malha_cost.open_runs import OpenRuns
from malha_cost.prices import Price
from malha_cost.shortening import most_output
from malha_cost.windows import MONTH, Moment, ends, fine, periods, span


class Question(NamedTuple):
    """What one transaction is asked for, priced."""

    who: Who
    settle: Sequence[Settlement]
    reserve: Sequence[Entry]
    """Without dates: the tenant's calendar is read in the transaction."""
    further: Mapping[str, int]
    """Micro-dollars by run that its further calls may cost at most, for runs that ask for a model call."""
    now: float
    """Monotonic seconds."""
    unreserved: Mapping[str, Entry] = {}
    """By key, what opens it where nothing was reserved: a call that costs nothing, or is never to be made."""
    shortest: Mapping[str, int] = {}
    """By key, output tokens that would do; a key that is not named is reserved whole or not at all."""
    adjust: AdjustRequest | None = None

    @property
    def bounded(self) -> bool:
        """Whether it asks what limits there are: before it holds money, or where some was spent unheld."""
        return bool(self.reserve) or any(s.amount_microusd and s.key in self.unreserved for s in self.settle)

    def step_keys(self) -> set[str]:
        """The step keys it touches."""
        keys = {s.key for s in self.settle} | {r.key for r in self.reserve}
        return keys | {self.adjust.key} if self.adjust is not None else keys


class Known(NamedTuple):
    """What the ledger holds of it."""

    histories: dict[str, list[Entry]]
    """Entries by key, in order of their stage; an empty list where there are none."""
    policy: BudgetPolicy
    moment: Moment
    rules: Rules
    """Every limit in force, and where it stands; none if the question is not :attr:`Question.bounded`."""


class Decision(NamedTuple):
    """What to add to the ledger and what to answer."""

    entries: list[Entry]
    response: AuthorizeResponse
    overruns: list[Settled]
    """Settlements that went above their reservation just now."""
    reached: Sequence[Reached] = ()
    alerts: Sequence[Alert] = ()
    """Of what was reached, those to be stored with the entries; once they are, those that were not there."""


def decide(question: Question, known: Known, open_runs: OpenRuns, reference: Price | None) -> Decision:
    """Settle all, then reserve all or nothing.

    Raises:
        MalhaError: as :func:`settling.settle` and :func:`reserving.asked_before` do; nothing is written then.
    """
    added: list[Entry] = []
    settled: list[Settled] = []
    overruns: list[Settled] = []
    moment, policy = known.moment, known.policy
    grains = 0
    for limit in known.rules.limits:
        grains |= fine(limit.status.budget)
    for index, settlement in enumerate(question.settle):
        history = known.histories[settlement.key]
        if not history and settlement.key in question.unreserved:
            opened = reserving.dated(
                question.unreserved[settlement.key],
                at_us=moment.at_us,
                day=moment.day,
                organisation=policy.organisation,
                grains=grains,
            )
            history.append(opened)
            added.append(opened)
        entry = settling.settle(
            settlement, history, at_us=moment.at_us, reference=reference, field=f"settle[{index}]"
        )
        if entry is not None:
            added.append(entry)
            history.append(entry)
        settled.append(Settled(key=settlement.key, cost=settling.held(history)))
        if entry is not None and settled[-1].cost.overrun_microusd:
            overruns.append(settled[-1])
    count(added, known)
    new = [
        reserving.dated(
            asked, at_us=moment.at_us, day=moment.day, organisation=policy.organisation, grains=grains
        )
        for index, asked in enumerate(question.reserve)
        if not reserving.asked_before(
            asked,
            known.histories[asked.key],
            question.shortest.get(asked.key, 0),
            field=f"reserve[{index}]",
        )
    ]
    new, denied = _granted(new, question, known, open_runs)
    if denied is not None:
        marks = reached(known.rules, policy, moment, denied)
        return Decision(added, AuthorizeResponse(settled=settled, denied=denied), overruns, marks)
    if not question.reserve:
        # settling without reserving is how a run ends
        for history in known.histories.values():
            open_runs.close(history[0].run_id)
    added.extend(new)
    granted = {entry.key: entry for entry in new}
    reserved = []
    for asked in question.reserve:
        opened = granted.get(asked.key) or known.histories[asked.key][0]
        reserved.append(
            Reserved(key=asked.key, amount_microusd=opened.reserved, max_output_tokens=opened.output_tokens)
        )
    response = AuthorizeResponse(settled=settled, reserved=reserved)
    return Decision(added, response, overruns, reached(known.rules, policy, moment))


def adjust(question: Question, known: Known) -> Decision:
    """Move what was spent under a settled key. Raises as :func:`adjusting.adjust` does."""
    assert question.adjust is not None
    history = known.histories[question.adjust.key]
    entry = adjusting.adjust(question.adjust, history, at_us=known.moment.at_us)
    added = [entry] if entry is not None else []
    cost = settling.held([*history, *added])
    settled = Settled(key=question.adjust.key, cost=cost)
    return Decision(added, AuthorizeResponse(settled=[settled]), [])


def count(entries: Sequence[Entry], known: Known) -> None:
    """Let the limits show what the entries have changed."""
    rules, month = known.rules, span(MONTH, False, known.moment)
    rules.begun.update(e.run_id for e in entries if e.stage == CLOSED and e.kind != Kind.RELEASE)
    for entry, move in changes(entries):
        bears = accounts(entry)
        for status, account, (since, until) in rules.limits:
            if account in bears and any(
                since <= period <= until
                for period in periods(account.scope, entry.day, entry.opened_us, entry.grains)
            ):
                status.spent_microusd += move.spent
                status.reserved_microusd += move.reserved
        if rules.quota is not None and month.since <= entry.day <= month.until:
            rules.quota.used_tokens += move.tokens
            rules.quota.reserved_tokens += move.held_tokens


def _granted(
    new: list[Entry], question: Question, known: Known, open_runs: OpenRuns
) -> tuple[list[Entry], Denied | None]:
    """The new reservations as they can be made, shortened where that was allowed; or why they cannot."""
    wanted = _wanted(new)
    denied = _stopped(new, wanted, known)
    shortest = question.shortest.get(new[0].key, 0) if len(new) == 1 else 0
    if denied is not None and shortest and not denied.braked:
        output = most_output(new[0], known.rules)
        if output >= shortest:
            new = [reserving.shortened(new[0], output)]
            wanted = _wanted(new)
            denied = _stopped(new, wanted, known)
    if wanted:
        denied = denied or _kept_for_others(wanted, question, known, open_runs)
        _keep_room(wanted, denied, question, known, open_runs)
    if denied is not None:
        if denied.HasField("budget"):
            budget.dated(denied.budget, known.policy, known.moment)
        elif end := ends(MONTH, False, known.moment):
            denied.quota.resets_at.FromDatetime(end)
        if len(new) == 1 and not denied.braked:
            denied.fitting_output_tokens = most_output(new[0], known.rules)
    return new, denied


def _stopped(new: list[Entry], wanted: Mapping[Account, int], known: Known) -> Denied | None:
    """The limit, brake or quota that stands in the way of the new reservations."""
    rules, policy = known.rules, known.policy
    for entry in new:
        if denied := budget.over_request(rules.request_microusd, entry.reserved):
            return denied
    asked = [(limit.status, wanted.get(limit.account, 0)) for limit in rules.limits]
    if denied := budget.denial(asked):
        return denied
    begun = any(_begun(limit, rules) for limit in _runs(rules))
    if (not begun or policy.stop_started_runs) and (denied := budget.braked(asked, policy)):
        return denied
    if rules.quota is not None and (tokens := sum(entry.held_tokens for entry in new)):
        return budget.over_quota(rules.quota, tokens)
    return None


def _keep_room(
    wanted: Mapping[Account, int],
    denied: Denied | None,
    question: Question,
    known: Known,
    open_runs: OpenRuns,
) -> None:
    """Say for how many further calls room is to be kept from those that have not begun."""
    shared = [limit.account for limit in known.rules.limits if limit.account.scope != RUN]
    for limit in _runs(known.rules):
        run, mine = limit.account.scope_id, wanted.get(limit.account, 0)
        if denied is None:
            further = question.further.get(run, open_runs.of(run))
            open_runs.keep(run, shared, min(further, budget.left(limit.status) - mine), question.now)
        elif not denied.may_free:
            open_runs.close(run)
        elif _begun(limit, known.rules):
            # it waits: what it asked for is kept from those that have not begun
            open_runs.keep(run, shared, max(mine, open_runs.of(run)), question.now)


def _kept_for_others(
    wanted: Mapping[Account, int], question: Question, known: Known, open_runs: OpenRuns
) -> Denied | None:
    """Why runs that have not begun must wait for those that have, if they must."""
    runs = _runs(known.rules)
    if any(_begun(limit, known.rules) for limit in runs):
        return None
    own = sum(question.further.get(limit.account.scope_id, 0) for limit in runs)
    for limit in known.rules.limits:
        asked = wanted.get(limit.account, 0)
        if limit.account.scope == RUN or not asked:
            continue
        kept = open_runs.kept(limit.account, question.now)
        if kept is not None and asked + own + kept > budget.left(limit.status):
            return Denied(budget=limit.status, wanted_microusd=asked, may_free=True)
    return None


def _wanted(new: Iterable[Entry]) -> Mapping[Account, int]:
    """Micro-dollars asked of each account; empty where nothing costs anything."""
    wanted: dict[Account, int] = {}
    for entry in new:
        if entry.reserved:
            for account in accounts(entry):
                wanted[account] = wanted.get(account, 0) + entry.reserved
    return wanted


def _runs(rules: Rules) -> list[Limit]:
    return [limit for limit in rules.limits if limit.account.scope == RUN]


def _begun(limit: Limit, rules: Rules) -> bool:
    status = limit.status
    return status.spent_microusd > 0 or status.reserved_microusd > 0 or limit.account.scope_id in rules.begun
