"""Importing a library without the optional half of it that nobody here uses.

structlog brings rich for consoles, pybreaker a Redis client for a storage that does not work with
asyncio, nats-py a client of HTTP for websockets. Each costs a service 6 MB for life; there are six
services on one machine.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(module: str) -> Iterator[None]:
    """Imports inside the block find ``module`` missing, unless it was imported before."""
    if module in sys.modules:
        yield
        return
    # None is the import system's own mark for a module that must not be found
    sys.modules[module] = None  # type: ignore[assignment]  # typeshed leaves this documented value out
    try:
        yield
    finally:
        del sys.modules[module]
