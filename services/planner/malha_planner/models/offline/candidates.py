"""What in a request could fill a slot, and how surely.

A score is a degree of evidence between 0 and 1: 0.9 and up when the schema itself recognises the
value (an enum, a pattern, a unit), about 0.5 when only the kind fits, less for a guess.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from malha_planner.models.offline.candidate import Candidate
from malha_planner.models.offline.enumerated import enums
from malha_planner.models.offline.flags import booleans
from malha_planner.models.offline.lexicon import ARTICLES, FROM_CUES, FROM_SLOT, TO_CUES, TO_SLOT
from malha_planner.models.offline.recognisers import (
    currencies,
    expressions,
    hours,
    mentioned,
    numbers,
    query,
    units,
)
from malha_planner.models.offline.request import Request
from malha_planner.models.offline.schema import Slot, ToolView
from malha_planner.models.offline.wordings import identifiers, phrases, texts


def candidates(slot: Slot, request: Request, tool: ToolView) -> list[Candidate]:
    """The values that could fill a slot, best first."""
    read = _READERS.get(slot.kind, phrases)
    raised = (
        replace(c, score=min(1.0, c.score + _context(slot, c, request))) for c in read(slot, request, tool)
    )
    return sorted(raised, key=lambda c: (-c.score, c.start))


def _context(slot: Slot, candidate: Candidate, request: Request) -> float:
    """What the words beside a value add: a word of the slot's, or a preposition that fits its role."""
    if candidate.start == candidate.end or candidate.in_series:
        return 0.0
    gain = 0.0
    before = request.before(candidate.start, 3)
    for distance, word in enumerate(before):
        gain = max(gain, slot.terms.weight(word) * (0.3 - 0.07 * distance) if word.is_content else 0.0)
    for distance, word in enumerate(request.after(candidate.end, 2)):
        gain = max(gain, slot.terms.weight(word) * (0.2 - 0.07 * distance) if word.is_content else 0.0)
    called = {word.folded for word in slot.names}
    nearest = next((word.folded for word in before if word.folded not in ARTICLES), "")
    if called & FROM_SLOT:
        gain += 0.15 * (nearest in FROM_CUES) - 0.15 * (nearest in TO_CUES - FROM_CUES)
    if called & TO_SLOT:
        gain += 0.15 * (nearest in TO_CUES) - 0.15 * (nearest in FROM_CUES - TO_CUES)
    return gain


_READERS: dict[str, Callable[[Slot, Request, ToolView], Iterator[Candidate]]] = {
    "number": numbers,
    "integer": numbers,
    "hour": hours,
    "boolean": booleans,
    "enum": enums,
    "query": query,
    "expression": expressions,
    "date": mentioned("date"),
    "time": mentioned("time"),
    "email": mentioned("email"),
    "uri": mentioned("uri"),
    "currency": currencies,
    "unit": units,
    "identifier": identifiers,
    "text": texts,
    "phrase": phrases,
}
