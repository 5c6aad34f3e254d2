"""What a text mentions besides numbers: quoted strings, identifiers, dates, addresses and names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from malha_planner.models.offline.moments import dates, times
from malha_planner.models.offline.words import Word, words

_QUOTED = re.compile(r"""["“«]([^"”»]{1,400})["”»]|(?<!\w)'([^']{1,400})'(?!\w)|`([^`]{1,400})`""")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_URI = re.compile(r"https?://[^\s<>\"')]+|\bwww\.[^\s<>\"')]+")
_IDENTIFIER = re.compile(
    r"(?<![\w])(?=[\w./-]*\d)(?=[\w./-]*[A-Za-z])[A-Za-z0-9][\w]*(?:[-_./][A-Za-z0-9]+)*(?![\w])|\b[A-Z]{2,}(?:-[A-Z0-9]+)+\b|(?<=#)\w+"
)
_CAPITALISED = re.compile(
    r"[A-ZÀ-Ý][\w'’À-ÿ]*(?:(?:\s+(?:d[aeo]s?|of|the|van|von|del)\s+|\s+|-)(?:[A-ZÀ-Ý][\w'’À-ÿ]*|\d+))*"
)


@dataclass(frozen=True, slots=True)
class Mention:
    """A value where it stands. `kind`: quoted, email, uri, identifier, date, time or name."""

    kind: str
    value: str
    start: int
    end: int


def mentions(text: str) -> list[Mention]:
    """Everything mentioned, in order; a span is given once, to the first kind that claims it."""
    found: list[Mention] = []
    for reader in (_quoted, _addresses, _moments, _identifiers, _names):
        for mention in reader(text):
            if not any(mention.start < other.end and other.start < mention.end for other in found):
                found.append(mention)
    return sorted(found, key=lambda mention: mention.start)


def _quoted(text: str) -> Iterator[Mention]:
    for match in _QUOTED.finditer(text):
        yield Mention("quoted", next(g for g in match.groups() if g is not None), match.start(), match.end())


def _addresses(text: str) -> Iterator[Mention]:
    for kind, pattern in (("email", _EMAIL), ("uri", _URI)):
        for match in pattern.finditer(text):
            value = match.group().rstrip(".,;?!")
            yield Mention(kind, value, match.start(), match.start() + len(value))


def _moments(text: str) -> Iterator[Mention]:
    for moment in (*dates(text), *times(text)):
        yield Mention(*moment)


def _identifiers(text: str) -> Iterator[Mention]:
    for match in _IDENTIFIER.finditer(text):
        # "3kg", "40h" and "2nd" are numbers with a unit, not identifiers
        if not re.fullmatch(r"\d+(?:[.,]\d+)?[a-zA-Z]{1,3}", match.group()):
            yield Mention("identifier", match.group(), match.start(), match.end())


def _names(text: str) -> Iterator[Mention]:
    """Capitalised runs; the first word of a sentence is capitalised anyway, and proves nothing."""
    for match in _CAPITALISED.finditer(text):
        start, value = match.start(), match.group()
        if not words(value) or text.startswith("$", match.end()):
            continue  # a capital letter of a script in which we know no words, or of "R$"
        if _opens_sentence(text, start):
            first = words(value)[0]
            rest = value[first.end :].lstrip()
            if not rest or (not rest[0].isupper() and not first.is_content):
                continue
            if not first.is_content or len(words(value)) > 1:
                start += len(value) - len(rest)
                value = rest
        if value and _is_name(words(value)):
            yield Mention("name", value, start, match.end())


def _opens_sentence(text: str, start: int) -> bool:
    before = text[:start].rstrip(" \n\"'“(¿¡*-")
    return not before or before[-1] in ".?!:\n"


def _is_name(found: tuple[Word, ...]) -> bool:
    return any(word.is_content for word in found)
