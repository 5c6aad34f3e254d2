"""``malha webhooks``: where events are delivered by HTTP, for administrators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from malha.api.gateway.v1.webhook_service_pb2 import Webhook
from malha.cli.session import console, run
from malha.cli.terminal import whole
from malha.client import Client

app = typer.Typer(no_args_is_help=True, help="Have events posted to a URL, signed. Needs the scope admin.")


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="Where events are posted, https://...")],
    event: Annotated[
        list[str] | None,
        typer.Option(help="A type such as run.finished, or alert.*; once for each. All where left out."),
    ] = None,
) -> None:
    """Register an endpoint and print, this once, its signing secret."""

    async def main(client: Client) -> int:
        webhook, secret = await client.add_webhook(url, event or [])
        console.print(f"webhook {webhook.webhook_id}", highlight=False, markup=False)
        console.print(f"secret  {secret}", highlight=False, markup=False, soft_wrap=True)
        console.print(f"try it: malha webhooks test {webhook.webhook_id}", highlight=False)
        return 0

    run(main)


@app.command("list")
def list_() -> None:
    """List the endpoints and how their deliveries go."""

    async def main(client: Client) -> int:
        if found := await client.webhooks():
            whole(console, listing(found))
        else:
            console.print("no webhooks; add one with: malha webhooks add URL")
        return 0

    run(main)


def listing(webhooks: Sequence[Webhook]) -> Table:
    """Endpoints as a table, ids whole: they are there to be copied."""
    table = Table(Column("webhook", no_wrap=True), "url", "events", "waiting", "last")
    for webhook in webhooks:
        outcome = f"disabled: {webhook.disabled_reason}" if webhook.disabled_reason else webhook.last_outcome
        table.add_row(
            webhook.webhook_id,
            escape(webhook.url),
            " ".join(webhook.event_types) or "all",
            f"{webhook.waiting:,}",
            escape(outcome or "nothing yet"),
        )
    return table


@app.command()
def remove(webhook_id: str) -> None:
    """Remove an endpoint, and what was still to be delivered there."""

    async def main(client: Client) -> int:
        await client.remove_webhook(webhook_id)
        console.print("removed")
        return 0

    run(main)


@app.command()
def test(webhook_id: str) -> None:
    """Deliver a webhook.test event; success enables the endpoint again."""

    async def main(client: Client) -> int:
        delivered, outcome = await client.test_webhook(webhook_id)
        console.print(
            f"{'delivered' if delivered else 'not delivered'}: {outcome}", highlight=False, markup=False
        )
        return 0 if delivered else 1

    run(main)
