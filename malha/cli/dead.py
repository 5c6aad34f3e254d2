"""``malha dead``: runs that were given up, for operators."""

from __future__ import annotations

from typing import Annotated

import typer

from malha.cli import render
from malha.cli.session import console, run
from malha.cli.terminal import whole
from malha.client import Client

app = typer.Typer(no_args_is_help=True, help="Look after runs that were given up. Needs the scope operator.")
Tenant = Annotated[str, typer.Option(help="Whose run it is.")]
Reason = Annotated[str, typer.Option(help="Kept in the run's journal.")]
LOCAL_TENANT = "dev"


@app.command("list")
def list_(
    tenant: Annotated[str, typer.Option(help="Whose runs; all tenants' where left out.")] = "",
    limit: Annotated[int, typer.Option(help="How many, at most 100.", min=1, max=100)] = 20,
) -> None:
    """List the dead runs that wait for a decision, newest first."""

    async def main(client: Client) -> int:
        found = await client.dead_runs(tenant, limit=limit)
        if found:
            whole(console, render.dead_listing(found))
        else:
            console.print("no dead runs")
        return 0

    run(main)


@app.command()
def show(run_id: str, tenant: Tenant = LOCAL_TENANT) -> None:
    """Show a dead run: who had it, its steps, why it was given up."""

    async def main(client: Client) -> int:
        found = await client.dead_run(tenant, run_id)
        whole(console, render.claims(found))
        whole(console, render.steps(found.run))
        render.outcome(console, found.run)
        return 0

    run(main)


@app.command()
def replay(run_id: str, tenant: Tenant = LOCAL_TENANT, reason: Reason = "") -> None:
    """Open a dead run again; what it has done stands."""

    async def main(client: Client) -> int:
        opened = await client.replay(tenant, run_id, reason)
        console.print(f"{render.status(opened.run)} · follow it with: malha show {run_id}", highlight=False)
        return 0

    run(main)


@app.command()
def drop(run_id: str, tenant: Tenant = LOCAL_TENANT, reason: Reason = "") -> None:
    """Close a dead run for good; it cannot be replayed any more."""

    async def main(client: Client) -> int:
        closed = await client.drop(tenant, run_id, reason)
        console.print(f"{render.status(closed.run)}", highlight=False)
        return 0

    run(main)
