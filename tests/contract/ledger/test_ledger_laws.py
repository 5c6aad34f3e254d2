"""Laws of money, under any interleaving of what can happen to it.

A second, naive bookkeeper (`malha.testing.bookkeeper`) follows every request. After each one the ledger
must hold what the bookkeeper holds; no grant may pass a limit; the sums of the entries must be the
balances. A request asked again (its answer was lost), a process that dies before or after its commit, and
another that serves beside it must change nothing.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
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
EVERYBODY = [("ana", "key-1", "u"), ("ana", "key-2", "u"), ("ana", "key-2", "v"), ("bia", "key-1", "")]
"""Tenant, key and user; both tenants are of one organisation."""
WHO = st.sampled_from(EVERYBODY)
RUNS = st.sampled_from(["r1", "r2", "r3"])
TOKENS = st.one_of(st.sampled_from([1, 99, 100, 101, 200]), st.integers(1, 300))
ROOM = st.one_of(st.sampled_from([-1, 0, 1, 100, 200, 300]), st.integers(0, 2_000))
"""What a limit leaves when it is set: calls meet it exactly, and by one more or less, often."""
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
Key = tuple[Till, str, int]
"""Who asked under it, and for how many tokens."""
Request = tuple[Till, list[Settlement], list[Reservation]]


class DiedError(Exception):
    """The process ended, and whatever its transaction had done ended with it."""


class Money(RuleBasedStateMachine):
    """Two tenants, three keys, three runs each, limits within reach: everything collides."""

    keys: Bundle[Key] = Bundle("keys")
    processes = 1

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.folder = TemporaryDirectory()
        self.kept = AsyncExitStack()
        (Path(self.folder.name) / "prices.yaml").write_text(PRICE_FILE)
        self.prices = price_file.load(Path(self.folder.name) / "prices.yaml")
        self.clock = FakeClock(datetime(2026, 2, 27, 12, tzinfo=UTC))
        self.oracle = Bookkeeper(daily=DEFAULT_DAILY)
        self.run_limits = {"ana": RUN_LIMIT, "bia": RUN_LIMIT}
        self.asked: list[Request] = []
        self.reservations: dict[str, Reservation] = {}
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
    def reserve(self, who: Who, run: str, tokens: list[int]) -> MultipleResults[Key]:
        till = self.till(who)
        asked = [self.next_call(who[0], run, number) for number in tokens]
        self.ask(till, [], asked)
        return self.each([till] * len(asked), asked)

    @rule(
        target=keys,
        asking=st.lists(st.tuples(WHO, TOKENS), min_size=2, max_size=3),
        run=RUNS,
        window=WINDOWS,
        together=st.booleans(),
    )
    def reserve_at_once(
        self, asking: list[tuple[Who, int]], run: str, window: tuple[Window, bool], together: bool
    ) -> MultipleResults[Key]:
        """Some ask at once for what pays for one, different processes where there are: in some order."""
        tills = [self.till(who) for who, _ in asking]
        first = asking[0][0]
        account = organisation("acme") if together else (first[0], Scope.SCOPE_TENANT, "")
        bound = Bound(account, *window)
        before, now = self.oracle.limits.get(bound), self.clock.now()
        room = max(tokens for _, tokens in asking) * self.rate(now)
        self.oracle.limits[bound] = self.set(first, bound, self.oracle.under(bound, first[0], now) + room)
        asked = [self.next_call(who[0], run, tokens) for who, tokens in asking]

        async def at_once() -> list[AuthorizeResponse]:
            return await asyncio.gather(
                *(
                    self.judge().authorize(till.principal, [], [one])
                    for till, one in zip(tills, asked, strict=True)
                )
            )

        answers = self.loop.run(at_once())
        start, wrong = self.oracle, None
        for order in itertools.permutations(range(len(asked))):
            self.oracle = start.copy()
            try:
                for one in order:
                    self.granted_or_denied(tills[one], [asked[one]], answers[one])
            except AssertionError as error:
                wrong = error
            else:
                break
        else:
            raise AssertionError("no order explains all answers") from wrong
        self.oracle.limits[bound] = self.set(first, bound, 10**6 if before is None else before)
        return self.each(tills, asked)

    @rule(held=keys, tokens=TOKENS, whatever=st.booleans())
    def settle(self, held: Key, tokens: int, whatever: bool) -> None:
        """By figures of its own, above the ceiling too, or by the ceiling's."""
        if self.knows(*held[:2]):
            self.ask(held[0], [used(held[1], tokens if whatever else held[2])], [])

    @rule(held=keys)
    def settle_at_ceiling(self, held: Key) -> None:
        if self.knows(*held[:2]):
            self.ask(held[0], [at_ceiling(held[1])], [])

    @rule(held=keys)
    def release(self, held: Key) -> None:
        if self.knows(*held[:2]):
            self.ask(held[0], [release(held[1])], [])

    @rule(target=keys, held=keys, share=st.integers(0, 3), tokens=TOKENS)
    def step(self, held: Key, share: int, tokens: int) -> MultipleResults[Key]:
        """What a run does most: settle its last call, reserve its next."""
        till, key, ceiling = held
        tenant, run, _ = key.split("/")
        following = self.next_call(tenant, run, tokens)
        settle = [used(key, ceiling * share // 3)] if self.knows(till, key) else []
        self.ask(till, settle, [following])
        return self.each([till], [following])

    @rule(held=keys)
    def reserve_again(self, held: Key) -> None:
        """Whatever has become of the key since."""
        self.ask(held[0], [], [self.reservations[held[1]]])

    @rule(back=st.integers(1, 8))
    def ask_again(self, back: int) -> None:
        if back <= len(self.asked):
            self.ask(*self.asked[-back])

    @rule(held=keys, amount=st.sampled_from([-300, -100, -1, 1, 100]))
    def adjust(self, held: Key, amount: int) -> None:
        till, key, ceiling = held
        of = self.oracle.held.get((till.principal.tenant, key))
        if of is None or of.end == "released":
            return
        if of.end != "settled":
            self.ask(till, [used(key, ceiling)], [])
            of = self.oracle.held[till.principal.tenant, key]
        self.count += 1
        asked = AdjustRequest(id=str(self.count), key=key, amount_microusd=amount, reason="r")
        if of.spent + amount < 0:
            with pytest.raises(MalhaError):
                self.loop.run(self.judge().adjust(till.principal, asked))
            return
        of.adjusted += amount
        for _ in range(2):  # the answer may be lost
            assert self.loop.run(self.judge().adjust(till.principal, asked)) == of.spent

    @rule(who=WHO, room=ROOM, window=WINDOWS, scope=BOUNDED)
    def set_budget(self, who: Who, room: int, window: tuple[Window, bool], scope: Scope) -> None:
        tenant, key, user = who
        named = {
            Scope.SCOPE_KEY: key,
            Scope.SCOPE_USER: user or "nobody",
            Scope.SCOPE_SESSION: SESSION,
            Scope.SCOPE_RUN: "*",
        }.get(scope, "")
        over, rolling = (Window.WINDOW_TOTAL, False) if scope == Scope.SCOPE_RUN else window
        hidden = scope in (Scope.SCOPE_USER, Scope.SCOPE_SESSION)
        account: Account = (tenant, scope, pseudonym(tenant, named) if hidden else named)
        if scope == Scope.SCOPE_ORGANISATION:
            account = organisation("acme")
        bound = Bound(account, over, rolling)
        microusd = max(0, self.oracle.under(bound, tenant, self.clock.now()) + room)
        self.set(who, bound, microusd, named)
        if scope == Scope.SCOPE_RUN:
            self.run_limits[tenant] = min(RUN_LIMIT, microusd)
        else:
            self.oracle.limits[bound] = microusd

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
    def die_before_commit(self, held: Key, tokens: int) -> None:
        """Nothing of the request is there, whatever its transaction had written."""
        till, key, _ = held
        tenant, run, _ = key.split("/")
        following = self.next_call(tenant, run, tokens)
        settle = [at_ceiling(key)] if self.knows(till, key) else []
        with self.dying_before_commit(), pytest.raises(DiedError):
            self.loop.run(self.judge().authorize(till.principal, settle, [following]))
        self.die_and_start_anew()

    @rule(back=st.integers(1, 8))
    def die_after_commit(self, back: int) -> None:
        """All of the request is there; whoever lost the answer gets it by asking again."""
        self.die_and_start_anew()
        self.ask_again(back)

    @rule(seconds=st.sampled_from([4, 31, 60, 3600, 86400, 30 * 86400]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    # -- what must hold

    def till(self, who: Who) -> Till:
        return Till(self.judges[0], *who[:2], user=who[2])

    def set(self, who: Who, bound: Bound, microusd: int, named: str = "") -> int:
        budget = limit(
            microusd, window=bound.window, key=named, scope=bound.account[1], rolling=bound.rolling
        )
        self.loop.run(self.judge().set_budget(self.till(who).principal, budget))
        return microusd

    def rate(self, now: datetime) -> int:
        return 2 if now.date() >= MARCH else 1

    def each(self, tills: Sequence[Till], asked: Sequence[Reservation]) -> MultipleResults[Key]:
        """Their keys, granted or not: of two at once either may be, and Hypothesis wants to know."""
        pairs = zip(tills, asked, strict=True)
        return multiple(*((till, r.key, r.model.input_tokens) for till, r in pairs))

    def next_call(self, tenant: str, run: str, tokens: int) -> Reservation:
        self.count += 1
        key = f"{tenant}/{run}/{self.count}"
        made = self.reservations[key] = call(key, tokens, run=run, limit=RUN_LIMIT, session=SESSION)
        return made

    def ask(self, till: Till, settle: list[Settlement], reserve: list[Reservation]) -> None:
        self.asked.append((till, settle, reserve))
        tenant, before = till.principal.tenant, self.oracle.copy()
        try:
            amounts = [self.oracle.settle(tenant, settlement) for settlement in settle]
            known = [self.oracle.held[tenant, r.key] for r in reserve if self.knows(till, r.key)]
            if any(held.end == "released" for held in known):
                raise ValueError("released")
        except ValueError:
            self.oracle = before
            with pytest.raises(MalhaError) as refusal:
                self.loop.run(self.judge().authorize(till.principal, settle, reserve))
            assert refusal.value.reason == ErrorReason.ERROR_REASON_SETTLEMENT_CONFLICT
            return
        answer = self.loop.run(self.judge().authorize(till.principal, settle, reserve))
        assert [s.cost.amount_microusd for s in answer.settled] == amounts
        self.granted_or_denied(till, reserve, answer)

    def granted_or_denied(self, till: Till, reserve: list[Reservation], answer: AuthorizeResponse) -> None:
        tenant, key_id = till.principal.tenant, till.principal.key_id
        now = self.clock.now()
        rate = self.rate(now)
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
    def every_limit_shows_what_counts_under_it(self) -> None:
        who = EVERYBODY[self.turn % len(EVERYBODY)]
        principal, now = self.till(who).principal, self.clock.now()
        for status in self.loop.run(self.judge().standing(principal)).statuses:
            budget = status.budget
            if budget.scope == Scope.SCOPE_REQUEST:
                continue
            hidden = budget.scope == Scope.SCOPE_USER
            account = who[0], budget.scope, pseudonym(who[0], who[2]) if hidden else budget.scope_id
            if budget.scope == Scope.SCOPE_ORGANISATION:
                account = organisation("acme")
            bound = Bound(account, budget.window, budget.rolling)
            assert (
                budget.limit_microusd
                == self.oracle.in_force([account, (who[0], Scope.SCOPE_TENANT, "")])[bound]
            )
            assert status.spent_microusd + status.reserved_microusd == self.oracle.under(bound, who[0], now)

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
