"""The sentences of found passages that answer a question.

First the passage, then the sentences inside it: a section is about one thing, and its heading says
which, so a passage is judged by how much of the question its heading and text together cover. Words
that few of the passages hold count more; so does the order in which the search gave them, a little.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from malha_planner.models.offline.quantities import quantities
from malha_planner.models.offline.request import Request
from malha_planner.models.offline.results import Passage
from malha_planner.models.offline.sentences import Sentence, sentences
from malha_planner.models.offline.words import Terms, Word, fold

_HEADING, _OUTER, _SENTENCE, _RANK, _NUMBER, _NUMERAL = 0.7, 0.3, 0.6, 0.06, 0.15, 0.5
_SURE, _DIRECT, _NEAR = 0.5, 0.3, 0.08
"""Shares of a question (by weight of its words) that a passage speaks of: from the first on no other is
looked for, from the second it counts as an answer, from the third as the nearest thing there is, and is
called that."""
_SECOND = 0.8
"""A second section is quoted only where it does nearly as well as the first."""
_MOST_SENTENCES, _MOST_CHARACTERS = 3, 700
_FOR_NUMBER = re.compile(
    r"\b(?:how (?:many|much|long|often|far|old|big|large|fast|hot)|when|quant[oa]s?|quando|que horas|a que"
    r"|prazo|(?:what|which|que|qual a) (?:temperatur[ea]|price|preco|percentage|number|numero|time|rate))\b"
)
_CONTINUES = re.compile(
    r"^(?:this|these|that|it|they|then|otherwise|but|however|so|isso|isto|eles?|elas?|ess[ea]|depois|entao"
    r"|porem|mas|caso contrario)\b"
)


@dataclass(frozen=True)
class Excerpt:
    """Sentences of one passage, in their order, and the share of the question that the passage speaks of."""

    passage: Passage
    sentences: tuple[str, ...]
    share: float

    @property
    def is_direct(self) -> bool:
        return self.share >= _DIRECT

    @property
    def is_sure(self) -> bool:
        return self.share >= _SURE


def extract(request: Request, found: Sequence[Passage]) -> list[Excerpt]:
    """What answers the request, best section first; empty where nothing found speaks of it."""
    if not request.content or not found:
        return []
    asked = {word.stem: word for word in (*request.numerals, *request.content)}
    counted = {word.stem for word in request.numerals}
    read = [_Read(passage) for passage in found]
    weights = {
        stem: (_NUMERAL if stem in counted else 1.0)
        * math.log(1.0 + len(read) / max(1, sum(r.holds(w) for r in read)))
        for stem, w in asked.items()
    }
    whole = sum(weights.values())
    scored = sorted(
        ((r.score(request, asked, weights) * (1.0 - _RANK * place), r) for place, r in enumerate(read)),
        key=lambda pair: -pair[0],
    )
    best, first = scored[0]
    share = first.coverage(asked, weights) / whole
    if share < _NEAR:
        return []
    excerpts = [first.excerpt(request, asked, weights)]
    for score, other in scored[1:2]:
        adds = sum(weights[s] for s, w in asked.items() if other.holds(w) and not first.holds(w))
        if share >= _DIRECT and score >= _SECOND * best and adds >= 0.2 * whole:
            excerpts.append(other.excerpt(request, asked, weights))
    return excerpts


class _Read:
    """A passage with its words looked up once."""

    def __init__(self, passage: Passage) -> None:
        self.passage = passage
        self.sentences = sentences(passage.text)
        outer, _, last = passage.section.rpartition(">")
        self._text = Terms.of(passage.text)
        self._heading = Terms.of(last)
        self._outer = Terms.of(f"{outer} {passage.document}")
        self._of_sentence = [Terms.of(sentence.text) for sentence in self.sentences]

    def level(self, word: Word) -> float:
        return max(self._text.weight(word), self._heading.weight(word), 0.6 * self._outer.weight(word))

    def holds(self, word: Word) -> bool:
        return self.level(word) > 0.0

    def coverage(self, asked: dict[str, Word], weights: dict[str, float]) -> float:
        return sum(weights[stem] * self.level(word) for stem, word in asked.items())

    def score(self, request: Request, asked: dict[str, Word], weights: dict[str, float]) -> float:
        total = self.coverage(asked, weights)
        total += _HEADING * sum(weights[s] * self._heading.weight(w) for s, w in asked.items())
        total += _OUTER * sum(weights[s] * self._outer.weight(w) for s, w in asked.items())
        ranked = self._ranked(request, asked, weights)
        return total + _SENTENCE * (ranked[0][0] if ranked else 0.0)

    def _ranked(
        self, request: Request, asked: dict[str, Word], weights: dict[str, float]
    ) -> list[tuple[float, Sentence]]:
        wants_number = _FOR_NUMBER.search(fold(request.text)) is not None
        mean = sum(weights.values()) / len(weights)
        scored = []
        for sentence, terms in zip(self.sentences, self._of_sentence, strict=True):
            score = sum(weights[stem] * terms.weight(word) for stem, word in asked.items())
            if wants_number and score > 0.0 and quantities(sentence.text, portuguese=request.portuguese):
                score += _NUMBER * mean * len(weights)
            if sentence.text.endswith(":"):
                score *= 0.8
            scored.append((score, sentence))
        return sorted(scored, key=lambda pair: (-pair[0], pair[1].place))

    def excerpt(self, request: Request, asked: dict[str, Word], weights: dict[str, float]) -> Excerpt:
        share = self.coverage(asked, weights) / sum(weights.values())
        ranked = self._ranked(request, asked, weights)
        if not ranked:
            return Excerpt(self.passage, (self.passage.text[:_MOST_CHARACTERS],), share)
        best = ranked[0][0]
        chosen = {ranked[0][1].place}
        chosen |= {s.place for score, s in ranked[1:_MOST_SENTENCES] if score >= 0.6 * best and score > 0.0}
        top = ranked[0][1]
        following = next((s for s in self.sentences if s.place == top.place + 1), None)
        told_short = request.asks_to_explain and len(chosen) == 1
        if following is not None and (
            told_short or _CONTINUES.match(fold(following.text)) or top.text.endswith(":")
        ):
            chosen.add(following.place)
        if top.text.endswith(":"):
            chosen |= {s.place for s in self.sentences if s.is_item and s.lead == top.text}
        kept: list[str] = []
        size = 0
        for sentence in self.sentences:
            if sentence.place in chosen and (not kept or size + len(sentence.text) <= _MOST_CHARACTERS):
                kept.append(sentence.text)
                size += len(sentence.text)
        return Excerpt(self.passage, tuple(dict.fromkeys(kept)), share)
