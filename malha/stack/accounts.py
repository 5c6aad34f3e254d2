"""Users of NATS and their permissions: the template in deploy/nats with this mesh's passwords."""

from malha.stack.secrets import TENANT, Secrets
from malha.stack.template import DEPLOY, fill

TEMPLATE = DEPLOY / "nats" / "accounts.conf"
STREAMS = ("RUNS", "WORK", "EVENTS", "KEYS")


def accounts(secrets: Secrets) -> str:
    """Configuration for nats-server; holds passwords."""
    # whoever starts first makes the streams, or brings their settings up to date
    verbs = ("INFO", "CREATE", "UPDATE")
    return fill(
        TEMPLATE,
        gateway_password=secrets.nats_password("gateway"),
        planner_password=secrets.nats_password("planner"),
        tenant=TENANT,
        tenant_password=secrets.nats_password(TENANT),
        streams=", ".join(f'"$JS.API.STREAM.{verb}.{stream}"' for stream in STREAMS for verb in verbs),
    )
