"""Why somebody ended a run, opened it again or dropped it, in their own words.

The words are kept in the run's journal, so they pass the guard like all others. But whoever stops a run must
not wait for the guard to be back, nor choose their words first: what it does not let through is left out.
"""

from __future__ import annotations

import asyncio

from malha.errors import MalhaError
from malha.telemetry import log
from malha_gateway.admission import check_judgement
from malha_gateway.ports import Guard

_SECONDS = 0.3
"""A run that is cancelled ends within a second, whatever was said with it."""


async def let_through(guard: Guard, words: str) -> str:
    """What may be kept of the words; empty where the guard withholds them, or cannot be asked."""
    if not words.strip():
        return ""
    try:
        async with asyncio.timeout(_SECONDS):
            judgement = await guard.check_input(words, agent="")  # no agent reads them
        check_judgement(judgement)
    except (MalhaError, TimeoutError) as error:
        log.warning("words_left_out", reason=error.reason_name if isinstance(error, MalhaError) else "silent")
        return ""
    return judgement.text
