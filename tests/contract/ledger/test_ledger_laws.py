"""Laws of money, under any interleaving of what can happen to it.

A second, naive bookkeeper (`malha.testing.bookkeeper`) follows every request. After each one the ledger
must hold what the bookkeeper holds; no grant may pass a limit; the sums of the entries must be the
balances. A request asked again (its answer was lost), a process that dies before or after its commit, and
another that serves beside it must change nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from unittest import mock

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
from malha.testing.bookkeeper import Account, Bookkeeper, Bound, Held, organisation
from malha.testing.clock import FakeClock
from malha.testing.ledgers import Book, PostgresBook, PostgresShelf, SqliteBook
from malha.testing.money import MARCH, PRICE_FILE, Till, at_ceiling, call, limit, release, used
from malha_cost.adapters import postgres_audit, price_file, sqlite_audit, sqlite_ledger
from malha_cost.adapters.postgres_ledger import PostgresLedger
from malha_cost.budget import House
from malha_cost.judge import Judge
from malha_cost.ledger import pseudonym

RUN_LIMIT = 700
DEFAULT_DAILY = 1_000
SESSION = "chat"
WHO = st.sampled_from(
    [("ana", "key-1", "u"), ("ana", "key-2", "u"), ("ana", "key-2", "v"), ("bia", "key-1", "")]
)
"""Tenant, key and user; both tenants are of one organisation."""
RUNS = st.sampled_from(["r1", "r2", "r3"])
TOKENS = st.one_of(st.sampled_from([1, 99, 100, 101, 200]), st.integers(1, 300))
LIMITS = st.one_of(st.sampled_from([0, 1, 100, 199, 200, 201, 300, 500]), st.integers(0, 2_000))
"""Round figures meet each other, and one more or less than each other, often."""
BOUNDED = st.sampled_from(
    [
        *(Scope.SCOPE_TENANT, Scope.SCOPE_KEY, Scope.SCOPE_USER, Scope.SCOPE_SESSION),
        *(Scope.SCOPE_RUN, Scope.SCOPE_ORGANISATION),
    ]
)
WINDOWS = st.sampled_from(
    [
        *((Window.WINDOW_MINUTE, False), (Window.WINDOW_MINUTE, True), (Window.WINDOW_DAY, False)),
        *((Window.WINDOW_DAY, True), (Window.WINDOW_MONTH, False), (Window.WINDOW_MONTH, True)),
        (Window.WINDOW_TOTAL, False),
    ]
)
ZONES = st.sampled_from(["", "America/Sao_Paulo", "Pacific/Auckland"])
Who = tuple[str, str, str]
Request = tuple[Till, list[Settlement], list[Reservation]]


class DiedError(Exception):
    """The process ended, and whatever its transaction had done ended with it."""


class Money(RuleBasedStateMachine):
    """Two tenants, three keys, three runs each, limits within reach: everything collides."""

    keys: Bundle[tuple[Till, str, int]] = Bundle("keys")
    requests: Bundle[Request] = Bundle("requests")
    processes = 1

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.folder = TemporaryDirectory()
        self.kept = AsyncExitStack()
        (Path(self.folder.name) / "prices.yaml").write_text(PRICE_FILE)
        self.prices = price_file.load(Path(self.folder.name) / "prices.yaml")
        self.clock = FakeClock(datetime(2026, 2, 27, 12, tzinfo=UTC))
        daily = {
            Bound((tenant, Scope.SCOPE_TENANT, ""), Window.WINDOW_DAY): DEFAULT_DAILY
            for tenant in ("ana", "bia")
        }
        self.oracle = Bookkeeper(limits=daily)
        self.run_limits = {"ana": RUN_LIMIT, "bia": RUN_LIMIT}
        self.count = 0
        self.turn = 0
        self.book = self.loop.run(self.new_book())
        self.start()
        for tenant in ("ana", "bia"):
            self.move_calendar(tenant, "")

    async def new_book(self) -> Book:
        return SqliteBook(Path(self.folder.name))

    async def audited(self) -> list[str]:
        assert isinstance(self.book, SqliteBook)
        return sqlite_audit.read(self.book.path).off

    def dying_before_commit(self) -> AbstractContextManager[object]:
        store = sqlite_ledger._store

        def store_and_die(*asked: Any) -> None:
            store(*asked)
            raise DiedError

        return mock.patch.object(sqlite_ledger, "_store", store_and_die)

    def start(self) -> None:
        house = House(DEFAULT_DAILY, brake_percent=100)
        ledgers = [self.loop.run(self.book.open(house)) for _ in range(self.processes)]
        self.judges = [
            Judge(ledger, self.prices, reference=("named", "half"), clock=self.clock) for ledger in ledgers
        ]

    def judge(self) -> Judge:
        """The process that is asked: one after the other."""
        self.turn += 1
        return self.judges[self.turn % self.processes]

    def teardown(self) -> None:
        off = self.loop.run(self.audited())
        self.loop.run(self.book.close())
        self.loop.run(self.kept.aclose())
        self.loop.close()
        self.folder.cleanup()
        assert off == []

    # -- what can happen

    @rule(target=keys, who=WHO, run=RUNS, tokens=st.lists(TOKENS, min_size=1, max_size=3))
    def reserve(self, who: Who, run: str, tokens: list[int]) -> MultipleResults[tuple[Till, str, int]]:
        till = self.till(who)
        asked = [self.next_call(who[0], run, number) for number in tokens]
        self.ask(till, [], asked)
        return multiple(*((till, r.key, r.model.input_tokens) for r in asked if self.knows(till, r.key)))

    @rule(target=keys, first=WHO, second=WHO, run=RUNS, tokens=st.tuples(TOKENS, TOKENS))
    def reserve_at_once(
        self, first: Who, second: Who, run: str, tokens: tuple[int, int]
    ) -> MultipleResults[tuple[Till, str, int]]:
        """Two ask together, of different processes where there are: as if one had come after the other."""
        tills = self.till(first), self.till(second)
        asked = [
            self.next_call(who[0], run, number) for who, number in zip((first, second), tokens, strict=True)
        ]

        async def together() -> list[AuthorizeResponse]:
            return await asyncio.gather(
                *(
                    self.judge().authorize(till.principal, [], [one])
                    for till, one in zip(tills, asked, strict=True)
                )
            )

        answers = self.loop.run(together())
        before, wrong = self.oracle, None
        for order in ((0, 1), (1, 0)):
            self.oracle = before.copy()
            try:
                for one in order:
                    self.granted_or_denied(tills[one], [asked[one]], answers[one])
            except AssertionError as error:
                wrong = error
            else:
                break
        else:
            raise AssertionError("no order explains both answers") from wrong
        granted = zip(tills, asked, strict=True)
        return multiple(
            *((till, r.key, r.model.input_tokens) for till, r in granted if self.knows(till, r.key))
        )

    @rule(target=requests, held=keys, tokens=st.integers(0, 400))
    def settle(self, held: tuple[Till, str, int], tokens: int) -> Request:
        return self.ask(held[0], [used(held[1], tokens)], [])

    @rule(target=requests, held=keys)
    def settle_at_ceiling(self, held: tuple[Till, str, int]) -> Request:
        return self.ask(held[0], [at_ceiling(held[1])], [])

    @rule(target=requests, held=keys)
    def release(self, held: tuple[Till, str, int]) -> Request:
        return self.ask(held[0], [release(held[1])], [])

    @rule(target=requests, held=consumes(keys), share=st.integers(0, 3), tokens=TOKENS)
    def step(self, held: tuple[Till, str, int], share: int, tokens: int) -> Request:
        """What a run does most: settle its last call, reserve its next."""
        till, key, ceiling = held
        tenant, run, _ = key.split("/")
        return self.ask(till, [used(key, ceiling * share // 3)], [self.next_call(tenant, run, tokens)])

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
                    self.loop.run(self.judge().adjust(till.principal, asked))
                return
            of.adjusted += amount
            for _ in range(2):  # the answer may be lost
                assert self.loop.run(self.judge().adjust(till.principal, asked)) == of.spent

    @rule(who=WHO, microusd=LIMITS, window=WINDOWS, scope=BOUNDED)
    def set_budget(self, who: Who, microusd: int, window: tuple[Window, bool], scope: Scope) -> None:
        tenant, key, user = who
        named = {
            Scope.SCOPE_KEY: key,
            Scope.SCOPE_USER: user or "nobody",
            Scope.SCOPE_SESSION: SESSION,
            Scope.SCOPE_RUN: "*",
        }.get(scope, "")
        over, rolling = (Window.WINDOW_TOTAL, False) if scope == Scope.SCOPE_RUN else window
        budget = limit(microusd, window=over, key=named, scope=scope, rolling=rolling)
        self.loop.run(self.judge().set_budget(self.till(who).principal, budget))
        if scope == Scope.SCOPE_RUN:
            self.run_limits[tenant] = min(RUN_LIMIT, microusd)
            return
        hidden = scope in (Scope.SCOPE_USER, Scope.SCOPE_SESSION)
        account: Account = (tenant, scope, pseudonym(tenant, named) if hidden else named)
        if scope == Scope.SCOPE_ORGANISATION:
            account = organisation("acme")
        self.oracle.limits[Bound(account, over, rolling)] = microusd

    @rule(tenant=st.sampled_from(["ana", "bia"]), zone=ZONES)
    def move_calendar(self, tenant: str, zone: str) -> None:
        policy = BudgetPolicy(organisation="acme", time_zone=zone)
        principal = Till(self.judge(), tenant).principal
        self.loop.run(self.judge().set_policy(principal, policy, operator=True))
        self.oracle.zones[tenant] = zone

    @rule()
    def die_and_start_anew(self) -> None:
        self.loop.run(self.book.close())
        self.start()

    @rule(held=keys, tokens=TOKENS)
    def die_before_commit(self, held: tuple[Till, str, int], tokens: int) -> None:
        """Nothing of the request is there, whatever its transaction had written."""
        till, key, _ = held
        tenant, run, _ = key.split("/")
        following = self.next_call(tenant, run, tokens)
        with self.dying_before_commit(), pytest.raises(DiedError):
            self.loop.run(self.judge().authorize(till.principal, [at_ceiling(key)], [following]))
        self.die_and_start_anew()

    @rule(target=requests, held=keys, share=st.integers(0, 3), tokens=TOKENS)
    def die_after_commit(self, held: tuple[Till, str, int], share: int, tokens: int) -> Request:
        """All of the request is there; whoever lost the answer gets it by asking again."""
        till, key, ceiling = held
        tenant, run, _ = key.split("/")
        request = self.ask(till, [used(key, ceiling * share // 3)], [self.next_call(tenant, run, tokens)])
        self.die_and_start_anew()
        return self.ask(*request)

    @rule(seconds=st.sampled_from([4, 31, 60, 3600, 5 * 3600, 86400, 31 * 86400]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    # -- what must hold

    def till(self, who: Who) -> Till:
        return Till(self.judges[0], *who[:2], user=who[2])

    def next_call(self, tenant: str, run: str, tokens: int) -> Reservation:
        self.count += 1
        return call(f"{tenant}/{run}/{self.count}", tokens, run=run, limit=RUN_LIMIT, session=SESSION)

    def ask(self, till: Till, settle: list[Settlement], reserve: list[Reservation]) -> Request:
        tenant, before = till.principal.tenant, self.oracle.copy()
        try:
            amounts = [self.oracle.settle(tenant, settlement) for settlement in settle]
            if any(
                self.knows(till, r.key) and self.oracle.held[tenant, r.key].end == "released" for r in reserve
            ):
                raise ValueError("released")
        except ValueError:
            self.oracle = before
            with pytest.raises(MalhaError) as refusal:
                self.loop.run(self.judge().authorize(till.principal, settle, reserve))
            assert refusal.value.reason == ErrorReason.ERROR_REASON_SETTLEMENT_CONFLICT
            return till, settle, reserve
        answer = self.loop.run(self.judge().authorize(till.principal, settle, reserve))
        assert [s.cost.amount_microusd for s in answer.settled] == amounts
        self.granted_or_denied(till, reserve, answer)
        return till, settle, reserve

    def granted_or_denied(self, till: Till, reserve: list[Reservation], answer: AuthorizeResponse) -> None:
        tenant, key_id = till.principal.tenant, till.principal.key_id
        now = self.clock.now()
        rate = 2 if now.date() >= MARCH else 1
        new = [r for r in reserve if not self.knows(till, r.key)]
        wanted = sum(r.model.input_tokens * rate for r in new)
        accounts: list[Account] = [
            (tenant, Scope.SCOPE_TENANT, ""),
            (tenant, Scope.SCOPE_KEY, key_id),
            (tenant, Scope.SCOPE_SESSION, pseudonym(tenant, SESSION)),
            organisation("acme"),
        ]
        if user := pseudonym(tenant, till.principal.subject):
            accounts.append((tenant, Scope.SCOPE_USER, user))
        limits = self.oracle.in_force(accounts)
        bounds = frozenset(limits)
        for reservation in new:
            run = Bound((tenant, Scope.SCOPE_RUN, reservation.run_id), Window.WINDOW_TOTAL)
            limits[run] = self.run_limits[tenant]
        fits = all(self.oracle.under(bound, tenant, now) + wanted <= most for bound, most in limits.items())
        if answer.HasField("denied"):
            assert wanted > 0
            assert not fits or answer.denied.may_free, "denied without a reason"
            assert not answer.reserved
            return
        assert fits or wanted == 0, "a grant passes a limit"
        for asked in new:
            self.oracle.held[tenant, asked.key] = Held(
                (*accounts, (tenant, Scope.SCOPE_RUN, asked.run_id)),
                int(now.timestamp()),
                self.oracle.today(tenant, now),
                rate,
                asked.model.input_tokens * rate,
                bounds,
            )
        assert [r.amount_microusd for r in answer.reserved] == [
            self.oracle.held[tenant, r.key].ceiling for r in reserve
        ]

    def knows(self, till: Till, key: str) -> bool:
        return (till.principal.tenant, key) in self.oracle.held

    @invariant()
    def the_ledger_holds_what_the_bookkeeper_holds(self) -> None:
        query = "SELECT tenant, scope, scope_id, day, spent, reserved FROM balances WHERE day < 'a'"
        rows = self.loop.run(self.book.rows(query))
        balances: Counter[tuple[str, int, str, str, str]] = Counter()
        for tenant, scope, scope_id, day, spent, reserved in rows:
            balances[tenant, scope, scope_id, day, "spent"] = spent
            balances[tenant, scope, scope_id, day, "reserved"] = reserved
        assert +balances == self.oracle.balances()

    @invariant()
    def an_entrys_postings_add_up_to_zero(self) -> None:
        query = "SELECT tenant, key, stage FROM postings GROUP BY 1, 2, 3 HAVING sum(amount) <> 0"
        assert self.loop.run(self.book.rows(query)) == []


class MoneyOnPostgres(Money):
    """The same on the other database, of which two processes serve."""

    shelf: ClassVar[PostgresShelf]
    processes = 2

    async def new_book(self) -> Book:
        return await self.kept.enter_async_context(self.shelf.book())

    async def audited(self) -> list[str]:
        assert isinstance(self.book, PostgresBook)
        return (await postgres_audit.read(self.book.owner_url)).off

    @contextmanager
    def dying_before_commit(self) -> Iterator[None]:
        decide = PostgresLedger._decide

        async def decide_and_die(*asked: Any) -> None:
            await decide(*asked)
            raise DiedError

        with mock.patch.object(PostgresLedger, "_decide", decide_and_die):
            yield


@pytest.fixture(autouse=True)
def _server(request: pytest.FixtureRequest) -> None:
    """The machines are made by Hypothesis, which knows no fixtures."""
    if request.cls is TestMoneyOnPostgres:
        MoneyOnPostgres.shelf = request.getfixturevalue("shelf")


TestMoney = Money.TestCase
TestMoney.settings = settings(max_examples=60, stateful_step_count=40)
TestMoneyOnPostgres = MoneyOnPostgres.TestCase
TestMoneyOnPostgres.settings = settings(max_examples=12, stateful_step_count=40)
