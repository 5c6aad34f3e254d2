"""How many calls that last a tenant may have under way: open streams, and those that wait for a run's end or
for the receiver of a webhook.

A rate bounds how fast they are begun, not how many stay: one may last for days, and a gateway serves so many
in all. So a tenant has a share of them and no more. It is counted here, by each gateway for itself, for what
is kept free for others is this gateway's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from malha.errors import ErrorReason, MalhaError
from malha.telemetry import metrics

_COME_BACK_SECONDS = 5.0


class Places:
    """The lasting calls each tenant may have under way at once, of this gateway's.

    Args:
        most: of one tenant.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, tenant: str) -> Iterator[None]:
        """A place for the length of the block.

        Raises:
            MalhaError: RATE_LIMITED, with the time to come back.
        """
        if self._taken[tenant] >= self._most:
            metrics.GATEWAY_STREAMS_REFUSED.inc()
            raise MalhaError(
                ErrorReason.ERROR_REASON_RATE_LIMITED,
                f"more than {self._most} streams and waiting calls at once for this tenant",
                metadata={"limit": f"{self._most} at once", "scope": "tenant"},
                retry_after=_COME_BACK_SECONDS,
            )
        self._taken[tenant] += 1
        try:
            yield
        finally:
            self._taken[tenant] -= 1
            if not self._taken[tenant]:
                del self._taken[tenant]
