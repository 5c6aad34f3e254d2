"""Which mesh is called, by what the environment names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from malha.errors import invalid

DEFAULT_GRPC_TARGET = "127.0.0.1:7400"
_HERE = ("localhost", "127.0.0.1", "::1")
_PORT = re.compile(r":\d+$")


def target_in(environment: Mapping[str, str]) -> str:
    """``MALHA_GRPC_TARGET``; else host and port of ``MALHA_URL``, which serve both; else the local mesh.

    Raises:
        MalhaError: FIELD_INVALID for a URL with https: the key would go where it names in the clear.
    """
    if target := environment.get("MALHA_GRPC_TARGET"):
        return target
    url = environment.get("MALHA_URL", "")
    if not url:
        return DEFAULT_GRPC_TARGET
    parts = urlsplit(url if "//" in url else f"//{url}")
    if parts.scheme == "https":
        raise invalid("MALHA_URL", "begins with https, and this client speaks without TLS")
    host = parts.netloc
    return host if _PORT.search(host) else f"{host}:80"


def is_local(target: str) -> bool:
    """Whether a ``host:port`` is on this machine."""
    return target.rpartition(":")[0].strip("[]") in _HERE
