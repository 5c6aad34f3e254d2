"""Words of Portuguese and English, brought to a form in which they can be compared.

Both languages go through the same rules, since a tool described in English is asked for in
Portuguese and the other way round. Folding and a light stemmer make cognates meet (reserva,
reservation, reserved -> reserv); the lexicon adds the everyday pairs that spelling cannot
(price, preço). A word therefore has several terms: its stem, and the groups it belongs to.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from malha_planner.models.offline.lexicon import COURTESY, FUNCTION_WORDS, GROUPS

_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_DOUBLED = re.compile(r"([bcdfghjklmnpqrstvwxz])\1")

# Longest first. What stays must keep three letters; that both languages share one list costs a
# few false friends and buys every cognate.
_SUFFIXES = tuple(
    sorted(
        [
            "izations",
            "ization",
            "izacoes",
            "izacao",
            "amentos",
            "imentos",
            "amento",
            "imento",
            "ements",
            "ement",
            "ations",
            "ation",
            "acoes",
            "acao",
            "icoes",
            "icao",
            "itions",
            "ition",
            "ators",
            "ator",
            "adores",
            "adoras",
            "adora",
            "ador",
            "ments",
            "ment",
            "mente",
            "ings",
            "ing",
            "ness",
            "able",
            "avel",
            "aveis",
            "ible",
            "ivel",
            "iveis",
            "ados",
            "adas",
            "ado",
            "ada",
            "idos",
            "idas",
            "ido",
            "ida",
            "ando",
            "endo",
            "indo",
            "aram",
            "eram",
            "iram",
            "avam",
            "ava",
            "amos",
            "emos",
            "imos",
            "ates",
            "ated",
            "ate",
            "ions",
            "ion",
            "ies",
            "ied",
            "oes",
            "ao",
            "aos",
            "ores",
            "ors",
            "or",
            "ers",
            "er",
            "als",
            "al",
            "ais",
            "ly",
            "ed",
            "es",
            "s",
            "ar",
            "ir",
            "as",
            "os",
            "a",
            "o",
            "e",
            "y",
            "i",
        ],
        key=len,
        reverse=True,
    )
)
_KEEP = 3


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


def fold(text: str) -> str:
    """Lower case without diacritics."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


@lru_cache(maxsize=16384)
def stem(folded: str) -> str:
    """What is left of a folded word without its ending; words with digits stay whole."""
    if len(folded) <= _KEEP or any(c.isdigit() for c in folded):
        return folded
    for suffix in _SUFFIXES:
        if folded.endswith(suffix) and len(folded) - len(suffix) >= _KEEP:
            folded = folded[: -len(suffix)]
            break
    return _DOUBLED.sub(r"\1", folded).replace("ph", "f").replace("y", "i")


def words(text: str) -> tuple[Word, ...]:
    """The words of a text, in order; long texts (documents) and short ones alike."""
    return _words(text)


@lru_cache(maxsize=2048)
def _words(text: str) -> tuple[Word, ...]:
    found = []
    for match in _WORD.finditer(text):
        folded = fold(match.group())
        found.append(Word(match.group(), folded, stem(folded), match.start(), match.end()))
    return tuple(found)


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
        for word in group.split():
            by_stem.setdefault(stem(fold(word)), set()).add(number)
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


SYNONYM = 0.75
"""What a match through the lexicon counts against a match of the word itself."""


def same(one: Word, other: Word) -> bool:
    """Whether two words mean the same as far as stems and the lexicon tell."""
    return one.stem == other.stem or not groups(one.stem).isdisjoint(groups(other.stem))
