"""What in a request could fill a slot, and how surely.

A score is a degree of evidence between 0 and 1: 0.9 and up when the schema itself recognises the
value (an enum, a pattern, a unit), about 0.5 when only the kind fits, less for a guess.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from malha_planner.models.offline.lexicon import FROM_CUES, FROM_SLOT, NEGATIONS, TO_CUES, TO_SLOT, UNITS
from malha_planner.models.offline.request import Request
from malha_planner.models.offline.schema import Slot, ToolView
from malha_planner.models.offline.words import SYNONYM, Terms, Word, fold, groups, name_words, same, words

_UNITS = Terms.of(" ".join(UNITS))
_PERCENT = Terms.of("percent rate discount taxa desconto porcentagem")
_LINKS = frozenset(["of", "de", "do", "da", "dos", "das", "the", "a", "o", "del"])
_CURRENCIES = {
    "dollar": "USD", "dolar": "USD", "usd": "USD", "real": "BRL", "reais": "BRL", "brl": "BRL", "euro": "EUR",
    "eur": "EUR", "pound": "GBP", "libra": "GBP", "gbp": "GBP", "yen": "JPY", "iene": "JPY", "peso": "ARS",
    "franc": "CHF", "franco": "CHF",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Candidate:
    """A value from the text, where it stands. A candidate without a span (start == end) uses up nothing."""

    value: Any
    score: float
    start: int = 0
    end: int = 0

    def overlaps(self, other: "Candidate") -> bool:
        return self.start < other.end and other.start < self.end


def candidates(slot: Slot, request: Request, tool: ToolView) -> list[Candidate]:
    """The values that could fill a slot, best first."""
    read = _READERS.get(slot.kind, _phrases)
    raised = (
        Candidate(c.value, min(1.0, c.score + _context(slot, c, request)), c.start, c.end)
        for c in read(slot, request, tool)
    )
    return sorted(raised, key=lambda c: (-c.score, c.start))


def _context(slot: Slot, candidate: Candidate, request: Request) -> float:
    """What the words beside a value add: a word of the slot's, or a preposition that fits its role."""
    if candidate.start == candidate.end:
        return 0.0
    gain = 0.0
    before = request.before(candidate.start, 3)
    for distance, word in enumerate(before):
        gain = max(gain, slot.terms.weight(word) * (0.3 - 0.07 * distance) if word.is_content else 0.0)
    for distance, word in enumerate(request.after(candidate.end, 2)):
        gain = max(gain, slot.terms.weight(word) * (0.2 - 0.07 * distance) if word.is_content else 0.0)
    called = {word.folded for word in slot.names}
    nearest = before[0].folded if before else ""
    if called & FROM_SLOT:
        gain += 0.15 * (nearest in FROM_CUES) - 0.15 * (nearest in TO_CUES - FROM_CUES)
    if called & TO_SLOT:
        gain += 0.15 * (nearest in TO_CUES) - 0.15 * (nearest in FROM_CUES - TO_CUES)
    return gain


def _numbers(slot: Slot, request: Request, _: ToolView) -> Iterator[Candidate]:
    lowest, highest = slot.schema.get("minimum"), slot.schema.get("maximum")
    for quantity in request.quantities:
        if slot.kind == "integer" and not quantity.is_whole:
            continue
        if (lowest is not None and quantity.value < lowest) or (highest is not None and quantity.value > highest):
            continue
        score = 0.5 if quantity.written else 0.4
        if quantity.unit is not None:
            measured = slot.measures(quantity.unit)
            score += 0.4 if measured else -0.35 if measured is False else 0.0
            if quantity.unit.folded == "percent" and measured is None:
                score += 0.3 if any(word in _PERCENT for word in slot.names) else -0.3
            if measured is None:
                score += 0.35 * slot.terms.weight(quantity.unit)
        if score > 0.0:
            yield Candidate(
                quantity.plain, score, quantity.start, quantity.start + max(len(quantity.written), 1)
            )


def _booleans(slot: Slot, request: Request, tool: ToolView) -> Iterator[Candidate]:
    own = [
        word
        for word in slot.names
        if word.is_content and word.stem not in {w.stem for w in name_words(tool.name)}
    ]
    for word in request.words:
        if word.is_content and any(same(word, name) for name in own):
            refused = any(before.folded in NEGATIONS for before in request.before(word.start, 2))
            yield Candidate(not refused, 0.7, word.start, word.start)


def _enums(slot: Slot, request: Request, _: ToolView) -> Iterator[Candidate]:
    units = [
        Word(q.unit.text, q.unit.folded, q.unit.stem, q.start + len(q.written), q.end)
        for q in request.quantities
        if q.unit is not None and q.written
    ]
    spoken = sorted(
        {word.start: word for word in (*request.words, *units)}.values(), key=lambda word: word.start
    )
    for value in slot.enum:
        wanted = name_words(str(value))
        if not wanted:
            continue
        best: dict[int, tuple[float, int]] = {}
        for index, word in enumerate(spoken):
            matches = [_likeness(word, wanted[0])]
            run = spoken[index : index + len(wanted)]
            matches = [_likeness(one, other) for one, other in zip(run, wanted, strict=False)]
            if len(matches) == len(wanted) and min(matches) > 0.0:
                best[word.start] = (min(matches), run[-1].end)
        if not best and len(wanted) > 1:
            for word in spoken:
                if word.is_content and any(_likeness(word, part) >= 0.9 for part in wanted):
                    best[word.start] = (0.6, word.end)
        for start, (score, end) in best.items():
            yield Candidate(value, score, start, end)


def _likeness(word: Word, wanted: Word) -> float:
    if word.folded == wanted.folded:
        return 0.98 if word.is_content or (word.text == wanted.text and len(word.text) > 1) else 0.0
    if not word.is_content:
        return 0.0
    if word.stem == wanted.stem:
        return 0.9
    return SYNONYM if not groups(word.stem).isdisjoint(groups(wanted.stem)) else 0.0


def _query(_: Slot, request: Request, __: ToolView) -> Iterator[Candidate]:
    yield Candidate(request.text, 0.6)


def _expressions(_: Slot, request: Request, __: ToolView) -> Iterator[Candidate]:
    if request.expression is not None:
        yield Candidate(request.expression, 0.95)


def _kind(kind: str) -> Callable[[Slot, Request, ToolView], Iterator[Candidate]]:
    def read(slot: Slot, request: Request, _: ToolView) -> Iterator[Candidate]:
        for mention in request.mentions:
            if mention.kind == kind:
                value = (
                    f"{mention.value}T00:00:00Z"
                    if slot.schema.get("format") == "date-time"
                    else mention.value
                )
                yield Candidate(value, 0.8, mention.start, mention.end)

    return read


def _currencies(slot: Slot, request: Request, _: ToolView) -> Iterator[Candidate]:
    for word in request.words:
        if re.fullmatch(r"[A-Z]{3}", word.text):
            yield Candidate(word.text, 0.7, word.start, word.end)
        else:
            for name, code in _CURRENCIES.items():
                if word.folded in (name, f"{name}s", f"{name}es"):
                    yield Candidate(code, 0.8, word.start, word.end)
    for quantity in request.quantities:
        if quantity.unit is not None and quantity.unit.folded in ("usd", "brl", "eur", "gbp"):
            yield Candidate(quantity.unit.folded.upper(), 0.75, quantity.start, quantity.start + 1)


def _units(slot: Slot, request: Request, _: ToolView) -> Iterator[Candidate]:
    known = [word for example in slot.examples for word in words(example)]
    measured = [
        Word(q.unit.text, q.unit.folded, q.unit.stem, q.start + len(q.written), q.end)
        for q in request.quantities
        if q.unit is not None and q.written
    ]
    for word in {w.start: w for w in (*request.words, *measured)}.values():
        if word in _UNITS:
            spelt = next((example.text for example in known if same(example, word)), word.text)
            yield Candidate(spelt, 0.7, word.start, word.end)


def _identifiers(slot: Slot, request: Request, tool: ToolView) -> Iterator[Candidate]:
    for mention in request.mentions:
        if mention.kind in ("identifier", "quoted", "name"):
            base = {"identifier": 0.65, "quoted": 0.7, "name": 0.3}[mention.kind]
            yield from _shaped(slot, mention.value, base, mention.start, mention.end)
    for quantity in request.quantities:
        if quantity.written and quantity.is_whole:
            span = quantity.start, quantity.start + len(quantity.written)
            yield from _shaped(slot, str(quantity.plain), 0.45, *span)
    if slot.pattern is not None:
        for match in re.finditer(r"\S+", request.text):
            yield from _shaped(slot, match.group().strip(".,;:?!()\"'"), 0.3, match.start(), match.end())


def _phrases(slot: Slot, request: Request, tool: ToolView) -> Iterator[Candidate]:
    for mention in request.mentions:
        base = {"quoted": 0.75, "name": 0.6, "identifier": 0.5}.get(mention.kind)
        if base is not None:
            yield from _shaped(slot, mention.value, base, mention.start, mention.end)
    for start, end in _residue(request, tool):
        led = request.before(start, 1)
        base = 0.4 if led and not led[0].is_content else 0.3
        yield from _shaped(slot, request.text[start:end], base, start, end)


def _texts(slot: Slot, request: Request, tool: ToolView) -> Iterator[Candidate]:
    for mention in request.mentions:
        if mention.kind == "quoted":
            yield Candidate(mention.value, 0.9, mention.start, mention.end)
    _, colon, rest = request.text.partition(": ")
    if colon and rest.strip():
        yield Candidate(rest.strip(), 0.75, len(request.text) - len(rest), len(request.text))
    for candidate in _phrases(slot, request, tool):
        yield Candidate(candidate.value, candidate.score * 0.6, candidate.start, candidate.end)


def _shaped(slot: Slot, value: str, base: float, start: int, end: int) -> Iterator[Candidate]:
    """A string, judged by the slot's pattern and by the look of its examples."""
    if slot.pattern is not None:
        for spelt in dict.fromkeys((value, value.upper(), value.lower())):
            if slot.pattern.search(spelt) is not None:
                yield Candidate(spelt, 0.95, start, end)
                return
        return
    if slot.examples:
        if any(fold(value) == fold(example) for example in slot.examples):
            base += 0.35
        elif _shape(value) in {_shape(example) for example in slot.examples}:
            base += 0.25
        elif _has_digit(value) not in {_has_digit(example) for example in slot.examples}:
            base -= 0.25
    if base > 0.0:
        yield Candidate(value, base, start, end)


def _shape(value: str) -> str:
    return re.sub(r"9+", "9", re.sub(r"\d", "9", re.sub(r"[A-Za-zÀ-ÿ]+", "a", value)))


def _has_digit(value: str) -> bool:
    return any(c.isdigit() for c in value)


def _residue(request: Request, tool: ToolView) -> Iterator[tuple[int, int]]:
    """Runs of content words that the tool's own words do not explain: what the request is about, then."""
    taken = [(m.start, m.end) for m in request.mentions] + [(q.start, q.end) for q in request.quantities]
    run: list[Word] = []
    for word in (*request.words, None):
        if word is not None:
            free = not any(start <= word.start < end for start, end in taken)
            touching = not run or re.fullmatch(r"[\s-]*", request.text[run[-1].end : word.start]) is not None
            if (
                free
                and touching
                and ((word.is_content and word not in tool.terms) or (run and word.folded in _LINKS))
            ):
                run.append(word)
                continue
        while run and not run[-1].is_content:
            run.pop()
        if run:
            yield run[0].start, run[-1].end
        run = [word] if word is not None and word.is_content and word not in tool.terms and free else []


_READERS: dict[str, Callable[[Slot, Request, ToolView], Iterator[Candidate]]] = {
    "number": _numbers,
    "integer": _numbers,
    "boolean": _booleans,
    "enum": _enums,
    "query": _query,
    "expression": _expressions,
    "date": _kind("date"),
    "time": _kind("time"),
    "email": _kind("email"),
    "uri": _kind("uri"),
    "currency": _currencies,
    "unit": _units,
    "identifier": _identifiers,
    "text": _texts,
    "phrase": _phrases,
}
