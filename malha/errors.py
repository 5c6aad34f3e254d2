"""One error family for the whole mesh.

An error is a reason from the closed list in ``error_reason.proto`` plus the facts a caller needs to
act: which field, when to come back, which quota. The gRPC code follows from the reason, in one table,
so that blame (caller, us, upstream) is decided here and nowhere else. Pure: the wire codec is
``malha.wire.codec``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias, cast

from google.rpc import code_pb2

from malha.api.common.v1.error_reason_pb2 import ErrorReason

__all__ = ["ErrorReason", "MalhaError", "Reason", "invalid", "reason_named", "unavailable"]

Reason: TypeAlias = ErrorReason
_PREFIX = "ERROR_REASON_"

_CODES: Mapping[int, int] = MappingProxyType(
    {
        # The caller can mend these.
        ErrorReason.ERROR_REASON_CREDENTIAL_MISSING: code_pb2.UNAUTHENTICATED,
        ErrorReason.ERROR_REASON_CREDENTIAL_INVALID: code_pb2.UNAUTHENTICATED,
        ErrorReason.ERROR_REASON_SCOPE_MISSING: code_pb2.PERMISSION_DENIED,
        ErrorReason.ERROR_REASON_CALLER_NOT_ALLOWED: code_pb2.PERMISSION_DENIED,
        ErrorReason.ERROR_REASON_APPROVER_NOT_ALLOWED: code_pb2.PERMISSION_DENIED,
        ErrorReason.ERROR_REASON_FIELD_INVALID: code_pb2.INVALID_ARGUMENT,
        ErrorReason.ERROR_REASON_REQUEST_TOO_LARGE: code_pb2.INVALID_ARGUMENT,
        ErrorReason.ERROR_REASON_ROUTE_NOT_FOUND: code_pb2.NOT_FOUND,
        ErrorReason.ERROR_REASON_RUN_NOT_FOUND: code_pb2.NOT_FOUND,
        ErrorReason.ERROR_REASON_KEY_NOT_FOUND: code_pb2.NOT_FOUND,
        ErrorReason.ERROR_REASON_WEBHOOK_NOT_FOUND: code_pb2.NOT_FOUND,
        ErrorReason.ERROR_REASON_AGENT_NOT_FOUND: code_pb2.NOT_FOUND,
        ErrorReason.ERROR_REASON_TOOL_NOT_FOUND: code_pb2.NOT_FOUND,
        ErrorReason.ERROR_REASON_RESERVATION_NOT_FOUND: code_pb2.NOT_FOUND,
        ErrorReason.ERROR_REASON_IDEMPOTENCY_CONFLICT: code_pb2.ALREADY_EXISTS,
        ErrorReason.ERROR_REASON_SETTLEMENT_CONFLICT: code_pb2.ALREADY_EXISTS,
        ErrorReason.ERROR_REASON_GUARD_BLOCKED: code_pb2.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_RUN_FINISHED: code_pb2.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_RUN_NOT_DEAD: code_pb2.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_RUN_NOT_FINISHED: code_pb2.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_MODEL_REFUSED: code_pb2.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_EFFECT_TOMBSTONED: code_pb2.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_PRICE_UNKNOWN: code_pb2.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_APPROVAL_REQUIRED: code_pb2.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_APPROVAL_MISMATCH: code_pb2.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_APPROVAL_NOT_PENDING: code_pb2.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_APPROVAL_DECIDED: code_pb2.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_APPROVAL_EXPIRED: code_pb2.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_RATE_LIMITED: code_pb2.RESOURCE_EXHAUSTED,
        ErrorReason.ERROR_REASON_OVERLOADED: code_pb2.RESOURCE_EXHAUSTED,
        ErrorReason.ERROR_REASON_BUDGET_EXCEEDED: code_pb2.RESOURCE_EXHAUSTED,
        ErrorReason.ERROR_REASON_JOURNAL_LIMIT: code_pb2.RESOURCE_EXHAUSTED,
        ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED: code_pb2.DEADLINE_EXCEEDED,
        ErrorReason.ERROR_REASON_CANCELLED: code_pb2.CANCELLED,
        ErrorReason.ERROR_REASON_ITERATION_LIMIT: code_pb2.ABORTED,
        ErrorReason.ERROR_REASON_REPEATED_ACTION: code_pb2.ABORTED,
        ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN: code_pb2.ABORTED,
        ErrorReason.ERROR_REASON_TOO_MANY_DELIVERIES: code_pb2.ABORTED,
        ErrorReason.ERROR_REASON_TOOL_FAILED: code_pb2.ABORTED,
        ErrorReason.ERROR_REASON_READER_TOO_SLOW: code_pb2.ABORTED,
        ErrorReason.ERROR_REASON_APPROVAL_REJECTED: code_pb2.ABORTED,
        # An upstream is away; the same call may succeed later.
        ErrorReason.ERROR_REASON_MODEL_UNAVAILABLE: code_pb2.UNAVAILABLE,
        ErrorReason.ERROR_REASON_TOOL_UNAVAILABLE: code_pb2.UNAVAILABLE,
        ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE: code_pb2.UNAVAILABLE,
        # We are at fault.
        ErrorReason.ERROR_REASON_INTERNAL: code_pb2.INTERNAL,
        ErrorReason.ERROR_REASON_JOURNAL_BROKEN: code_pb2.INTERNAL,
    }
)


class MalhaError(Exception):
    """A failure with a reason that a caller may branch on.

    Args:
        reason: value of ``ErrorReason``; decides the gRPC code.
        message: for people; may reach the caller, so nothing internal belongs here.
        metadata: facts of the reason, as ``error_reason.proto`` lists them.
        violations: (field path, what is wrong with it) pairs, sent as ``BadRequest``.
        retry_after: seconds after which the same call may succeed, sent as ``RetryInfo``.
        quota: (subject, what ran out), sent as ``QuotaFailure``.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[tuple[str, str]] = (),
        retry_after: float | None = None,
        quota: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata: Mapping[str, str] = metadata or {}
        self.violations = tuple(violations)
        self.retry_after = retry_after
        self.quota = quota
        self.trace_id = ""
        """The trace that tells of it, once it left the call it happened in; sent as ``RequestInfo``."""

    @property
    def code(self) -> int:
        """The value of ``google.rpc.Code`` (equal to the gRPC status code)."""
        return _CODES[self.reason]

    @property
    def reason_name(self) -> str:
        """The reason as it travels: its name without the enum's prefix."""
        return ErrorReason.Name(self.reason).removeprefix(_PREFIX)


class ConfigurationError(ValueError):
    """What an operator wrote cannot be used. The text says where it is wrong; for a service's start alone."""


def reason_named(name: str) -> Reason:
    """The reason for a travelling name; INTERNAL for a name of another version."""
    try:
        return cast(Reason, ErrorReason.Value(_PREFIX + name))
    except ValueError:
        return ErrorReason.ERROR_REASON_INTERNAL


def invalid(field: str, description: str) -> MalhaError:
    """FIELD_INVALID for one field."""
    return MalhaError(
        ErrorReason.ERROR_REASON_FIELD_INVALID, f"{field}: {description}", violations=((field, description),)
    )


def unavailable(what: str, retry_after: float = 1.0) -> MalhaError:
    """DEPENDENCY_UNAVAILABLE: ``what`` is away; come back in ``retry_after`` seconds."""
    return MalhaError(
        ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE,
        f"{what} is not available; try again shortly",
        metadata={"dependency": what},
        retry_after=retry_after,
    )
