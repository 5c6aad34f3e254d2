"""Tool results as a model is shown them, read back.

Passages of a search begin with a header line `[1] document, section` (a dash or another sign may stand
for the comma) and run to the next one. Anything else is JSON or prose.
"""

import re
from dataclasses import dataclass
from typing import Any

import orjson

from malha_planner.models.offline.lexicon import UNAVAILABLE
from malha_planner.models.offline.words import Terms, words

_HEADER = re.compile(r"^\[(\d{1,3})\][ \t]+(.*)$", re.MULTILINE)
_PLACE = re.compile(r"(?P<document>.*?\.\w{1,8}|[^,]*?)(?:,|\s[—–|·>#-])\s+(?P<section>.+)")
_UNAVAILABLE = Terms.of(UNAVAILABLE)
_MISSING = re.compile(
    r"unavailable|not available|unreachable|could not be (?:asked|reached)|failed|no answer|indispon"
    r"|fora do ar",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Passage:
    """A passage found by a search."""

    marker: str
    document: str
    section: str
    text: str


def passages(text: str) -> list[Passage]:
    """The passages of a search result, best first; none for any other result."""
    headers: list[re.Match[str]] = []
    for match in _HEADER.finditer(text):
        # A passage may itself hold a line that begins with a marker; only the next number in turn heads one.
        if not headers or int(match.group(1)) == int(headers[-1].group(1)) + 1:
            headers.append(match)
    found = []
    for rank, header in enumerate(headers):
        end = headers[rank + 1].start() if rank + 1 < len(headers) else len(text)
        place = _PLACE.fullmatch(header.group(2).strip())
        document, section = (place["document"], place["section"]) if place else (header.group(2).strip(), "")
        body = text[header.end() : end].strip()
        found.append(Passage(f"[{header.group(1)}]", document, section, body))
    return found


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
    """What a result names as not available, such as providers; whole lines of prose."""
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
