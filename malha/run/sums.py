"""What a run has used and cost: the sum over the ends of its steps."""

from __future__ import annotations

from collections.abc import Iterable

from malha.api.common.v1.usage_pb2 import Cost, Usage
from malha.api.run.v1.record_pb2 import Finished, JournalEvent
from malha.run.state import RunState


def add_usage(total: Usage, usage: Usage) -> None:
    """Count `usage` into the total."""
    total.input_tokens += usage.input_tokens
    total.cached_input_tokens += usage.cached_input_tokens
    total.output_tokens += usage.output_tokens
    total.reasoning_tokens += usage.reasoning_tokens


def add_cost(total: Cost, cost: Cost, *, sign: int = 1) -> None:
    """Count `cost` into the total; with the sign -1, out of it."""
    total.amount_microusd += sign * cost.amount_microusd
    total.reference_microusd += sign * cost.reference_microusd
    if cost.reference_model:
        total.reference_model = cost.reference_model


def sum_up(finished: Finished, state: RunState, last: Iterable[JournalEvent]) -> None:
    """Have the end say what the run used and cost, the events of its `last` record among it."""
    finished.usage.CopyFrom(state.usage)
    finished.cost.CopyFrom(state.cost)
    for event in last:
        add_usage(finished.usage, event.step_finished.usage)
        add_usage(finished.usage, event.step_abandoned.usage)
        for cost in (event.step_finished.cost, event.step_abandoned.cost, event.step_settled.cost):
            add_cost(finished.cost, cost)
