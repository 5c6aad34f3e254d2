"""One connection to NATS that never gives up."""

from __future__ import annotations

from collections.abc import Callable

import nats.aio.client
import nats.js


class Connection:
    """A NATS client that reconnects forever and says so.

    ``nc`` is the client, ``js`` its JetStream context. Outages are logged and counted; calls made
    meanwhile time out. Nothing logged carries the password.
    """

    nc: nats.aio.client.Client
    js: nats.js.JetStreamContext

    @property
    def connected(self) -> bool:
        """Whether the server is there now; what readiness asks."""
        raise NotImplementedError

    def on_reconnect(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` after every reconnect. Answers a function that takes it off again."""
        raise NotImplementedError

    async def close(self) -> None:
        """Flush what is pending, then close; within 2 s."""
        raise NotImplementedError


async def connect(
    url: str, *, name: str, user: str = "", password: str = "", timeout: float = 2.0
) -> Connection:
    """Connect as ``name`` (the service).

    Raises MalhaError DEPENDENCY_UNAVAILABLE if that takes longer than ``timeout`` seconds.
    """
    raise NotImplementedError
