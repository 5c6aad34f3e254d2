"""The end of a cancelled run, whoever writes it.

Its worker does, once it has settled what was under way. A run that nobody ever had has nothing under way
and no money held, so whoever cancels it writes the end in the same record: it need not wait for its turn
in a queue to learn that it is over. The fence sees to it that no worker took it meanwhile.
"""

from __future__ import annotations

from malha.api.run.v1.record_pb2 import CancelRequested, Content, FinalStatus, Finished, Sealed
from malha.run.sealing import Sealer, UnsealableError
from malha.run.state import RunState


def untouched(state: RunState) -> bool:
    """Whether nobody ever had the run."""
    return state.epoch == 0


def cancelled(by: str, reason: str) -> tuple[Finished, Content]:
    """The end, without the sums of what was spent, and what to tell the caller: who asked, and why.

    The reason is what somebody said, so it stands in the content alone.
    """
    finished = Finished(
        status=FinalStatus.FINAL_STATUS_CANCELLED,
        error_reason="CANCELLED",
        error_metadata={"by": by},
    )
    why = f": {reason}" if reason else ""
    return finished, Content(error_text=f"the run was cancelled by {by}{why}", comment=reason)


async def cancelled_as_asked(state: RunState, sealer: Sealer) -> tuple[Finished, Content]:
    """The end of a run that somebody asked to end. Words that cannot be read keep none from its end."""
    asked = state.cancel_requested or CancelRequested()
    try:
        said = await sealer.open(
            state.tenant, state.run_id, "cancel_requested", state.cancel_words or Sealed()
        )
    except UnsealableError:
        said = Content()
    return cancelled(asked.by, said.comment or asked.reason)  # an earlier version had them in the clear
