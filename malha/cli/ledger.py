"""``malha ledger``: whether the money adds up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from malha.cli.session import LOCAL_STATE

app = typer.Typer(no_args_is_help=True, help="Look after the ledger of money.")


@app.callback()
def _group() -> None:
    """Look after the ledger of money."""


@app.command()
def check(
    state: Annotated[Path, typer.Option(help="State folder of the mesh, running or not.")] = LOCAL_STATE,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:
    """Prove that balances are sums of entries and keys settled once.

    Exit code 0: it adds up; 1: it does not, and what is off is listed; 2: there is no ledger to read.
    """
    # the service's own program: this package imports no service
    command = [
        sys.executable,
        "-m",
        "malha_cost.adapters.check",
        str(state / "cost"),
        *(["--json"] if as_json else []),
    ]
    done = subprocess.run(command, check=False)  # noqa: S603  # our own interpreter and module
    raise typer.Exit(done.returncode)
