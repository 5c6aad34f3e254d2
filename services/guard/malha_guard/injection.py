"""An attempt to take over the assistant is weighed, not matched.

No single word betrays it ("ignore" stands in a thousand harmless sentences). So rules carry weights,
a rule counts once, and only their sum decides. The rules are data (``policies/injection.yaml``); this
module weighs them and finds the passage they stand in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from malha_guard.phrases import Lexicon, Phrase, PhraseError
from malha_guard.reading import Reading

_PARTS = frozenset({"weight", "in_results", "says", "phrases", "marks"})
_SENTENCE_END = re.compile(r"[.!?](?=[\s\"')\]]|$)|\n")
_TOGETHER = 600
"""Characters between hits that are weighed together."""
_LONGEST_PASSAGE = 600
"""Characters that one finding may withhold before and after itself."""
_LONGEST_QUOTATION = 200
"""Characters of a quotation before and after a finding."""
_QUOTES = {'"': '"', "`": "`", "“": "”", "«": "»", "‘": "’"}


class Rule(NamedTuple):
    """What phrases of one meaning weigh, and what to say of them."""

    id: str
    says: str
    weight: float
    in_results: float


class Hit(NamedTuple):
    """A rule that matched, with the spans it covers in the text as written."""

    rule: Rule
    spans: tuple[tuple[int, int], ...]


class Attempt(NamedTuple):
    """Rules that matched near each other, the weightiest first; ``spans`` are theirs, in order."""

    rules: tuple[Rule, ...]
    weight: float
    spans: tuple[tuple[int, int], ...]


class Rulebook:
    """All rules, ready to be put to a text."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Read the rules (the parsed ``injection.yaml``).

        Raises:
            PhraseError: a phrase or word that cannot be read.
            KeyError, TypeError: a part is missing or of the wrong kind.
        """
        lists = {name: str(words).split() for name, words in document["lists"].items()}
        self._rule_of: dict[Phrase, Rule] = {}
        self.rules: list[Rule] = []
        for name, row in document["rules"].items():
            rule = _rule(name, row)
            self.rules.append(rule)
            self._rule_of.update((Phrase(str(phrase), lists), rule) for phrase in row["phrases"])
        seams = _rule("seams", document["seams"])
        self.rules.append(seams)
        self._marks = {str(mark).lower(): seams for mark in document["seams"]["marks"]}
        self._lexicon = Lexicon(lists, self._rule_of)

    def hits(self, reading: Reading) -> list[Hit]:
        """Every rule that matches, once, with all the places where it does."""
        lower = reading.lower
        hits = dict[Rule, list[tuple[int, int]]]()
        for phrase, spans in self._lexicon.search(lower).items():
            hits.setdefault(self._rule_of[phrase], []).extend(reading.span(*span) for span in spans)
        for mark, rule in self._marks.items():
            at = lower.find(mark)
            while at >= 0:
                hits.setdefault(rule, []).append(reading.span(at, at + len(mark)))
                at = lower.find(mark, at + len(mark))
        return [Hit(rule, tuple(hits[rule])) for rule in self.rules if rule in hits]


def _rule(name: str, row: Mapping[str, Any]) -> Rule:
    if unknown := row.keys() - _PARTS:
        raise PhraseError(f"{name}: unknown {', '.join(sorted(unknown))}")
    try:
        weight = float(row["weight"])
        in_results = float(row.get("in_results", weight))
    except ValueError:
        raise PhraseError(f"{name}: weights are numbers") from None
    if not (0 < weight <= 1 and 0 < in_results <= 1):
        raise PhraseError(f"{name}: weights lie above 0 and at most at 1")
    return Rule(f"injection.{name}", str(row["says"]), weight, in_results)


def attempts(hits: Sequence[Hit], *, in_results: bool) -> list[Attempt]:
    """Hits within 600 characters of each other, weighed together.

    Far-apart hits are not added up: a long page about security mentions many tricks in passing.
    """
    found = sorted((span, index) for index, hit in enumerate(hits) for span in hit.spans)
    groups: list[list[tuple[tuple[int, int], int]]] = []
    for span, index in found:
        if groups and span[0] - groups[-1][-1][0][1] <= _TOGETHER:
            groups[-1].append((span, index))
        else:
            groups.append([(span, index)])
    result = []
    for group in groups:
        near = dict.fromkeys(hits[index].rule for index in sorted({index for _, index in group}))
        rules = sorted(near, key=lambda rule: -rule.weight)
        weight = sum(rule.in_results if in_results else rule.weight for rule in rules)
        spans = tuple(dict.fromkeys(span for span, _ in group))
        result.append(Attempt(tuple(rules), round(weight, 6), spans))
    return result


def passage(text: str, start: int, end: int) -> tuple[int, int]:
    """What must be withheld around a finding so that its order does not reach a model.

    A mention in quotation marks is withheld alone: a page that explains the attack stays readable.
    Otherwise it is the sentence with the rest of its line, because the orders follow the overture.
    """
    quoted = _quotation(text, start, end)
    if quoted is not None:
        return quoted
    earliest = max(0, start - _LONGEST_PASSAGE)
    opening = earliest
    for match in _SENTENCE_END.finditer(text, earliest, start):
        opening = match.end()
    line_end = text.find("\n", end, end + _LONGEST_PASSAGE)
    closing = line_end if line_end >= 0 else min(len(text), end + _LONGEST_PASSAGE)
    while opening < start and text[opening].isspace():
        opening += 1
    return opening, closing


def _quotation(text: str, start: int, end: int) -> tuple[int, int] | None:
    before = text[max(0, start - _LONGEST_QUOTATION) : start].rpartition("\n")[2]
    after = text[end : end + _LONGEST_QUOTATION].partition("\n")[0]
    for opening, closing in _QUOTES.items():
        opened, closed = before.rfind(opening), after.find(closing)
        if opened < 0 or closed < 0:
            continue
        if opening == closing and before.count(opening) % 2 == 0:
            continue  # the mark before it closes another quotation
        return start - len(before) + opened + 1, end + closed
    return None
