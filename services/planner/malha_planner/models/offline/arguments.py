"""Fills a tool's arguments from a request.

Candidates of all slots compete for the text: the surest pair of slot and value is settled first,
and a stretch of text fills one slot only. What comes out satisfies the tool's schema, or nothing
comes out: a tool is never called with arguments that it would refuse.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from malha_planner.models.offline.candidate import Candidate
from malha_planner.models.offline.candidates import candidates
from malha_planner.models.offline.request import Request
from malha_planner.models.offline.schema import Slot, ToolView

_OPTIONAL = 0.6
"""Optional slots want real evidence; a guess there only does harm."""
_OPTIONAL_PHRASE = 0.8
"""Any name fits a phrase; an optional one is filled only where the words beside it or its examples agree."""
_REQUIRED = 0.2
_RECOGNISED = 0.85
_COORDINATION = re.compile(
    r"\s*(?:[,;/]\s*(?:(?:and|e|or|ou)\s)?|\s(?:and|e|or|ou|vs\.?|versus|with|com)\s)"
    r"\s*(?:(?:the|in|on|of|for|from|an?|o|as|os|uma?|de|do|da|em|no|na|para)\s)*\s*",
    re.IGNORECASE,
)
_COORDINATED = ("enum", "identifier", "phrase", "date", "currency")
MOST_CALLS, MOST_ITEMS = 5, 100


@dataclass(frozen=True)
class Filling:
    """Arguments and what they stand on."""

    arguments: dict[str, Any]
    evidence: float
    """Mean score of the required slots, 0 to 1; of the filled optional ones where none is required."""
    spans: tuple[tuple[int, int], ...] = ()
    """The stretches of text that the values came from."""
    guessed: bool = False
    """Whether a required slot holds a guess."""
    identified: bool = False
    """Whether a required slot holds an identifier that looks exactly as the schema says."""
    recognised: bool = False
    """Whether the schema itself recognised values, by enum, pattern, format or unit: two, or the only one."""


@dataclass
class _Draft:
    chosen: dict[str, Candidate] = field(default_factory=dict)
    lists: dict[str, list[Candidate]] = field(default_factory=dict)
    objects: dict[str, Filling] = field(default_factory=dict)


def fill(tool: ToolView, request: Request) -> list[Filling]:
    """The calls of one tool that a request asks for: several where it lists values of one slot.

    Empty where a required slot stays open or the schema refuses what was found.
    """
    offered = {
        slot.name: candidates(slot, request, tool)
        for slot in tool.slots
        if slot.kind not in ("array", "object")
    }
    draft = _assign(tool.slots, offered, request, tool)
    filling = _finish(tool.slots, draft)
    if filling is None or not tool.accepts(filling.arguments):
        return []
    others = _coordinated(tool, draft, offered, request, filling)
    return [filling, *(other for other in others if tool.accepts(other.arguments))][:MOST_CALLS]


def _assign(
    slots: Sequence[Slot], offered: dict[str, list[Candidate]], request: Request, tool: ToolView
) -> _Draft:
    draft = _Draft()
    taken: list[Candidate] = []
    for slot in slots:
        if slot.kind == "array" and slot.item is not None:
            free = [c for c in candidates(slot.item, request, tool) if not any(c.overlaps(o) for o in taken)]
            found = _listed(free, slot, request.text)
            if found:
                draft.lists[slot.name] = found
                taken += found
    by_name = {slot.name: slot for slot in slots}
    pairs = [(c, name) for name, found in offered.items() for c in found]
    for candidate, name in sorted(
        pairs, key=lambda pair: (-pair[0].score, not by_name[pair[1]].required, pair[0].start)
    ):
        least = _least(by_name[name])
        if (
            name in draft.chosen
            or candidate.score < least
            or any(candidate.overlaps(other) for other in taken)
        ):
            continue
        draft.chosen[name] = candidate
        taken.append(candidate)
    for slot in slots:
        if slot.kind == "object":
            inner = {
                s.name: candidates(s, request, tool) for s in slot.fields if s.kind not in ("array", "object")
            }
            filling = _finish(slot.fields, _assign(slot.fields, inner, request, tool))
            if filling is not None and filling.arguments:
                draft.objects[slot.name] = filling
    return draft


def _least(slot: Slot) -> float:
    if slot.required:
        return _REQUIRED
    return _OPTIONAL_PHRASE if slot.kind in ("phrase", "text") else _OPTIONAL


def _listed(found: list[Candidate], slot: Slot, text: str) -> list[Candidate]:
    """The items of a list, in the order of the text, once each; numbers and phrases are items of one
    enumeration, the values of an enum may stand anywhere."""
    least = 0.3 if slot.required else _OPTIONAL
    kept: list[Candidate] = []
    for candidate in found:
        if candidate.score >= least and not any(
            candidate.overlaps(o) or candidate.value == o.value for o in kept
        ):
            kept.append(candidate)
    kept.sort(key=lambda candidate: candidate.start)
    if slot.item is not None and slot.item.kind not in ("enum", "identifier", "date"):
        kept = max(_runs(kept, text), key=len, default=[])
    return kept[: slot.schema.get("maxItems", MOST_ITEMS)]


def _runs(found: list[Candidate], text: str) -> list[list[Candidate]]:
    runs: list[list[Candidate]] = []
    for candidate in found:
        if runs and _COORDINATION.fullmatch(text[runs[-1][-1].end : candidate.start]):
            runs[-1].append(candidate)
        else:
            runs.append([candidate])
    return runs


def _finish(slots: Sequence[Slot], draft: _Draft) -> Filling | None:
    arguments: dict[str, Any] = {}
    required: list[float] = []
    optional: list[float] = []
    spans: list[tuple[int, int]] = []
    guessed = identified = False
    for slot in slots:
        if slot.name in draft.chosen:
            candidate = draft.chosen[slot.name]
            arguments[slot.name], score = candidate.value, candidate.score
            spans.append((candidate.start, candidate.end))
            guessed = guessed or (candidate.guessed and slot.required)
            identified = identified or (slot.kind == "identifier" and slot.required and candidate.exact)
        elif slot.name in draft.lists:
            found = draft.lists[slot.name]
            arguments[slot.name], score = [c.value for c in found], sum(c.score for c in found) / len(found)
            spans += [(c.start, c.end) for c in found]
        elif slot.name in draft.objects:
            inner = draft.objects[slot.name]
            arguments[slot.name], score = inner.arguments, inner.evidence
            spans += inner.spans
        elif slot.required and "default" in slot.schema:
            arguments[slot.name], score = slot.schema["default"], 0.5
        elif slot.required and slot.kind == "boolean":
            arguments[slot.name], score = False, 0.5
        elif slot.required:
            return None
        else:
            continue
        (required if slot.required else optional).append(score)
    scores = required or optional
    evidence = sum(scores) / len(scores) if scores else 0.0
    recognised = sum(score >= _RECOGNISED for score in required) >= min(2, len(required))
    return Filling(arguments, evidence, tuple(spans), guessed, identified, recognised)


def _coordinated(
    tool: ToolView, draft: _Draft, offered: dict[str, list[Candidate]], request: Request, filling: Filling
) -> list[Filling]:
    """Further calls for "Lisbon and Porto": values of one slot that the text joins to the chosen one."""
    for slot in tool.slots:
        first = draft.chosen.get(slot.name)
        if first is None or slot.kind not in _COORDINATED or first.start == first.end:
            continue
        others = [c for name, c in draft.chosen.items() if name != slot.name and c.start < c.end]
        free = [
            c
            for c in offered[slot.name]
            if not any(c.overlaps(o) for o in others) and c.score > first.score - 0.35
        ]
        chain = _chain(first, free, request.text)
        if len(chain) > 1:
            rest = [c for c in chain if c.value != first.value]
            return [
                replace(
                    filling,
                    arguments={**filling.arguments, slot.name: candidate.value},
                    spans=(*filling.spans, (candidate.start, candidate.end)),
                )
                for candidate in rest
            ]
    return []


def _chain(first: Candidate, free: list[Candidate], text: str) -> list[Candidate]:
    chain = [first]
    for candidate in sorted(free, key=lambda c: c.start):
        if any(candidate.overlaps(c) for c in chain):
            continue
        for end, start in ((chain[-1].end, candidate.start), (candidate.end, chain[0].start)):
            if start > end and _COORDINATION.fullmatch(text[end:start]):
                chain = sorted([*chain, candidate], key=lambda c: c.start)
                break
    return chain
