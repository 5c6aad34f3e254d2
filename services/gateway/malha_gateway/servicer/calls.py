"""What every RPC of the gateway begins with."""

from __future__ import annotations

from typing import Any

import grpc.aio

from malha.api.common.v1.principal_pb2 import Principal
from malha.wire import current
from malha_gateway.authentication import require

Context = grpc.aio.ServicerContext[Any, Any]


def allowed(scope: str) -> Principal:
    """The current principal, if it has the scope."""
    principal = current().principal
    require(principal, scope)
    return principal
