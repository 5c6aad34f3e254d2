"""Exact arithmetic on text that anybody may have written.

The text is parsed into Python's syntax tree and the tree is walked: a node that is not arithmetic is
refused, and nothing is ever executed. Numbers are fractions, so 0.1 + 0.2 is 0.3. Every way to make a
small text cost much (9**9**9, 1e999999, a thousand parentheses) meets a bound before the work is done.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

_MOST_CHARACTERS = 500
_MOST_BITS = 16_384  # of numerator and of denominator: about 4,900 digits
_MOST_DEPTH = 60
_MOST_EXPONENT = 4096
_MOST_DECIMALS = 60
_DIGITS_SHOWN = 15

_NUMBER = re.compile(r"(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
# 0x10, 2j, 1_000, 1if: Python's grammar knows some of these and warns of others.
_GLUED = re.compile(r"\d\.?(?![eE][+-]?\d)[A-Za-z_]\w{0,30}")
_SPELLINGS = str.maketrans({"×": "*", "÷": "/", "−": "-", "–": "-", "·": "*", "\n": " "})
# 15% of 80, 15% + 1, (15%): a percent sign that no operand follows. 17 % 5 is the remainder. It is read as
# an attribute, which binds as a sign behind its number must: 100 / 50% is 200.
_PERCENT_OF = re.compile(r"%\s*of\b", re.IGNORECASE)
_PERCENT = re.compile(r"%(?=\s*([-+*/)^,]|$))")
_PERCENT_NAME = "percent"
_ROOTS = Context(prec=50, rounding=ROUND_HALF_EVEN)
_SHOWN = Context(prec=_DIGITS_SHOWN, rounding=ROUND_HALF_EVEN)


class ArithmeticRefusedError(Exception):
    """The text is no arithmetic, or too much of it. The message is for whoever wrote it."""


@dataclass(frozen=True, slots=True)
class Calculated:
    """The value of an expression."""

    value: Fraction
    exact: bool
    """False where an irrational root or power was rounded (to 50 digits)."""
    decimals: int
    """Decimal places to show at least: as many as the numbers that were added or multiplied had, so that
    40 * 2.49 is 99.60."""

    def __str__(self) -> str:
        """The value in decimals; 15 significant digits where it has no end, or no end in sight."""
        return self._shown()[0]

    @property
    def shown_exactly(self) -> bool:
        """Whether ``str`` is the value itself and not a rounding of it."""
        return self.exact and self._shown()[1]

    def _shown(self) -> tuple[str, bool]:
        places = _decimal_places(self.value) if self.exact else None
        if places is not None and self.value.numerator.bit_length() < 200:
            digits = str(abs(self.value.numerator) * 10**places // self.value.denominator).rjust(
                places + 1, "0"
            )
            whole, part = digits[: len(digits) - places], digits[len(digits) - places :]
            part = part.ljust(self.decimals, "0")
            return ("-" if self.value < 0 else "") + whole + ("." + part if part else ""), True
        rounded = _SHOWN.divide(Decimal(self.value.numerator), Decimal(self.value.denominator))
        return _plain(rounded), False


def calculate(text: str) -> Calculated:
    """The value of an arithmetic expression.

    Knows + - * / // % ** (or ^), parentheses, percent (``15%``, ``15% of 80``), round (halves away
    from zero), min, max, abs and sqrt.

    Raises:
        ArithmeticRefusedError: says what is not understood, not defined, or too large.
    """
    if len(text) > _MOST_CHARACTERS:
        raise ArithmeticRefusedError(f"the expression is longer than {_MOST_CHARACTERS} characters")
    source = _PERCENT_OF.sub(f" .{_PERCENT_NAME}*", text.translate(_SPELLINGS))
    source = _PERCENT.sub(f" .{_PERCENT_NAME}", source).replace("^", "**").strip()
    if not source.isascii():
        raise ArithmeticRefusedError("only numbers, operators and the names of functions are understood")
    if glued := _GLUED.search(source):
        raise ArithmeticRefusedError(f"{glued[0]} is not a decimal number")
    try:
        tree = ast.parse(source, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ArithmeticRefusedError("this is not an arithmetic expression") from None
    walk = _Walk(source)
    value = walk.value(tree.body, 0)
    return Calculated(value, walk.exact, walk.decimals)


class _Walk:
    """One evaluation of one tree."""

    def __init__(self, source: str) -> None:
        self._source = source
        self.exact = True
        self.decimals = 0

    def value(self, node: ast.expr, depth: int) -> Fraction:
        if depth > _MOST_DEPTH:
            raise ArithmeticRefusedError("the expression is nested too deeply")
        match node:
            case ast.Constant():
                found = self._number(node)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                found = -self.value(operand, depth + 1)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                found = self.value(operand, depth + 1)
            case ast.Attribute(value=operand, attr=name) if name == _PERCENT_NAME:
                self.decimals = 0
                found = self.value(operand, depth + 1) / 100
            case ast.BinOp(left=left, op=op, right=right):
                found = self._operation(op, self.value(left, depth + 1), self.value(right, depth + 1))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                found = self._function(name, [self.value(argument, depth + 1) for argument in args])
            case ast.Tuple():
                raise ArithmeticRefusedError("numbers have a decimal point, and nothing between thousands")
            case _:
                raise ArithmeticRefusedError(
                    "only numbers, operators and the names of functions are understood"
                )
        if max(found.numerator.bit_length(), found.denominator.bit_length()) > _MOST_BITS:
            raise ArithmeticRefusedError("a number grows too large")
        return found

    def _number(self, node: ast.Constant) -> Fraction:
        # From its own spelling: Python's float of it would not be the number that was written.
        spelling = self._source[node.col_offset : node.end_col_offset]
        match = _NUMBER.fullmatch(spelling)
        if not match:
            raise ArithmeticRefusedError(f"{spelling[:40]} is not a decimal number")
        if "." in spelling and not match[3]:
            self.decimals = max(self.decimals, min(len(spelling.partition(".")[2]), _MOST_DECIMALS))
        return Fraction(spelling)

    def _operation(self, op: ast.operator, left: Fraction, right: Fraction) -> Fraction:
        if isinstance(op, ast.Pow):
            return self._power(left, right)
        if not isinstance(op, ast.Add | ast.Sub | ast.Mult):
            self.decimals = 0
        operate = _OPERATIONS.get(type(op))
        if operate is None:
            raise ArithmeticRefusedError("the operators are + - * / // % and **")
        try:
            return Fraction(operate(left, right))
        except ZeroDivisionError:
            raise ArithmeticRefusedError("division by zero is not defined") from None

    def _power(self, base: Fraction, exponent: Fraction) -> Fraction:
        self.decimals = 0
        if abs(exponent) > _MOST_EXPONENT:
            raise ArithmeticRefusedError(f"exponents go up to {_MOST_EXPONENT}")
        if base == 0 and exponent < 0:
            raise ArithmeticRefusedError("division by zero is not defined")
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if base not in (0, 1, -1) and (bits - 1) * abs(exponent) > _MOST_BITS:
            raise ArithmeticRefusedError("a number grows too large")
        if exponent.denominator == 1:
            return Fraction(base ** int(exponent))
        if base < 0:
            raise ArithmeticRefusedError("a fractional power of a negative number is not real")
        if exponent.denominator == 2:
            return self._sqrt(base ** abs(exponent.numerator)) ** (1 if exponent > 0 else -1)
        self.exact = False
        return Fraction(_ROOTS.power(_decimal(base), _decimal(exponent)))

    def _sqrt(self, value: Fraction) -> Fraction:
        self.decimals = 0
        if value < 0:
            raise ArithmeticRefusedError("the square root of a negative number is not real")
        root = Fraction(math.isqrt(value.numerator), math.isqrt(value.denominator))
        if root * root == value:
            return root
        self.exact = False
        return Fraction(_ROOTS.sqrt(_decimal(value)))

    def _function(self, name: str, arguments: list[Fraction]) -> Fraction:
        match name, arguments:
            case "sqrt", [value]:
                return self._sqrt(value)
            case "abs", [value]:
                return abs(value)
            case "round", [value]:
                self.decimals = 0
                return _rounded(value, 0)
            case "round", [value, places] if places.denominator == 1 and abs(places) <= _MOST_DECIMALS:
                self.decimals = max(0, int(places))
                return _rounded(value, int(places))
            case "min", [_, *_]:
                return min(arguments)
            case "max", [_, *_]:
                return max(arguments)
        raise ArithmeticRefusedError(
            f"{name[:40]} with {len(arguments)} numbers is not understood; "
            "the functions are round(x), round(x, places), min, max, abs and sqrt(x)"
        )


_OPERATIONS: Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction | int]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
}


def _rounded(value: Fraction, places: int) -> Fraction:
    """Halves away from zero, as people learn it."""
    scale = Fraction(10) ** places
    units = math.floor(abs(value) * scale + Fraction(1, 2))
    return (units if value >= 0 else -units) / scale


def _decimal(value: Fraction) -> Decimal:
    return _ROOTS.divide(Decimal(value.numerator), Decimal(value.denominator))


def _decimal_places(value: Fraction) -> int | None:
    """Decimal places that write ``value`` exactly; None if there are too many, or no end of them."""
    if 10**_MOST_DECIMALS % value.denominator:
        return None
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives)


def _plain(value: Decimal) -> str:
    """Without an exponent as long as that is readable, and without zeros that say nothing."""
    stripped = value.normalize(_SHOWN)
    return f"{stripped:f}" if -7 <= stripped.adjusted() < 2 * _DIGITS_SHOWN else str(stripped)
