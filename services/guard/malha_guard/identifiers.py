"""Cards, CPF and CNPJ are found by how digits are grouped and proved by their check digits.

A number is read as groups of digits between single separators. Each run of neighbouring groups whose
sizes are a way people write an identifier is put to its check digits. So a card inside a longer row
of numbers is found, and a table of years is not taken for one. Work grows with the text alone: no run
looks further than 19 groups.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from malha_guard.check_digits import is_card, is_cnpj, is_cpf
from malha_guard.finding import Finding
from malha_guard.reading import Reading

_DIGITS = re.compile(r"\d+")
# eleven digits with at most three separators between neighbours; nothing shorter is an identifier
_CANDIDATE = re.compile(r"\d(?:[ .\-/]{0,3}\d){10}")
_SEPARATORS = frozenset(" .-/")
_SPACED = frozenset({" - ", " . ", " / "})
_LONGEST = 19

# the alphanumeric CNPJ (from 2026), in one piece in capitals, or punctuated in any case
_BARE_CNPJ = re.compile(r"[A-Z0-9]{14,}")
_PUNCTUATED_CNPJ = re.compile(r"\w\w\.\w{3}\.\w{3}/\w{4}-\d\d", re.ASCII)
_BEFORE_SLASH = 10
_UNPUNCTUATED = str.maketrans("", "", "./-")

Check = tuple[str, Callable[[str], bool]]
_CARD: Check = ("pii.card", is_card)
_CNPJ: Check = ("pii.cnpj", is_cnpj)
_CPF: Check = ("pii.cpf", is_cpf)
IDENTIFIER_RULES = frozenset({"pii.card", "pii.cnpj", "pii.cpf"})


def _even(total: int, size: int) -> tuple[int, ...]:
    whole, rest = divmod(total, size)
    return (size,) * whole + ((rest,) if rest else ())


def _shapes() -> dict[tuple[int, ...], list[Check]]:
    shapes: dict[tuple[int, ...], list[Check]] = {}

    def add(check: Check, *forms: tuple[int, ...]) -> None:
        for form in dict.fromkeys(forms):
            shapes.setdefault(form, []).append(check)

    for total in range(13, 20):
        add(_CARD, (total,), *(_even(total, size) for size in (1, 2, 3, 4, 5, 6, 8)))
    add(_CARD, (4, 6, 5), (4, 6, 4))  # American Express, Diners
    add(_CNPJ, (14,), (2, 3, 3, 4, 2), (8, 4, 2), (8, 6), (12, 2), _even(14, 1), _even(14, 2))
    add(_CPF, (11,), (3, 3, 3, 2), (9, 2), (3, 3, 5), _even(11, 1), _even(11, 2))
    return shapes


_SHAPES = _shapes()


def find_identifiers(reading: Reading) -> Iterator[Finding]:
    """Every card (``pii.card``), CPF (``pii.cpf``) and CNPJ (``pii.cnpj``) whose check digits hold."""
    plain = reading.plain
    if _CANDIDATE.search(plain):
        yield from _in_digits(reading)
    for start, end in _lettered(plain):
        free = not _glued(plain, start - 1) and not _glued(plain, end)
        if free and is_cnpj(plain[start:end].translate(_UNPUNCTUATED).upper()):
            yield Finding("pii.cnpj", *reading.span(start, end))


def _lettered(plain: str) -> Iterator[tuple[int, int]]:
    for bare in _BARE_CNPJ.finditer(plain):
        if bare.end() - bare.start() == 14:
            yield bare.span()
    slash = plain.find("/", _BEFORE_SLASH)
    while slash >= 0:
        punctuated = _PUNCTUATED_CNPJ.match(plain, slash - _BEFORE_SLASH)
        if punctuated:
            yield punctuated.span()
        slash = plain.find("/", slash + 1)


def _in_digits(reading: Reading) -> Iterator[Finding]:
    plain = reading.plain
    run: list[re.Match[str]] = []
    for group in _DIGITS.finditer(plain):
        if run and not _joined(plain, run[-1].end(), group.start()):
            yield from _in_run(reading, run)
            run = []
        run.append(group)
    yield from _in_run(reading, run)


def _joined(plain: str, end: int, start: int) -> bool:
    between = plain[end : min(start, end + 4)]
    return between in _SPACED or (len(between) <= 2 and _SEPARATORS.issuperset(between))


def _in_run(reading: Reading, run: list[re.Match[str]]) -> Iterator[Finding]:
    plain = reading.plain
    for first, opening in enumerate(run):
        if _glued(plain, opening.start() - 1):
            continue  # part of a word or a hexadecimal id
        sizes: tuple[int, ...] = ()
        digits = ""
        for group in run[first : first + _LONGEST]:
            sizes += (group.end() - group.start(),)
            digits += group.group() if len(digits) <= _LONGEST else ""
            if sum(sizes) > _LONGEST:
                break
            if sizes not in _SHAPES or _glued(plain, group.end()):
                continue
            if len(sizes) == 1 and _is_fraction(plain, opening.start()):
                continue
            for rule, holds in _SHAPES[sizes]:
                if holds(digits):
                    yield Finding(rule, *reading.span(opening.start(), group.end()))
                    break


def _glued(plain: str, at: int) -> bool:
    return 0 <= at < len(plain) and (plain[at].isalpha() or plain[at] == "_")


def _is_fraction(plain: str, start: int) -> bool:
    """The digits of 0.4111111111111111 are a fraction, whatever Luhn says."""
    return start >= 2 and plain[start - 1] == "." and plain[start - 2].isdigit()
