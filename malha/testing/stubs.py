"""What gRPC's stubs are too strict about for a test: a servicer in part, and the next message of a stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import grpc.aio

P = ParamSpec("P")
S = TypeVar("S")
Message = TypeVar("Message")


def in_part(servicer: Callable[P, S], *args: P.args, **kwargs: P.kwargs) -> S:
    """A servicer that answers some RPCs of its service. The base refuses the others as UNIMPLEMENTED, though
    its stub declares all of them abstract."""
    return servicer(*args, **kwargs)


async def next_message(
    call: grpc.aio.UnaryStreamCall[Any, Message] | grpc.aio.StreamStreamCall[Any, Message],
) -> Message:
    """The next message, where there must be one: the stub's `read` returns any object, as it may be EOF."""
    message = await call.read()
    assert message is not grpc.aio.EOF
    return cast(Message, message)
