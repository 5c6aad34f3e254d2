"""The one translation between :class:`malha.errors.MalhaError` and ``google.rpc.Status`` on the wire."""

from __future__ import annotations

import math
from typing import NoReturn

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from malha.errors import ErrorReason, MalhaError, reason_named, unavailable
from malha.telemetry import trace_id

DOMAIN = "malha"
_DETAILS = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def to_status(error: MalhaError) -> status_pb2.Status:
    """The status a caller sees: ErrorInfo always, and what else the reason promises."""
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason_name, domain=DOMAIN, metadata=error.metadata)
    ]
    if error.violations:
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
                    for field, description in error.violations
                ]
            )
        )
    if error.retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(int(error.retry_after * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if error.quota:
        subject, description = error.quota
        violation = error_details_pb2.QuotaFailure.Violation(subject=subject, description=description)
        details.append(error_details_pb2.QuotaFailure(violations=[violation]))
    if trace := error.trace_id or trace_id():
        details.append(error_details_pb2.RequestInfo(request_id=trace))
    status = status_pb2.Status(code=error.code, message=error.message)
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


async def abort(
    context: grpc.aio.ServicerContext[object, object], error: MalhaError, *, opened: bool = False
) -> NoReturn:
    """End the RPC with ``error``. HTTP callers get its retry delay as a ``retry-after`` header.

    Args:
        opened: whether responses were sent before, and the headers with them.
    """
    status = to_status(error)  # first, for the error may be shared, and be told to another meanwhile
    if error.retry_after is not None and not opened:
        await context.send_initial_metadata((("retry-after", str(max(1, math.ceil(error.retry_after)))),))
    await context.abort(
        _CODES[error.code], error.message, trailing_metadata=((_DETAILS, status.SerializeToString()),)
    )
    raise AssertionError("abort does not return")


def is_explained(error: grpc.aio.AioRpcError) -> bool:
    """Whether the callee itself says why, in our terms; else gRPC does, of a call that may not have begun."""
    return any(key == _DETAILS for key, _ in error.trailing_metadata() or ())


def from_rpc(error: grpc.aio.AioRpcError, callee: str) -> MalhaError:
    """What a call to ``callee`` failed with. Errors that are not ours become ours by their code."""
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS and isinstance(value, bytes):
            try:
                return from_status(status_pb2.Status.FromString(value))
            except DecodeError:
                break
    code = error.code()
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return MalhaError(
            ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED, f"{callee} did not answer within the time allowed"
        )
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        # we did not cancel, and it gives reasons for what it ends itself: the call met a server that leaves
        return unavailable(callee)
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
        return MalhaError(
            ErrorReason.ERROR_REASON_OVERLOADED, f"{callee} cannot take the call", retry_after=1.0
        )
    return MalhaError(ErrorReason.ERROR_REASON_INTERNAL, f"{callee} failed")


def from_status(status: status_pb2.Status) -> MalhaError:
    """The error that :func:`to_status` made it from."""
    info = error_details_pb2.ErrorInfo()
    violations: list[tuple[str, str]] = []
    retry_after: float | None = None
    quota: tuple[str, str] | None = None
    request = error_details_pb2.RequestInfo()
    for detail in status.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest()
            detail.Unpack(bad)
            violations = [(v.field, v.description) for v in bad.field_violations]
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry = error_details_pb2.RetryInfo()
            detail.Unpack(retry)
            retry_after = retry.retry_delay.ToMilliseconds() / 1000
        elif detail.Is(error_details_pb2.QuotaFailure.DESCRIPTOR):
            failure = error_details_pb2.QuotaFailure()
            detail.Unpack(failure)
            quota = next(((v.subject, v.description) for v in failure.violations), None)
        elif detail.Is(error_details_pb2.RequestInfo.DESCRIPTOR):
            detail.Unpack(request)
    error = MalhaError(
        reason_named(info.reason),
        status.message,
        metadata=dict(info.metadata),
        violations=violations,
        retry_after=retry_after,
        quota=quota,
    )
    error.trace_id = request.request_id
    return error
