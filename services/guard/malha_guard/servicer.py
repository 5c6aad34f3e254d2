"""GuardService: RPC in, judge, RPC out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from malha.api.guard.v1 import guard_service_pb2 as pb
from malha.api.guard.v1.guard_service_pb2_grpc import GuardServiceServicer
from malha.api.run.v1.record_pb2 import Action
from malha.telemetry import metrics
from malha.wire import current
from malha_guard.judge import judge
from malha_guard.output_filter import OutputFilter
from malha_guard.policy import Policy
from malha_guard.ports import Policies

Context = grpc.aio.ServicerContext[Any, Any]

_AT_ONCE = 32_000
"""Characters judged on the loop (about 3 ms); more goes to a thread, lest other calls wait for it."""


class GuardServicer(GuardServiceServicer):
    """Serves the contract ``malha.api.guard.v1.GuardService``."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies

    async def Check(self, request: pb.CheckRequest, _context: Context) -> pb.CheckResponse:
        policy = self._policies.policy_for(current().principal.tenant, request.agent)
        if sum(map(len, request.texts)) > _AT_ONCE:
            response = await asyncio.to_thread(_check, policy, request)
        else:
            response = _check(policy, request)
        for judgement in response.judgements:
            _count(request.stage, judgement)
        return response

    async def FilterStream(
        self, request_iterator: AsyncIterator[pb.FilterStreamRequest], _context: Context
    ) -> AsyncIterator[pb.FilterStreamResponse]:
        tenant, output = current().principal.tenant, None
        async for request in request_iterator:
            if output is None:
                output = OutputFilter(self._policies.policy_for(tenant, request.agent))
            aside = output.size + len(request.text) > _AT_ONCE
            text = await asyncio.to_thread(output.add, request.text) if aside else output.add(request.text)
            if output.blocked is not None:
                break
            if text:
                yield pb.FilterStreamResponse(text=text)
        if output is None:
            return  # nothing was said, so there is nothing to judge
        judgement = output.blocked
        if judgement is None:
            aside = output.length > _AT_ONCE
            judgement = await asyncio.to_thread(output.whole) if aside else output.whole()
        judgement.verdict.streamed = output.shown
        _count(pb.Stage.STAGE_OUTPUT, judgement)
        rest, reset = output.rest(judgement)
        yield pb.FilterStreamResponse(text=rest, reset=reset, judgement=judgement)


def _count(stage: pb.Stage, judgement: pb.Judgement) -> None:
    action = judgement.verdict.action
    if action != Action.ACTION_ALLOW:
        metrics.GUARD_ACTIONS.labels(pb.Stage.Name(stage), Action.Name(action)).inc()


def _check(policy: Policy, request: pb.CheckRequest) -> pb.CheckResponse:
    return pb.CheckResponse(judgements=[judge(policy, request.stage, text) for text in request.texts])
