"""How many processes each service has, and what they are called: planner, planner-2, planner-3."""

import os
from collections.abc import Mapping

from malha.stack.secrets import SERVICES

Replicas = Mapping[str, int]
MOST = 16

ALONE = {
    "cost": "several processes need MALHA_COST_DATABASE_URL, a PostgreSQL",
    "tools": "an act under way is known to the process that runs it, and to no other",
}
"""Services of which one process runs on SQLite, and why (docs/adr/0013)."""

SHARED = {"cost": "MALHA_COST_DATABASE_URL"}
"""Of these, what lets more of them run (docs/adr/0027)."""


class ReplicasError(Exception):
    """The wish for replicas cannot be met; the message says why."""


def parse(text: str, environment: Mapping[str, str] = os.environ) -> dict[str, int]:
    """ "planner=2,gateway=2" as numbers by service. Raises ReplicasError."""
    wanted: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        service, _, number = part.partition("=")
        if service not in SERVICES:
            raise ReplicasError(f"{service} is no service; they are {', '.join(SERVICES)}")
        if not number.isdecimal() or not 1 <= int(number) <= MOST:
            raise ReplicasError(f"{part}: say for example {service}=2, with 1 to {MOST}")
        shared = environment.get(SHARED.get(service, ""), "")
        if int(number) > 1 and service in ALONE and not shared:
            raise ReplicasError(f"{service} runs once on SQLite: {ALONE[service]}")
        wanted[service] = int(number)
    return wanted


def names(service: str, replicas: Replicas) -> list[str]:
    """What the processes of a service are called."""
    return [service, *(f"{service}-{number}" for number in range(2, replicas.get(service, 1) + 1))]


def role(name: str) -> str:
    """The service, or the server of others, that a process of this name runs."""
    return name.partition("-")[0]
