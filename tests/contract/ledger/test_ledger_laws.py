"""Laws of money, under any interleaving of what can happen to it.

A second, naive bookkeeper (:class:`Oracle`) follows every request. After each one the ledger must hold
what the bookkeeper holds; no grant may pass a limit; the sums of the entries must be the balances. A
request asked again (its answer was lost) and a process that starts anew must change nothing.
"""

import asyncio
import sqlite3
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)

from malha.api.cost.v1.budget_pb2 import Scope, Window
from malha.api.cost.v1.cost_service_pb2 import AuthorizeResponse, Reservation, Settlement
from malha.errors import ErrorReason, MalhaError
from malha.sqlite import Database
from malha.testing.clock import FakeClock
from malha.testing.money import MARCH, PRICE_FILE, Till, at_ceiling, call, limit, release, used
from malha_cost.adapters import price_file
from malha_cost.adapters.sqlite_ledger import MIGRATIONS, SqliteLedger
from malha_cost.budget import House
from malha_cost.judge import Judge

RUN_LIMIT = 700
DEFAULT_DAILY = 1_000
WHO = st.sampled_from([("ana", "key-1"), ("ana", "key-2"), ("bia", "key-1")])
Request = tuple[Till, list[Settlement], list[Reservation]]
Account = tuple[str, int, str]


@dataclass
class Held:
    """What the oracle knows of one step key."""

    accounts: tuple[Account, ...]
    day: str
    rate: int
    ceiling: int
    end: str = "open"
    amount: int = 0


class Oracle:
    """Money kept the simple way: one object a key, sums by walking over all of them."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], Held] = {}
        self.limits: dict[tuple[Account, int], int] = {
            ((tenant, Scope.SCOPE_TENANT, ""), Window.WINDOW_DAY): DEFAULT_DAILY for tenant in ("ana", "bia")
        }

    def settle(self, tenant: str, settlement: Settlement) -> int:
        """The amount held afterwards. Raises ValueError where the request must be refused."""
        held = self.held[tenant, settlement.key]
        if settlement.at_ceiling:
            if held.end == "open":
                held.end, held.amount = "provisional", held.ceiling
            return held.amount
        true = 0 if settlement.release else settlement.usage.input_tokens * held.rate
        if held.end == "open":
            held.end, held.amount = "released" if settlement.release else "settled", true
        elif held.end == "provisional":
            held.end, held.amount = "settled", true
        elif held.amount != true:
            raise ValueError(settlement.key)
        return held.amount

    def standing(self, account: Account, since: str) -> tuple[int, int]:
        """Spent and reserved of an account from a day on."""
        mine = [h for h in self.held.values() if account in h.accounts and h.day >= since]
        return (
            sum(h.amount for h in mine if h.end != "open"),
            sum(h.ceiling for h in mine if h.end == "open"),
        )


class Money(RuleBasedStateMachine):
    """Two tenants, three keys, three runs each, limits within reach: everything collides."""

    keys: Bundle[tuple[Till, str, int]] = Bundle("keys")
    requests: Bundle[Request] = Bundle("requests")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "cost.db"
        (Path(self.folder.name) / "prices.yaml").write_text(PRICE_FILE)
        self.clock = FakeClock(datetime(2026, 2, 27, 12, tzinfo=UTC))
        self.oracle = Oracle()
        self.tills: list[Till] = []
        self.count = 0
        self.start()
        self.reader = sqlite3.connect(self.path)

    def start(self) -> None:
        self.database = self.loop.run(Database.open(self.path, MIGRATIONS, durable=False))
        self.judge = Judge(
            SqliteLedger(self.database, House(DEFAULT_DAILY, brake_percent=100)),
            price_file.load(self.path.with_name("prices.yaml")),
            reference=("named", "half"),
            clock=self.clock,
        )
        for till in self.tills:
            till.judge = self.judge

    def teardown(self) -> None:
        self.reader.close()
        self.loop.run(self.database.close())
        self.loop.close()
        self.folder.cleanup()

    # -- what can happen

    @rule(
        target=keys,
        who=WHO,
        run=st.sampled_from(["r1", "r2", "r3"]),
        tokens=st.lists(st.integers(0, 300), min_size=1, max_size=3),
    )
    def reserve(
        self, who: tuple[str, str], run: str, tokens: list[int]
    ) -> MultipleResults[tuple[Till, str, int]]:
        till = Till(self.judge, *who)
        self.tills.append(till)
        asked = []
        for number in tokens:
            self.count += 1
            asked.append(call(f"{who[0]}/{run}/{self.count}", number, run=run, limit=RUN_LIMIT))
        self.ask(till, [], asked)
        return multiple(*((till, r.key, r.model.input_tokens) for r in asked if self.knows(till, r.key)))

    @rule(target=requests, held=keys, tokens=st.integers(0, 400))
    def settle(self, held: tuple[Till, str, int], tokens: int) -> Request:
        return self.ask(held[0], [used(held[1], tokens)], [])

    @rule(target=requests, held=keys)
    def settle_at_ceiling(self, held: tuple[Till, str, int]) -> Request:
        return self.ask(held[0], [at_ceiling(held[1])], [])

    @rule(target=requests, held=keys)
    def release(self, held: tuple[Till, str, int]) -> Request:
        return self.ask(held[0], [release(held[1])], [])

    @rule(target=requests, held=consumes(keys), share=st.integers(0, 3), tokens=st.integers(0, 300))
    def step(self, held: tuple[Till, str, int], share: int, tokens: int) -> Request:
        """What a run does most: settle its last call, reserve its next."""
        till, key, ceiling = held
        self.count += 1
        tenant, run, _ = key.split("/")
        following = call(f"{tenant}/{run}/{self.count}", tokens, run=run, limit=RUN_LIMIT)
        return self.ask(till, [used(key, ceiling * share // 3)], [following])

    @rule(request=requests)
    def ask_again(self, request: Request) -> None:
        self.ask(*request)

    @rule(who=WHO, microusd=st.integers(0, 2_000), window=st.sampled_from(Window.values()[1:4]))
    def set_budget(self, who: tuple[str, str], microusd: int, window: Window) -> None:
        till = Till(self.judge, *who)
        key = who[1] if microusd % 2 else ""
        budget = limit(microusd, window=window, key=key)
        self.loop.run(self.judge.set_budget(till.principal, budget))
        self.oracle.limits[(who[0], budget.scope, key), window] = microusd

    @rule()
    def die_and_start_anew(self) -> None:
        self.loop.run(self.database.close())
        self.start()

    @rule()
    def tomorrow(self) -> None:
        self.clock.advance(86400)

    # -- what must hold

    def ask(self, till: Till, settle: list[Settlement], reserve: list[Reservation]) -> Request:
        tenant, oracle = till.principal.tenant, self.oracle
        before = {key: Held(**vars(held)) for key, held in oracle.held.items()}
        try:
            amounts = [oracle.settle(tenant, settlement) for settlement in settle]
            if any(self.knows(till, r.key) and oracle.held[tenant, r.key].end == "released" for r in reserve):
                raise ValueError("released")
        except ValueError:
            oracle.held = before
            with pytest.raises(MalhaError) as refusal:
                self.loop.run(self.judge.authorize(till.principal, settle, reserve))
            assert refusal.value.reason == ErrorReason.ERROR_REASON_SETTLEMENT_CONFLICT
            return till, settle, reserve
        answer = self.loop.run(self.judge.authorize(till.principal, settle, reserve))
        assert [s.cost.amount_microusd for s in answer.settled] == amounts
        self.granted_or_denied(till, reserve, answer)
        return till, settle, reserve

    def granted_or_denied(self, till: Till, reserve: list[Reservation], answer: AuthorizeResponse) -> None:
        tenant, key_id = till.principal.tenant, till.principal.key_id
        today = self.clock.now().date()
        day, rate = today.isoformat(), 2 if today >= MARCH else 1
        new = [r for r in reserve if not self.knows(till, r.key)]
        wanted = sum(r.model.input_tokens * rate for r in new)
        accounts: list[Account] = [(tenant, Scope.SCOPE_TENANT, ""), (tenant, Scope.SCOPE_KEY, key_id)]
        limits = {k: v for k, v in self.oracle.limits.items() if k[0] in accounts}
        runs = {(tenant, Scope.SCOPE_RUN, r.run_id) for r in new}
        limits |= {(run, Window.WINDOW_TOTAL): RUN_LIMIT for run in runs}
        since: dict[int, str] = {
            Window.WINDOW_DAY: day,
            Window.WINDOW_MONTH: day[:8] + "01",
            Window.WINDOW_TOTAL: "",
        }
        fits = all(
            sum(self.oracle.standing(account, since[window])) + wanted <= most
            for (account, window), most in limits.items()
        )
        if answer.HasField("denied"):
            assert wanted > 0
            assert not fits or answer.denied.may_free, "denied without a reason"
            assert not answer.reserved
            return
        assert fits or wanted == 0, "a grant passes a limit"
        for asked in new:
            self.oracle.held[tenant, asked.key] = Held(
                (*accounts, (tenant, Scope.SCOPE_RUN, asked.run_id)),
                day,
                rate,
                asked.model.input_tokens * rate,
            )
        assert [r.amount_microusd for r in answer.reserved] == [
            self.oracle.held[tenant, r.key].ceiling for r in reserve
        ]

    def knows(self, till: Till, key: str) -> bool:
        return (till.principal.tenant, key) in self.oracle.held

    @invariant()
    def the_ledger_holds_what_the_bookkeeper_holds(self) -> None:
        expected: Counter[tuple[str, int, str, str, str]] = Counter()
        for held in self.oracle.held.values():
            for account in held.accounts:
                expected[*account, held.day, "spent"] += held.amount if held.end != "open" else 0
                expected[*account, held.day, "reserved"] += held.ceiling if held.end == "open" else 0
        rows = self.reader.execute("SELECT tenant, scope, scope_id, day, spent, reserved FROM balances")
        balances: Counter[tuple[str, int, str, str, str]] = Counter()
        for tenant, scope, scope_id, day, spent, reserved in rows:
            balances[tenant, scope, scope_id, day, "spent"] = spent
            balances[tenant, scope, scope_id, day, "reserved"] = reserved
        assert +balances == +expected

    @invariant()
    def the_entries_add_up_to_the_balances(self) -> None:
        for scope, column in ((1, "run_id"), (2, "key_id"), (3, "''")):
            entries = self.reader.execute(
                f"SELECT tenant, {column}, day, sum(spent), sum(reserved) FROM entries"  # noqa: S608  # constants above
                " GROUP BY 1, 2, 3 HAVING sum(spent) OR sum(reserved) ORDER BY 1, 2, 3"
            ).fetchall()
            balances = self.reader.execute(
                "SELECT tenant, scope_id, day, spent, reserved FROM balances"
                " WHERE scope = ? AND (spent OR reserved) ORDER BY 1, 2, 3",
                (scope,),
            ).fetchall()
            assert entries == balances

    @invariant()
    def a_key_is_opened_closed_and_corrected_once_at_most(self) -> None:
        histories: dict[tuple[str, str], list[str]] = {}
        for tenant, key, kind in self.reader.execute("SELECT tenant, key, kind FROM entries ORDER BY stage"):
            histories.setdefault((tenant, key), []).append(kind)
        for kinds in histories.values():
            assert kinds[0] == "reservation"
            assert kinds[1:] in (
                [],
                ["settlement"],
                ["release"],
                ["provisional"],
                ["provisional", "correction"],
            )


TestMoney = Money.TestCase
TestMoney.settings = settings(max_examples=60, stateful_step_count=40)
