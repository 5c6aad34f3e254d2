"""E-mail addresses and telephone numbers, in the forms people of Brazil and elsewhere write them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from malha_guard.finding import Finding
from malha_guard.reading import Reading

CONTACT_RULES = frozenset({"pii.email", "pii.phone"})

# it ends with its top-level name, whatever is glued to that: a dash, a digit
_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9-]{1,63}\.){1,6}(?:[Xx][Nn]--[A-Za-z0-9-]{1,59}(?<!-)|[A-Za-z]{2,63})", re.ASCII
)
_LOCAL_LENGTH = 64  # RFC 5321, 4.5.3.1.1
_LOCAL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.!#$%&'*+/=?^_{|}~-")

# Area codes in use (Anatel): a number without one of them is no Brazilian telephone.
_AREA = "(?:1[1-9]|2[12478]|3[1-578]|4[1-9]|5[1345]|6[1-9]|7[134579]|8[1-9]|9[1-9])"
_PHONE = re.compile(
    r"(?<![\w.+])(?:"
    r"\+[1-9](?:[ .()-]{0,2}\d){7,14}+"  # international (E.164)
    rf"|(?:0?{_AREA}|\(0?{_AREA}\))[ .-]?9[ .]?\d{{4}}[ .-]?\d{{4}}"  # Brazil, mobile
    rf"|(?:{_AREA}[ ]|\(0?{_AREA}\) ?)[2-5]\d{{3}}[ .-]\d{{4}}"  # Brazil, fixed
    r"|9\d{4}-\d{4}|0[35]00[ -]\d{3}[ -]?\d{4}|0800[ -]?\d{3}[ -]?\d{4}"
    r"|(?:1[ .-])?(?:\(\d{3}\) ?\d{3}[-. ]\d{4}|\d{3}-\d{3}-\d{4}|\d{3}\.\d{3}\.\d{4})"  # North America
    r")(?![\w-]|\.\d)",
    re.ASCII,
)
_SOME_DIGITS = re.compile(r"\d(?:[ ().\-]{0,2}\d){7}", re.ASCII)


def find_contacts(reading: Reading) -> Iterator[Finding]:
    """Every e-mail address (``pii.email``) and telephone number (``pii.phone``)."""
    plain = reading.plain
    at = plain.find("@")
    while at >= 0:
        if address := _address(plain, at):
            yield Finding("pii.email", *reading.span(*address))
        at = plain.find("@", at + 1)
    if _SOME_DIGITS.search(plain):
        for match in _PHONE.finditer(plain):
            yield Finding("pii.phone", *reading.span(*match.span()))


def _address(plain: str, at: int) -> tuple[int, int] | None:
    """The address around an ``@``: scanned outwards, so a row of letters costs nothing."""
    start = at
    while start > 0 and at - start < _LOCAL_LENGTH and plain[start - 1] in _LOCAL:
        start -= 1
    while start < at and plain[start] in ".'":
        start += 1
    domain = _DOMAIN.match(plain, at + 1)
    if start == at or domain is None:
        return None
    return start, domain.end()
