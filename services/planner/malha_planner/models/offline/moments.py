"""Dates and times of day in a text, in digits and in words.

A date without a year is none, since nothing here knows today. A bare number is an hour only where the
words beside it say so: "for 9 hours" lasts, "at 9" and "nine in the morning" begin.
"""

import re
from collections.abc import Iterator
from datetime import date

from malha_planner.models.offline.numerals import NUMERALS
from malha_planner.models.offline.stems import fold

Moment = tuple[str, str, int, int]
"""Kind ("date" as YYYY-MM-DD, "time" as HH:MM), value, and where it stands."""

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
_SAID = "|".join(name for name, value in NUMERALS.items() if value <= 31)
_DAY = rf"(?:(?P<day>\d{{1,2}})(?:st|nd|rd|th|º|o)?|(?P<said>{_SAID}|first|primeiro))"
_MONTH = r"(?P<month>[^\W\d_]{3,9})\.?"
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?P<year>\d{4})-(?P<number>\d\d)-(?P<day>\d\d)\b",
        r"(?<![\d./-])(?P<day>\d{1,2})(?P<mark>[/.-])(?P<number>\d{1,2})(?P=mark)(?P<year>\d{4}|(?<=/)\d\d)(?![\d./-]\d)",
        rf"\b{_DAY}\s+(?:of\s+|de\s+)?{_MONTH},?\s+(?:of\s+|de\s+)?(?P<year>\d{{4}})\b",
        rf"\b{_MONTH}\s+(?:the\s+)?{_DAY},?\s+(?P<year>\d{{4}})\b",
    )
)
_FIRST = re.compile(
    r"(?<![\w.,/-])(?P<day>\d{1,2})(?:st|nd|rd|th)?\s*(?:-|–|\b(?:to|till|until|and|or|e|a|ou|at[ée])\b)\s*"
    r"(?:o |the )?$",
    re.IGNORECASE,
)
"""A day in front of another that has its month and year: "from 3 to 7 July 2027"."""
_NEAR = 24
"""Characters before a date in which such a day is looked for."""
_HOUR = rf"(?P<hour>\d{{1,2}}|\b(?:{_SAID})\b)"
_PART = (
    r"(?P<part>[ap]\.?m\b\.?|in the (?:morning|afternoon|evening)|at night"
    r"|da (?:manh[ãa]|tarde|noite|madrugada))"
)
_HOURS = r"(?:\s?h(?:s|rs?|oras?)?\b|\s?o.clock\b)"
_TIMES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?P<hour>\d{{1,2}})(?::|h)(?P<minute>[0-5]\d)\b(?:\s?{_PART})?",
        rf"(?P<half>half past\s){_HOUR}(?:\s{_PART})?",
        rf"{_HOUR}(?:\.(?P<minute>[0-5]\d))?(?:{_HOURS}|(?P<half>\s(?:e meia|thirty)))?\s?{_PART}",
        rf"(?:\bat|às|\bd?as)\s{_HOUR}(?:{_HOURS}|(?P<half>\se meia\b))",
        rf"(?:\bat|às)\s{_HOUR}(?=[,.;?!]?(?:\s*$|\s(?:on|for|with|no|na|em|para|com|do|da|de)\b))",
        r"\b(?P<noon>noon|midday|meio[- ]dia)\b|\b(?P<midnight>midnight|meia[- ]noite)\b",
    )
)


def dates(text: str) -> Iterator[Moment]:
    """The whole dates of a text; of a day and a month in digits the day comes first, if it can."""
    for pattern in _DATES:
        for match in pattern.finditer(text):
            held = match.groupdict()
            number = int(held["number"]) if held.get("number") else _MONTHS.get(fold(held["month"]), 0)
            day = int(held.get("day") or NUMERALS.get(fold(held["said"]), 1))
            year = int(held["year"]) + (2000 if len(held["year"]) == 2 else 0)
            if number > 12 >= day:
                day, number = number, day
            yield from _on_the_calendar(year, number, day, *match.span())
            first = _FIRST.search(text, max(0, match.start() - _NEAR), match.start())
            if first is not None:
                yield from _on_the_calendar(year, number, int(first["day"]), *first.span("day"))


def _on_the_calendar(year: int, month: int, day: int, start: int, end: int) -> Iterator[Moment]:
    try:
        yield "date", date(year, month, day).isoformat(), start, end
    except ValueError:  # a month that is none, a day that the month has not
        return


def times(text: str) -> Iterator[Moment]:
    """The times of day of a text, on the clock of 24 hours."""
    for pattern in _TIMES:
        for match in pattern.finditer(text):
            held = match.groupdict()
            if "noon" in held:
                yield "time", "12:00" if held["noon"] else "00:00", *match.span()
                continue
            said = fold(held["hour"])
            hour = _on_the_day(int(said) if said.isdigit() else NUMERALS[said], fold(held.get("part") or ""))
            minute = 30 if held.get("half") else int(held.get("minute") or 0)
            if hour < 24:
                yield "time", f"{hour:02}:{minute:02}", match.start("hour"), match.end()


def _on_the_day(hour: int, part: str) -> int:
    """An hour of the half of the day that `part` names."""
    if not part or hour > 12:
        return hour
    if re.match(r"p|.*(?:afternoon|evening|tarde)", part):
        return hour % 12 + 12
    if re.match(r".*(?:night|noite)", part):
        return (hour % 12 + 12) % 24 if hour != 12 else 0
    return hour % 12
