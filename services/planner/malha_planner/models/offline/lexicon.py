"""The words of `lexicon.toml`, in the forms in which they are looked up."""

import tomllib
from importlib import resources
from typing import Any

_WORDS: dict[str, Any] = tomllib.loads(
    resources.files(__package__).joinpath("lexicon.toml").read_text(encoding="utf-8")
)


def _set(name: str) -> frozenset[str]:
    return frozenset(_WORDS[name].split())


def _lines(name: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in _WORDS[name].splitlines() if line.strip())


FUNCTION_WORDS = _set("function_words")
SUFFIXES = _set("suffixes")
WHOLE = _set("whole")
PORTUGUESE, ENGLISH = _set("portuguese"), _set("english")
COURTESY = _set("courtesy")
COMMANDS = _set("commands")
NEGATIONS = _set("negations")
COPULAS = _set("copulas")
PREPOSITIONS = _set("prepositions")
ARTICLES = _set("articles")
FROM_CUES, TO_CUES = _set("from_cues"), _set("to_cues")
FROM_SLOT, TO_SLOT = _set("from_slot"), _set("to_slot")

SEARCHING: str = _WORDS["searching"]
KNOWLEDGE: str = _WORDS["knowledge"]
QUESTION_SLOT: str = _WORDS["question_slot"]
EXPRESSION_SLOT: str = _WORDS["expression_slot"]
TEXT_SLOT: str = _WORDS["text_slot"]
PROPER_SLOT: str = _WORDS["proper_slot"]
LIMIT_SLOT: str = _WORDS["limit_slot"]
IDENTIFIER_SLOT: str = _WORDS["identifier_slot"]
UNAVAILABLE: str = _WORDS["unavailable"]

EXPLAINING: tuple[str, ...] = tuple(_WORDS["explaining"])

UNITS = _lines("units")
GROUPS = (*UNITS, *_lines("groups"))
