"""Phrases are sequences of words, not of characters.

A text is cut into words once. A phrase names what must stand one after the other: a word, any word of
a list, or up to so many words in between. So the work grows with the text and can never explode, as
backtracking patterns do, and a new phrase is a line of YAML that a person can read:

    DISREGARD ..3 EARLIER ..2 ORDERS        capitals name a list, ``..3`` is a gap of at most 3 words
    ^ DISREGARD everything                  ``^``: only where a clause begins, as an order does

Words spelled out ("i g n o r e"), run together ("ignoreallinstructions") or with digits for letters
("1gn0re") are read as what they spell.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import NamedTuple

from malha.errors import ConfigurationError

# All that is no part of a word becomes a space; translating and splitting is five times as fast as a
# pattern. An apostrophe separates too: "don't" is "don t", here and in phrases. Beyond ASCII no list
# has words: readings have their accents folded already.
_SEPARATING = {code: " " for code in range(128) if not (chr(code).isalnum() or chr(code) in "@$")}
_WORD = re.compile(r"\S+")
_SPELLED = re.compile(r"(?<![a-z0-9@$])[a-z0-9@$](?:[ ._*|/\-][a-z0-9@$](?![a-z0-9@$])){2,}")
_SPELLED_SEPARATORS = str.maketrans("", "", " ._*|/-")
_DIGITS_FOR_LETTERS = tuple(str.maketrans("01345789@$", to) for to in ("oieastbgas", "oleastbgas"))

_CLAUSE_ENDS = frozenset(".!?:;,\n-/|#=")
_LEADING_IN = frozenset(
    {"please", "now", "then", "and", "but", "just", "so", "favor", "agora", "entao", "mas", "e"}
)

_RUN_TOGETHER = 14
"""Letters from which on an unknown word may be several run together."""
_FEWEST_SPELLED = 4
"""Different letters standing alone from which on a text is searched for words spelled out; the
commonest do not count, as they stand alone in ordinary Portuguese and English."""
_ORDINARY_ALONE = frozenset("aeiost")
_SPELLED_GAP = 8
"""Characters between two spelled-out words of one phrase."""


class PhraseError(ConfigurationError):
    """A phrase or word list that cannot be read."""


class Word(NamedTuple):
    """A word that some phrase waits for.

    ``bits`` are the symbols it stands for, ``place`` is where it comes in the order of words, ``at`` is
    the token it stands in, or the span of a word that is spelled out over several tokens.
    """

    bits: int
    place: int
    at: int | tuple[int, int]


def expand(form: str) -> Iterator[str]:
    """The words a short form stands for: ``ignor(e|es|ing)`` is three.

    Raises:
        PhraseError: the parentheses do not match.
    """
    parts = re.split(r"\(([a-z'|]*)\)", form)
    if any(not re.fullmatch(r"[a-z0-9']*", part) for part in parts[::2]):
        raise PhraseError(f"cannot read the word {form!r}")
    choices = [part.split("|") if i % 2 else [part] for i, part in enumerate(parts)]
    return ("".join(choice) for choice in itertools.product(*choices))


class Phrase:
    """One sequence of words with gaps."""

    def __init__(self, text: str, lists: Iterable[str]) -> None:
        """Read a phrase.

        Raises:
            PhraseError: an unknown list, or a gap at the beginning, the end or beside another gap.
        """
        known = set(lists)
        self.opens_clause = text.startswith("^ ")
        text = text.removeprefix("^ ")
        self.symbols: list[str] = []
        self.gaps: list[int] = []
        gap = 0
        for part in text.replace("'", " ").split():
            if part.startswith(".."):
                if not part[2:].isdigit() or not self.symbols or gap:
                    raise PhraseError(f"misplaced gap in {text!r}")
                gap = int(part[2:])
                continue
            if part.isupper() and part not in known:
                raise PhraseError(f"no list {part} for {text!r}")
            self.symbols.append(part)
            self.gaps.append(gap)
            gap = 0
        if not self.symbols or gap:
            raise PhraseError(f"a phrase ends with a word: {text!r}")


class Lexicon:
    """Phrases, and every word that some phrase waits for."""

    def __init__(self, lists: Mapping[str, Iterable[str]], phrases: Iterable[Phrase]) -> None:
        """Lists by name, their words in short form (see :func:`expand`)."""
        phrases = list(phrases)
        symbols: dict[str, set[str]] = {}
        for name, forms in lists.items():
            for form in forms:
                for word in expand(form):
                    symbols.setdefault(word, set()).add(name)
        for symbol in {s for phrase in phrases for s in phrase.symbols if not s.isupper()}:
            symbols.setdefault(symbol, set()).add(symbol)
        self._longest = max(map(len, symbols), default=0)
        # One bit a symbol: whether a phrase can be there at all is then one integer operation.
        bit = {
            name: 1 << i for i, name in enumerate(sorted({s for names in symbols.values() for s in names}))
        }
        self._bits = {word: sum(bit[name] for name in names) for word, names in symbols.items()}
        self._phrases = [
            (
                sum(bit[name] for name in set(phrase.symbols)),
                tuple(zip((bit[name] for name in phrase.symbols), phrase.gaps, strict=True)),
                phrase,
            )
            for phrase in phrases
        ]

    def search(self, lower: str) -> dict[Phrase, list[tuple[int, int]]]:
        """The phrases that stand in a text of lower case, each with the spans it covers, in order."""
        ascii_only = lower if lower.isascii() else lower.encode("ascii", "replace").decode()
        flat = ascii_only.translate(_SEPARATING)
        tokens = flat.split()
        distinct = set(tokens)
        hidden, places = self._hidden(distinct, tokens, ascii_only)
        present = 0
        for token in distinct & self._bits.keys():
            present |= self._bits[token]
        for word in hidden:
            present |= word.bits
        possible = [phrase for phrase in self._phrases if phrase[0] & present == phrase[0]]
        if not possible:
            return {}
        wanted = reduce(or_, (needs for needs, _, _ in possible))
        bits = self._bits
        words = [Word(b, places[at], at) for at, t in enumerate(tokens) if (b := bits.get(t, 0) & wanted)]
        if hidden:
            words = sorted(words + hidden, key=lambda word: word.place)
        spans = _Spans(flat)
        found: dict[Phrase, list[tuple[int, int]]] = {}
        for _, steps, phrase in possible:
            for first, last in _matches(steps, words):
                start, end = spans[first.at][0], spans[last.at][1]
                if not phrase.opens_clause or _opens_clause(ascii_only, start):
                    found.setdefault(phrase, []).append((start, end))
        return found

    def _hidden(self, distinct: set[str], tokens: list[str], lower: str) -> tuple[list[Word], Sequence[int]]:
        """Words that are written so as not to be read by a machine; and where each token comes in the
        order of words.

        A token of several words takes as many places. So no two words share one, and what can follow a
        word within a gap is as little as the gap is wide.
        """
        odd = {
            t: known
            for t in distinct
            if not t.isalpha() or len(t) >= _RUN_TOGETHER
            if t not in self._bits and (known := self._within(t))
        }
        words: list[Word] = []
        places: Sequence[int] = range(len(tokens))
        if odd:
            wider = (odd[token][-1][1] if token in odd else 0 for token in tokens)
            places = [at + before for at, before in enumerate(itertools.accumulate(wider, initial=0))]
            for at, token in enumerate(tokens):
                if token in odd:
                    words += (Word(known, places[at] + place, at) for known, place in odd[token])
        if len({t for t in distinct if len(t) == 1 and t.isalpha()} - _ORDINARY_ALONE) >= _FEWEST_SPELLED:
            words += self._spelled_out(lower, places[-1] + 1)
        return words, places

    def _within(self, token: str) -> list[tuple[int, int]]:
        """The known words, with their places, of a token that is none itself."""
        if token.isalpha():
            return self._cut(token)
        if token.isdigit():
            return []
        spellings = [token.strip("@$"), *(token.translate(letters) for letters in _DIGITS_FOR_LETTERS)]
        return next(([(self._bits[s], 0)] for s in spellings if s in self._bits), [])

    def _spelled_out(self, lower: str, place: int) -> list[Word]:
        # Their places lie behind those of the text itself, so that no phrase spans both.
        words: list[Word] = []
        end = 0
        for match in _SPELLED.finditer(lower):
            letters = match.group().translate(_SPELLED_SEPARATORS).translate(_DIGITS_FOR_LETTERS[0])
            place += 1 if match.start() - end <= _SPELLED_GAP else 100
            words += (Word(known, place + after, match.span()) for known, after in self._cut(letters))
            place, end = (words[-1].place if words else place), match.end()
        return words

    def _cut(self, letters: str) -> list[tuple[int, int]]:
        """Known words in a row of letters, the longest first, with their places.

        What stands between two of them counts as one word.
        """
        found: list[tuple[int, int]] = []
        at, place, between = 0, 0, False
        while at < len(letters):
            for length in range(min(self._longest, len(letters) - at), 1, -1):
                if known := self._bits.get(letters[at : at + length]):
                    found.append((known, place))
                    place, at, between = place + 1, at + length, False
                    break
            else:
                place, at, between = place + (not between), at + 1, True
        return found


class _Spans:
    """Where tokens stand in the text; worked out once something was found."""

    def __init__(self, flat: str) -> None:
        self._flat = flat
        self._spans: list[tuple[int, int]] = []

    def __getitem__(self, at: int | tuple[int, int]) -> tuple[int, int]:
        if isinstance(at, tuple):
            return at
        self._spans = self._spans or [match.span() for match in _WORD.finditer(self._flat)]
        return self._spans[at]


def _opens_clause(lower: str, start: int) -> bool:
    """Whether an order can begin here: at the start, after a mark or a new line, or after "please"."""
    before = lower[max(0, start - 20) : start].rstrip(" \t\"'*_>([{")
    return not before or before[-1] in _CLAUSE_ENDS or before.rpartition(" ")[2].strip("\n") in _LEADING_IN


Steps = tuple[tuple[int, int], ...]


def _matches(steps: Steps, words: list[Word]) -> Iterator[tuple[Word, Word]]:
    """First and last word of a phrase wherever it stands."""
    head = steps[0][0]
    for index, word in enumerate(words):
        if head & word.bits and (last := _last(steps, words, index, 1)) is not None:
            yield word, last


def _last(steps: Steps, words: list[Word], index: int, step: int) -> Word | None:
    if step == len(steps):
        return words[index]
    bit, gap = steps[step]
    reach = words[index].place + 1 + gap
    for following in range(index + 1, len(words)):
        if words[following].place > reach:
            return None
        if bit & words[following].bits:
            last = _last(steps, words, following, step + 1)
            if last is not None:
                return last
    return None
