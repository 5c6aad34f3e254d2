"""What the cost service can be told; see each field."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from malha.settings import ServiceSettings


class Settings(ServiceSettings):
    """Variables begin with MALHA_COST_."""

    model_config = SettingsConfigDict(env_prefix="MALHA_COST_")

    database_url: SecretStr = SecretStr("")
    """PostgreSQL for the ledger, ``postgresql://...``, in place of ``cost.db`` in the state folder.

    Its schema is made by ``python -m malha_cost.adapters.postgres_schema``; where that is of another version,
    or the database is away, the start fails."""
    price_file: Path | None = None
    """Prices over the bundled ones (format: ``docs/models.md``). Not readable, or a row not understood: the
    start fails. A model that neither file prices is refused with PRICE_UNKNOWN."""
    reference_model: str = "openai/gpt-4o-mini"
    """``provider/model`` that usage is compared with, never charged; empty compares with nothing.
    Without a price the start fails."""
    tenant_daily_microusd: int = Field(default=25_000_000, ge=0)
    """Daily hard limit of a tenant for whom none was set. Too low: runs fail with BUDGET_EXCEEDED."""
    request_microusd: int = Field(default=500_000, ge=0)
    """The most that one call may be reserved at where a tenant set nothing else. Too low: large prompts to
    dear models fail with BUDGET_EXCEEDED, whatever the budgets hold."""
    warn_percent: int = Field(default=80, ge=1, le=100)
    """Share of a limit whose spending is logged and counted as a warning."""
    brake_percent: int = Field(default=95, ge=1, le=100)
    """Share of a limit whose spending lets no new run begin; 100 leaves it to the limit alone. Too low: money
    is left over that nobody may use."""
    monthly_tokens_free: int = Field(default=10_000, ge=0)
    """Tokens a month of a tenant of tier free; zero means no quota. Too low: runs fail with
    BUDGET_EXCEEDED."""
    monthly_tokens_pro: int = Field(default=500_000, ge=0)
    """Likewise of tier pro."""
    monthly_tokens_enterprise: int = Field(default=0, ge=0)
    """Likewise of tier enterprise: without a quota."""
    watch_every_seconds: float = Field(default=1.0, gt=0.0, le=3600.0)
    """How often what was settled is looked through for what people must hear of. High: they hear later."""
    anomaly_score: float = Field(default=3.5, gt=0.0)
    """How many robust standard deviations above the same hour of past days an hour's spending alarms. Low:
    many false alarms; high: few true ones."""
    anomaly_least_microusd: int = Field(default=1_000_000, gt=0)
    """An hour that spent less alarms nobody. Low: pennies alarm."""
    anomaly_days: int = Field(default=7, ge=1, le=28)
    """Past days that must be known before an hour can be unusual. Low: new tenants alarm."""
    runaway_score: float = Field(default=5.0, gt=0.0)
    """The same of a run's spending, and of its calls, above those of its agent's latest runs."""
    runaway_least_microusd: int = Field(default=100_000, gt=0)
    """A run that spent less does not alarm by what it spent."""
    runaway_least_calls: int = Field(default=20, ge=1)
    """A run of fewer calls that cost something does not alarm by their number."""
    runaway_runs: int = Field(default=20, ge=1, le=255)
    """Runs of an agent that must be known before one of them can be unusual."""
    max_concurrent: int = Field(default=512, gt=0)
    """Calls served at once; as many again wait, more are shed with OVERLOADED."""
