"""A command against the mesh: one client, one event loop, and refusals in a line instead of a stack."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NoReturn

import typer
from rich.markup import escape

from malha.cli.terminal import Terminal
from malha.client import Client, ErrorReason, MalhaError
from malha.client.target import is_local, target_in

console = Terminal()
"""For what a command is asked for, and nothing else: it may go into a file or another program."""
errors = Terminal(stderr=True)
LOCAL_STATE = Path(".malha")
_RUNS = "see which there are: malha runs"
_DAY = "a day is written as 2026-01-31"
_HINTS = {
    ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE: (
        "is the mesh up? start it with: malha up; where it is not on 127.0.0.1:7400, set MALHA_GRPC_TARGET"
    ),
    ErrorReason.ERROR_REASON_PRICE_UNKNOWN: "`malha prices` has those known; MALHA_COST_PRICE_FILE adds some",
    ErrorReason.ERROR_REASON_RUN_NOT_FOUND: _RUNS,
    ErrorReason.ERROR_REASON_SCOPE_MISSING: "an administrator makes a key with it: POST /v1/admin/keys",
    ErrorReason.ERROR_REASON_RUN_NOT_FINISHED: "end it first: malha cancel RUN",
    ErrorReason.ERROR_REASON_WEBHOOK_NOT_FOUND: "see which there are: malha webhooks list",
    ErrorReason.ERROR_REASON_CREDENTIAL_MISSING: "set MALHA_API_KEY; `malha up` prints the development key",
    ErrorReason.ERROR_REASON_CREDENTIAL_INVALID: "check MALHA_API_KEY; `malha up` prints the development key",
}
_HINTS_OF_FIELDS = {"run_id": _RUNS, "since": _DAY, "until": _DAY, "day": _DAY}


def run(command: Callable[[Client], Awaitable[int]]) -> None:
    """Run a command; what it answers is the exit code. A refusal is a line that says what to do."""

    async def session() -> int:
        async with Client(api_key=_api_key()) as client:
            return await command(client)

    try:
        code = asyncio.run(session())
    except MalhaError as error:
        say(f"[red]{error.reason_name}[/] {escape(error.message)}")
        if hint := _hint(error):
            say(hint)
        if error.trace_id:
            say(f"[dim]trace {error.trace_id}[/]")
        code = 1
    except BrokenPipeError:
        raise  # whoever read has enough: typer ends the command without a word
    except OSError as error:
        refuse(": ".join(str(part) for part in (error.filename, error.strerror) if part))
    except UnicodeEncodeError:  # only what came from outside as bytes of another character set
        refuse("what was typed is not UTF-8: set the terminal to it")
    except KeyboardInterrupt:
        code = 130
    if code:
        raise typer.Exit(code)


def refuse(why: str) -> NoReturn:
    """End the command for a reason of this machine's."""
    say(escape(f"malha: {why}"))
    raise typer.Exit(1) from None


def say(line: str) -> None:
    """A line on the error stream, with markup; never cut in two, for whoever searches a log."""
    errors.print(line, highlight=False, soft_wrap=True)


def _hint(error: MalhaError) -> str:
    """What to do next, of which the mesh knows less than who reads commands."""
    fields = (_HINTS_OF_FIELDS.get(field, "") for field, _ in error.violations)
    later = f"the same may succeed in {math.ceil(error.retry_after)} s" if error.retry_after else ""
    return next(filter(None, (_HINTS.get(error.reason), *fields, later)), "")


def _api_key() -> str | None:
    """The key of the local mesh, where the environment names none; it is shown to no other mesh."""
    local = LOCAL_STATE / "secrets" / "dev.key"
    if "MALHA_API_KEY" not in os.environ and is_local(target_in(os.environ)) and local.is_file():
        return local.read_text(encoding="utf-8").strip()
    return None  # the client reads the environment
