"""What people move under a settled key afterwards, for a reason."""

from __future__ import annotations

from malha.api.cost.v1.cost_service_pb2 import AdjustRequest
from malha.errors import ErrorReason, MalhaError, invalid
from malha_cost.ledger import CLOSED, CORRECTED, OPENED, Entry, Kind, corrected


def adjust(asked: AdjustRequest, history: list[Entry], *, at_us: int) -> Entry | None:
    """The entry of an adjustment; None where it stands already.

    Raises:
        MalhaError: RESERVATION_NOT_FOUND where nothing was settled under the key,
            SETTLEMENT_CONFLICT where that was provisional, IDEMPOTENCY_CONFLICT where the id was used
            for another amount, FIELD_INVALID where less than nothing would be left.
    """
    if len(history) <= CLOSED or history[CLOSED].kind == Kind.RELEASE:
        raise MalhaError(
            ErrorReason.ERROR_REASON_RESERVATION_NOT_FOUND,
            "nothing was settled under the key",
            metadata={"key": asked.key},
            violations=(("key", "is no key that something was settled under"),),
        )
    if history[CLOSED].kind == Kind.PROVISIONAL and not corrected(history):
        raise MalhaError(
            ErrorReason.ERROR_REASON_SETTLEMENT_CONFLICT,
            "the key is settled provisionally: its true figures may still come",
            metadata={"key": asked.key},
            violations=(("key", "is settled provisionally"),),
        )
    for entry in history:
        if entry.adjustment == asked.id:
            if (entry.spent, entry.reason) == (asked.amount_microusd, asked.reason):
                return None
            raise MalhaError(
                ErrorReason.ERROR_REASON_IDEMPOTENCY_CONFLICT,
                "the id was used for another adjustment of the key",
                metadata={"run_id": entry.run_id, "key": asked.key},
                violations=(("id", "was used for another adjustment"),),
            )
    if sum(entry.spent for entry in history) + asked.amount_microusd < 0:
        raise invalid("amount_microusd", "gives back more than was spent under the key")
    return history[OPENED]._replace(
        stage=max(CORRECTED, *(line.stage for line in history)) + 1,
        kind=Kind.ADJUSTMENT,
        at_us=at_us,
        input_tokens=0,
        output_tokens=0,
        reserved=0,
        spent=asked.amount_microusd,
        held_tokens=0,
        adjustment=asked.id,
        reason=asked.reason,
    )
