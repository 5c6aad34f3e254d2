"""Which of its two languages a text is in, by the small words that only one of them has."""

from functools import lru_cache

from malha_planner.models.offline.lexicon import ENGLISH, PORTUGUESE
from malha_planner.models.offline.words import words


@lru_cache(maxsize=512)
def is_portuguese(text: str) -> bool:
    """Whether a text reads as Portuguese; where nothing tells, it is taken for English."""
    score = 0
    for word in words(text):
        score += (word.folded in PORTUGUESE) - (word.folded in ENGLISH)
        score += any(letter in "ãõçáéíóúâêô" for letter in word.text.casefold())
    return score > 0
