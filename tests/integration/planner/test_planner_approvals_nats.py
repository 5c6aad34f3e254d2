"""People decide on a real journal: the decision wakes a worker, and so does the time that is up."""

from __future__ import annotations

import sqlite3

import pytest

from malha.api.gateway.v1.run_pb2 import RunStatus
from malha.api.gateway.v1.run_service_pb2 import ListApprovalsRequest
from malha.api.planner.v1.planner_service_pb2 import ListRunsRequest, ListRunsResponse
from malha.api.run.v1.record_pb2 import Decision, Effect, Risk
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.errors import MalhaError
from malha.testing.people import People
from malha.testing.planner import MemoryItem, asks, found, says
from malha.testing.planner_on_nats import PlannerOnNats
from malha.testing.shop import until
from malha_planner.approval_policy import ApprovalPolicy
from malha_planner.listing import list_runs

APPROVE, REJECT = Decision.DECISION_APPROVE, Decision.DECISION_REJECT


class Lists:
    """The planner's list of runs, as the gateway asks for it."""

    def __init__(self, planner: PlannerOnNats) -> None:
        self._planner = planner

    async def runs(self, filter_: str, page_size: int, page_token: str) -> ListRunsResponse:
        request = ListRunsRequest(filter=filter_, page_size=page_size, page_token=page_token)
        return await list_runs(self._planner.table, "acme", request)


@pytest.fixture
def stopped(planner: PlannerOnNats) -> list[object]:
    lines: list[object] = []

    async def stop(arguments: dict[str, object]) -> ToolResult:
        lines.append(arguments["line"])
        return found("it stands")

    planner.toolbox.add("stop", stop, effect=Effect.EFFECT_ONCE, risk=Risk.RISK_HIGH)
    planner.model.script = [asks(("stop", {"line": 3})), says("done")]
    return lines


@pytest.fixture
def people(planner: PlannerOnNats) -> People:
    return People(planner.journal, planner.sealer, Lists(planner))  # type: ignore[arg-type] # lists alone


async def waits(planner: PlannerOnNats, item: MemoryItem) -> bool:
    entries = await planner.journal.load(item.tenant, item.run_id)
    return bool(entries and entries[-1].record.events[-1].HasField("parked"))


async def listed(people: People, subject: str = "bea") -> list[str]:
    page = await people.approvals.waiting(people.person(subject), ListApprovalsRequest())
    return [approval.run_id for approval in page.approvals]


async def test_a_decision_wakes_a_worker_though_everything_was_started_anew_meanwhile(
    planner: PlannerOnNats, people: People, stopped: list[object]
) -> None:
    follower, worker = planner.start_follower(), planner.start_worker()
    item = await planner.accept()
    await until(lambda: waits(planner, item))
    await planner.stop(worker)
    await planner.kill(follower)
    await planner.until_queued(0)
    await people.say(item.run_id, APPROVE)
    assert stopped == []
    planner.start_follower()
    planner.start_worker()
    await planner.until_finished(1)
    assert stopped == [3]
    types = [str(event["type"]).removeprefix("malha.run.") for event in await planner.events()]
    assert types[4:9] == ["approval_requested", "parked", "decided", "claimed", "step_started"]
    assert "line" not in str(await planner.events()), "no word of content is announced"


async def test_the_time_that_is_up_wakes_a_worker_and_a_late_decision_is_told_so(
    planner: PlannerOnNats, people: People, stopped: list[object]
) -> None:
    planner.approvals = ApprovalPolicy(expires_seconds=3)
    planner.start_follower()
    planner.start_worker()
    item = await planner.accept()
    await until(lambda: waits(planner, item))
    (approval,) = await people.shown(item.run_id)
    await planner.until_finished(1)
    assert stopped == []
    assert (await planner.answer(item)).text == "done"
    with pytest.raises(MalhaError) as late:
        await people.say(item.run_id, APPROVE, about=approval)
    assert late.value.reason_name == "APPROVAL_EXPIRED"


async def test_what_waits_is_listed_until_it_is_decided_and_read_from_its_own_index(
    planner: PlannerOnNats, people: People, stopped: list[object]
) -> None:
    planner.start_follower()
    planner.start_worker()
    items = [await planner.accept() for _ in range(3)]
    newest_first = [item.run_id for item in reversed(items)]

    async def all_listed() -> bool:
        return await listed(people) == newest_first

    await until(all_listed)
    page = await people.approvals.waiting(people.person("bea"), ListApprovalsRequest(page_size=2))
    assert [one.run_id for one in page.approvals] == newest_first[:2]
    rest = ListApprovalsRequest(page_size=2, page_token=page.next_page_token)
    last = await people.approvals.waiting(people.person("bea"), rest)
    assert [one.run_id for one in last.approvals] == newest_first[2:]
    assert last.next_page_token == ""
    run = await people.say(items[0].run_id, REJECT)
    assert run.status == RunStatus.RUN_STATUS_WAITING
    assert items[0].run_id not in await listed(people), "the journal decides, not the table"
    await planner.until_finished(1)

    with sqlite3.connect(planner.state_dir / "planner.db") as database:
        plan = database.execute(
            "EXPLAIN QUERY PLAN SELECT row FROM runs WHERE tenant = 'acme' AND accepted_sequence < 9"
            " AND status = 'WAITING' ORDER BY accepted_sequence DESC LIMIT 20"
        ).fetchall()
    assert [row[3] for row in plan] == [
        "SEARCH runs USING INDEX runs_waiting (tenant=? AND accepted_sequence<?)"
    ]
