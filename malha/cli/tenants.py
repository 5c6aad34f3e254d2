"""``malha tenants``: which tier a tenant has, and who pays for it; for operators."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated

import typer

from malha.api.common.v1.principal_pb2 import Tier
from malha.api.gateway.v1.tenant_service_pb2 import Tenant
from malha.cli.session import console, run
from malha.client import Client

app = typer.Typer(no_args_is_help=True, help="Look after tenants. Needs the scope operator.")


@app.command()
def show(tenant: str) -> None:
    """Show a tenant's tier and who pays for it."""

    async def main(client: Client) -> int:
        _tell(await client.tenant(tenant))
        return 0

    run(main)


@app.command()
def link(tenant: str, customer: Annotated[str, typer.Argument(help="The customer's id, cus_...")]) -> None:
    """Let a customer of Stripe pay for a tenant, in place of any other."""
    if not customer:
        raise typer.BadParameter("name the customer, cus_...; that nobody pays any more is said by: unlink")

    async def main(client: Client) -> int:
        _tell(await client.link_customer(tenant, customer))
        return 0

    run(main)


@app.command()
def unlink(tenant: str) -> None:
    """Let nobody pay for a tenant: its keys have their own tiers again."""

    async def main(client: Client) -> int:
        _tell(await client.link_customer(tenant, ""))
        return 0

    run(main)


def _tell(found: Tenant) -> None:
    tier = Tier.Name(found.tier).removeprefix("TIER_").lower() if found.tier else "that of each key"
    payer = f"paid by {found.stripe_customer}" if found.stripe_customer else "nobody pays for it"
    lapse = (
        f" until {found.lapse_time.ToDatetime(UTC):%Y-%m-%d %H:%M} UTC"
        if found.HasField("lapse_time")
        else ""
    )
    console.print(f"{found.tenant}: tier {tier}{lapse}; {payer}", highlight=False, markup=False)
