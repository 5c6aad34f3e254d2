"""Runs, agents that may run, and streams of a run's events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from google.api.httpbody_pb2 import HttpBody

from malha.api.gateway.v1 import agent_service_pb2 as agents_pb
from malha.api.gateway.v1 import event_stream_service_pb2 as events_pb
from malha.api.gateway.v1 import run_service_pb2 as runs_pb
from malha.api.gateway.v1.agent_service_pb2_grpc import AgentServiceServicer
from malha.api.gateway.v1.event_stream_service_pb2_grpc import EventStreamServiceServicer
from malha.api.gateway.v1.run_service_pb2_grpc import RunServiceServicer
from malha.errors import MalhaError, invalid
from malha.run import Position, StreamPosition, parse_stream_position
from malha.wire import codec, current
from malha_gateway import sse, view
from malha_gateway.approvals import Approvals
from malha_gateway.entrance import Entrance
from malha_gateway.places import Places
from malha_gateway.ports import Planner
from malha_gateway.runs import Runs
from malha_gateway.servicer.calls import Context, allowed
from malha_gateway.servicer.streams import Streams

_DEFAULT_PAGE = 20


class RunServicer(RunServiceServicer):
    """Runs. Scope "runs", and "approvals" for deciding."""

    def __init__(
        self, runs: Runs, approvals: Approvals, planner: Planner, streams: Streams, places: Places
    ) -> None:
        self._runs = runs
        self._approvals = approvals
        self._planner = planner
        self._streams = streams
        self._places = places

    async def CreateRun(
        self, request: runs_pb.CreateRunRequest, _context: Context
    ) -> runs_pb.CreateRunResponse:
        run = await self._runs.create(allowed("runs"), request)
        return runs_pb.CreateRunResponse(run=run)

    async def RunAndWait(
        self, request: runs_pb.RunAndWaitRequest, context: Context
    ) -> runs_pb.RunAndWaitResponse:
        # the two requests are one message under two names, so a retry by the other RPC is the same run
        asked = runs_pb.CreateRunRequest.FromString(request.SerializeToString())
        principal = allowed("runs")
        with self._places.taken(principal.tenant):
            run = await self._runs.wait(principal, asked, seconds=context.time_remaining())
        return runs_pb.RunAndWaitResponse(run=run)

    async def GetRun(self, request: runs_pb.GetRunRequest, _context: Context) -> runs_pb.GetRunResponse:
        return runs_pb.GetRunResponse(run=await self._runs.get(allowed("runs"), request.run_id))

    async def ListRuns(self, request: runs_pb.ListRunsRequest, _context: Context) -> runs_pb.ListRunsResponse:
        allowed("runs")
        page = await self._planner.runs(
            request.filter, request.page_size or _DEFAULT_PAGE, request.page_token
        )
        return runs_pb.ListRunsResponse(runs=map(view.row, page.rows), next_page_token=page.next_page_token)

    async def StreamRun(
        self, request: runs_pb.StreamRunRequest, _context: Context
    ) -> AsyncIterator[runs_pb.StreamRunResponse]:
        after = _position("after", request.after)
        async with aclosing(self._streams.open(request.run_id, after, deltas=request.deltas)) as events:
            async for event in events:
                if event is not None:
                    yield runs_pb.StreamRunResponse(event=event)

    async def CancelRun(
        self, request: runs_pb.CancelRunRequest, _context: Context
    ) -> runs_pb.CancelRunResponse:
        run = await self._runs.cancel(allowed("runs"), request.run_id, request.reason)
        return runs_pb.CancelRunResponse(run=run)

    async def DecideApproval(
        self, request: runs_pb.DecideApprovalRequest, _context: Context
    ) -> runs_pb.DecideApprovalResponse:
        run = await self._approvals.decide(allowed("approvals"), request)
        return runs_pb.DecideApprovalResponse(run=run)

    async def ListApprovals(
        self, request: runs_pb.ListApprovalsRequest, _context: Context
    ) -> runs_pb.ListApprovalsResponse:
        return await self._approvals.waiting(allowed("approvals"), request)


class EventStreamServicer(EventStreamServiceServicer):
    """The same streams as server-sent events. Scope "runs"."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def StreamRunEvents(
        self, request: events_pb.StreamRunEventsRequest, _context: Context
    ) -> AsyncIterator[HttpBody]:
        # a browser that reconnects says where it was in the header, which is newer than its URL
        header = current().metadata.get("last-event-id", "")
        after = _position("last-event-id", header) if header else _position("after", request.after)
        opened = False
        async with aclosing(self._streams.open(request.run_id, after, deltas=request.deltas)) as events:
            try:
                async for event in events:
                    if not opened:
                        # only now: a run that does not exist is an HTTP status, not an empty stream
                        yield HttpBody(content_type=sse.CONTENT_TYPE, data=sse.OPENING)
                        opened = True
                    yield HttpBody(data=sse.encode(event) if event is not None else sse.HEARTBEAT)
            except MalhaError as error:
                if opened:  # its HTTP status was sent long ago
                    yield HttpBody(data=sse.failure(codec.to_status(error)))
                raise
        if not opened:
            yield HttpBody(content_type=sse.CONTENT_TYPE, data=sse.OPENING)


class AgentServicer(AgentServiceServicer):
    """Agents. Scope "runs"."""

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance

    async def ListAgents(
        self, _request: agents_pb.ListAgentsRequest, _context: Context
    ) -> agents_pb.ListAgentsResponse:
        return agents_pb.ListAgentsResponse(agents=await self._entrance.agents(allowed("runs")))


def _position(field: str, text: str) -> StreamPosition:
    if not text:
        return StreamPosition(Position(0, 0))
    try:
        return parse_stream_position(text)
    except ValueError:
        raise invalid(field, "is not a position such as 12.0") from None
