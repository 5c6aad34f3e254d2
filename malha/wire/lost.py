"""Calls that got no answer, and how many failures of the callee that is.

A process that dies takes all calls with it that were under way on its connections: that is one failure,
not as many as there were calls. One that leaves refuses what still reaches it: that is none. Nor is it one
where a caller had next to no time left.
"""

from __future__ import annotations

from malha.errors import MalhaError


class NothingNewError(MalhaError):
    """A call got no answer, but its callee is blamed already or not to blame.

    Where it was lost, another is asked at once.
    """


def without_blame(failure: MalhaError) -> NothingNewError:
    """The failure, without blame."""
    return NothingNewError(
        failure.reason, failure.message, metadata=failure.metadata, retry_after=failure.retry_after
    )
