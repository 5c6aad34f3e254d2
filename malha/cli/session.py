"""A command against the mesh: one client, one event loop, and refusals in a line instead of a stack."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

from malha.cli.terminal import Terminal
from malha.client import Client, ErrorReason, MalhaError

console = Terminal()
LOCAL_STATE = Path(".malha")
_HINTS = {
    ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE: "is the mesh up? start it with: malha up",
    ErrorReason.ERROR_REASON_PRICE_UNKNOWN: "`malha prices` has those known; MALHA_COST_PRICE_FILE adds some",
    ErrorReason.ERROR_REASON_RUN_NOT_FINISHED: "end it first: malha cancel RUN",
    ErrorReason.ERROR_REASON_WEBHOOK_NOT_FOUND: "see which there are: malha webhooks list",
    ErrorReason.ERROR_REASON_CREDENTIAL_MISSING: "set MALHA_API_KEY; `malha up` prints the development key",
    ErrorReason.ERROR_REASON_CREDENTIAL_INVALID: "check MALHA_API_KEY; `malha up` prints the development key",
}


def run(command: Callable[[Client], Awaitable[int]], *, refusals: Console = console) -> None:
    """Run a command; what it answers is the exit code. A refusal is a line that says what to do."""

    async def session() -> int:
        async with Client(api_key=_api_key()) as client:
            return await command(client)

    try:
        code = asyncio.run(session())
    except MalhaError as error:
        refusals.print(f"[red]{error.reason_name}[/] {escape(error.message)}", highlight=False)
        if hint := _HINTS.get(error.reason):
            refusals.print(hint, highlight=False)
        if error.trace_id:
            refusals.print(f"[dim]trace {error.trace_id}[/]", highlight=False)
        code = 1
    except KeyboardInterrupt:
        code = 130
    if code:
        raise typer.Exit(code)


def _api_key() -> str | None:
    """The key of the local mesh, where the environment names none."""
    local = LOCAL_STATE / "secrets" / "dev.key"
    if "MALHA_API_KEY" not in os.environ and local.is_file():
        return local.read_text(encoding="utf-8").strip()
    return None  # the client reads the environment
