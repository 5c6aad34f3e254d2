"""The planner's settings: prefix MALHA_PLANNER_."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from malha.settings import ServiceSettings

WorkClass = Literal["interactive", "batch", "cpu"]


class Settings(ServiceSettings):
    """What an operator may say to a planner process."""

    model_config = SettingsConfigDict(env_prefix="MALHA_PLANNER_")

    tools_target: str = ""
    """host:port of the tools service. Wrong: every run with tools waits, then fails."""
    guard_target: str = ""
    """host:port of the guard. Wrong: no text may pass, every run fails."""
    cost_target: str = ""
    """host:port of the cost service. Wrong: no money is reserved, nothing is called."""

    agents_dir: Path | None = None
    """A folder of agent files in place of those that ship. A bad file stops the start and names itself."""
    default_agent: str = "default"
    """The agent that answers where none is named. Missing: the start stops."""
    default_model: str = "offline/extractive"
    """"<provider>/<model>" for agents that name none. Not opened by any provider: the start stops."""

    openai_base_url: str = ""
    """Base URL of an OpenAI-compatible server, up to and including /v1. Empty: that provider is off.
    Not http(s)://host[:port]/path: the start stops."""
    openai_api_key: SecretStr = SecretStr("")
    """Its key; empty sends none. Wrong: MODEL_REFUSED."""
    openai_models: str = ""
    """Its models, separated by commas. A model without a price is refused by the cost service."""

    concurrency: int = Field(default=64, ge=1, le=4096)
    """Runs worked on at once. Too high: memory and latency; too low: the queue grows."""
    tenant_concurrency: int = Field(default=128, ge=1, le=4096)
    """Runs of one tenant and class worked on at once, over all planners (max_ack_pending). Those of another
    priority wait in a queue of their own, and count together within each planner."""
    tenant_concurrencies: dict[str, Annotated[int, Field(ge=1)]] = Field(default={})
    """The same for tenants that differ, such as {"acme": 16}. A name that no tenant has does nothing."""
    class_shares: dict[WorkClass, Annotated[float, Field(gt=0, le=1)]] = Field(
        default={"batch": 0.5, "cpu": 0.25}
    )
    """Part of the concurrency that a class may take; one that is not named may take all. Too high for
    batches: interactive runs wait until batches end."""
    ack_wait_seconds: float = Field(default=30.0, ge=1.0, le=300.0)
    """The lease on a work item. Low: takeover is fast, heartbeats cost more."""
    lead_every_seconds: float = Field(default=2.0, gt=0.0, le=60.0)
    """Silence of the leading follower after which another leads. Low: a busy leader is taken for dead; high:
    events and wakes wait that long after its death."""
    archive_after_seconds: float = Field(default=24 * 3600.0, ge=0.0)
    """How long after its end a run's journal moves to the archive. Low: NATS stays small, and whoever reads
    the run later waits for the planner; high: NATS must hold more. Below the longest call
    (300 s), a retry that is held up for as long could open its run again; below a minute, one with a new
    ULID for a key could at once."""
    sweep_after_seconds: float = Field(default=600.0, ge=1.0)
    """How long money may be held for a run that is over before it is settled at its ceiling. Too
    low: what is about to be settled is paid at its ceiling until its true figures correct it."""
    grace_seconds: float = Field(default=15.0, ge=0.0, le=600.0)
    """How long runs under way may go on after SIGTERM; then their items are left to the next worker."""
