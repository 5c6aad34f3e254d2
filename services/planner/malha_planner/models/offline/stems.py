"""Endings: what is left of a word without them, and its other number.

Both languages go through the same rules, since a tool described in English is asked for in Portuguese
and the other way round. So cognates meet (reserva, reservation, reserved -> reserv), and a few words
that merely begin alike have to be kept apart by name.
"""

import re
import unicodedata
from functools import lru_cache

from malha_planner.models.offline.lexicon import SUFFIXES, WHOLE

_DOUBLED = re.compile(r"([bcdfghjklmnpqrstvwxz])\1")
_NASAL = re.compile(r"(?<=[eiou])m$")  # item, itens; but return, returns
_INNER_Y = re.compile(r"y(?=.)")

# Plurals first: (ending, what stands for it). Then the longest suffix that leaves three letters. That
# both languages share the lists costs a few false friends and buys every cognate.
_PLURALS = (
    ("oes", "ao"), ("aes", "ao"), ("ais", "al"), ("eis", "el"), ("ois", "ol"), ("uis", "ul"), ("ies", "y"),
    ("ores", "or"), ("ss", "ss"), ("us", "us"), ("is", "is"), ("s", ""),
)  # fmt: skip
_SUFFIXES = tuple(sorted(SUFFIXES, key=len, reverse=True))
_KEEP, _LONG = 3, 6


def fold(text: str) -> str:
    """Lower case without diacritics."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


@lru_cache(maxsize=16384)
def stem(folded: str) -> str:
    """What is left of a folded word without its ending; words with digits stay whole."""
    if len(folded) <= _KEEP or folded in WHOLE or any(c.isdigit() for c in folded):
        return _NASAL.sub("n", folded)
    for ending, singular in _PLURALS:
        if folded.endswith(ending) and len(folded) - len(ending) + len(singular) >= _KEEP:
            folded = folded[: -len(ending)] + singular
            break
    if folded in WHOLE:
        return folded
    for suffix in _SUFFIXES:
        if folded.endswith(suffix) and len(folded) - len(suffix) >= _KEEP:
            folded = folded[: -len(suffix)]
            break
    return _NASAL.sub("n", _INNER_Y.sub("i", _DOUBLED.sub(r"\1", folded).replace("ph", "f")))


def is_slip(one: str, other: str) -> bool:
    """Whether two long words are one slip of the pen apart: a letter more, less or other, or two swapped."""
    if min(len(one), len(other)) < _LONG or one[0] != other[0] or one == other:
        return False
    while one and other and one[0] == other[0]:
        one, other = one[1:], other[1:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    return max(len(one), len(other)) <= 1 or (len(one) == 2 and one == other[::-1])


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
