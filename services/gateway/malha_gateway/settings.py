"""What the gateway can be told, and what goes wrong when it is told wrong."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from malha.api.common.v1.principal_pb2 import Tier
from malha.settings import ServiceSettings

_TIERS = {"free": Tier.TIER_FREE, "pro": Tier.TIER_PRO, "enterprise": Tier.TIER_ENTERPRISE}


class Settings(ServiceSettings):
    """Environment variables ``MALHA_GATEWAY_<NAME>``."""

    model_config = SettingsConfigDict(env_prefix="MALHA_GATEWAY_")

    guard_target: str
    """``host:port`` of the guard. Away: no run is accepted, since no input may pass unseen."""
    planner_target: str
    """``host:port`` of the planner: agents and lists. Away: known agents are served for a minute."""
    cost_target: str
    """``host:port`` of cost. Away: no run is accepted, since nobody knows what is left to spend."""
    retrieval_target: str
    """``host:port`` of retrieval. Away: documents can neither be stored nor searched."""

    bootstrap_key_file: str = ""
    """File with the API key of the tenant "dev", made known at every start. Meant for one machine;
    empty in a cluster. A key in it is one of every right: the file's mode is the protection."""

    max_input_characters: int = Field(default=2000, ge=1, le=100_000)
    """Longest input of a run. Larger: more for the guard to read and the model to bill."""
    max_document_bytes: int = Field(default=5_000_000, ge=1, le=5 * 1024 * 1024)
    """Longest document. Above 5 MiB retrieval would refuse it."""

    free_rate: float = Field(default=10, gt=0)
    """Requests a minute of a key whose tenant pays nothing. Too low: whoever polls is refused."""
    pro_rate: float = Field(default=100, gt=0)
    """Requests a minute of a paying tenant's key."""
    enterprise_rate: float = Field(default=60_000, gt=0)
    """Requests a minute of a contracted tenant's key."""
    tenant_rate_factor: float = Field(default=3, ge=1)
    """How many keys at full rate a tenant may use at once. 1: one key can shut the others out."""

    default_max_iterations: int = Field(default=5, ge=1)
    """Model calls of a run whose agent says nothing. Too low: agents stop in mid-thought."""
    default_max_cost_microusd: int = Field(default=500_000, ge=1)
    """Micro-dollars a run may spend whose agent says nothing."""
    default_max_wall_seconds: int = Field(default=120, ge=1)
    """Seconds from acceptance to end of a run whose agent says nothing."""
    default_max_output_tokens: int = Field(default=2048, ge=1)
    """Output tokens of one model call of a run whose agent says nothing."""
    default_max_model_seconds: int = Field(default=60, ge=1)
    """Seconds of one model call of a run whose agent says nothing. Too low: long answers are paid for and
    never heard; too high: a model that hangs uses the run's time up."""

    heartbeat_seconds: float = Field(default=15.0, gt=0)
    """Seconds of silence after which an event stream says that it is alive. Above 60 proxies cut it."""
    reader_patience_seconds: float = Field(default=30.0, gt=0)
    """Seconds after which a reader of a stream that takes nothing is let go, and told if it comes back to
    life. Too low: readers on slow lines must resume often; too high: what stands still is kept longer."""
    tenant_max_streams: int = Field(default=1024, ge=1)
    """Streams that a tenant may have open at one gateway, of the 4,096 that it serves, and RunAndWait calls
    and tests of webhooks with them. Too low: a tenant with many readers is refused; too high: one can leave
    no place to others."""
    ask_seconds: float = Field(default=20.0, gt=0)
    """Seconds of silence after which a caller is asked whether it is still there. One that does not answer
    for as long again has vanished, and its calls are cancelled."""
    key_memory_seconds: float = Field(default=2.0, ge=0)
    """Seconds a verified key is believed without a look at the database. A key revoked at another
    replica is refused here that much later; at this one at once. A change of a tenant's tier is acknowledged
    that much later: too high, and Stripe gives up waiting and sends it again."""
    stripe_webhook_secrets: SecretStr = SecretStr("")
    """Signing secrets of Stripe's webhooks (``whsec_...``), with commas between; more than one while one is
    replaced. Empty: ``POST /v1/billing/stripe`` does not exist. Wrong: Stripe's events are refused, and no
    tenant changes its tier."""
    stripe_tiers: dict[str, Literal["free", "pro", "enterprise"]] = Field(default_factory=dict)
    """The tier that each price of Stripe pays for, by its id or lookup key, such as {"price_1Abc": "pro",
    "team": "enterprise"}. A price that is not named pays for nothing, and the log says so."""
    stripe_grace_days: float = Field(default=7, ge=0, le=366)
    """Days after a failed payment for which a tenant keeps what it paid before. Too low: a card that
    expired costs a customer its tier before Stripe has tried again."""
    webhook_networks: list[str] = Field(default=[])
    """Networks, such as ["127.0.0.0/8"], that webhooks may reach besides the public internet, also by http.
    For development; anything else: whoever may register a webhook reaches machines that trust this one."""
    webhook_retry_seconds: float = Field(default=5.0, gt=0.0, le=3600.0)
    """Before a delivery is tried again; doubled each time, up to an hour. Low: a receiver that struggles gets
    no rest."""
    webhook_give_up_days: float = Field(default=3.0, gt=0.0, le=7.0)
    """How long a delivery is tried. Above what EVENTS keeps there is nothing left to deliver."""
    webhook_disable_days: float = Field(default=3.0, gt=0.0)
    """How long a webhook may fail before it is disabled."""
    webhook_most_waiting: int = Field(default=10_000, ge=1)
    """Deliveries that may wait at a webhook; further events are not delivered there, and counted."""
    max_concurrent: int = Field(default=4096, ge=1)
    """Calls served at once; a waiting RunAndWait is one. More are shed."""

    @field_validator("webhook_networks")
    @classmethod
    def _are_networks(cls, networks: list[str]) -> list[str]:
        for network in networks:
            ip_network(network)
        return networks

    def tiers(self) -> dict[str, Tier]:
        """The tier of each price."""
        return {price: _TIERS[tier] for price, tier in self.stripe_tiers.items()}

    @property
    def database(self) -> Path:
        """The file of keys."""
        return self.state_dir / "gateway.sqlite"
