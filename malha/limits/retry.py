"""A budget for retries: they may add a tenth to the load, never multiply it.

When a dependency falters, every caller's retries arrive at once and keep it down. A token bucket
bounds them: each call earns a tenth of a retry, up to ten saved.
"""

from __future__ import annotations

_EARNED = 0.1
_SAVED = 10.0


class RetryBudget:
    """One callee's bucket."""

    def __init__(self) -> None:
        self._tokens = _SAVED

    def called(self) -> None:
        """Count a first attempt."""
        self._tokens = min(_SAVED, self._tokens + _EARNED)

    def spend(self) -> bool:
        """Take a retry from the bucket; False where none is left."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
