"""The sentences of found passages that answer a question: first the passage, then what it says."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from malha_planner.models.offline.ranking import Question, ReadPassage
from malha_planner.models.offline.request import Request
from malha_planner.models.offline.results import Passage
from malha_planner.models.offline.stems import fold

_RANK = 0.04
"""What a place further down in the search's own order costs."""
_SURE, _DIRECT, _NEAR = 0.55, 0.3, 0.08
"""Shares of a question that a passage speaks of: from the first on no other is looked for, from the second
it counts as an answer, from the third as the nearest thing there is, and is called that."""
_SECOND, _ADDED, _DOUBTED = 0.8, 0.2, 0.6
"""A second section is quoted where it does nearly as well as the first and adds words of the question;
beside a first that is not sure, where it does half as well or more."""
_NEARLY = 0.6
_MOST_SENTENCES, _MOST_CHARACTERS = 3, 700
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
    read = [ReadPassage(passage) for passage in found]
    question = Question(request, read)
    scored = [
        (passage.score(question) * (1.0 - _RANK * place), passage) for place, passage in enumerate(read)
    ]
    scored.sort(key=lambda pair: -pair[0])
    best, first = scored[0]
    excerpt = _excerpt(first, question)
    if excerpt.share < _NEAR:
        return []
    if len(scored) == 1:
        return [excerpt]
    score, second = scored[1]
    added = question.sum(lambda word: float(second.holds(word) and not first.holds(word)))
    adds = score >= _SECOND * best and added >= _ADDED * question.whole
    if adds or (not excerpt.is_sure and score >= _DOUBTED * best):
        return [excerpt, _excerpt(second, question)]
    return [excerpt]


def _excerpt(read: ReadPassage, question: Question) -> Excerpt:
    """The best sentence, others that do nearly as well, and the next one where the best leads on to it."""
    share = read.coverage(question) / question.whole
    ranked = read.ranked(question)
    if not ranked:
        return Excerpt(read.passage, (read.passage.text[:_MOST_CHARACTERS],), share)
    best, top = ranked[0]
    chosen = {top.place}
    chosen |= {
        other.place for score, other in ranked[1:_MOST_SENTENCES] if score >= max(_NEARLY * best, 1e-9)
    }
    following = next((s for s in read.sentences if s.place == top.place + 1), None)
    too_short = question.request.asks_to_explain and len(chosen) == 1
    if following is not None and (too_short or _CONTINUES.match(fold(following.text))):
        chosen.add(following.place)
    if top.text.endswith(":"):
        chosen |= {s.place for s in read.sentences if s.is_item and s.lead == top.text}
        chosen.add(top.place + 1)
    kept: list[str] = []
    room = _MOST_CHARACTERS
    for sentence in read.sentences:
        if sentence.place in chosen and (not kept or len(sentence.text) <= room):
            kept.append(sentence.text)
            room -= len(sentence.text)
    return Excerpt(read.passage, tuple(dict.fromkeys(kept)), share)
