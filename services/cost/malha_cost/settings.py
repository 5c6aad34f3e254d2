"""What the cost service can be told; see each field."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from malha.settings import ServiceSettings


class Settings(ServiceSettings):
    """Variables begin with MALHA_COST_."""

    model_config = SettingsConfigDict(env_prefix="MALHA_COST_")

    price_file: Path | None = None
    """Prices over the bundled ones (format: ``prices.yaml``). Not readable: the start fails. A model that
    neither file prices is refused with PRICE_UNKNOWN."""
    reference_model: str = "openai/gpt-4o-mini"
    """``provider/model`` that usage is compared with, never charged; empty compares with nothing.
    Without a price the start fails."""
    tenant_daily_microusd: int = Field(default=25_000_000, ge=0)
    """Daily hard limit of a tenant for whom none was set. Too low: runs fail with BUDGET_EXCEEDED."""
    max_concurrent: int = Field(default=512, gt=0)
    """Calls served at once; as many again wait, more are shed with OVERLOADED."""
