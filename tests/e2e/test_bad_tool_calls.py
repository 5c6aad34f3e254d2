"""What a model asks for against a tool's schema: told to the model, and seen by the caller."""

from __future__ import annotations

import re
from typing import Any

import pytest

from malha.api.gateway.v1.run_pb2 import RUN_STATUS_SUCCEEDED, STEP_STATUS_FAILED
from malha.testing.callers import Caller


@pytest.mark.parametrize(
    ("tool", "arguments", "reason", "told"),
    [
        ("calculator", {"expression": 17}, "FIELD_INVALID", "expression"),
        ("calculator", {"expression": "1+1", "colour": "red"}, "FIELD_INVALID", "colour"),
        ("calculator", {}, "FIELD_INVALID", "expression"),
        ("calculator", "{no json", "FIELD_INVALID", "object"),
        ("calculator", {"expression": "1 / 0"}, "TOOL_FAILED", "zero"),
        ("teleporter", {"to": "Lisbon"}, "TOOL_NOT_FOUND", "teleporter"),
    ],
)
async def test_a_tool_call_against_its_schema_is_told_to_the_model_and_seen_by_the_caller(
    caller: Caller, around: Any, tool: str, arguments: Any, reason: str, told: str
) -> None:
    question = f"call {tool} with {arguments}"
    around.models.add(
        {
            "user": f"^{re.escape(question)}$",
            "turn": 0,
            "tool_calls": [{"name": tool, "arguments": arguments}],
        },
        {"user": f"^{re.escape(question)}$", "turn": 1, "text": "Then I say it without a tool."},
    )
    run = await caller.client.ask(question, agent="scripted")
    assert (run.status, run.answer) == (RUN_STATUS_SUCCEEDED, "Then I say it without a tool.")
    step = run.steps[1]
    assert (step.name, step.status, step.error.reason) == (tool, STEP_STATUS_FAILED, reason)
    assert told in step.error.message
    heard = [request.body["messages"][-1] for request in around.models.requests if request.user == question]
    assert heard[-1]["role"] == "tool"
    assert told in heard[-1]["content"]
