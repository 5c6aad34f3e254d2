"""By whose leave a call is made: one table over risks, declarations and what people said."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from malha.api.run.v1.chat_pb2 import ToolCall
from malha.api.run.v1.record_pb2 import Decided, Decision, JournalEvent, Proposed, Record, Risk
from malha.api.tools.v1.tool_pb2 import Tool
from malha.run import RunState, call_hash, fold
from malha.testing.journals import START, stored
from malha.testing.records import RecordsOf
from malha_planner.approval_policy import ApprovalPolicy, Preauthorisation
from malha_planner.leave import Go, Refuse, Wait, Withhold, leave, summary, used

RUN = RecordsOf()
SCHEMA = {
    "type": "object",
    "properties": {"line": {"type": "integer"}},
    "required": ["line"],
    "additionalProperties": False,
}
LOW, MEDIUM, HIGH, CRITICAL = Risk.RISK_LOW, Risk.RISK_MEDIUM, Risk.RISK_HIGH, Risk.RISK_CRITICAL
POLICY = ApprovalPolicy(version="agent/1/abc")
ARGUMENTS = {"line": 3}
NOW = START + timedelta(hours=1)


def tool(risk: Risk = HIGH, *, version: str = "1", price: int = 0) -> Tool:
    schema = json.dumps(SCHEMA)
    return Tool(name="stop", version=version, risk=risk, input_schema_json=schema, price_microusd=price)


def asked(
    state: RunState | None = None,
    *,
    policy: ApprovalPolicy = POLICY,
    of: Tool | None = None,
    arguments: Any = ARGUMENTS,
    uses: Counter[str] | None = None,
) -> Go | Wait | Withhold | Refuse:
    call = ToolCall(call_id="c", tool="stop", arguments_json=json.dumps(arguments))
    state = state or journal()
    uses = used(state) if uses is None else uses
    return leave(policy, state, of or tool(), call, 2, now=NOW, uses=uses)


def journal(*records: Record) -> RunState:
    return fold(stored([RUN.accepted(), RUN.claimed(), *records]))


def proposed(**more: Any) -> Record:
    given: dict[str, Any] = {
        "step": 2,
        "tool": "stop",
        "tool_version": "1",
        "risk": HIGH,
        "hash": call_hash("stop", "1", ARGUMENTS, POLICY.version),
        "policy": POLICY.version,
        "approvals": 1,
    }
    return RUN.record(JournalEvent(proposed=Proposed(**given | more)), epoch=10)


def said(decision: Decision, by: str = "bea") -> Record:
    hash_ = call_hash("stop", "1", ARGUMENTS, POLICY.version)
    return RUN.record(JournalEvent(decided=Decided(decision=decision, hash=hash_, step=2, by=by)))


APPROVE, REJECT, END = Decision.DECISION_APPROVE, Decision.DECISION_REJECT, Decision.DECISION_END_RUN
RISKS = [
    # what the tool says, what the agent says, how many must approve; None: the call goes
    (Risk.RISK_UNSPECIFIED, {}, None),
    (LOW, {}, None),
    (MEDIUM, {}, None),
    (HIGH, {}, 1),
    (CRITICAL, {}, 2),
    (LOW, {"stop": CRITICAL}, 2),
    (Risk.RISK_UNSPECIFIED, {"stop": HIGH}, 1),
    (CRITICAL, {"stop": LOW}, 2),
    (HIGH, {"other": CRITICAL}, 1),
]


@pytest.mark.parametrize(("declared", "raised", "approvals"), RISKS)
def test_an_agent_raises_a_tools_risk_and_never_lowers_it(
    declared: Risk, raised: dict[str, Risk], approvals: int | None
) -> None:
    verdict = asked(policy=ApprovalPolicy(version="v", risks=raised), of=tool(declared))
    if approvals is None:
        assert isinstance(verdict, Go)
    else:
        assert isinstance(verdict, Wait)
        assert verdict.proposed.approvals == approvals
        assert verdict.proposed.expire_time.ToDatetime(START.tzinfo) == NOW + timedelta(days=1)


def test_of_a_call_of_medium_risk_people_are_told_once() -> None:
    first = asked(of=tool(MEDIUM))
    assert isinstance(first, Go)
    assert first.notice is not None
    assert first.notice.approvals == 0
    again = asked(journal(proposed(risk=MEDIUM, approvals=0)), of=tool(MEDIUM))
    assert isinstance(again, Go)
    assert again.notice is None
    assert again.clearance == first.clearance


def test_a_call_of_low_risk_needs_nothing_at_all() -> None:
    assert asked(of=tool(LOW)) == Go(None, None)


STANDINGS = [
    ("nobody was asked", [], Wait),
    ("nobody has said anything", [proposed()], Wait),
    ("one approved", [proposed(), said(APPROVE)], Go),
    ("one of two approved", [proposed(approvals=2), said(APPROVE)], Wait),
    ("one approved twice", [proposed(approvals=2), said(APPROVE), said(APPROVE)], Wait),
    ("two approved", [proposed(approvals=2), said(APPROVE), said(APPROVE, "carl")], Go),
    ("one rejected", [proposed(), said(REJECT)], Withhold),
    ("one approved, one rejected", [proposed(approvals=2), said(APPROVE), said(REJECT, "carl")], Withhold),
    ("the one who approved took it back", [proposed(approvals=2), said(APPROVE), said(REJECT)], Withhold),
    ("one ended the run", [proposed(), said(END)], Withhold),
]


@pytest.mark.parametrize(("what", "records", "expected"), STANDINGS)
def test_what_people_said_decides(what: str, records: list[Record], expected: type) -> None:
    assert isinstance(asked(journal(*records)), expected), what


def test_the_clearance_names_who_approved_what() -> None:
    verdict = asked(journal(proposed(approvals=2), said(APPROVE), said(APPROVE, "carl")))
    assert isinstance(verdict, Go)
    assert verdict.clearance is not None
    assert list(verdict.clearance.approved_by) == ["bea", "carl"]
    assert verdict.clearance.hash == call_hash("stop", "1", ARGUMENTS, POLICY.version)


CHANGED: list[tuple[str, dict[str, Any]]] = [
    ("other arguments", {"arguments": {"line": 4}}),
    ("another version of the tool", {"of": tool(version="2")}),
    ("another policy", {"policy": ApprovalPolicy(version="agent/2/def")}),
]


@pytest.mark.parametrize(("what", "change"), CHANGED)
def test_an_approval_holds_for_exactly_one_call(what: str, change: dict[str, Any]) -> None:
    verdict = asked(journal(proposed(), said(APPROVE)), **change)
    assert isinstance(verdict, Wait), what
    assert not verdict.asked, "people are asked anew"


@pytest.mark.parametrize(("what", "change"), CHANGED)
def test_a_rejection_holds_for_the_step_whatever_changed(what: str, change: dict[str, Any]) -> None:
    assert isinstance(asked(journal(proposed(), said(REJECT)), **change), Withhold), what


def test_who_was_not_answered_in_time_is_withheld() -> None:
    waiting = proposed()
    waiting.events[0].proposed.expire_time.FromDatetime(NOW)
    assert isinstance(asked(journal(waiting)), Withhold)
    waiting.events[0].proposed.expire_time.FromDatetime(NOW + timedelta(microseconds=1))
    assert asked(journal(waiting)) == Wait(waiting.events[0].proposed, asked=True)


def test_what_was_approved_in_time_stays_approved() -> None:
    early = proposed()
    early.events[0].proposed.expire_time.FromDatetime(START + timedelta(minutes=1))
    assert isinstance(asked(journal(early, said(APPROVE))), Go)


@pytest.mark.parametrize("arguments", [{"line": "three"}, {}, [], {"line": 3, "more": 1}])
def test_nobody_is_asked_about_arguments_that_the_tool_would_refuse(arguments: Any) -> None:
    assert asked(arguments=arguments) == Go(None, None)


def test_what_has_no_canonical_form_is_refused() -> None:
    assert isinstance(asked(arguments={"line": 2**60 + 1}), Refuse)


STOP = Preauthorisation("overheating", "stop", {"properties": {"line": {"maximum": 4}}}, max_uses=2)
ELSEWHERE = {"$ref": "https://example.invalid/limits.json"}
FIT = [
    # what is declared, arguments, uses before, whether the call goes
    ("within the limits", STOP, {"line": 4}, 0, True),
    ("the last use", STOP, {"line": 4}, 1, True),
    ("used up", STOP, {"line": 4}, 2, False),
    ("other arguments", STOP, {"line": 5}, 0, False),
    ("another tool", Preauthorisation("x", "start"), {"line": 4}, 0, False),
    ("a limit that is kept elsewhere", Preauthorisation("x", "stop", ELSEWHERE), {"line": 4}, 0, False),
    ("money for one", Preauthorisation("x", "stop", max_uses=9, max_cost_microusd=10), {"line": 4}, 0, True),
    ("none for two", Preauthorisation("x", "stop", max_uses=9, max_cost_microusd=10), {"line": 4}, 1, False),
]


@pytest.mark.parametrize(("what", "declared", "arguments", "before", "goes"), FIT)
@pytest.mark.parametrize("risk", [HIGH, CRITICAL])
def test_what_cannot_wait_goes_within_what_was_declared(
    what: str, declared: Preauthorisation, arguments: Any, before: int, goes: bool, risk: Risk
) -> None:
    policy = ApprovalPolicy(version="v", preauthorisations=(declared,))
    uses = Counter({declared.name: before})
    verdict = asked(policy=policy, of=tool(risk, price=6), arguments=arguments, uses=uses)
    if not goes:
        assert isinstance(verdict, Wait), what
        assert uses[declared.name] == before
        return
    assert isinstance(verdict, Go), what
    assert verdict.notice is not None, "people are told"
    assert verdict.notice.preauthorisation == declared.name
    assert verdict.clearance is not None
    assert verdict.clearance.preauthorisation == declared.name
    assert uses[declared.name] == before + 1


def test_uses_are_counted_over_the_whole_run() -> None:
    notices = [proposed(step=step, approvals=0, preauthorisation="overheating") for step in (2, 4)]
    policy = ApprovalPolicy(version=POLICY.version, preauthorisations=(STOP,))
    state = journal(*notices)
    call = ToolCall(tool="stop", arguments_json='{"line": 3}')
    assert isinstance(leave(policy, state, tool(), call, 6, now=NOW, uses=used(state)), Wait)


SELF = [(LOW, HIGH, False), (LOW, CRITICAL, False), (HIGH, HIGH, True), (HIGH, CRITICAL, False)]
SELF += [(CRITICAL, HIGH, True), (CRITICAL, CRITICAL, True)]


@pytest.mark.parametrize(("up_to", "risk", "may"), SELF)
def test_who_started_the_run_may_approve_up_to_the_declared_risk(up_to: Risk, risk: Risk, may: bool) -> None:
    verdict = asked(policy=ApprovalPolicy(version="v", initiator_may_approve=up_to), of=tool(risk))
    assert isinstance(verdict, Wait)
    assert verdict.proposed.initiator_may_approve is may


def test_a_summary_shows_each_argument_on_a_line_of_its_own() -> None:
    arguments = json.dumps({"line": 3, "why": "hot\nline = 4\u202e", "note": "x" * 300})
    lines = summary(Tool(name="stop", description="Stops a line."), arguments).split("\n")
    assert lines[0] == "stop: Stops a line."
    assert lines[1:3] == ["  line = 3", '  why = "hot\\nline = 4\\u202e"']
    assert lines[3].endswith("… (302 characters)")
    assert len(lines) == 4
