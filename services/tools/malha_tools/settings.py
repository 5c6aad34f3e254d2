"""What the tools service can be told; see each field."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from malha.settings import ServiceSettings


class Settings(ServiceSettings):
    """Variables begin with MALHA_TOOLS_."""

    model_config = SettingsConfigDict(env_prefix="MALHA_TOOLS_")

    retrieval_target: str = ""
    """host:port of the retrieval service. Empty: there is no search_knowledge. Wrong: it is always
    unavailable."""
    price_providers: dict[str, str] = Field(default_factory=dict)
    """GPU price endpoints, as JSON: name -> URL. Empty: there is no gpu_prices. Wrong: that provider is
    named as unavailable in every answer."""
    extra_tools: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Tools of other packages, as JSON: "package.module:factory" -> its arguments. One that cannot be made,
    or whose contract is not sound, stops the start and names itself."""

    default_timeout_seconds: float = Field(default=10.0, gt=0, le=600)
    """For tools that declare none. Low: slow tools fail; high: runs wait for hanging ones."""
    concurrency: int = Field(default=64, ge=1)
    """Calls of one tool under way at once; twice as many wait, more are shed with OVERLOADED."""
    max_concurrent: int = Field(default=512, ge=1)
    """RPCs served at once; as many again wait, more are shed with OVERLOADED."""

    calls_per_minute_free: int = Field(default=100, ge=1)
    """Calls of one tool by one user of the free tier; more are refused with RATE_LIMITED."""
    calls_per_minute_pro: int = Field(default=1_000, ge=1)
    """As above, for the pro tier."""
    calls_per_minute_enterprise: int = Field(default=10_000, ge=1)
    """As above, for the enterprise tier."""
