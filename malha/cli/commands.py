"""The ``malha`` command: the mesh and its runs from a terminal."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

from malha.api.gateway.v1 import run_pb2
from malha.api.retrieval.v1 import retrieval_pb2
from malha.cli import approving, dead, documents, evaluate, ledger, render, tenants, webhooks
from malha.cli.alerts import alerts
from malha.cli.export import export
from malha.cli.prices import prices
from malha.cli.report import report
from malha.cli.session import LOCAL_STATE, console, errors, refuse, run, say
from malha.cli.terminal import whole
from malha.cli.usage import usage
from malha.client import Client, MalhaError, RunText

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The mesh and its runs from a terminal.",
    rich_markup_mode=None,
)
app.add_typer(dead.app, name="dead")
app.add_typer(ledger.app, name="ledger")
app.add_typer(evaluate.app, name="eval")
app.add_typer(tenants.app, name="tenants")
app.add_typer(webhooks.app, name="webhooks")


@app.command()
def up(
    state: Annotated[Path, typer.Option(help="Folder of everything the mesh keeps.")] = LOCAL_STATE,
    free_ports: Annotated[bool, typer.Option(help="Take free ports instead of the usual ones.")] = False,
    ready_file: Annotated[
        Path | None, typer.Option(help="JSON file to write once all is healthy: urls, key, processes.")
    ] = None,
    otlp_endpoint: Annotated[
        str, typer.Option(envvar="MALHA_OTLP_ENDPOINT", help="OTLP/gRPC collector for traces.")
    ] = "",
    access_log: Annotated[bool, typer.Option(help="Let the edge write a line for every call.")] = False,
    replicas: Annotated[
        str, typer.Option(help="Processes of a service, such as planner=2,gateway=2; else one each.")
    ] = "",
) -> None:
    """Start the mesh on this machine and stay until Ctrl-C."""
    # the supervisor is needed by this command and the next alone
    from malha.stack import CANNOT_START, UpOptions, parse_replicas
    from malha.stack import up as start

    try:
        wanted = parse_replicas(replicas)
        asyncio.run(start(UpOptions(state, free_ports, ready_file, otlp_endpoint, access_log, wanted)))
    except CANNOT_START as error:
        refuse(str(error))


@app.command()
def roll(
    names: Annotated[
        list[str] | None, typer.Argument(help="Services or processes; else all services and the edge.")
    ] = None,
    state: Annotated[Path, typer.Option(help="State folder of the mesh.")] = LOCAL_STATE,
) -> None:
    """Replace the processes of the mesh one by one, without a gap."""
    from malha.stack import NoMeshError, RollFailedError, order_roll

    try:
        asyncio.run(order_roll(state, names or [], console.print))
    except (NoMeshError, RollFailedError) as error:
        refuse(str(error))


@app.command()
def ask(
    question: str,
    agent: Annotated[str, typer.Option(help="Who answers; `malha agents` lists them.")] = "",
) -> None:
    """Put a question to an agent and watch it being answered."""

    async def main(client: Client) -> int:
        run = await client.create_run(question, agent=agent, stream=True)
        text = RunText()
        try:
            with render.growing(console) as show:
                async for event in client.events(run.run_id, deltas=True):
                    if text.take(event):
                        show(text.text)
                    else:
                        render.event(console, event)
                        if event.waiting.reason in approving.REASONS:
                            say("see what waits for whom, and decide: malha approvals")
                        if event.HasField("step_finished"):
                            show("")
        except (asyncio.CancelledError, MalhaError):
            say(f"the run goes on; see it with: malha show {run.run_id}")
            say(f"             or end it with: malha cancel {run.run_id}")
            raise
        run = await client.run(run.run_id)
        render.outcome(console, run)
        return 0 if run.status == run_pb2.RUN_STATUS_SUCCEEDED else 1

    run(main)


@app.command()
def ingest(
    path: Annotated[Path, typer.Argument(help="A folder, or a file of text.", exists=True)],
) -> None:
    """Store the text files of a folder for agents to search."""
    files = documents.found(path)
    if not files:
        refuse(f"no text files ({', '.join(sorted(documents.TEXT_SUFFIXES))}) under {path}")

    async def main(client: Client) -> int:
        counts = dict.fromkeys(("stored", "unchanged", "refused"), 0)
        with Progress(console=errors) as progress:
            task = progress.add_task("ingesting", total=len(files))

            def count(word: str) -> None:
                counts[word] += 1
                progress.advance(task)

            def refused(name: str, reason: str) -> None:
                count("refused")
                say(f"[red]refused[/] {escape(name)}: {escape(reason)}")

            for batch in documents.batches(files, refused):
                for outcome in await documents.stored(client.ingest, batch):
                    if outcome.status == retrieval_pb2.INGEST_STATUS_REFUSED:
                        refused(outcome.name, outcome.reason)
                    else:
                        count(retrieval_pb2.IngestStatus.Name(outcome.status).rpartition("_")[2].lower())
        console.print(", ".join(f"{number} {word}" for word, number in counts.items()))
        return 1 if counts["refused"] else 0

    run(main)


@app.command()
def runs(
    where: Annotated[str, typer.Option(help='For example: status = "SUCCEEDED"')] = "",
    limit: Annotated[int, typer.Option(help="How many, at most 100.", min=1, max=100)] = 20,
) -> None:
    """List the newest runs."""

    async def main(client: Client) -> int:
        found = await client.runs(where, limit=limit)
        if found:
            whole(console, render.listing(found))
        else:
            console.print("no runs")
        return 0

    run(main)


@app.command()
def show(run_id: str) -> None:
    """Show a run: its steps, its answer, what it cost."""

    async def main(client: Client) -> int:
        run = await client.run(run_id)
        console.print(f"{render.status(run)} · {run.input}", highlight=False, markup=False)
        whole(console, render.steps(run))
        render.outcome(console, run)
        return 0

    run(main)


@app.command()
def cancel(run_id: str, reason: Annotated[str, typer.Option(help="Kept in the run's journal.")] = "") -> None:
    """Ask for a run's end."""

    async def main(client: Client) -> int:
        await client.cancel(run_id, reason)
        console.print("cancellation asked for")
        return 0

    run(main)


@app.command()
def erase(
    run_id: Annotated[str, typer.Argument(help="The run; it must be over.")] = "",
    tenant: Annotated[str, typer.Option(help="Erase all runs of this tenant, and its data key.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing before a tenant is erased.")] = False,
) -> None:
    """Erase a run, or all of a tenant. There is no way back."""
    if bool(run_id) == bool(tenant):
        raise typer.BadParameter("name either a run or --tenant TENANT")
    if tenant and not yes:
        typer.confirm(f"Erase all runs of {tenant} and its data key, for good?", abort=True, err=True)

    async def main(client: Client) -> int:
        if tenant:
            console.print(f"erased {await client.erase_tenant(tenant)} runs and the data key of {tenant}")
        else:
            await client.erase(run_id)
            console.print("erased")
        return 0

    run(main)


@app.command()
def agents() -> None:
    """List the agents within reach."""

    async def main(client: Client) -> int:
        for agent in await client.agents():
            mark = " (default)" if agent.is_default else ""
            console.print(f"[bold]{agent.name}[/]{mark}: {escape(agent.description)}", highlight=False)
            console.print(
                f"    [dim]{escape(agent.model)} · {escape(', '.join(agent.tools))}[/]", highlight=False
            )
        return 0

    run(main)


app.command()(usage)
app.command()(prices)
app.command()(alerts)
app.command()(report)
app.command()(export)
approving.add_commands(app, console, run)
