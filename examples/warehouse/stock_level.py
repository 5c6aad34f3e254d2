"""A tool of one's own: how many units of a product the warehouse holds.

It needs `malha.api` and nothing else of Malha. The tools service makes it by calling `stock_level`
with the arguments that its settings give (see the README).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.run.v1.record_pb2 import Effect
from malha.api.tools.v1.tool_pb2 import Tool
from malha.api.tools.v1.tools_service_pb2 import ToolResult


class StockLevel:
    """Reads units by product."""

    def __init__(self, units: Mapping[str, int]) -> None:
        self._units = units
        takes = {
            "type": "object",
            "properties": {"product": {"type": "string", "enum": sorted(units)}},
            "required": ["product"],
            "additionalProperties": False,
        }
        gives = {"type": "object", "properties": {"units": {"type": "integer"}}, "required": ["units"]}
        self.contract = Tool(
            name="stock_level",
            version="1",
            description="Tells how many units of a product are in stock. Use it for questions about stock.",
            input_schema_json=json.dumps(takes),
            output_schema_json=json.dumps(gives),
            effect=Effect.EFFECT_READ,
            harmless=True,
        )

    async def run(
        self, arguments: Mapping[str, Any], _principal: Principal, _idempotency_key: str
    ) -> ToolResult:
        """The units of `arguments["product"]`, which the schema has made sure is one of ours."""
        product = arguments["product"]
        units = self._units[product]
        return ToolResult(
            result_json=json.dumps({"units": units}),
            text=f"There are {units} units of the {product} in stock.",
        )


def stock_level(file: str) -> StockLevel:
    """The tool over a JSON file: product -> units."""
    return StockLevel(json.loads(Path(file).read_text(encoding="utf-8")))
