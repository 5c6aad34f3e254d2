"""The typed client: what a Python program needs to put questions to a mesh.

It speaks gRPC to the edge, raises :class:`malha.errors.MalhaError` with the reason the mesh gave, and
resumes a stream that was cut where it was cut, so that a caller sees every event once. A question with a
key is put again where the mesh says that this may help, and makes one run; `ask` makes a key of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from types import TracebackType

from malha.api.cost.v1.price_pb2 import Quote
from malha.api.cost.v1.report_pb2 import DailyReport
from malha.api.cost.v1.usage_pb2 import DayUsage, UsageGroup, UsageRow
from malha.api.event.v1.alert_pb2 import Alert
from malha.api.gateway.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    agent_service_pb2,
    agent_service_pb2_grpc,
    alert_service_pb2,
    alert_service_pb2_grpc,
    knowledge_service_pb2,
    knowledge_service_pb2_grpc,
    operator_service_pb2,
    operator_service_pb2_grpc,
    run_pb2,
    run_service_pb2,
    run_service_pb2_grpc,
    tenant_service_pb2,
    tenant_service_pb2_grpc,
    usage_service_pb2,
    usage_service_pb2_grpc,
    webhook_service_pb2,
    webhook_service_pb2_grpc,
)
from malha.api.planner.v1.agent_pb2 import Agent
from malha.api.retrieval.v1.retrieval_pb2 import Document, IngestOutcome, Passage
from malha.api.run.v1 import record_pb2
from malha.api.run.v1.record_pb2 import Priority
from malha.client.connection import Connection
from malha.errors import ErrorReason, MalhaError
from malha.ids import ulid

_RESUMES = 8
_RESUMABLE = {
    ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE,
    ErrorReason.ERROR_REASON_READER_TOO_SLOW,
}
_RESUME_SECONDS = 0.25


class Client:
    """A connection to a mesh; use it as ``async with Client() as malha:``.

    Args:
        target: ``host:port`` of the edge; by default ``MALHA_GRPC_TARGET``, else that of ``MALHA_URL``,
            else the local mesh.
        api_key: by default ``MALHA_API_KEY``.
        timeout: seconds a unary call may take.

    Raises:
        MalhaError: CREDENTIAL_INVALID for a key with a character that no key has; FIELD_INVALID where
            ``MALHA_URL`` asks for https.
    """

    def __init__(
        self, target: str | None = None, api_key: str | None = None, *, timeout: float = 300.0
    ) -> None:
        self._connection = Connection(target or "", api_key or "", timeout)
        self._call, self._insist = self._connection.call, self._connection.insist
        channel = self._connection.channel
        self._runs = run_service_pb2_grpc.RunServiceStub(channel)
        self._knowledge = knowledge_service_pb2_grpc.KnowledgeServiceStub(channel)
        self._agents = agent_service_pb2_grpc.AgentServiceStub(channel)
        self._operator = operator_service_pb2_grpc.OperatorServiceStub(channel)
        self._tenants = tenant_service_pb2_grpc.TenantServiceStub(channel)
        self._usage = usage_service_pb2_grpc.UsageServiceStub(channel)
        self._alerts = alert_service_pb2_grpc.AlertServiceStub(channel)
        self._webhooks = webhook_service_pb2_grpc.WebhookServiceStub(channel)
        self.admin = admin_service_pb2_grpc.AdminServiceStub(channel)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

    async def create_run(
        self,
        question: str,
        *,
        agent: str = "",
        session_id: str = "",
        idempotency_key: str = "",
        limits: run_service_pb2.RunLimitsRequest | None = None,
        work_class: str = "",
        priority: Priority = Priority.PRIORITY_UNSPECIFIED,
        stream: bool = False,
    ) -> run_pb2.Run:
        """Start a run and return at once; it will end even if nobody waits.

        Args:
            idempotency_key: the same key and question is the same run. With one the question is put again
                while the mesh says that this may help; without, it is put once, and needs no planner.
            stream: models answer word by word, for whoever follows the run with ``deltas``.
        """
        request = run_service_pb2.CreateRunRequest(
            input=question,
            agent=agent,
            session_id=session_id,
            idempotency_key=idempotency_key,
            limits=limits,
            work_class=work_class,
            priority=priority,
            stream=stream,
        )
        put = self._insist if idempotency_key else self._call
        return (await put(self._runs.CreateRun, request)).run

    async def ask(
        self,
        question: str,
        *,
        agent: str = "",
        idempotency_key: str = "",
        limits: run_service_pb2.RunLimitsRequest | None = None,
    ) -> run_pb2.Run:
        """Start a run and wait for its end. The key is as in `create_run`; by default one is made.

        A run outlives the wait: after DEADLINE_EXCEEDED the same key and question wait for the same run.
        """
        request = run_service_pb2.RunAndWaitRequest(
            input=question, agent=agent, idempotency_key=idempotency_key or ulid(), limits=limits
        )
        return (await self._insist(self._runs.RunAndWait, request)).run

    async def run(self, run_id: str) -> run_pb2.Run:
        """A run with its steps."""
        return (await self._call(self._runs.GetRun, run_service_pb2.GetRunRequest(run_id=run_id))).run

    async def runs(self, filter: str = "", *, limit: int = 20) -> Sequence[run_pb2.Run]:  # noqa: A002  # the contract's name
        """The newest runs that match ``filter``."""
        request = run_service_pb2.ListRunsRequest(filter=filter, page_size=limit)
        return (await self._call(self._runs.ListRuns, request)).runs

    async def cancel(self, run_id: str, reason: str = "") -> run_pb2.Run:
        """Ask for a run's end."""
        request = run_service_pb2.CancelRunRequest(run_id=run_id, reason=reason)
        return (await self._call(self._runs.CancelRun, request)).run

    async def approvals(self) -> AsyncIterator[run_pb2.Approval]:
        """What waits for one's decision; of the runs accepted last first."""
        page_token = ""
        while True:
            request = run_service_pb2.ListApprovalsRequest(page_token=page_token)
            page = await self._call(self._runs.ListApprovals, request)
            for approval in page.approvals:
                yield approval
            page_token = page.next_page_token
            if not page_token:
                return

    async def decide(
        self,
        run_id: str,
        hash: str,  # noqa: A002  # the contract's name
        decision: record_pb2.Decision,
        *,
        comment: str = "",
        result: str = "",
        step: int = 0,
    ) -> run_pb2.Run:
        """Decide on what a run waits for. `hash` is that of the approval as it was shown."""
        request = run_service_pb2.DecideApprovalRequest(
            run_id=run_id, hash=hash, decision=decision, comment=comment, result=result, step=step
        )
        return (await self._call(self._runs.DecideApproval, request)).run

    async def erase(self, run_id: str) -> None:
        """Erase a run that is over; nothing of it is left when this returns. Needs the scope "admin"."""
        await self._call(self.admin.EraseRun, admin_service_pb2.EraseRunRequest(run_id=run_id))

    async def erase_tenant(self, tenant: str) -> int:
        """Erase all runs of a tenant and its data key; how many there were. Needs the scope "operator"."""
        request = admin_service_pb2.EraseTenantRequest(tenant=tenant)
        return (await self._call(self.admin.EraseTenant, request)).runs

    async def usage(self, since: str = "", until: str = "") -> Sequence[DayUsage]:
        """What the tenant spent by day (YYYY-MM-DD), the last 30 by default. Needs the scope "admin"."""
        request = usage_service_pb2.GetUsageRequest(since=since, until=until)
        return (await self._call(self._usage.GetUsage, request)).days

    async def usage_by(self, group: UsageGroup, since: str = "", until: str = "") -> Sequence[UsageRow]:
        """What the tenant spent in these days, grouped; the dearest first. Needs the scope "admin"."""
        request = usage_service_pb2.GetUsageRequest(since=since, until=until, group_by=group)
        return (await self._call(self._usage.GetUsage, request)).rows

    async def daily_report(self, day: str = "") -> DailyReport:
        """What a day cost, today by default, and what would cost less. Needs the scope "admin"."""
        request = usage_service_pb2.GetDailyReportRequest(day=day)
        return (await self._call(self._usage.GetDailyReport, request)).report

    async def metered_usage(
        self, *, after: int = 0, since: str = "", until: str = ""
    ) -> AsyncIterator[usage_service_pb2.ExportUsageResponse]:
        """What is to be billed, page by page, as far as it is committed; ``next`` of the last page is where
        to go on another time. Needs the scope "admin"."""
        more = True
        while more:
            request = usage_service_pb2.ExportUsageRequest(after=after, since=since, until=until)
            page = await self._call(self._usage.ExportUsage, request)
            yield page
            after, more = page.next, page.more

    async def prices(
        self,
        model: str = "",
        *,
        input_tokens: int = 0,
        cached_input_tokens: int = 0,
        output_tokens: int = 0,
        batch: bool = False,
    ) -> Sequence[Quote]:
        """Prices in force, and what so many tokens would cost: of one model ("name" or "provider/name"), or
        of all. Needs the scope "admin". An unknown model raises PRICE_UNKNOWN."""
        request = usage_service_pb2.ListPricesRequest(
            model=model,
            input_tokens=input_tokens,
            cached_input_tokens=cached_input_tokens,
            output_tokens=output_tokens,
            batch=batch,
        )
        return (await self._call(self._usage.ListPrices, request)).quotes

    async def alerts(self, *, limit: int = 20) -> Sequence[Alert]:
        """What people must hear of about the tenant's money, the newest first. Needs the scope "admin"."""
        return (
            await self._call(self._alerts.ListAlerts, alert_service_pb2.ListAlertsRequest(limit=limit))
        ).alerts

    async def add_webhook(
        self, url: str, event_types: Sequence[str] = ()
    ) -> tuple[webhook_service_pb2.Webhook, str]:
        """Have events posted to a URL, all types by default. The secret that signs them is told this once.

        `malha.webhooks.verify` is for the receiver. Needs the scope "admin", as do all calls about webhooks.
        """
        request = webhook_service_pb2.CreateWebhookRequest(url=url, event_types=event_types)
        answer = await self._call(self._webhooks.CreateWebhook, request)
        return answer.webhook, answer.secret

    async def webhooks(self) -> Sequence[webhook_service_pb2.Webhook]:
        """The tenant's webhooks and how their deliveries go."""
        return (
            await self._call(self._webhooks.ListWebhooks, webhook_service_pb2.ListWebhooksRequest())
        ).webhooks

    async def remove_webhook(self, webhook_id: str) -> None:
        """Post nothing there any more."""
        await self._call(
            self._webhooks.DeleteWebhook, webhook_service_pb2.DeleteWebhookRequest(webhook_id=webhook_id)
        )

    async def test_webhook(self, webhook_id: str) -> tuple[bool, str]:
        """Post one event of the type ``webhook.test`` there: whether it arrived, and what came of it."""
        answer = await self._call(
            self._webhooks.TestWebhook, webhook_service_pb2.TestWebhookRequest(webhook_id=webhook_id)
        )
        return answer.delivered, answer.outcome

    async def events(
        self, run_id: str, *, after: str = "", deltas: bool = False
    ) -> AsyncGenerator[run_pb2.RunEvent, None]:
        """The run's events from ``after`` on, each once, until the run is over.

        With ``deltas`` the texts of model steps come in parts as well, for `RunText` to put together. A
        connection that breaks is made again and resumed after the last event seen. Who leaves early ends the
        stream; closing the client cancels it, and who still reads it.
        """
        resumes = 0
        while True:
            request = run_service_pb2.StreamRunRequest(run_id=run_id, after=after, deltas=deltas)
            try:
                async with aclosing(self._connection.stream(self._runs.StreamRun, request)) as responses:
                    async for response in responses:
                        after, resumes = response.event.position, 0
                        yield response.event
                        if _is_last(response.event):
                            return
                return
            except MalhaError as refusal:
                resumes += 1
                if refusal.reason not in _RESUMABLE or resumes > _RESUMES:
                    raise
            await asyncio.sleep(_RESUME_SECONDS * resumes)

    async def dead_runs(self, tenant: str = "", *, limit: int = 20) -> Sequence[operator_service_pb2.DeadRun]:
        """The newest dead runs, of one tenant or of all; for operators, as the next three."""
        request = operator_service_pb2.ListDeadRunsRequest(tenant=tenant, page_size=limit)
        return (await self._call(self._operator.ListDeadRuns, request)).dead_runs

    async def dead_run(self, tenant: str, run_id: str) -> operator_service_pb2.DeadRun:
        """A dead run with its steps and claims, without content."""
        request = operator_service_pb2.GetDeadRunRequest(tenant=tenant, run_id=run_id)
        return (await self._call(self._operator.GetDeadRun, request)).dead_run

    async def replay(self, tenant: str, run_id: str, reason: str = "") -> operator_service_pb2.DeadRun:
        """Open a dead run again."""
        request = operator_service_pb2.ReplayDeadRunRequest(tenant=tenant, run_id=run_id, reason=reason)
        return (await self._call(self._operator.ReplayDeadRun, request)).dead_run

    async def drop(self, tenant: str, run_id: str, reason: str = "") -> operator_service_pb2.DeadRun:
        """Close a dead run for good."""
        request = operator_service_pb2.DropDeadRunRequest(tenant=tenant, run_id=run_id, reason=reason)
        return (await self._call(self._operator.DropDeadRun, request)).dead_run

    async def tenant(self, tenant: str) -> tenant_service_pb2.Tenant:
        """The tier a tenant has, and who pays for it; for operators, as the next one."""
        request = tenant_service_pb2.GetTenantRequest(tenant=tenant)
        return (await self._call(self._tenants.GetTenant, request)).tenant

    async def link_customer(self, tenant: str, customer: str) -> tenant_service_pb2.Tenant:
        """Let a customer of Stripe (cus_...) pay for a tenant; an empty name ends it."""
        request = tenant_service_pb2.LinkStripeCustomerRequest(tenant=tenant, customer=customer)
        return (await self._call(self._tenants.LinkStripeCustomer, request)).tenant

    async def ingest(self, documents: Iterable[Document]) -> Sequence[IngestOutcome]:
        """Store documents; one that is refused does not stop the others."""
        request = knowledge_service_pb2.IngestRequest(documents=documents)
        return (await self._call(self._knowledge.Ingest, request)).outcomes

    async def search(self, query: str, *, limit: int = 5) -> Sequence[Passage]:
        """The passages nearest to a question."""
        request = knowledge_service_pb2.SearchRequest(query=query, limit=limit)
        return (await self._call(self._knowledge.Search, request)).passages

    async def agents(self) -> Sequence[Agent]:
        """The agents within reach, the default first."""
        return (await self._call(self._agents.ListAgents, agent_service_pb2.ListAgentsRequest())).agents


def _is_last(event: run_pb2.RunEvent) -> bool:
    """A dead run may have been replayed; whether it was, the end of the stream tells."""
    return event.WhichOneof("event") == "finished" and event.finished.status != run_pb2.RUN_STATUS_DEAD
