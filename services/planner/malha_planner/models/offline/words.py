"""Words of Portuguese and English, brought to a form in which they can be compared.

Stems make cognates meet; the lexicon adds the everyday pairs that spelling cannot (price, preço), and
the expressions that are one word in all but spelling (call off). A word therefore has several terms:
its stem, and the groups it belongs to.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from malha_planner.models.offline.lexicon import COURTESY, FUNCTION_WORDS, GROUPS
from malha_planner.models.offline.stems import fold, stem

_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Word:
    """One word where it stands in a text: `start` and `end` are character offsets."""

    text: str
    folded: str
    stem: str
    start: int
    end: int

    @property
    def is_content(self) -> bool:
        """Whether it says what a text is about, rather than holding the sentence together."""
        return self.folded not in FUNCTION_WORDS and not self.folded.isdigit()


def words(text: str) -> tuple[Word, ...]:
    """The words of a text, in order; long texts (documents) and short ones alike."""
    return _words(text)


@lru_cache(maxsize=2048)
def _words(text: str) -> tuple[Word, ...]:
    found = []
    for match in _WORD.finditer(text):
        folded = fold(match.group())
        found.append(Word(match.group(), folded, stem(folded), match.start(), match.end()))
    return tuple(_joined(found, text))


def _joined(found: list[Word], text: str) -> Iterator[Word]:
    """The words, those of an expression ("call off", "log in") as one."""
    place = 0
    while place < len(found):
        first = found[place]
        for rest in _expressions().get(first.stem, ()):
            run = found[place : place + 1 + len(rest)]
            if tuple(word.stem for word in run[1:]) == rest:
                said = text[first.start : run[-1].end]
                yield Word(said, fold(said), "_".join((first.stem, *rest)), first.start, run[-1].end)
                place += len(rest)
                break
        else:
            yield first
        place += 1


@lru_cache(maxsize=1)
def _expressions() -> dict[str, list[tuple[str, ...]]]:
    """The lexicon's expressions as stems: what may follow a first word, longest first."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for entry in " ".join(GROUPS).split():
        first, *rest = map(stem, entry.split("_"))
        if rest:
            found.setdefault(first, []).append(tuple(rest))
    return {first: sorted(set(rests), key=lambda rest: (-len(rest), rest)) for first, rests in found.items()}


def name_words(name: str) -> tuple[Word, ...]:
    """The words of an identifier such as `search_knowledge` or `orderId`."""
    return words(_CAMEL.sub(" ", name))


def content(text: str) -> list[Word]:
    """The words that say what a text is about."""
    return [word for word in words(text) if word.is_content]


def asks_nothing(text: str) -> bool:
    """Whether a text holds courtesy alone, such as a greeting or thanks."""
    return all(
        word.folded in COURTESY or word.folded in FUNCTION_WORDS or not word.folded for word in words(text)
    )


@lru_cache(maxsize=16384)
def groups(stemmed: str) -> frozenset[int]:
    """The groups of the lexicon that a stem belongs to."""
    return _groups_by_stem().get(stemmed, frozenset())


@lru_cache(maxsize=1)
def _groups_by_stem() -> dict[str, frozenset[int]]:
    by_stem: dict[str, set[int]] = {}
    for number, group in enumerate(GROUPS):
        for entry in group.split():
            by_stem.setdefault("_".join(map(stem, entry.split("_"))), set()).add(number)
    return {key: frozenset(value) for key, value in by_stem.items()}


class Terms:
    """A weighted bag of words that other words can be looked up in."""

    def __init__(self) -> None:
        self._stems: dict[str, float] = {}
        self._groups: dict[int, float] = {}

    def add(self, found: Iterable[Word], weight: float) -> None:
        """Adds words; the greatest weight of a word counts, not the sum."""
        for word in found:
            if word.is_content:
                self._stems[word.stem] = max(weight, self._stems.get(word.stem, 0.0))
                for group in groups(word.stem):
                    self._groups[group] = max(weight, self._groups.get(group, 0.0))

    def weight(self, word: Word) -> float:
        """How strongly the bag speaks of a word: a synonym counts for less than the word itself."""
        direct = self._stems.get(word.stem, 0.0)
        return max([direct, *(SYNONYM * self._groups.get(group, 0.0) for group in groups(word.stem))])

    def __contains__(self, word: Word) -> bool:
        return word.is_content and self.weight(word) > 0.0

    @classmethod
    def of(cls, text: str, weight: float = 1.0) -> "Terms":
        """The bag of a text."""
        bag = cls()
        bag.add(words(text), weight)
        return bag


SYNONYM = 0.85
"""What a match through the lexicon counts against a match of the word itself."""


def same(one: Word, other: Word) -> bool:
    """Whether two words mean the same as far as stems and the lexicon tell."""
    return one.stem == other.stem or not groups(one.stem).isdisjoint(groups(other.stem))
