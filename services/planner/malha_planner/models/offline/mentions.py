"""What a text mentions besides numbers: quoted strings, identifiers, dates, addresses and names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from malha_planner.models.offline.words import Word, fold, words

_QUOTED = re.compile(r"""["“«]([^"”»]{1,400})["”»]|(?<!\w)'([^']{1,400})'(?!\w)|`([^`]{1,400})`""")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_URI = re.compile(r"https?://[^\s<>\"')]+|\bwww\.[^\s<>\"')]+")
_IDENTIFIER = re.compile(
    r"(?<![\w])(?=[\w./-]*\d)(?=[\w./-]*[A-Za-z])[A-Za-z0-9][\w]*(?:[-_./][A-Za-z0-9]+)*(?![\w])|\b[A-Z]{2,}(?:-[A-Z0-9]+)+\b|(?<=#)\w+"
)
_ISO_DATE = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b")
_SLASH_DATE = re.compile(r"\b(\d{1,2})/(\d{1,2})/(\d{4})\b")
_CLOCK = re.compile(r"\b([01]?\d|2[0-3])(?::|h)([0-5]\d)\b")
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january janeiro jan",
            "february fevereiro feb fev",
            "march marco mar",
            "april abril apr abr",
            "may maio mai",
            "june junho jun",
            "july julho jul",
            "august agosto aug ago",
            "september setembro sep set",
            "october outubro oct out",
            "november novembro nov",
            "december dezembro dec dez",
        ),
        1,
    )
    for name in names.split()
}
_DAY_MONTH = re.compile(
    r"\b(\d{1,2})(?:st|nd|rd|th|º)?\s+(?:of |de )?([^\W\d_]{3,9})(?:,?\s+(?:of |de )?(\d{4}))?\b"
)
_MONTH_DAY = re.compile(r"\b([^\W\d_]{3,9})\s+(\d{1,2})(?:st|nd|rd|th)?(?:,?\s+(\d{4}))?\b")
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
    for reader in (_quoted, _addresses, _dates, _identifiers, _names):
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


def _dates(text: str) -> Iterator[Mention]:
    """Dates as YYYY-MM-DD; a date without a year is none, since nothing here knows today."""
    for match in _ISO_DATE.finditer(text):
        yield Mention("date", match.group(), match.start(), match.end())
    for match in _SLASH_DATE.finditer(text):
        day, month, year = (int(group) for group in match.groups())
        if month > 12 >= day:
            day, month = month, day
        if month <= 12 and day <= 31:
            yield Mention("date", f"{year:04}-{month:02}-{day:02}", match.start(), match.end())
    for pattern, day_at, month_at in ((_DAY_MONTH, 1, 2), (_MONTH_DAY, 2, 1)):
        for match in pattern.finditer(text):
            month = _MONTHS.get(fold(match.group(month_at)), 0)
            if month and match.group(3) and int(match.group(day_at)) <= 31:
                value = f"{int(match.group(3)):04}-{month:02}-{int(match.group(day_at)):02}"
                yield Mention("date", value, match.start(), match.end())
    for match in _CLOCK.finditer(text):
        yield Mention("time", f"{int(match.group(1)):02}:{match.group(2)}", match.start(), match.end())


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
