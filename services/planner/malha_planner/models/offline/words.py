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

from malha_planner.models.offline.lexicon import COURTESY, FUNCTION_WORDS, GROUPS, SUFFIXES

_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_DOUBLED = re.compile(r"([bcdfghjklmnpqrstvwxz])\1")

# Plurals first: (ending, what stands for it). Then the longest suffix that leaves three letters. That
# both languages share the lists costs a few false friends and buys every cognate.
_PLURALS = (
    ("oes", "ao"), ("aes", "ao"), ("ais", "al"), ("eis", "el"), ("ois", "ol"), ("uis", "ul"), ("ies", "y"),
    ("ores", "or"), ("ns", "m"), ("ss", "ss"), ("us", "us"), ("is", "is"), ("s", ""),
)  # fmt: skip
_SUFFIXES = tuple(sorted(SUFFIXES, key=len, reverse=True))
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
    for ending, singular in _PLURALS:
        if folded.endswith(ending) and len(folded) - len(ending) + len(singular) >= _KEEP:
            folded = folded[: -len(ending)] + singular
            break
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


def inflections(text: str) -> tuple[str, ...]:
    """The other number of a noun, as far as endings tell: for searches that know no stems."""
    for plural, singular in (
        ("ões", "ão"),
        ("ães", "ão"),
        ("ies", "y"),
        ("ais", "al"),
        ("ns", "m"),
        ("s", ""),
    ):
        if text.endswith(plural) and len(text) > len(plural) + 2:
            return (text[: -len(plural)] + singular,)
    for singular, *plurals in (
        ("ão", "ões", "ães"),
        ("ao", "oes", "aes"),
        ("y", "ies"),
        ("al", "ais"),
        ("", "s"),
    ):
        if text.endswith(singular):
            return tuple(text[: len(text) - len(singular)] + plural for plural in plurals)
    return ()


def same(one: Word, other: Word) -> bool:
    """Whether two words mean the same as far as stems and the lexicon tell."""
    return one.stem == other.stem or not groups(one.stem).isdisjoint(groups(other.stem))
