"""What a caller of the edge is told when a call is refused: one shape, over REST and over gRPC."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import aiohttp
import grpc.aio
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from grpc.aio import Metadata

D = TypeVar("D", bound=Message)

_HTTP = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 413: 3, 429: 8, 500: 13, 501: 12, 503: 14, 504: 4}
"""gRPC codes by HTTP status, as google.rpc.Code documents them (FAILED_PRECONDITION is 400 too)."""

INTERNAL_WORDS = re.compile(
    r"Traceback|File \"|line \d+|\.py\b|site-packages|0x[0-9a-f]{6}"
    r"|(?<![\w:/.])/(?:home|tmp|usr|var|work|root)\b"
)
"""What must not stand in an error: a stack, a path, an address."""


@dataclass(frozen=True)
class Refusal:
    """A refused call.

    ``retry_after`` is the HTTP header, or its like among the metadata; empty where there is none.
    """

    status: Status
    retry_after: str
    http: int = 0

    @property
    def reason(self) -> str:
        """The name of the reason."""
        return str(self._detail(error_details_pb2.ErrorInfo()).reason)

    @property
    def metadata(self) -> dict[str, str]:
        """The facts of the reason."""
        return dict(self._detail(error_details_pb2.ErrorInfo()).metadata)

    @property
    def fields(self) -> set[str]:
        """The fields that are named: by the gateway as details, by the edge at the message's beginning."""
        named = {v.field for v in self._detail(error_details_pb2.BadRequest()).field_violations}
        return named or {self.status.message.partition(":")[0]}

    @property
    def retry_seconds(self) -> float:
        """The delay of RetryInfo; 0 where there is none."""
        return float(self._detail(error_details_pb2.RetryInfo()).retry_delay.ToMilliseconds() / 1000)

    @property
    def quota(self) -> str:
        """The subject of QuotaFailure; empty where there is none."""
        violations = self._detail(error_details_pb2.QuotaFailure()).violations
        return violations[0].subject if violations else ""

    @property
    def trace_id(self) -> str:
        """The trace that RequestInfo names; empty where the edge refused."""
        return str(self._detail(error_details_pb2.RequestInfo()).request_id)

    @property
    def untraced(self) -> Refusal:
        """All but the trace, which is another one each time."""
        status = Status()
        status.CopyFrom(self.status)
        kept = [one for one in status.details if not one.Is(error_details_pb2.RequestInfo.DESCRIPTOR)]
        del status.details[:]
        status.details.extend(kept)
        return replace(self, status=status)

    def _detail(self, kind: Any) -> Any:
        for detail in self.status.details:
            if detail.Unpack(kind):
                break
        return kind


async def of_response(response: aiohttp.ClientResponse) -> Refusal:
    """The refusal that an HTTP response is; fails where it is none, or tells what is internal."""
    text = await response.text()
    assert response.status >= 400, text
    status = json_format.Parse(text, Status())
    assert _HTTP[response.status] == status.code or (response.status, status.code) == (400, 9), text
    return _checked(Refusal(status, response.headers.get("retry-after", ""), response.status))


async def of_call(call: Any) -> Refusal:
    """The refusal that awaiting a gRPC call, or reading a stream to its end, raises."""
    try:
        if hasattr(call, "__await__"):
            answer = await call
        else:
            answer = [message async for message in call]
    except grpc.aio.AioRpcError as error:
        refused = error
    else:
        raise AssertionError(f"the call was not refused: {answer}")
    trailing = Metadata(*(refused.trailing_metadata() or ()))
    initial = Metadata(*(refused.initial_metadata() or ()))
    details = trailing.get("grpc-status-details-bin", b"")
    assert isinstance(details, bytes)
    status = Status.FromString(details)
    assert status.code == refused.code().value[0], refused
    return _checked(Refusal(status, str(initial.get("retry-after", ""))))


def _checked(refusal: Refusal) -> Refusal:
    said = str(refusal.status)
    assert not INTERNAL_WORDS.search(said), said
    assert refusal.reason, said
    return refusal
