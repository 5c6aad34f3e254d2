"""The services a gateway calls, as simple as can be, on real sockets with real tokens.

What they are told in their attributes is what they answer; what they were asked they keep.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any

import grpc.aio

from malha.api.cost.v1 import cost_service_pb2 as cost_pb
from malha.api.cost.v1.budget_pb2 import Budget, BudgetStatus, Scope, Window
from malha.api.cost.v1.cost_service_pb2_grpc import CostServiceServicer, add_CostServiceServicer_to_server
from malha.api.event.v1.alert_pb2 import Alert
from malha.api.guard.v1 import guard_service_pb2 as guard_pb
from malha.api.guard.v1.guard_service_pb2_grpc import GuardServiceServicer, add_GuardServiceServicer_to_server
from malha.api.planner.v1 import planner_service_pb2 as planner_pb
from malha.api.planner.v1.agent_pb2 import Agent
from malha.api.planner.v1.planner_service_pb2_grpc import (
    PlannerServiceServicer,
    add_PlannerServiceServicer_to_server,
)
from malha.api.retrieval.v1 import retrieval_service_pb2 as retrieval_pb
from malha.api.retrieval.v1.retrieval_pb2 import IngestOutcome, IngestStatus, Passage
from malha.api.retrieval.v1.retrieval_service_pb2_grpc import (
    RetrievalServiceServicer,
    add_RetrievalServiceServicer_to_server,
)
from malha.api.run.v1.archive_pb2 import ArchivedJournal
from malha.api.run.v1.record_pb2 import Action, Verdict
from malha.errors import ErrorReason, MalhaError, invalid
from malha.stack.secrets import Secrets
from malha.wire import Identity, Server, current

Context = grpc.aio.ServicerContext[Any, Any]

BLOCKED_WORD = "jailbreak"
_LIMIT = 25_000_000


class FakeGuard(GuardServiceServicer):
    """Blocks texts with ``BLOCKED_WORD``."""

    async def Check(self, request: guard_pb.CheckRequest, _context: Context) -> guard_pb.CheckResponse:
        return guard_pb.CheckResponse(judgements=map(self._judge, request.texts))

    async def FilterStream(
        self, request_iterator: AsyncIterator[guard_pb.FilterStreamRequest], _context: Context
    ) -> AsyncIterator[guard_pb.FilterStreamResponse]:
        judgement = self._judge("".join([request.text async for request in request_iterator]))
        yield guard_pb.FilterStreamResponse(text=judgement.text, judgement=judgement)

    @staticmethod
    def _judge(text: str) -> guard_pb.Judgement:
        if BLOCKED_WORD not in text:
            verdict = Verdict(action=Action.ACTION_ALLOW, policy="test-1")
            return guard_pb.Judgement(verdict=verdict, text=text)
        return guard_pb.Judgement(
            verdict=Verdict(action=Action.ACTION_BLOCK, rules=["injection.test"], policy="test-1"),
            message="this reads like an attempt to change the rules",
        )


class FakePlanner(PlannerServiceServicer):
    """Has two agents and a page of runs."""

    def __init__(self) -> None:
        self.rows: list[planner_pb.RunRow] = []
        self.asked: list[planner_pb.ListRunsRequest] = []
        self.erased: list[tuple[str, str]] = []
        """(tenant, run id); all of the tenant where that is empty."""
        self.archived: dict[tuple[str, str], ArchivedJournal] = {}
        """By (tenant, run id); answered two records a page."""

    async def ListAgents(
        self, _request: planner_pb.ListAgentsRequest, _context: Context
    ) -> planner_pb.ListAgentsResponse:
        return planner_pb.ListAgentsResponse(
            agents=[Agent(name="default", is_default=True), Agent(name="prices")]
        )

    async def ListRuns(
        self, request: planner_pb.ListRunsRequest, _context: Context
    ) -> planner_pb.ListRunsResponse:
        self.asked.append(request)
        if "colour" in request.filter:
            raise invalid("filter", 'there is no field "colour"; fields are status, agent, session_id')
        return planner_pb.ListRunsResponse(rows=self.rows)

    async def ListDeadRuns(
        self, request: planner_pb.ListDeadRunsRequest, _context: Context
    ) -> planner_pb.ListDeadRunsResponse:
        rows = [planner_pb.DeadRow(tenant=request.tenant or "other", row=row) for row in self.rows]
        return planner_pb.ListDeadRunsResponse(rows=rows)

    async def GetArchivedJournal(
        self, request: planner_pb.GetArchivedJournalRequest, _context: Context
    ) -> planner_pb.GetArchivedJournalResponse:
        kept = self.archived.get((current().principal.tenant, request.run_id))
        if kept is None:
            raise MalhaError(ErrorReason.ERROR_REASON_RUN_NOT_FOUND, "there is no such run in the archive")
        later = [record for record in kept.records if record.sequence > request.after]
        return planner_pb.GetArchivedJournalResponse(
            journal=ArchivedJournal(records=later[:2]), more=len(later) > 2
        )

    async def EraseRun(
        self, request: planner_pb.EraseRunRequest, _context: Context
    ) -> planner_pb.EraseRunResponse:
        self.erased.append((current().principal.tenant, request.run_id))
        return planner_pb.EraseRunResponse()

    async def EraseTenant(
        self, request: planner_pb.EraseTenantRequest, _context: Context
    ) -> planner_pb.EraseTenantResponse:
        self.erased.append((request.tenant, ""))
        return planner_pb.EraseTenantResponse(runs=1)


class FakeCost(CostServiceServicer):
    """One daily budget of the tenant; ``spent_microusd`` is what the test says."""

    def __init__(self) -> None:
        self.spent_microusd = 0
        self.budget = Budget(scope=Scope.SCOPE_TENANT, window=Window.WINDOW_DAY, limit_microusd=_LIMIT)
        self.asked = 0
        self.alerts: list[Alert] = []

    async def GetBudget(
        self, _request: cost_pb.GetBudgetRequest, _context: Context
    ) -> cost_pb.GetBudgetResponse:
        self.asked += 1
        return cost_pb.GetBudgetResponse(statuses=[self._status()])

    async def SetBudget(
        self, request: cost_pb.SetBudgetRequest, _context: Context
    ) -> cost_pb.SetBudgetResponse:
        self.budget = request.budget
        return cost_pb.SetBudgetResponse(status=self._status())

    async def SetBudgetPolicy(
        self, request: cost_pb.SetBudgetPolicyRequest, _context: Context
    ) -> cost_pb.SetBudgetPolicyResponse:
        return cost_pb.SetBudgetPolicyResponse(policy=request.policy)

    async def GetUsage(
        self, _request: cost_pb.GetUsageRequest, _context: Context
    ) -> cost_pb.GetUsageResponse:
        return cost_pb.GetUsageResponse()

    async def Quote(self, _request: cost_pb.QuoteRequest, _context: Context) -> cost_pb.QuoteResponse:
        return cost_pb.QuoteResponse()

    async def GetDailyReport(
        self, _request: cost_pb.GetDailyReportRequest, _context: Context
    ) -> cost_pb.GetDailyReportResponse:
        return cost_pb.GetDailyReportResponse()

    async def ExportUsage(
        self, _request: cost_pb.ExportUsageRequest, _context: Context
    ) -> cost_pb.ExportUsageResponse:
        return cost_pb.ExportUsageResponse()

    async def Adjust(self, request: cost_pb.AdjustRequest, _context: Context) -> cost_pb.AdjustResponse:
        return cost_pb.AdjustResponse(amount_microusd=request.amount_microusd)

    async def ListHeld(
        self, _request: cost_pb.ListHeldRequest, _context: Context
    ) -> cost_pb.ListHeldResponse:
        return cost_pb.ListHeldResponse()

    async def ListAlerts(
        self, request: cost_pb.ListAlertsRequest, _context: Context
    ) -> cost_pb.ListAlertsResponse:
        return cost_pb.ListAlertsResponse(alerts=self.alerts[: request.limit or 20])

    async def ListUntoldAlerts(
        self, _request: cost_pb.ListUntoldAlertsRequest, _context: Context
    ) -> cost_pb.ListUntoldAlertsResponse:
        return cost_pb.ListUntoldAlertsResponse()

    async def MarkAlertsTold(
        self, _request: cost_pb.MarkAlertsToldRequest, _context: Context
    ) -> cost_pb.MarkAlertsToldResponse:
        return cost_pb.MarkAlertsToldResponse()

    async def Authorize(
        self, _request: cost_pb.AuthorizeRequest, _context: Context
    ) -> cost_pb.AuthorizeResponse:
        return cost_pb.AuthorizeResponse()

    async def Settle(self, _request: cost_pb.SettleRequest, _context: Context) -> cost_pb.SettleResponse:
        return cost_pb.SettleResponse()

    def _status(self) -> BudgetStatus:
        return BudgetStatus(budget=self.budget, spent_microusd=self.spent_microusd)


class FakeRetrieval(RetrievalServiceServicer):
    """Stores what it is sent; refuses documents with nothing in them."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], int] = {}

    async def Ingest(
        self, request_iterator: AsyncIterator[retrieval_pb.IngestRequest], _context: Context
    ) -> AsyncIterator[retrieval_pb.IngestResponse]:
        tenant = current().principal.tenant
        async for request in request_iterator:
            document = request.document
            size = len(document.text) or len(document.content)
            outcome = IngestOutcome(name=document.name, status=IngestStatus.INGEST_STATUS_STORED, chunks=1)
            if not size:
                outcome = IngestOutcome(
                    name=document.name, status=IngestStatus.INGEST_STATUS_REFUSED, reason="is empty"
                )
            else:
                self.stored[tenant, document.name] = size
            yield retrieval_pb.IngestResponse(outcome=outcome)

    async def Search(
        self, request: retrieval_pb.SearchRequest, _context: Context
    ) -> retrieval_pb.SearchResponse:
        tenant = current().principal.tenant
        names = [name for owner, name in self.stored if owner == tenant]
        return retrieval_pb.SearchResponse(
            passages=[Passage(document=name, text=request.query) for name in names[: request.limit]]
        )


class FakePeers:
    """All four, started and stopped together. ``targets`` are their addresses, by name."""

    def __init__(self, secrets: Secrets) -> None:
        self.guard, self.planner = FakeGuard(), FakePlanner()
        self.cost, self.retrieval = FakeCost(), FakeRetrieval()
        self.targets: dict[str, str] = {}
        self._secrets = secrets
        self._servers: dict[str, Server] = {}

    async def __aenter__(self) -> FakePeers:
        for name, add, servicer in (
            ("guard", add_GuardServiceServicer_to_server, self.guard),
            ("planner", add_PlannerServiceServicer_to_server, self.planner),
            ("cost", add_CostServiceServicer_to_server, self.cost),
            ("retrieval", add_RetrievalServiceServicer_to_server, self.retrieval),
        ):
            identity = Identity.load(self._secrets.of(name), name)
            server = Server(name, identity=identity, allow=frozenset({"gateway"}))
            server.add(add, servicer)
            self.targets[name] = f"127.0.0.1:{await server.start('127.0.0.1:0')}"
            self._servers[name] = server
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in tuple(self._servers):
            await self.stop(name)

    async def stop(self, name: str) -> None:
        """Take one of them away."""
        await self._servers.pop(name).drain(0)
