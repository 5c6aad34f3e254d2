"""Tools for tests: one whose effect can be counted on disk, and one that does as it is told.

The first is named in the tools service's settings, such as
``{"malha.testing.tools:file_appender": {"path": "/tmp/lines", "pauses": "/tmp/pauses"}}``.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.run.v1.record_pb2 import Effect
from malha.api.tools.v1.tool_pb2 import Tool
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.testing.pause_points import PausePoints

_INPUT = {
    "type": "object",
    "properties": {"line": {"type": "string", "minLength": 1, "description": "The line to append."}},
    "required": ["line"],
    "additionalProperties": False,
}
_OUTPUT = {
    "type": "object",
    "properties": {"appended": {"type": "string"}},
    "required": ["appended"],
    "additionalProperties": False,
}


class FileAppender:
    """Appends a line to a file, EFFECT_ONCE: as many lines, as many effects.

    Pauses at ``before_acting`` and ``after_acting``.
    """

    def __init__(self, path: Path, pauses: PausePoints) -> None:
        self._path = path
        self._pauses = pauses
        self.contract = Tool(
            name="append_line",
            version="1",
            description="Appends a line of text to the log file. Use it to append, write or record a line.",
            input_schema_json=json.dumps(_INPUT),
            output_schema_json=json.dumps(_OUTPUT),
            effect=Effect.EFFECT_ONCE,
        )

    async def run(
        self, arguments: Mapping[str, Any], _principal: Principal, _idempotency_key: str
    ) -> ToolResult:
        line: str = arguments["line"]
        await self._pauses.reach("before_acting")
        await asyncio.to_thread(self._append, line)
        await self._pauses.reach("after_acting")
        return ToolResult(result_json=json.dumps({"appended": line}), text=f"The line was appended: {line}")

    def _append(self, line: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())


def file_appender(path: str, pauses: str = "") -> FileAppender:
    """The appender, as the settings name it.

    Args:
        path: the file; its folder exists.
        pauses: the folder of the pause points, if any; it exists.
    """
    return FileAppender(Path(path), PausePoints(Path(pauses) if pauses else None))


class ToldTool:
    """A tool that counts its runs and does as the test says.

    It takes ``{"n": integer}`` and answers a string. ``act``, where set, is awaited in place of success:
    what it returns is the text of the result, what it raises leaves the tool.
    """

    def __init__(self, effect: Effect = Effect.EFFECT_ONCE, *, name: str = "told", **contract: Any) -> None:
        self.ran: list[tuple[str, Mapping[str, Any], str]] = []
        """(tenant, arguments, idempotency key) of each run."""
        self.act: Callable[[], Awaitable[str]] | None = None
        self.result = ToolResult(result_json='"fine"', text="It went fine.")
        self.contract = Tool(
            name=name,
            input_schema_json=json.dumps(
                {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False}
            ),
            output_schema_json=json.dumps({"type": "string"}),
            effect=effect,
            **contract,
        )

    async def run(
        self, arguments: Mapping[str, Any], principal: Principal, idempotency_key: str
    ) -> ToolResult:
        self.ran.append((principal.tenant, arguments, idempotency_key))
        result = ToolResult()
        result.CopyFrom(self.result)
        if self.act:
            result.text = await self.act()
        return result


class Gate:
    """A place in an act: the test waits until somebody is ``inside``, and lets them on with ``open``."""

    def __init__(self) -> None:
        self.inside = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self) -> str:
        self.inside.set()
        await self.open.wait()
        return "went through"
