"""Users of NATS and their permissions: the template in deploy/nats with this mesh's passwords."""

from malha.stack.secrets import SERVICES, TENANT, Secrets
from malha.stack.template import DEPLOY, fill

TEMPLATE = DEPLOY / "nats" / "accounts.conf"
STREAMS = ("RUNS", "WORK", "EVENTS", "KEYS")


def accounts(secrets: Secrets) -> str:
    """Configuration for nats-server; holds passwords."""
    # whoever starts first makes the streams, or brings their settings up to date
    verbs = ("INFO", "CREATE", "UPDATE")
    theirs = ("CREATE.EVENTS.{}.>", "INFO.EVENTS.{}", "DELETE.EVENTS.{}", "MSG.NEXT.EVENTS.{}")
    return fill(
        TEMPLATE,
        gateway_password=secrets.nats_password("gateway"),
        planner_password=secrets.nats_password("planner"),
        tenant=TENANT,
        tenant_password=secrets.nats_password(TENANT),
        streams=", ".join(f'"$JS.API.STREAM.{verb}.{stream}"' for stream in STREAMS for verb in verbs),
        consumers_of_services=", ".join(
            f'"$JS.API.CONSUMER.{call.format(service)}"' for service in SERVICES for call in theirs
        ),
    )
