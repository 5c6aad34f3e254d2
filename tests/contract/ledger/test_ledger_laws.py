"""Laws of money, under any interleaving of what can happen to it.

A second, naive bookkeeper (:class:`Oracle`) follows every request. After each one the ledger must hold
what the bookkeeper holds; no grant may pass a limit; the sums of the entries must be the balances. A
request asked again (its answer was lost) and a process that starts anew must change nothing.
"""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

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

from malha.api.cost.v1.budget_pb2 import BudgetPolicy, Scope, Window
from malha.api.cost.v1.cost_service_pb2 import AdjustRequest, AuthorizeResponse, Reservation, Settlement
from malha.errors import ErrorReason, MalhaError
from malha.testing.clock import FakeClock
from malha.testing.ledgers import Book, PostgresBook, PostgresShelf, SqliteBook
from malha.testing.money import MARCH, PRICE_FILE, Till, at_ceiling, call, limit, release, used
from malha_cost.adapters import postgres_audit, price_file, sqlite_audit
from malha_cost.budget import House
from malha_cost.judge import Judge
from malha_cost.ledger import pseudonym

RUN_LIMIT = 700
DEFAULT_DAILY = 1_000
WHO = st.sampled_from(
    [("ana", "key-1", "u"), ("ana", "key-2", "u"), ("ana", "key-2", "v"), ("bia", "key-1", "")]
)
"""Tenant, key and user; both tenants are of one organisation."""
ORGANISATION = ("", Scope.SCOPE_ORGANISATION, "acme")
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
    adjusted: int = 0

    @property
    def spent(self) -> int:
        return self.amount + self.adjusted if self.end != "open" else 0

    @property
    def reserved(self) -> int:
        return self.ceiling if self.end == "open" else 0


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
            return held.spent
        true = 0 if settlement.release else settlement.usage.input_tokens * held.rate
        if held.end == "open":
            held.end, held.amount = "released" if settlement.release else "settled", true
        elif held.end == "provisional":
            held.end, held.amount = "settled", true
        elif held.amount != true:
            raise ValueError(settlement.key)
        return held.spent

    def standing(self, account: Account, since: str) -> tuple[int, int]:
        """Spent and reserved of an account from a day on."""
        mine = [h for h in self.held.values() if account in h.accounts and h.day >= since]
        return (
            sum(h.spent for h in mine),
            sum(h.reserved for h in mine),
        )


class Money(RuleBasedStateMachine):
    """Two tenants, three keys, three runs each, limits within reach: everything collides."""

    keys: Bundle[tuple[Till, str, int]] = Bundle("keys")
    requests: Bundle[Request] = Bundle("requests")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.folder = TemporaryDirectory()
        self.kept = AsyncExitStack()
        (Path(self.folder.name) / "prices.yaml").write_text(PRICE_FILE)
        self.prices = price_file.load(Path(self.folder.name) / "prices.yaml")
        self.clock = FakeClock(datetime(2026, 2, 27, 12, tzinfo=UTC))
        self.oracle = Oracle()
        self.tills: list[Till] = []
        self.count = 0
        self.book = self.loop.run(self.new_book())
        self.start()
        for tenant in ("ana", "bia"):
            policy = BudgetPolicy(organisation="acme")
            principal = Till(self.judge, tenant).principal
            self.loop.run(self.judge.set_policy(principal, policy, operator=True))

    async def new_book(self) -> Book:
        return SqliteBook(Path(self.folder.name))

    async def audited(self) -> list[str]:
        assert isinstance(self.book, SqliteBook)
        return sqlite_audit.read(self.book.path).off

    def start(self) -> None:
        house = House(DEFAULT_DAILY, brake_percent=100)
        self.judge = Judge(
            self.loop.run(self.book.open(house)), self.prices, reference=("named", "half"), clock=self.clock
        )
        for till in self.tills:
            till.judge = self.judge

    def teardown(self) -> None:
        off = self.loop.run(self.audited())
        self.loop.run(self.book.close())
        self.loop.run(self.kept.aclose())
        self.loop.close()
        self.folder.cleanup()
        assert off == []

    # -- what can happen

    @rule(
        target=keys,
        who=WHO,
        run=st.sampled_from(["r1", "r2", "r3"]),
        tokens=st.lists(st.integers(1, 300), min_size=1, max_size=3),
    )
    def reserve(
        self, who: tuple[str, str, str], run: str, tokens: list[int]
    ) -> MultipleResults[tuple[Till, str, int]]:
        till = Till(self.judge, *who[:2], user=who[2])
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

    @rule(target=requests, held=consumes(keys), share=st.integers(0, 3), tokens=st.integers(1, 300))
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

    @rule(held=keys, share=st.integers(-3, 2))
    def adjust(self, held: tuple[Till, str, int], share: int) -> None:
        till, key, _ = held
        of = self.oracle.held[till.principal.tenant, key]
        amount = share * of.spent // 2
        if amount and of.end == "settled":
            self.count += 1
            asked = AdjustRequest(id=str(self.count), key=key, amount_microusd=amount, reason="r")
            if of.spent + amount < 0:
                with pytest.raises(MalhaError):
                    self.loop.run(self.judge.adjust(till.principal, asked))
                return
            of.adjusted += amount
            assert self.loop.run(self.judge.adjust(till.principal, asked)) == of.spent

    @rule(
        who=WHO,
        microusd=st.integers(0, 2_000),
        window=st.sampled_from([Window.WINDOW_DAY, Window.WINDOW_MONTH, Window.WINDOW_TOTAL]),
        scope=st.sampled_from(
            [Scope.SCOPE_TENANT, Scope.SCOPE_KEY, Scope.SCOPE_USER, Scope.SCOPE_ORGANISATION]
        ),
    )
    def set_budget(self, who: tuple[str, str, str], microusd: int, window: Window, scope: Scope) -> None:
        tenant, key, user = who
        till = Till(self.judge, tenant, key, user=user)
        named = {Scope.SCOPE_KEY: key, Scope.SCOPE_USER: user or "nobody"}.get(scope, "")
        budget = limit(microusd, window=window, key=named, scope=scope)
        self.loop.run(self.judge.set_budget(till.principal, budget))
        kept = pseudonym(tenant, named) if scope == Scope.SCOPE_USER else named
        account = ORGANISATION if scope == Scope.SCOPE_ORGANISATION else (tenant, scope, kept)
        self.oracle.limits[account, window] = microusd

    @rule()
    def die_and_start_anew(self) -> None:
        self.loop.run(self.book.close())
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
        accounts: list[Account] = [
            (tenant, Scope.SCOPE_TENANT, ""),
            (tenant, Scope.SCOPE_KEY, key_id),
            ORGANISATION,
        ]
        if user := pseudonym(tenant, till.principal.subject):
            accounts.append((tenant, Scope.SCOPE_USER, user))
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
                expected[*account, held.day, "spent"] += held.spent
                expected[*account, held.day, "reserved"] += held.reserved
        query = "SELECT tenant, scope, scope_id, day, spent, reserved FROM balances"
        rows = self.loop.run(self.book.rows(query))
        balances: Counter[tuple[str, int, str, str, str]] = Counter()
        for tenant, scope, scope_id, day, spent, reserved in rows:
            balances[tenant, scope, scope_id, day, "spent"] = spent
            balances[tenant, scope, scope_id, day, "reserved"] = reserved
        assert +balances == +expected

    @invariant()
    def an_entrys_postings_add_up_to_zero(self) -> None:
        query = "SELECT tenant, key, stage FROM postings GROUP BY 1, 2, 3 HAVING sum(amount) <> 0"
        assert self.loop.run(self.book.rows(query)) == []


class MoneyOnPostgres(Money):
    """The same on the other database."""

    shelf: ClassVar[PostgresShelf]

    async def new_book(self) -> Book:
        return await self.kept.enter_async_context(self.shelf.book())

    async def audited(self) -> list[str]:
        assert isinstance(self.book, PostgresBook)
        return (await postgres_audit.read(self.book.owner_url)).off


@pytest.fixture(autouse=True)
def _server(request: pytest.FixtureRequest) -> None:
    """The machines are made by Hypothesis, which knows no fixtures."""
    if request.cls is TestMoneyOnPostgres:
        MoneyOnPostgres.shelf = request.getfixturevalue("shelf")


TestMoney = Money.TestCase
TestMoney.settings = settings(max_examples=60, stateful_step_count=40)
TestMoneyOnPostgres = MoneyOnPostgres.TestCase
TestMoneyOnPostgres.settings = settings(max_examples=12, stateful_step_count=40)
