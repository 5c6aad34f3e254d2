"""Settings come from the environment, typed, and a misspelt one stops the start.

Every service subclasses :class:`ServiceSettings` with a prefix of its own (``MALHA_<SERVICE>_``) and
documents each field: what it does and what goes wrong when it is wrong.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from malha.errors import ConfigurationError

S = TypeVar("S", bound="ServiceSettings")


class ServiceSettings(BaseSettings):
    """What every service needs to know of its surroundings."""

    listen: str = "127.0.0.1:0"
    """Address of the gRPC server; port 0 takes a free one. Taken by another process: the start fails."""
    share_ports: bool = False
    """Whether another process of the same user may listen on the same addresses, to take this one's place
    without a gap. On where nobody watches over it: a forgotten process goes on getting half of all calls."""
    metrics_listen: str = Field(default="", pattern=r"^(\S*:\d{1,5})?$")
    """Address of the Prometheus endpoint; empty serves none, and dashboards stay blank."""
    port_file: str = ""
    """File to write the bound gRPC port to once calls are served; empty writes none."""
    state_dir: Path
    """Folder of this service's database; lost folder, lost state."""
    secrets_dir: Path
    """Folder of ``<service>.key``, every ``<service>.pub`` and ``master.key``. Unreadable: no start."""
    nats_url: str = ""
    """NATS server, for services that use it."""
    nats_user: str = ""
    """NATS user of this service; one without the permissions makes every append fail."""
    nats_password: SecretStr = SecretStr("")
    """Password of the NATS user."""
    valkey_url: str = ""
    """Valkey for caches and rate limits; away, both fail open and are counted."""
    otlp_endpoint: str = ""
    """OTLP/gRPC collector for spans; empty keeps none."""
    trace_sampling: float = Field(default=1.0, ge=0, le=1)
    """Share of traces kept, 0 to 1, decided where the trace begins."""
    log_level: str = Field(default="info", pattern="(?i)^(debug|info|warning|error)$")
    """debug, info, warning or error."""


class UnknownSettingError(ConfigurationError):
    """A variable under the service's prefix that no setting answers to."""


def load(settings: type[S]) -> S:
    """Read the settings from the environment; refuse variables that nothing reads.

    Raises:
        UnknownSettingError: names the variable and the settings there are.
        pydantic.ValidationError: a value has the wrong type or is missing.
    """
    prefix = str(settings.model_config.get("env_prefix", ""))
    known = {prefix + name.upper() for name in settings.model_fields}
    unknown = sorted(name for name in os.environ if name.startswith(prefix) and name not in known)
    if unknown:
        raise UnknownSettingError(
            f"unknown setting {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        )
    return settings()  # type: ignore[call-arg]  # the environment fills the fields
