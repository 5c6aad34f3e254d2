"""GuardService: RPC in, judge, RPC out."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio

from malha.api.guard.v1 import guard_service_pb2 as pb
from malha.api.guard.v1.guard_service_pb2_grpc import GuardServiceServicer
from malha.api.run.v1.record_pb2 import Action
from malha.telemetry import metrics
from malha.wire import current
from malha_guard.judge import judge
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
        stage = pb.Stage.Name(request.stage)
        for judgement in response.judgements:
            action = judgement.verdict.action
            if action != Action.ACTION_ALLOW:
                metrics.GUARD_ACTIONS.labels(stage, Action.Name(action)).inc()
        return response


def _check(policy: Policy, request: pb.CheckRequest) -> pb.CheckResponse:
    return pb.CheckResponse(judgements=[judge(policy, request.stage, text) for text in request.texts])
