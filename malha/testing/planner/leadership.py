"""The lead among followers, as chores meet it."""

from __future__ import annotations


class Leading:
    """A leadership that nobody disputes; all is told up to sequence ``told``."""

    def __init__(self, told: int = 2**62) -> None:
        self.told = told

    async def check(self) -> None:
        """It leads."""
