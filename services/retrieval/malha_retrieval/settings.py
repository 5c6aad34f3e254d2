"""What retrieval can be told; see each field."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from malha.settings import ServiceSettings


class Settings(ServiceSettings):
    """Variables begin with MALHA_RETRIEVAL_."""

    model_config = SettingsConfigDict(env_prefix="MALHA_RETRIEVAL_")

    max_concurrent: int = Field(default=128, gt=0)
    """Calls served at once; as many again wait, more are shed with OVERLOADED."""
