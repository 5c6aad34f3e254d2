"""Whom the gateway asks, and what it hears. Every method raises MalhaError when its party is away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.cost.v1.budget_pb2 import Budget, BudgetPolicy, BudgetStatus
from malha.api.cost.v1.cost_service_pb2 import (
    AdjustRequest,
    ExportUsageRequest,
    ExportUsageResponse,
    GetBudgetResponse,
    GetUsageRequest,
    GetUsageResponse,
    QuoteRequest,
)
from malha.api.cost.v1.price_pb2 import Quote
from malha.api.cost.v1.report_pb2 import DailyReport
from malha.api.event.v1.alert_pb2 import Alert
from malha.api.guard.v1.guard_service_pb2 import Judgement
from malha.api.planner.v1.agent_pb2 import Agent
from malha.api.planner.v1.planner_service_pb2 import ListDeadRunsResponse, ListRunsResponse
from malha.api.retrieval.v1.retrieval_pb2 import Document, IngestOutcome, Passage
from malha.api.run.v1.delta_pb2 import Delta


class Acting(Protocol):
    """Makes what happens inside happen for a principal, within a time."""

    def __call__(self, principal: Principal, *, timeout: float) -> AbstractContextManager[object]:
        """For ``timeout`` seconds at most."""
        ...


class Guard(Protocol):
    """Judges what people say."""

    async def check_input(self, text: str, agent: str) -> Judgement:
        """What may be done with a caller's text."""
        ...

    async def check_result(self, text: str, agent: str) -> Judgement:
        """What may be done with what a person says came of a tool."""
        ...


class Planner(Protocol):
    """Knows agents and the table of runs, as far as the current principal may see them."""

    async def agents(self) -> Sequence[Agent]:
        """The agents within reach, the default first."""
        ...

    async def runs(self, filter_: str, page_size: int, page_token: str) -> ListRunsResponse:
        """A page of the tenant's runs; FIELD_INVALID names what is wrong with the filter."""
        ...

    async def dead_runs(self, tenant: str, page_size: int, page_token: str) -> ListDeadRunsResponse:
        """A page of the dead, of one tenant or, for an empty name, of all."""
        ...

    async def erase_run(self, run_id: str) -> None:
        """Erase a run of the tenant; done when this returns."""
        ...

    async def erase_tenant(self, tenant: str) -> int:
        """Erase a tenant's runs and its key; how many runs there were."""
        ...


class Cost(Protocol):
    """The judge of money, for the current principal."""

    async def budgets(self) -> Sequence[BudgetStatus]:
        """Where the budgets of tenant and key stand."""
        ...

    async def standing(self) -> GetBudgetResponse:
        """The same, with the policy they are kept by and the token quota."""
        ...

    async def set_budget(self, budget: Budget) -> BudgetStatus:
        """Set a hard limit."""
        ...

    async def set_policy(self, policy: BudgetPolicy) -> BudgetPolicy:
        """Say how the budgets are kept; the policy, resolved."""
        ...

    async def usage(self, asked: GetUsageRequest) -> GetUsageResponse:
        """What the tenant spent, by day or grouped otherwise."""
        ...

    async def report(self, day: str) -> DailyReport:
        """What a day cost, on what, and what would cost less."""
        ...

    async def export(self, asked: ExportUsageRequest) -> ExportUsageResponse:
        """What is to be billed, from a place on."""
        ...

    async def quote(self, asked: QuoteRequest) -> Sequence[Quote]:
        """What so many tokens would cost, for each model that is called so."""

    async def alerts(self, limit: int) -> Sequence[Alert]:
        """The latest alerts, the newest first."""
        ...

    async def adjust(self, asked: AdjustRequest) -> int:
        """Move what was spent under a key; micro-dollars spent under it then."""
        ...


class Retrieval(Protocol):
    """Keeps the tenant's documents."""

    async def ingest(self, documents: Sequence[Document]) -> Sequence[IngestOutcome]:
        """Store documents; an outcome each, in order."""
        ...

    async def search(self, query: str, limit: int) -> Sequence[Passage]:
        """The passages nearest to the query, best first."""
        ...


class Part(Protocol):
    """Something the mesh cannot work without."""

    name: str

    async def answers(self) -> bool:
        """Whether it answers now; never raises."""
        ...

    def known_away(self) -> bool:
        """Whether it is known to be away without asking; costs nothing."""
        ...


class Deltas(Protocol):
    """Where texts are told while they are written. What is told may be lost."""

    def listen(self, tenant: str, run_id: str) -> AbstractAsyncContextManager[AsyncIterator[Delta]]:
        """A run's deltas from now on, without end."""
        ...
