"""Tools of an industrial agent: read a production line, stop it, change its speed.

What a call can do is declared as its risk: reading is low, stopping is high, and the agent beside this
file takes a change of speed for critical. The lines stand in a JSON file, so that one can look at what
was done.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.run.v1.record_pb2 import Effect, Risk
from malha.api.tools.v1.tool_pb2 import Tool
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.errors import ErrorReason, MalhaError

_LINE = {"type": "integer", "minimum": 1, "description": "The number of the line."}


class _Lines:
    """What the tools share: the file, and how a line is told."""

    def __init__(self, file: Path, contract: Tool) -> None:
        self._file = file
        self.contract = contract

    async def _change(self, line: int, **values: int) -> Mapping[str, int]:
        """The line after the change. Raises MalhaError TOOL_FAILED where there is no such line."""
        return await asyncio.to_thread(self._write, str(line), values)

    def _write(self, line: str, values: Mapping[str, int]) -> Mapping[str, int]:
        lines: dict[str, dict[str, int]] = json.loads(self._file.read_text(encoding="utf-8"))
        if line not in lines:
            raise MalhaError(ErrorReason.ERROR_REASON_TOOL_FAILED, f"there is no line {line}")
        if values:
            lines[line].update(values)
            new = self._file.with_suffix(".new")
            new.write_text(json.dumps(lines), encoding="utf-8")
            new.replace(self._file)
        return lines[line]


class LineReading(_Lines):
    """Reads temperature and speed."""

    async def run(self, arguments: Mapping[str, Any], _principal: Principal, _key: str) -> ToolResult:
        """The line as it is now."""
        return _told(arguments["line"], await self._change(arguments["line"]))


class StopLine(_Lines):
    """Stops a line at once."""

    async def run(self, arguments: Mapping[str, Any], _principal: Principal, _key: str) -> ToolResult:
        """The line after it was stopped."""
        return _told(arguments["line"], await self._change(arguments["line"], speed=0))


class SetLineSpeed(_Lines):
    """Changes the speed of a line."""

    async def run(self, arguments: Mapping[str, Any], _principal: Principal, _key: str) -> ToolResult:
        """The line at its new speed."""
        return _told(arguments["line"], await self._change(arguments["line"], speed=arguments["speed"]))


def line_reading(file: str) -> LineReading:
    """The reading tool over a JSON file: line -> celsius and speed."""
    text = "Tells temperature and speed of a production line now."
    contract = _contract("line_reading", text, Effect.EFFECT_READ, Risk.RISK_LOW, {"line": _LINE})
    return LineReading(Path(file), contract)


def stop_line(file: str) -> StopLine:
    """The stopping tool over the same file."""
    reason = {"type": "string", "minLength": 3, "maxLength": 200, "description": "Why it is stopped."}
    takes = {"line": _LINE, "reason": reason}
    contract = _contract(
        "stop_line", "Stops a production line at once.", Effect.EFFECT_ONCE, Risk.RISK_HIGH, takes
    )
    return StopLine(Path(file), contract)


def set_line_speed(file: str) -> SetLineSpeed:
    """The tool that changes speed, over the same file."""
    speed = {"type": "integer", "minimum": 1, "maximum": 60, "description": "Units a minute."}
    takes = {"line": _LINE, "speed": speed}
    text = "Changes the speed of a production line."
    contract = _contract("set_line_speed", text, Effect.EFFECT_IDEMPOTENT, Risk.RISK_HIGH, takes)
    return SetLineSpeed(Path(file), contract)


def _contract(name: str, description: str, effect: Effect, risk: Risk, takes: Mapping[str, Any]) -> Tool:
    line = {"type": "object", "properties": {"celsius": {"type": "integer"}, "speed": {"type": "integer"}}}
    return Tool(
        name=name,
        version="1",
        description=description,
        input_schema_json=json.dumps(
            {"type": "object", "properties": takes, "required": list(takes), "additionalProperties": False}
        ),
        output_schema_json=json.dumps(line),
        effect=effect,
        risk=risk,
    )


def _told(line: int, state: Mapping[str, int]) -> ToolResult:
    moves = f"runs at {state['speed']} units a minute" if state["speed"] else "stands still"
    return ToolResult(
        result_json=json.dumps(dict(state)),
        text=f"Line {line} {moves} at {state['celsius']} degrees Celsius.",
    )
