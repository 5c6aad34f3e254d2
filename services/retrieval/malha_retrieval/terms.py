"""A question is looked up by its telling words.

Words that every text has say nothing of what is asked for; they only cost time and put any long
passage ahead. What is left is quoted one by one, so nothing a person types is ever query syntax.
"""

from __future__ import annotations

import re
import unicodedata

MOST_TERMS = 48
"""Terms of one query; a question of 2,000 characters has more words than it has subjects."""

_WORD = re.compile(r"\w+")
_LOOSE = re.compile("[\u0300-\u036f]")  # accents that no letter took in: they would cut a word in two
_ENGLISH = """
a about also am an and any are as at be been but by can could did do does for from had has have he
her his how i if in into is it its me my no not of on or our she should so such than that the their
them then there these they this those to us was we were what when where which while who whom whose
why will with would you your
"""
# without accents
_PORTUGUESE = """
a ao aos aquela aquele aquilo as ate com como da das de do dos e ela elas ele eles em entre era essa
essas esse esses esta estao estas estava este estes eu foi ha isso isto ja lhe mais mas me meu meus
minha minhas muito na nao nas no nos o onde os ou para pela pelas pelo pelos por porque pra qual
quais quando quanta quantas quanto quantos que quem sao se sem ser seu seus sim sobre sou sua suas
tambem te tem ter tinha tu um uma umas uns voce voces
"""
_COMMON = frozenset(_ENGLISH.split() + _PORTUGUESE.split())
# Portuguese plurals that the stemmer (Porter, English) does not fold: endings of singular and plural,
# without accents, as the index reads words.
_PLURALS = (
    ("ao", "oes"),
    ("ao", "aes"),
    ("al", "ais"),
    ("el", "eis"),
    ("ol", "ois"),
    ("m", "ns"),
    ("r", "res"),
)


def terms(query: str) -> list[str]:
    """The telling words of a query, in order, as they were typed; all its words if none tells.

    Accents and case are left to the index, which folds a question's words as it folds a document's.
    """
    words: dict[str, str] = {}
    for word in _WORD.findall(_LOOSE.sub("", unicodedata.normalize("NFC", query))):
        words.setdefault(fold(word), word)
    telling = [word for folded, word in words.items() if folded not in _COMMON]
    return (telling or list(words.values()))[:MOST_TERMS]


def fold(word: str) -> str:
    """A word without case and accents, as the words of this file are written."""
    parts = unicodedata.normalize("NFD", word.casefold())
    return "".join(c for c in parts if not unicodedata.combining(c))


def variants(term: str) -> list[str]:
    """A term and its Portuguese plural or singular, where it has the looks of one."""
    found = [term]
    folded = fold(term)
    if len(folded) >= 4 and folded.isalpha():
        for singular, plural in _PLURALS:
            if folded.endswith(plural):
                found.append(folded.removesuffix(plural) + singular)
            elif folded.endswith(singular):
                found.append(folded.removesuffix(singular) + plural)
    return list(dict.fromkeys(found))
