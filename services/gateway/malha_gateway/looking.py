"""When to look at a journal: at a ring, a moment after it, and now and then anyway.

A record rings when it is published, a moment before it is stored or refused. Whoever looks at the ring
may look too early, so one that is expected is looked for again, soon and then ever less often. A ring
can also be lost; so there is a look every few seconds whatever happens.
"""

from __future__ import annotations

_SOON = 0.005
POLL_SECONDS = 5.0


class Looking:
    """``pause`` is how long to wait for a ring before looking without one, in seconds."""

    __slots__ = ("pause",)

    def __init__(self) -> None:
        self.pause = POLL_SECONDS

    def expect(self) -> None:
        """Something rang that was not read yet."""
        self.pause = _SOON

    def looked(self) -> None:
        """A look did not find it."""
        self.pause = min(2 * self.pause, POLL_SECONDS)

    def found(self) -> None:
        """Nothing is expected any more."""
        self.pause = POLL_SECONDS
