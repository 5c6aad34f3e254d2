"""What the gateway's ideas need from outside. Every method raises MalhaError when its party is away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime
from typing import NamedTuple, Protocol

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
from malha.api.gateway.v1.webhook_service_pb2 import Webhook
from malha.api.guard.v1.guard_service_pb2 import Judgement
from malha.api.planner.v1.agent_pb2 import Agent
from malha.api.planner.v1.planner_service_pb2 import ListDeadRunsResponse, ListRunsResponse
from malha.api.retrieval.v1.retrieval_pb2 import Document, IngestOutcome, Passage
from malha.api.run.v1.delta_pb2 import Delta
from malha_gateway.keys import StoredKey
from malha_gateway.subscriptions import Event, Paid
from malha_gateway.webhook_endpoint import Due, Endpoint, Heard, Outcome


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


class KeyStore(Protocol):
    """Keeps API keys, without their secrets."""

    async def find(self, key_id: str) -> StoredKey | None:
        """The key of that id."""
        ...

    async def put(self, key: StoredKey) -> None:
        """Keep a key, in place of one of the same id."""
        ...

    async def revoke(self, key_id: str, at: datetime) -> None:
        """End a key; one that has ended stays as it is."""
        ...


class Payer(NamedTuple):
    """Who pays for a tenant, by Stripe's id; empty for nobody."""

    customer: str
    paid: Paid


class Taken(NamedTuple):
    """What an event came to: for which tenant (empty where the customer pays for none), and whether anew."""

    tenant: str
    paid: Paid
    changed: bool
    repeated: bool
    """It was kept before."""


class TenantStore(Protocol):
    """Keeps who pays for whom, and what was told of it; whatever is answered is on disk.

    ``judge`` says what all events of a customer come to, in the transaction that keeps it.
    """

    async def take(self, event: Event, judge: Callable[[Sequence[Event]], Paid]) -> Taken:
        """Keep an event, and link its customer where it names a tenant and both are free.

        One that was kept before links nobody, but is judged anew: settings may have changed since.
        """
        ...

    async def link(self, tenant: str, customer: str, judge: Callable[[Sequence[Event]], Paid]) -> Payer:
        """Let a customer pay for a tenant, in place of any other of both; an empty customer is nobody."""
        ...

    async def payer(self, tenant: str) -> Payer:
        """Who pays for a tenant."""
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


class EventFeed(Protocol):
    """Announced events, in the order they were stored."""

    def after(self, sequence: int) -> AbstractAsyncContextManager[AsyncIterator[list[Heard]]]:
        """Batches of events after a sequence, as they come, without end.

        Iterating raises MalhaError DEPENDENCY_UNAVAILABLE where the feed broke: open it anew.
        """
        ...

    async def last(self) -> int:
        """The sequence of the last event; 0 for none."""
        ...

    async def event(self, tenant: str, sequence: int) -> bytes | None:
        """The tenant's CloudEvent at a place; None where it was erased, or is kept no more.

        In a stream that was made anew another tenant's event may stand there.
        """
        ...


class Sender(Protocol):
    """Posts to the world outside."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        """(HTTP status, ""), or (0, why there is none). Follows nothing, and raises nothing."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class WebhookStore(Protocol):
    """Keeps webhooks, and what is still to be delivered."""

    async def add(self, endpoint: Endpoint, *, after: int, most: int) -> bool:
        """Keep an endpoint that gets events after a sequence; False where the tenant has ``most``."""
        ...

    async def of(self, tenant: str) -> Sequence[Webhook]:
        """A tenant's, the oldest first, with how they are doing."""
        ...

    async def find(self, webhook_id: str) -> Endpoint | None:
        """The endpoint of that id, of any tenant."""
        ...

    async def remove(self, tenant: str, webhook_id: str) -> bool:
        """Forget an endpoint and its deliveries; whether there was one."""
        ...

    async def tested(self, webhook_id: str, outcome: Outcome) -> None:
        """How a test went; a success ends failing and being disabled."""
        ...

    async def hold(self, holder: str, now: datetime, until: datetime) -> int | None:
        """Be the one who reads and delivers, or go on being it: how far was read.

        None where another one is, or where there is no endpoint.
        """
        ...

    async def let_go(self, holder: str) -> None:
        """Be it no more."""
        ...

    async def fan_out(
        self, holder: str, heard: Sequence[Heard], *, before: int, now: datetime, most: int
    ) -> int | None:
        """Keep what is to be delivered where, and how far that goes: in one transaction.

        Args:
            before: how far was read before; another one may have gone on from there.
            most: deliveries that may wait at an endpoint; further ones are dropped.

        Returns:
            How many were dropped; None, and nothing is kept, where it is another one's to do.
        """
        ...

    async def ready(self, now: datetime) -> Sequence[Endpoint]:
        """Endpoints that may be posted to and have something due."""
        ...

    async def due(self, webhook_id: str, now: datetime, *, limit: int) -> Sequence[Due]:
        """What is due there, the longest due first."""
        ...

    async def delivered(self, due: Due, outcome: Outcome) -> None:
        """It is; the endpoint fails no more."""
        ...

    async def dropped(self, due: Due) -> None:
        """It will not be delivered: the event is gone, or it was tried for too long."""
        ...

    async def failed(
        self, due: Due, outcome: Outcome, now: datetime, *, again: datetime, rest: datetime
    ) -> datetime:
        """Try it again, and not before; and let the endpoint rest until then. Since when it fails."""
        ...

    async def disable(self, webhook_id: str, reason: str) -> None:
        """Post nothing there any more."""
        ...
