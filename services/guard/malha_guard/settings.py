"""What the guard can be told; see each field."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from malha.settings import ServiceSettings


class Settings(ServiceSettings):
    """Variables begin with MALHA_GUARD_."""

    model_config = SettingsConfigDict(env_prefix="MALHA_GUARD_")

    policy_file: Path | None = None
    """Policy in force instead of the bundled one (format: ``policies/default.yaml``). Unreadable, unknown
    rule or action: the start fails, since a guard without its policy would let everything pass."""
    max_concurrent: int = Field(default=256, gt=0)
    """Calls served at once; as many again wait, more are shed with OVERLOADED."""
