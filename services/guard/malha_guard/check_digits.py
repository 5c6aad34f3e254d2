"""Check digits tell a real identifier from a number that merely looks like one."""

from __future__ import annotations

_CNPJ_WEIGHTS = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)


def is_card(digits: str) -> bool:
    """A payment card: 13 to 19 digits, an issuer's first digits, and Luhn's sum (ISO/IEC 7812-1).

    Issuers in use begin with 3 to 6 or with 2221 to 2720; 13 digits were only ever Visa's.
    """
    if not 13 <= len(digits) <= 19 or not ("3" <= digits[0] <= "6" or "2221" <= digits[:4] <= "2720"):
        return False
    if len(digits) == 13 and digits[0] != "4":
        return False
    total = sum(map(int, digits[-1::-2]))
    total += sum(d * 2 - 9 * (d > 4) for d in map(int, digits[-2::-2]))
    return total % 10 == 0


def is_cpf(digits: str) -> bool:
    """A Brazilian person's number: 11 digits, the last two check the rest (Receita Federal, modulo 11)."""
    if len(digits) != 11 or digits == digits[0] * 11:
        return False
    numbers = [int(d) for d in digits]
    for length in (9, 10):
        total = sum(n * (length + 1 - i) for i, n in enumerate(numbers[:length]))
        if total * 10 % 11 % 10 != numbers[length]:
            return False
    return True


def is_cnpj(characters: str) -> bool:
    """A Brazilian company's number: 12 digits or capitals and two check digits.

    Letters count as their ASCII code less 48 (Receita Federal, Instrução Normativa 2.229/2024); for
    digits that is their value, so one rule serves the old form and the new.
    """
    if len(characters) != 14 or not characters[12:].isdigit() or characters == characters[0] * 14:
        return False
    values = [ord(c) - 48 for c in characters]
    for length in (12, 13):
        weights = _CNPJ_WEIGHTS[13 - length :]
        rest = sum(v * w for v, w in zip(values, weights, strict=False)) % 11
        if (0 if rest < 2 else 11 - rest) != values[length]:
            return False
    return True
