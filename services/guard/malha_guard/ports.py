"""What the guard needs from outside."""

from __future__ import annotations

from typing import Protocol

from malha_guard.policy import Policy


class Policies(Protocol):
    """The policies in force."""

    def policy_for(self, tenant: str, agent: str) -> Policy:
        """The policy for an agent's run of a tenant; there always is one."""
        ...
