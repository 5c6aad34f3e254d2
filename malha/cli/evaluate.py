"""``malha eval``: puts what the mesh promises to the test, on a running mesh."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

from malha.cli.session import LOCAL_STATE, console, errors, say

app = typer.Typer(no_args_is_help=True, help="Put a running mesh to the test.")


@app.callback()
def _group() -> None:
    """Put a running mesh to the test."""


@app.command()
def budget(
    rounds: Annotated[int, typer.Option(help="Budgets to race for.", min=1)] = 10,
    processes: Annotated[int, typer.Option(help="Processes that race.", min=1, max=64)] = 4,
    tasks: Annotated[int, typer.Option(help="Tasks of a round, in all processes.", min=1)] = 500,
    state: Annotated[Path, typer.Option(help="State folder of the running mesh.")] = LOCAL_STATE,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:
    """Race for budgets that pay for few of the calls that are wanted.

    Each round is a new tenant (eval-...) whose entries stay in the ledger. Exit code 1 where more was
    spent than a limit allows, or a call was refused that would have fitted.
    """
    # the wire is needed by this command alone
    from malha.cli.racing import CALLER, race
    from malha.stack.secrets import Secrets

    ports = sorted((state / "cost").glob("cost*.port"))
    if not ports:
        say(escape(f"malha: no mesh runs on {state}; start it with: malha up"))
        raise typer.Exit(2)  # 1 is said of money
    target = ",".join(f"127.0.0.1:{port.read_text().strip()}" for port in ports)
    secrets = Secrets(state / "secrets").of(CALLER)
    with Progress(console=errors) as progress:
        task = progress.add_task("racing", total=rounds)
        tell = partial(progress.advance, task)
        outcome = asyncio.run(
            race(target, secrets, rounds=rounds, processes=processes, tasks=tasks, tell=tell)
        )
    if as_json:
        typer.echo(json.dumps(asdict(outcome)))
    else:
        for name, value in asdict(outcome).items():
            console.print(f"{name.replace('_', ' ')}: {value:,}", highlight=False)
    if outcome.overshoot_microusd or outcome.unused_calls:
        raise typer.Exit(1)
