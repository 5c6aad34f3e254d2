"""Tool results as a model is shown them, read back.

Passages of a search begin with a header line `[1] document > section` (or with a dash, bar or hash
between the two) and run to the next one. Anything else is JSON or prose.
"""

import re
from dataclasses import dataclass
from typing import Any

import orjson

from malha_planner.models.offline.lexicon import UNAVAILABLE
from malha_planner.models.offline.words import Terms, words

_HEADER = re.compile(r"^\s*(\[\d{1,3}\])[ \t]*(.*)$", re.MULTILINE)
_SEPARATOR = re.compile(r"\s+(?:—|–|-|\||#|·|:|>|›|»|,\s*section:?)\s+|#|\s*\(section:?\s*")
_UNAVAILABLE = Terms.of(UNAVAILABLE)
_MISSING = re.compile(
    r"unavailable|not available|unreachable|could not be (?:asked|reached)|failed|indispon|fora do ar|no answer",
    re.I,
)


@dataclass(frozen=True)
class Passage:
    """A passage found by a search; `rank` counts from 0, best first."""

    marker: str
    document: str
    section: str
    text: str
    rank: int


def passages(text: str) -> list[Passage]:
    """The passages of a search result; none for any other result."""
    headers = list(_HEADER.finditer(text))
    found = []
    for rank, header in enumerate(headers):
        end = headers[rank + 1].start() if rank + 1 < len(headers) else len(text)
        document, section = _place(header.group(2))
        found.append(Passage(header.group(1), document, section, text[header.end() : end].strip(), rank))
    return found


def _place(header: str) -> tuple[str, str]:
    match = _SEPARATOR.search(header)
    if match is None:
        return header.strip(), ""
    return header[: match.start()].strip(), header[match.end() :].strip().rstrip(")")


def data(text: str) -> Any:
    """What a JSON result holds; None for prose."""
    stripped = text.strip()
    if not stripped.startswith(("{", "[")):
        return None
    try:
        return orjson.loads(stripped)
    except orjson.JSONDecodeError:
        return None


def unavailable(text: str) -> list[str]:
    """What a result names as not available, such as providers that could not be asked; whole lines of prose."""
    held = data(text)
    if held is not None:
        return list(dict.fromkeys(_named(held)))
    return [line.strip(" -*") for line in text.splitlines() if _MISSING.search(line)]


def _named(held: Any, *, inside: bool = False) -> list[str]:
    if isinstance(held, dict):
        if inside or any(isinstance(v, str) and _MISSING.fullmatch(v) for v in held.values()):
            label = next((v for v in held.values() if isinstance(v, str) and not _MISSING.search(v)), None)
            return [label] if label else []
        return [
            name
            for key, value in held.items()
            for name in _named(
                value, inside=any(word in _UNAVAILABLE for word in words(key)) or "fail" in key
            )
        ]
    if isinstance(held, list):
        return [name for value in held for name in _named(value, inside=inside)]
    return [str(held)] if inside and isinstance(held, str) and held else []
