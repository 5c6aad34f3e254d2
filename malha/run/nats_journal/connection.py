"""One connection to NATS that never gives up.

nats-py reconnects by itself, and keeps what is published meanwhile. What it does not do is tell more
than one listener that the server is back, or keep its peace about credentials; this does both. Its
requests wait by ``asyncio.wait_for``, which on Python 3.11 costs a tenth of a millisecond and loses
cancellations that arrive together with the answer (cpython issue 86296); ours do not. And it closes for
good on most errors that a server says before it hangs up; ours connects again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable

from malha import errors
from malha.lean import without
from malha.tasks import end, within
from malha.telemetry import log

with without("aiohttp"):  # for NATS over websockets alone
    import nats.aio.client
    import nats.errors
    import nats.js
    from nats.aio.msg import Msg

_CLOSE_SECONDS = 2.0
_NOBODY = "503"
_MOST_ERRORS = 32
_REFUSED_ONE = "permissions violation"  # one subscription or message; the connection stays


class _Client(nats.aio.client.Client):
    async def _process_err(self, err_msg: str) -> None:
        error = nats.errors.Error(f"nats: {err_msg}")
        await self._error_cb(error)
        if _REFUSED_ONE not in err_msg:
            await self._process_op_err(error)


class Connection:
    """A NATS client that reconnects forever and says so. Made by ``connect``.

    ``nc`` is the client, ``js`` its JetStream context. Outages are logged; calls made meanwhile time
    out. Nothing logged carries the password.
    """

    def __init__(self, name: str) -> None:
        self.nc = _Client()
        self.js: nats.js.JetStreamContext = self.nc.jetstream()
        self._name = name
        self._listeners: list[Callable[[], None]] = []
        self._up = asyncio.Event()
        self._closing = False
        self._errors: set[str] = set()
        """What was logged since the server was there last."""
        self._inbox = ""
        self._asked = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Msg]] = {}

    @property
    def connected(self) -> bool:
        """Whether the server is there now; what readiness asks."""
        return self.nc.is_connected

    async def until_connected(self, timeout: float) -> None:
        """Return once the server is there; TimeoutError after ``timeout`` seconds."""
        if not self.nc.is_connected:
            async with asyncio.timeout(timeout):
                await self._up.wait()

    async def request(
        self, subject: str, payload: bytes = b"", *, timeout: float, headers: dict[str, str] | None = None
    ) -> Msg:
        """The answer to a message.

        Raises:
            TimeoutError: none came within ``timeout`` seconds.
            nats.errors.NoRespondersError: nobody listens there.
        """
        token = str(next(self._asked))
        answered = self._waiting[token] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout):
                await self.nc.publish(subject, payload, reply=f"{self._inbox}.{token}", headers=headers)
                answer: Msg = await answered
        finally:
            self._waiting.pop(token, None)
        if answer.headers and answer.headers.get("Status") == _NOBODY:
            raise nats.errors.NoRespondersError
        return answer

    async def _answered(self, message: Msg) -> None:
        waiting = self._waiting.get(message.subject.rpartition(".")[2])
        if waiting is not None and not waiting.done():
            waiting.set_result(message)

    def on_reconnect(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` after every reconnect. Answers a function that takes it off again."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    async def close(self) -> None:
        """Flush what is pending, then close; within 2 s. Nothing reconnects afterwards."""
        self._closing = True
        with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                # nats-py cancels its reconnecting once and takes its word for it: an attempt that loses
                # the cancellation would try for ever, and open what was just closed.
                if self.nc._reconnection_task is not None:
                    await end(self.nc._reconnection_task)
                if self.nc.is_connected:
                    await self.nc.flush()
                await self.nc.close()

    async def _open(self, url: str, user: str, password: str, timeout: float, echo: bool) -> None:
        opening = asyncio.create_task(
            self.nc.connect(
                url.split(","),
                name=self._name,
                user=user or None,
                password=password or None,
                connect_timeout=max(1, int(timeout)),
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.1,  # type: ignore[arg-type] # typed int, slept as a float
                ping_interval=5,
                no_echo=not echo,
                error_cb=self._on_error,
                disconnected_cb=self._on_disconnected,
                reconnected_cb=self._on_reconnected,
                closed_cb=self._on_closed,
                # its own, which its NATS user alone may read: answers hold other tenants' records
                inbox_prefix=f"_INBOX_{self._name}",
                skip_subject_validation=True,
            )
        )
        try:
            await within(timeout, opening)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            await self.close()
            raise errors.unavailable("nats") from error
        self._inbox = self.nc.new_inbox()
        await self.nc.subscribe(f"{self._inbox}.*", cb=self._answered)
        self._up.set()

    async def _on_error(self, error: Exception) -> None:
        # Ten attempts a second fail alike during an outage, or in turns where there are several servers:
        # one line of each kind is news. The text of a client error names operations and subjects, never
        # the credentials.
        if self._closing or str(error) in self._errors or len(self._errors) >= _MOST_ERRORS:
            return
        self._errors.add(str(error))
        log.warning("nats_error", client=self._name, error=type(error).__name__, text=str(error))

    async def _on_disconnected(self) -> None:
        self._up.clear()
        if not self._closing:
            log.warning("nats_disconnected", client=self._name)

    async def _on_reconnected(self) -> None:
        self._up.set()
        self._errors.clear()
        log.info("nats_reconnected", client=self._name)
        for callback in tuple(self._listeners):
            callback()

    async def _on_closed(self) -> None:
        if not self._closing:
            log.error("nats_closed", client=self._name)


async def connect(
    url: str, *, name: str, user: str = "", password: str = "", timeout: float = 2.0, echo: bool = True
) -> Connection:
    """Connect as ``name`` (the service) to one of the servers in ``url``, which commas separate.

    Without ``echo`` what is published here does not reach subscriptions made here: a worker's own
    records need not ring its own doorbells. (JetStream's deliveries are not concerned.)

    Raises MalhaError DEPENDENCY_UNAVAILABLE if that takes longer than ``timeout`` seconds.
    """
    connection = Connection(name)
    await connection._open(url, user, password, timeout, echo)
    return connection
