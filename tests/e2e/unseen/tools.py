"""The two tools of the unseen folder, real ones: the tides of three harbours, and what the ferry costs.

Their contracts are read from schemas.json; the tools service loads them by its setting `extra_tools`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.run.v1.record_pb2 import Effect
from malha.api.tools.v1.tool_pb2 import Tool
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.errors import ErrorReason, MalhaError

SCHEMAS = json.loads((Path(__file__).parent / "schemas.json").read_text(encoding="utf-8"))
ANSWER = {"type": "object"}

HALF_TIDE = timedelta(hours=6, minutes=12, seconds=37)
"""From high water to low: a quarter of a lunar day, the main (M2) tide alone."""
FIRST_HIGH_WATER = {
    "porto-sereno": datetime(2026, 1, 1, 2, 40, tzinfo=UTC),
    "ilha-do-meio": datetime(2026, 1, 1, 3, 5, tzinfo=UTC),
    "lagoa-branca": datetime(2026, 1, 1, 4, 20, tzinfo=UTC),
}

FLORINS_A_PASSENGER = {
    frozenset({"porto-sereno", "ilha-do-meio"}): 12,
    frozenset({"ilha-do-meio", "lagoa-branca"}): 9,
    frozenset({"porto-sereno", "lagoa-branca"}): 18,
}
FLORINS_A_VEHICLE = {"none": 0, "bicycle": 3, "motorcycle": 15, "car": 40}


class TideTimes:
    """When the water is high and low on a day."""

    def __init__(self) -> None:
        self.contract = contract("tide_times")

    async def run(self, arguments: Mapping[str, Any], _principal: Principal, _key: str) -> ToolResult:
        harbour: str = arguments["harbour"]
        try:
            day = date.fromisoformat(arguments["date"])
        except ValueError:
            raise MalhaError(
                ErrorReason.ERROR_REASON_TOOL_FAILED, "the date must be written YYYY-MM-DD"
            ) from None
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        turn = -(-(start - FIRST_HIGH_WATER[harbour]) // HALF_TIDE)  # the first turn of the tide on that day
        times: dict[str, list[str]] = {"high": [], "low": []}
        while (moment := FIRST_HIGH_WATER[harbour] + turn * HALF_TIDE) < start + timedelta(days=1):
            times["low" if turn % 2 else "high"].append(f"{moment:%H:%M}")
            turn += 1
        high, low = (" and ".join(times[kind]) for kind in ("high", "low"))
        text = f"At {harbour} on {day} the tide is high at {high} and low at {low} (UTC)."
        return ToolResult(result_json=json.dumps(times), text=text)


class FerryFare:
    """What a crossing costs."""

    def __init__(self) -> None:
        self.contract = contract("ferry_fare")

    async def run(self, arguments: Mapping[str, Any], _principal: Principal, _key: str) -> ToolResult:
        origin, destination = arguments["origin"], arguments["destination"]
        passengers, vehicle = arguments["passengers"], arguments.get("vehicle", "none")
        if origin == destination:
            raise MalhaError(
                ErrorReason.ERROR_REASON_TOOL_FAILED, "the two harbours of a crossing are different"
            )
        fare = FLORINS_A_PASSENGER[frozenset({origin, destination})] * passengers + FLORINS_A_VEHICLE[vehicle]
        text = (
            f"The ferry from {origin} to {destination} for {passengers} passengers with {vehicle} as vehicle "
            f"costs {fare} florins."
        )
        return ToolResult(result_json=json.dumps({"florins": fare}), text=text)


def contract(name: str) -> Tool:
    """The tool's contract, its schema as schemas.json has it."""
    return Tool(
        name=name,
        version="1",
        description=SCHEMAS[name]["description"],
        input_schema_json=json.dumps(SCHEMAS[name]["input"]),
        output_schema_json=json.dumps(ANSWER),
        effect=Effect.EFFECT_READ,
        harmless=True,
    )
