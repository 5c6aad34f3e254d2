"""The last look before a tool runs: exactly what enough people approved, or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from malha.api.run.v1.record_pb2 import Clearance, Risk
from malha.api.tools.v1.tool_pb2 import Tool
from malha.errors import MalhaError
from malha.run import call_hash
from malha_tools.clearing import check_clearance

LOW, MEDIUM, HIGH, CRITICAL = Risk.RISK_LOW, Risk.RISK_MEDIUM, Risk.RISK_HIGH, Risk.RISK_CRITICAL
UNSPECIFIED = Risk.RISK_UNSPECIFIED
MISMATCH, REQUIRED = "APPROVAL_MISMATCH", "APPROVAL_REQUIRED"


def cleared(*by: str, risk: Risk = HIGH, arguments: Any = None, **more: Any) -> Clearance:
    arguments = {"line": 3} if arguments is None else arguments
    hash_ = call_hash("stop", "1", arguments, "p")
    return Clearance(**{"risk": risk, "hash": hash_, "policy": "p", "approved_by": by, **more})


CASES = [
    # what is the case, the tool's own risk, its version, the clearance, what becomes of the call
    ("no risk, no clearance", LOW, "1", Clearance(), ""),
    ("nothing declared", UNSPECIFIED, "1", Clearance(), ""),
    ("people were told", MEDIUM, "1", cleared(risk=MEDIUM), ""),
    ("nobody was told, and nobody has to be asked", MEDIUM, "1", Clearance(), ""),
    ("one approved", HIGH, "1", cleared("bea"), ""),
    ("nobody approved", HIGH, "1", cleared(), REQUIRED),
    ("no clearance at all", HIGH, "1", Clearance(), REQUIRED),
    ("approved, but not what", HIGH, "1", Clearance(approved_by=["bea"]), REQUIRED),
    ("two approved", CRITICAL, "1", cleared("bea", "carl", risk=CRITICAL), ""),
    ("one of two", CRITICAL, "1", cleared("bea", risk=CRITICAL), REQUIRED),
    ("one twice", CRITICAL, "1", cleared("bea", "bea", risk=CRITICAL), REQUIRED),
    ("the caller thinks less of the risk", CRITICAL, "1", cleared("bea", risk=LOW), REQUIRED),
    ("the agent thinks more of it", LOW, "1", cleared("bea", risk=CRITICAL), REQUIRED),
    ("declared beforehand", CRITICAL, "1", cleared(preauthorisation="fire"), ""),
    ("declared beforehand, but not what", HIGH, "1", Clearance(preauthorisation="fire"), REQUIRED),
    ("other arguments", HIGH, "1", cleared("bea", arguments={"line": 4}), MISMATCH),
    ("other arguments, of no risk", LOW, "1", cleared("bea", arguments={"line": 4}), MISMATCH),
    ("another version of the tool", HIGH, "2", cleared("bea"), MISMATCH),
    ("another policy", HIGH, "1", cleared("bea", policy="q"), MISMATCH),
    ("other arguments, declared beforehand", HIGH, "1", cleared(preauthorisation="x", policy="q"), MISMATCH),
    ("a hash of another length", HIGH, "1", cleared("bea", hash=b"short"), MISMATCH),
]


@pytest.mark.parametrize(("what", "risk", "version", "clearance", "reason"), CASES)
def test_a_call_runs_exactly_as_it_was_approved(
    what: str, risk: Risk, version: str, clearance: Clearance, reason: str
) -> None:
    contract = Tool(name="stop", version=version, risk=risk)
    if not reason:
        check_clearance(contract, {"line": 3.0}, clearance)
        return
    with pytest.raises(MalhaError) as refused:
        check_clearance(contract, {"line": 3}, clearance)
    assert refused.value.reason_name == reason, what
    assert refused.value.metadata == {"tool": "stop"}


def test_arguments_without_a_canonical_form_are_never_what_was_approved() -> None:
    contract = Tool(name="stop", version="1", risk=HIGH)
    with pytest.raises(MalhaError) as refused:
        check_clearance(contract, {"line": 2**60 + 1}, cleared("bea"))
    assert refused.value.reason_name == MISMATCH
