"""Why a key cannot be used: the three errors of an effect record, in one wording each."""

from __future__ import annotations

from malha.errors import ErrorReason, MalhaError


def conflict() -> MalhaError:
    """IDEMPOTENCY_CONFLICT: the key was used for another tool or other arguments."""
    return MalhaError(
        ErrorReason.ERROR_REASON_IDEMPOTENCY_CONFLICT,
        "this effect key was used with another tool or other arguments",
    )


def tombstoned() -> MalhaError:
    """EFFECT_TOMBSTONED: Resolve came first; nothing ran and nothing will."""
    return MalhaError(
        ErrorReason.ERROR_REASON_EFFECT_TOMBSTONED,
        "this effect key was closed before anything took effect under it",
    )


def unknown(tool: str) -> MalhaError:
    """OUTCOME_UNKNOWN: the tool began, and nobody knows whether it took effect."""
    return MalhaError(
        ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN,
        "the tool began and whether it took effect is not known",
        metadata={"tool": tool},
    )
