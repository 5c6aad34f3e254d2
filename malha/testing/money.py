"""A till: the requests of ``cost`` in a word each, and a price table whose sums fit in the head."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Protocol

from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.api.common.v1.usage_pb2 import Usage
from malha.api.cost.v1.budget_pb2 import Budget, BudgetStatus, Scope, Window
from malha.api.cost.v1.cost_service_pb2 import (
    AuthorizeResponse,
    GetBudgetResponse,
    ModelCall,
    Reservation,
    Settlement,
    ToolUse,
)
from malha.api.cost.v1.usage_pb2 import DayUsage
from malha.errors import MalhaError

PRICE_FILE = """\
source: arithmetic
prices:
# a token in costs one micro-dollar, a cached one a tenth, a token out ten; from March on, two in
- {provider: scripted, model: m, input: "1", cached_input: "0.1", output: "10"}
- {provider: scripted, model: m, from: 2026-03-01, input: "2", cached_input: "0.1", output: "10"}
# half of it: the model to compare with
- {provider: named, model: half, input: "0.5", output: "5"}
# a call with more than a hundred in is dearer; and a price that knows no length
- {provider: stepped, model: m, input: "1", cached_input: "0.5", output: "10",
   above: {100: {input: "2", cached_input: "0.2", output: "20"}}}
- {provider: stepped, model: flat, input: "1.5", output: "10"}
"""

MARCH = date(2026, 3, 1)
"""From here on a token in costs two."""


def call(
    key: str,
    input_tokens: int = 100,
    *,
    output: int = 0,
    run: str = "r",
    limit: int = 10**6,
    model: str = "m",
    further: int = 0,
    shortest: int = 0,
    session: str = "",
) -> Reservation:
    """A call of a scripted model; its ceiling is ``input_tokens + 10 * output`` before March."""
    priced = ModelCall(
        provider="scripted",
        model=model,
        input_tokens=input_tokens,
        max_output_tokens=output,
        min_output_tokens=shortest,
    )
    return Reservation(
        key=key,
        run_id=run,
        agent="a",
        run_limit_microusd=limit,
        model=priced,
        further_calls=further,
        session_id=session,
    )


def tool(key: str, price: int, *, run: str = "r", limit: int = 10**6, agent_version: str = "") -> Reservation:
    """A call of a tool at ``price`` micro-dollars. Planners of the version before name no agent's version."""
    priced = ToolUse(tool="t", price_microusd=price)
    return Reservation(
        key=key, run_id=run, agent="a", agent_version=agent_version, run_limit_microusd=limit, tool=priced
    )


def free(key: str, *, at_ceiling: bool = False, release: bool = False) -> Settlement:
    """A call is over for which nothing was reserved, as its tool costs nothing."""
    settlement = Settlement(key=key, amount_microusd=0, free=tool(key, 0))
    if at_ceiling or release:
        settlement.MergeFrom(Settlement(at_ceiling=True) if at_ceiling else Settlement(release=True))
    return settlement


def used(key: str, input_tokens: int) -> Settlement:
    """The model call is over and used so many tokens in."""
    return Settlement(key=key, usage=Usage(input_tokens=input_tokens))


def at_ceiling(key: str) -> Settlement:
    """Nobody knows what the call used."""
    return Settlement(key=key, at_ceiling=True)


def release(key: str) -> Settlement:
    """The call was never made."""
    return Settlement(key=key, release=True)


def limit(
    microusd: int,
    *,
    window: Window = Window.WINDOW_DAY,
    key: str = "",
    scope: Scope | None = None,
    rolling: bool = False,
) -> Budget:
    """A budget of a tenant, or of its ``key``, or of another scope with ``key`` as its id."""
    if scope is None:
        scope = Scope.SCOPE_KEY if key else Scope.SCOPE_TENANT
    return Budget(scope=scope, scope_id=key, window=window, limit_microusd=microusd, rolling=rolling)


class Judging(Protocol):
    """Whoever decides over money."""

    async def authorize(
        self, principal: Principal, settle: Sequence[Settlement], reserve: Sequence[Reservation]
    ) -> AuthorizeResponse: ...

    async def standing(self, principal: Principal) -> GetBudgetResponse: ...

    async def usage(self, principal: Principal, since: str, until: str) -> Sequence[DayUsage]: ...

    async def set_budget(self, principal: Principal, wanted: Budget) -> BudgetStatus: ...


class Till:
    """One principal's way to the judge."""

    def __init__(
        self,
        judge: Judging,
        tenant: str = "ana",
        key: str = "key-1",
        *,
        user: str = "",
        tier: Tier = Tier.TIER_ENTERPRISE,
    ) -> None:
        self.judge = judge
        self.principal = Principal(
            tenant=tenant, key_id=key, subject=user, tier=tier, scopes=["runs", "admin", "operator"]
        )

    async def reserve(self, *asked: Reservation, settle: Sequence[Settlement] = ()) -> AuthorizeResponse:
        """Authorize; the whole answer."""
        return await self.judge.authorize(self.principal, settle, asked)

    async def settle(self, *settlements: Settlement) -> list[int]:
        """Settle; the micro-dollars the ledger holds for each."""
        answer = await self.judge.authorize(self.principal, settlements, ())
        return [settled.cost.amount_microusd for settled in answer.settled]

    async def spend(self, key: str, microusd: int, *, run: str = "r") -> None:
        """Reserve and settle so much."""
        answer = await self.reserve(call(key, microusd, run=run))
        assert answer.reserved, answer
        await self.settle(used(key, microusd))

    async def standing(self, window: Window = Window.WINDOW_DAY) -> tuple[int, int]:
        """What is spent and what is reserved under the tenant's budget."""
        return await self.under(Scope.SCOPE_TENANT, window)

    async def under(self, scope: Scope, window: Window = Window.WINDOW_DAY) -> tuple[int, int]:
        """What is spent and what is reserved under a budget that bounds the principal."""
        for status in (await self.judge.standing(self.principal)).statuses:
            if (status.budget.scope, status.budget.window) == (scope, window):
                return status.spent_microusd, status.reserved_microusd
        raise LookupError(f"no budget of scope {scope} and window {window}")

    async def limits(self) -> list[Budget]:
        """The budgets in force, but for what one call may be reserved at."""
        statuses = (await self.judge.standing(self.principal)).statuses
        return [s.budget for s in statuses if s.budget.scope != Scope.SCOPE_REQUEST]

    async def refused(self, *asked: Reservation, settle: Sequence[Settlement] = ()) -> MalhaError:
        """The error that asking raises; it must leave nothing behind."""
        before = await self.standing()
        try:
            answer = await self.reserve(*asked, settle=settle)
        except MalhaError as error:
            assert await self.standing() == before, "an error wrote something"
            return error
        raise AssertionError(f"not refused: {answer}")
