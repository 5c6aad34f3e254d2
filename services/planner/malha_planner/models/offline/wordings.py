"""Strings that a request holds: the kinds of slot that no schema recognises by itself.

A pattern or the look of the examples raises a candidate; what is merely left over, once the tool's own
words and the orders are taken away, is a guess and says so.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from malha_planner.models.offline.candidate import Candidate
from malha_planner.models.offline.lexicon import COMMANDS, PREPOSITIONS
from malha_planner.models.offline.request import Request
from malha_planner.models.offline.schema import Slot, ToolView
from malha_planner.models.offline.stems import fold
from malha_planner.models.offline.words import Word

_LINKS = frozenset({"of", "de", "do", "da", "dos", "das", "the", "a", "o", "del"})


def identifiers(slot: Slot, request: Request, _: ToolView) -> Iterator[Candidate]:
    """Codes and numbers: what mixes digits and letters, whole numbers, and whatever fits the pattern."""
    for mention in request.mentions:
        if mention.kind in ("identifier", "quoted", "name"):
            base = {"identifier": 0.65, "quoted": 0.7, "name": 0.3}[mention.kind]
            yield from _shaped(slot, mention.value, base, mention.start, mention.end)
        elif mention.kind in ("date", "time") and slot.pattern is not None:
            yield from _shaped(slot, mention.value, 0.7, mention.start, mention.end)
    for quantity in request.quantities:
        if quantity.written and quantity.is_whole:
            span = quantity.start, quantity.end
            yield from _shaped(slot, str(quantity.plain), 0.45, *span)
    if slot.pattern is not None:
        for match in re.finditer(r"\S+", request.text):
            yield from _shaped(slot, match.group().strip(".,;:?!()\"'"), 0.3, match.start(), match.end())


def phrases(slot: Slot, request: Request, tool: ToolView) -> Iterator[Candidate]:
    """Names and noun phrases: the schema's own examples, quotations, capitals, and what is left over."""
    for example in slot.examples:
        match = re.search(rf"(?<!\w){re.escape(example)}(?!\w)", request.text, re.IGNORECASE)
        if match is not None:
            yield Candidate(match.group(), 0.9, match.start(), match.end())
    if not slot.is_proper:
        yield from _behind_a_colon(request, 0.7)
    for mention in request.mentions:
        base = {"quoted": 0.75, "name": 0.6, "identifier": 0.5}.get(mention.kind)
        if base is not None:
            yield from _shaped(slot, mention.value, base, mention.start, mention.end)
    if any(_has_digit(example) for example in slot.examples):
        for quantity in request.quantities:
            if quantity.written and quantity.is_whole:
                yield from _shaped(slot, quantity.written, 0.45, quantity.start, quantity.end)
    capitals = any(mention.kind == "name" for mention in request.mentions)
    for start, end in _residue(request, tool):
        if slot.is_proper and (capitals or not request.is_lower):
            continue
        led = any(word.folded in PREPOSITIONS for word in request.before(start, 2) if not word.is_content)
        base = 0.4 if led else 0.3
        for candidate in _shaped(slot, request.text[start:end], base, start, end):
            yield replace(candidate, guessed=candidate.score <= base)


def texts(slot: Slot, request: Request, tool: ToolView) -> Iterator[Candidate]:
    """Free text: what is quoted or dictated behind a colon, else a phrase."""
    for mention in request.mentions:
        if mention.kind == "quoted":
            yield Candidate(mention.value, 0.9, mention.start, mention.end)
    yield from _behind_a_colon(request, 0.75)
    for candidate in phrases(slot, request, tool):
        yield replace(candidate, score=candidate.score * 0.6)


def _behind_a_colon(request: Request, score: float) -> Iterator[Candidate]:
    """What is dictated: the rest of the text behind a colon."""
    head, colon, rest = request.text.partition(": ")
    if colon and rest.strip():
        yield Candidate(rest.strip(), score, len(head) + len(colon), len(request.text))


def _shaped(slot: Slot, value: str, base: float, start: int, end: int) -> Iterator[Candidate]:
    """A string, judged by the slot's pattern and by the look of its examples."""
    if slot.pattern is not None:
        for spelt in dict.fromkeys((value, value.upper(), value.lower())):
            if slot.pattern.search(spelt) is not None:
                yield Candidate(spelt, 0.95, start, end, exact=True)
                return
        return
    exact = False
    if slot.examples:
        if any(fold(value) == fold(example) for example in slot.examples):
            base += 0.35
        elif _has_digit(value) and _shape(value) in {_shape(example) for example in slot.examples}:
            base += 0.25
            exact = True
        elif _has_digit(value) not in {_has_digit(example) for example in slot.examples}:
            base -= 0.25
    if base > 0.0:
        yield Candidate(value, base, start, end, exact=exact)


def _shape(value: str) -> str:
    return re.sub(r"9+", "9", re.sub(r"\d", "9", re.sub(r"[A-Za-zÀ-ÿ]+", "a", value)))


def _has_digit(value: str) -> bool:
    return any(c.isdigit() for c in value)


def _residue(request: Request, tool: ToolView) -> Iterator[tuple[int, int]]:
    """Runs of content words that the tool's own words do not explain: what the request is about, then."""
    run: list[Word] = []
    for word in request.words:
        free = word.start not in request.claimed
        touching = not run or re.fullmatch(r"[\s-]*", request.text[run[-1].end : word.start]) is not None
        about = free and word.is_content and word not in tool.terms and word.folded not in COMMANDS
        if touching and (about or (free and run and word.folded in _LINKS)):
            run.append(word)
            continue
        yield from _span(run)
        run = [word] if about else []
    yield from _span(run)


def _span(run: list[Word]) -> Iterator[tuple[int, int]]:
    while run and not run[-1].is_content:
        run.pop()
    if run:
        yield run[0].start, run[-1].end
