"""A service's life: settings, telemetry, the wiring of its parts, serving, drain, end.

SIGTERM means: not ready, no new work, what is under way finishes within the grace period, exit. A
second signal ends at once.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pydantic

from malha import telemetry
from malha.errors import ConfigurationError
from malha.settings import ServiceSettings, load
from malha.wire import Server

S = TypeVar("S", bound=ServiceSettings)

GRACE_SECONDS = 20.0
_YOUNG = 4_000  # objects made and not yet dead before the collector looks for cycles


def run(service: str, settings_type: type[S], main: Callable[[S], Awaitable[None]]) -> None:
    """Run ``main`` with the settings of the environment; exit 2 where those, or files they name, are bad."""
    try:
        settings = load(settings_type)
        telemetry.setup(service, settings)
        asyncio.run(_run(main, settings))
    except (ConfigurationError, pydantic.ValidationError) as error:
        print(f"malha-{service}: {error}", file=sys.stderr)  # noqa: T201  # for people, in a line
        raise SystemExit(2) from None


async def serve(server: Server, settings: ServiceSettings, *, stop: asyncio.Event | None = None) -> None:
    """Serve until a signal (or ``stop``) comes, then drain.

    The port file is written only once calls are served, so whoever waits for it can call.
    """
    stopping = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopping.set)
    port = await server.start(settings.listen, shared=settings.share_ports)
    _settle_the_heap()
    if settings.port_file:
        _write_atomically(Path(settings.port_file), str(port))
    telemetry.log.info("serving", port=port)
    await stopping.wait()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(signum)
    telemetry.log.info("draining")
    await server.drain(GRACE_SECONDS)


def _settle_the_heap() -> None:
    """Keep the garbage collector from walking over what was loaded at the start, again and again.

    Modules, classes and descriptors are a quarter of a million objects that never die; frozen, they are
    no longer looked at. What a call leaves behind dies by reference count, so cycles may wait longer.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 50)


async def _run(main: Callable[[S], Awaitable[None]], settings: S) -> None:
    try:
        await main(settings)
    finally:
        await telemetry.shutdown()


def _write_atomically(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
