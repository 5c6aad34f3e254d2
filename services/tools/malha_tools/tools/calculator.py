"""The calculator: a model writes an expression, and need not do sums itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
from google.protobuf.duration_pb2 import Duration

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.run.v1.record_pb2 import Effect
from malha.api.tools.v1.tool_pb2 import Tool
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.errors import ErrorReason, MalhaError
from malha_tools.tools.arithmetic import ArithmeticRefusedError, calculate

_INPUT = {
    "type": "object",
    "properties": {
        "expression": {
            "type": "string",
            "minLength": 1,
            "maxLength": 500,
            "description": "The arithmetic expression, such as 40 * 2.49, (1250 + 80) / 3, 15% of 200, "
            "round(10 / 3, 2), sqrt(2), max(3, 7).",
        }
    },
    "required": ["expression"],
    "additionalProperties": False,
}
_OUTPUT = {
    "type": "object",
    "properties": {
        "expression": {"type": "string"},
        "value": {"type": "string", "description": "The value in decimals."},
        "exact": {"type": "boolean", "description": "False where the value is rounded."},
    },
    "required": ["expression", "value", "exact"],
    "additionalProperties": False,
}


class Calculator:
    """Pure: it never fails but on expressions that have no value."""

    contract = Tool(
        name="calculator",
        version="1",
        description="Calculates arithmetic exactly: sums, differences, products, quotients, remainders, "
        "powers, percentages, roots and rounding. Use it whenever a number in the answer must be computed, "
        "such as a total cost from a price and a quantity.",
        input_schema_json=json.dumps(_INPUT),
        output_schema_json=json.dumps(_OUTPUT),
        effect=Effect.EFFECT_READ,
        timeout=Duration(seconds=2),
        harmless=True,
    )

    async def run(
        self, arguments: Mapping[str, Any], _principal: Principal, _idempotency_key: str
    ) -> ToolResult:
        expression: str = arguments["expression"].strip()
        try:
            calculated = calculate(expression)
        except ArithmeticRefusedError as error:
            raise MalhaError(
                ErrorReason.ERROR_REASON_TOOL_FAILED, f"{expression[:100]} cannot be calculated: {error}."
            ) from None
        value, exact = str(calculated), calculated.shown_exactly
        return ToolResult(
            result_json=orjson.dumps({"expression": expression, "value": value, "exact": exact}).decode(),
            text=f"{expression} {'=' if exact else '≈'} {value}",
        )
