"""How much of a question a passage speaks of, and where in it.

A section is about one thing, and its heading says which: words count in the heading, then in the few
sentences that hold most of them together, and least anywhere else. So a long passage does not win by
its length. Words that few of the found passages hold count more.
"""

import math
import re
from collections.abc import Callable, Sequence

from malha_planner.models.offline.quantities import quantities
from malha_planner.models.offline.request import Request
from malha_planner.models.offline.results import Passage
from malha_planner.models.offline.sentences import Sentence, sentences
from malha_planner.models.offline.stems import fold
from malha_planner.models.offline.words import Terms, Word, words

_HEADING, _OUTER, _SENTENCE, _NUMBER, _NUMERAL = 0.7, 0.3, 0.6, 0.15, 0.5
_DOCUMENT, _ELSEWHERE = 0.6, 0.6
"""What a word counts in the outer headings and the document's name, and away from the best sentences."""
_WINDOW = 3
"""Neighbouring sentences that are read as one thought."""
_LEADS_ON = 0.8
"""What a line that introduces a list counts against one that says something itself."""
_CONSTANT = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9<>]+)+\b")
_IN_CONSTANT = 0.4
"""What a word counts inside a name such as MAX_RETRY_SECONDS: it names a thing, and says nothing of it."""
_FOR_NUMBER = re.compile(
    r"\b(?:how (?:many|much|long|often|far|old|big|large|fast|hot)|when|quant[oa]s?|quando|que horas|a que"
    r"|prazo|(?:what|which|que|qual a) (?:temperatur[ea]|price|preco|percentage|number|numero|time|rate))\b"
)


class Question:
    """The words of a question, each with its weight among the passages found for it."""

    def __init__(self, request: Request, read: Sequence["ReadPassage"]) -> None:
        self.request = request
        self.wants_number = _FOR_NUMBER.search(fold(request.text)) is not None
        numerals = {word.stem for word in request.numerals}
        self._words = {word.stem: word for word in (*request.numerals, *request.content)}
        self._weights = {
            stem: (_NUMERAL if stem in numerals else 1.0)
            * math.log(1.0 + len(read) / max(1, sum(passage.holds(word) for passage in read)))
            for stem, word in self._words.items()
        }
        self.whole = sum(self._weights.values())

    def sum(self, level: Callable[[Word], float]) -> float:
        """The weights of its words, each times the level at which something speaks of the word."""
        return sum(self._weights[stem] * level(word) for stem, word in self._words.items())


class ReadPassage:
    """A passage with its words looked up once."""

    def __init__(self, passage: Passage) -> None:
        self.passage = passage
        self.sentences = sentences(passage.text)
        outer, _, last = passage.section.rpartition(">")
        self._text = _terms(passage.text)
        self._heading = Terms.of(last)
        self._outer = Terms.of(f"{outer} {passage.document}")
        self._of_sentence = [_terms(sentence.text) for sentence in self.sentences]

    def holds(self, word: Word) -> bool:
        """Whether it speaks of a word anywhere."""
        return any(terms.weight(word) > 0.0 for terms in (self._text, self._heading, self._outer))

    def coverage(self, question: Question) -> float:
        """How much of the question it speaks of, as a part of the question's whole."""
        windows = [self._of_sentence[at : at + _WINDOW] for at in range(len(self._of_sentence))]
        return max((question.sum(self._level(window)) for window in windows), default=0.0)

    def score(self, question: Question) -> float:
        """What passages are ordered by: coverage, the heading once more, and the best sentence."""
        ranked = self.ranked(question)
        return (
            self.coverage(question)
            + _HEADING * question.sum(self._heading.weight)
            + _OUTER * question.sum(self._outer.weight)
            + _SENTENCE * (ranked[0][0] if ranked else 0.0)
        )

    def ranked(self, question: Question) -> list[tuple[float, Sentence]]:
        """Its sentences with their scores, best first."""
        scored = []
        for sentence, terms in zip(self.sentences, self._of_sentence, strict=True):
            score = question.sum(terms.weight)
            portuguese = question.request.portuguese
            if question.wants_number and score > 0.0 and quantities(sentence.text, portuguese=portuguese):
                score += _NUMBER * question.whole
            scored.append((score * (_LEADS_ON if sentence.text.endswith(":") else 1.0), sentence))
        return sorted(scored, key=lambda pair: (-pair[0], pair[1].place))

    def _level(self, window: Sequence[Terms]) -> Callable[[Word], float]:
        def level(word: Word) -> float:
            return max(
                self._heading.weight(word),
                *(terms.weight(word) for terms in window),
                _DOCUMENT * self._outer.weight(word),
                _ELSEWHERE * self._text.weight(word),
            )

        return level


def _terms(text: str) -> Terms:
    terms = Terms()
    for constant in _CONSTANT.findall(text):
        terms.add(words(constant), _IN_CONSTANT)
    terms.add(words(_CONSTANT.sub(" ", text)), 1.0)
    return terms
