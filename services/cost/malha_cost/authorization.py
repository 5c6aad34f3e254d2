"""Settle what is over, then reserve what comes next: one decision, taken on what the ledger holds.

Pure: a transaction loads what the question touches, :func:`decide` says which entries to add and what
to answer, and the transaction adds them. Since nobody else writes in between, what was decided holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from malha.api.cost.v1.budget_pb2 import BudgetStatus
from malha.api.cost.v1.cost_service_pb2 import AuthorizeResponse, Denied, Reserved, Settled, Settlement
from malha_cost import budget, ledger
from malha_cost.ledger import Entry
from malha_cost.open_runs import Account, OpenRuns
from malha_cost.prices import Price


class Question(NamedTuple):
    """What one transaction is asked for, priced and dated."""

    tenant: str
    key_id: str
    settle: Sequence[Settlement]
    reserve: Sequence[Entry]
    run_limits: Mapping[str, int]
    """Micro-dollars by run, for the runs that reserve."""
    further: Mapping[str, int]
    """Micro-dollars by run that its further calls may cost at most, for runs that ask for a model call."""
    day: str
    """Today in UTC, YYYY-MM-DD."""
    at_us: int
    now: float
    """Monotonic seconds."""
    unreserved: Mapping[str, Entry] = {}
    """By key, what opens it where nothing was reserved: a call that costs nothing, or is never to be made."""

    def step_keys(self) -> set[str]:
        """The step keys it touches."""
        return {s.key for s in self.settle} | {r.key for r in self.reserve}


class Known(NamedTuple):
    """What the ledger holds of it."""

    histories: dict[str, list[Entry]]
    """Entries by key, in order of their stage; an empty list where there are none."""
    statuses: list[BudgetStatus]
    """Every limit in force for what is to be reserved: tenant, key, and each run. Empty if nothing is."""


class Decision(NamedTuple):
    """What to add to the ledger and what to answer."""

    entries: list[Entry]
    response: AuthorizeResponse
    overruns: int
    """Settlements that went above their reservation."""


def decide(question: Question, known: Known, open_runs: OpenRuns, reference: Price | None) -> Decision:
    """Settle all, then reserve all or nothing.

    Raises:
        MalhaError: as :func:`ledger.settle` and :func:`ledger.asked_before` do; nothing is written then.
    """
    added: list[Entry] = []
    settled: list[Settled] = []
    overruns = 0
    for index, settlement in enumerate(question.settle):
        history = known.histories[settlement.key]
        if not history and settlement.key in question.unreserved:
            history.append(question.unreserved[settlement.key])
            added.append(history[ledger.OPENED])
        entry = ledger.settle(
            settlement, history, at_us=question.at_us, reference=reference, field=f"settle[{index}]"
        )
        if entry is not None:
            added.append(entry)
            history.append(entry)
            overruns += ledger.overrun(history) > 0
        settled.append(Settled(key=settlement.key, cost=ledger.held(history)))
    _count(added, known.statuses, question.day)

    new = [asked for asked in question.reserve if not ledger.asked_before(asked, known.histories[asked.key])]
    denied = _denial(new, question, known.statuses, open_runs)
    if denied is not None:
        return Decision(added, AuthorizeResponse(settled=settled, denied=denied), overruns)
    if not question.reserve:
        # settling without reserving is how a run ends
        for history in known.histories.values():
            open_runs.close(history[0].run_id)
    added.extend(new)
    reserved = [
        Reserved(key=asked.key, amount_microusd=(known.histories[asked.key] or [asked])[0].reserved)
        for asked in question.reserve
    ]
    return Decision(added, AuthorizeResponse(settled=settled, reserved=reserved), overruns)


def _count(entries: list[Entry], statuses: list[BudgetStatus], day: str) -> None:
    """Let the statuses show what the settlements of the same question have changed."""
    for status in statuses:
        first = budget.first_day(status.budget.window, day)
        for entry in entries:
            if entry.day >= first and _bears(status, entry):
                status.spent_microusd += entry.spent
                status.reserved_microusd += entry.reserved


def _bears(status: BudgetStatus, entry: Entry) -> bool:
    """Whether money of the entry counts against the limit."""
    scope = status.budget.scope
    return (
        scope == budget.TENANT
        or (scope == budget.KEY and status.budget.scope_id == entry.key_id)
        or (scope == budget.RUN and status.budget.scope_id == entry.run_id)
    )


def _denial(
    new: list[Entry], question: Question, statuses: list[BudgetStatus], open_runs: OpenRuns
) -> Denied | None:
    """Why the new reservations cannot be made, if they cannot."""
    by_run: Counter[str] = Counter()
    for entry in new:
        by_run[entry.run_id] += entry.reserved
    total = by_run.total()
    if total == 0:
        return None
    runs = [s for s in statuses if s.budget.scope == budget.RUN]
    shared = [s for s in statuses if s.budget.scope != budget.RUN]
    denied = budget.denial([(s, by_run[s.budget.scope_id]) for s in runs] + [(s, total) for s in shared])
    if denied is None:
        denied = _kept_for_others(by_run, question, runs, shared, open_runs)
    accounts = [_account(question.tenant, s) for s in shared]
    for status in runs:
        run = status.budget.scope_id
        if denied is None:
            further = question.further.get(run, open_runs.of(run))
            open_runs.keep(run, accounts, min(further, budget.left(status) - by_run[run]), question.now)
        elif not denied.may_free:
            open_runs.close(run)
        elif _begun(status):
            # it waits: what it asked for is kept from those that have not begun
            open_runs.keep(run, accounts, max(by_run[run], open_runs.of(run)), question.now)
    if denied is not None and (end := budget.resets_at(denied.budget.budget.window, question.day)):
        denied.budget.resets_at.FromDatetime(end)
    return denied


def _kept_for_others(
    by_run: Mapping[str, int],
    question: Question,
    runs: list[BudgetStatus],
    shared: list[BudgetStatus],
    open_runs: OpenRuns,
) -> Denied | None:
    """Why runs that have not begun must wait for those that have, if they must."""
    if any(_begun(status) for status in runs):
        return None
    total = sum(by_run.values())
    own = sum(question.further.get(run, 0) for run in by_run)
    for status in shared:
        kept = open_runs.kept(_account(question.tenant, status), question.now)
        if kept is not None and total + own + kept > budget.left(status):
            return Denied(budget=status, wanted_microusd=total, may_free=True)
    return None


def _begun(status: BudgetStatus) -> bool:
    return status.spent_microusd > 0 or status.reserved_microusd > 0


def _account(tenant: str, status: BudgetStatus) -> Account:
    return Account(tenant, status.budget.scope, status.budget.scope_id)
