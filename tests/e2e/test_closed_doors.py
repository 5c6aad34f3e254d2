"""What is not one's own, over REST and over gRPC: shut without a good key, unknown where it is another's."""

from __future__ import annotations

import pytest

from malha.api.gateway.v1 import agent_service_pb2, run_service_pb2
from malha.testing.callers import OWNER, Caller, Callers
from malha.testing.refusals import Refusal

NO_RUN = "a" * 52
WRONG_KEY = "mk_dev_" + "x" * 43
ROUTES = [
    ("POST", "/v1/runs"),
    ("POST", "/v1/runs:wait"),
    ("GET", "/v1/runs"),
    ("GET", f"/v1/runs/{NO_RUN}"),
    ("GET", f"/v1/runs/{NO_RUN}/events"),
    ("POST", f"/v1/runs/{NO_RUN}:cancel"),
    ("POST", "/v1/documents"),
    ("POST", "/v1/documents:search"),
    ("GET", "/v1/agents"),
    ("POST", "/v1/admin/keys"),
    ("GET", "/v1/admin/budgets"),
]


@pytest.mark.parametrize(
    ("key", "reason"), [("", "CREDENTIAL_MISSING"), (WRONG_KEY, "CREDENTIAL_INVALID")], ids=["none", "wrong"]
)
async def test_without_a_good_key_every_door_is_shut(callers: Callers, key: str, reason: str) -> None:
    stranger = await callers.with_key(key)
    for method, path in ROUTES:
        refusal = await stranger.refused(method, path, **({"json": {}} if method == "POST" else {}))
        assert (refusal.http, refusal.reason) == (401, reason), path
    for call, request in (
        (stranger.runs.CreateRun, run_service_pb2.CreateRunRequest(input="hi")),
        (stranger.runs.StreamRun, run_service_pb2.StreamRunRequest(run_id=NO_RUN)),
        (stranger.agents.ListAgents, agent_service_pb2.ListAgentsRequest()),
    ):
        refusal = await stranger.refused_call(call, request)
        assert (refusal.status.code, refusal.reason) == (16, reason)


async def test_anothers_run_is_as_unknown_as_one_that_never_was(callers: Callers, caller: Caller) -> None:
    owner = await callers.of(OWNER)
    run_id = (await owner.client.ask("What is 17 * 23?")).run_id

    async def asked_for(run_id: str) -> list[Refusal]:
        return [
            await caller.refused("GET", f"/v1/runs/{run_id}"),
            await caller.refused("GET", f"/v1/runs/{run_id}/events"),
            await caller.refused("POST", f"/v1/runs/{run_id}:cancel", json={}),
            await caller.refused_call(caller.runs.GetRun, run_service_pb2.GetRunRequest(run_id=run_id)),
            await caller.refused_call(caller.runs.StreamRun, run_service_pb2.StreamRunRequest(run_id=run_id)),
            await caller.refused_call(caller.runs.CancelRun, run_service_pb2.CancelRunRequest(run_id=run_id)),
        ]

    refusals = await asked_for(run_id)
    assert {refusal.reason for refusal in refusals} == {"RUN_NOT_FOUND"}
    assert [refusal.http for refusal in refusals] == [404] * 3 + [0] * 3
    untraced = [refusal.untraced for refusal in refusals]
    assert untraced == [refusal.untraced for refusal in await asked_for(NO_RUN)]
    assert run_id not in {run.run_id for run in await caller.client.runs(limit=100)}
