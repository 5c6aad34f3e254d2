"""Which of its two languages a text is in, by the small words that only one of them has."""

from functools import lru_cache

from malha_planner.models.offline.words import words

_PORTUGUESE = frozenset(
    ["o", "os", "um", "uma", "de", "da", "dos", "das", "em", "na", "nas", "no", "nos", "ao", "para", "por", "pelo", "pela", "que", "qual", "quais", "quanto", "quanta", "quantos", "quantas", "como", "quando", "onde", "quem", "e", "eh", "com", "sem", "sobre", "nao", "sim", "se", "mais", "ou", "isto", "isso", "este", "esta", "meu", "minha", "seu", "sua", "sao", "tem", "ha", "foi", "quero", "preciso", "posso", "devo", "custa", "custam", "mostre", "diga", "calcule", "converta", "envie", "liste", "me", "ate", "entre", "voce"]
)
_ENGLISH = frozenset(
    ["the", "an", "of", "in", "on", "to", "for", "with", "and", "or", "is", "are", "was", "were", "be", "do", "does", "did", "what", "which", "who", "when", "where", "why", "how", "many", "much", "i", "you", "we", "it", "this", "that", "these", "those", "my", "your", "our", "can", "could", "should", "must", "will", "would", "from", "by", "at", "if", "not", "please", "tell", "show", "me", "calculate", "convert", "send", "list", "give", "get", "between"]
)
# Words of both lists say nothing.
_SHARED = _PORTUGUESE & _ENGLISH


@lru_cache(maxsize=512)
def is_portuguese(text: str) -> bool:
    """Whether a text reads as Portuguese; where nothing tells, it is taken for English."""
    score = 0
    for word in words(text):
        if word.folded in _SHARED:
            continue
        score += (word.folded in _PORTUGUESE) - (word.folded in _ENGLISH)
        score += any(c in "ãõçáéíóúâêô" for c in word.text.casefold())
    return score > 0
