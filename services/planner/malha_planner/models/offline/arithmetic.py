"""Arithmetic said in words or signs, brought to one expression of digits and operators.

Nothing is computed here: the expression is an argument for a tool that takes one.
"""

import re

from malha_planner.models.offline.quantities import Quantity, quantities
from malha_planner.models.offline.stems import fold

_N = r"(?:\(?-?\d+(?:\.\d+)?\)?)"
_PERCENT = r"\s*(?:%|percent|por cento)"
_MONEY = re.compile(r"(?:R|US)?\$\s?|[€£]\s?")
_MORE = r"(?:plus|\+|mais|increased by|aumentado em|com acrescimo de|com aumento de)"
_LESS = r"(?:minus|menos|less|decreased by|reduced by|reduzido em|com desconto de|with a discount of)"

# Folded text, numbers already plain. Order matters: longer forms before their parts.
_REWRITES: tuple[tuple[str, str], ...] = (
    (rf"(?:square root of|raiz quadrada de|sqrt of|sqrt)\s*\(?\s*({_N})\s*\)?", r" \1 ** 0.5 "),
    (
        rf"({_N}){_PERCENT} (?:off|de desconto (?:em|sobre|de))\s*(?:of|on)?\s*({_N})",
        r" \2 * (1 - \1 / 100) ",
    ),
    (rf"({_N}){_PERCENT}\s*(?:of|de|do|da|on|sobre)\s*({_N})", r" \1 / 100 * \2 "),
    (rf"({_N})\s*{_MORE}\s*({_N}){_PERCENT}", r" \1 * (1 + \2 / 100) "),
    (rf"({_N})\s*{_LESS}\s*({_N}){_PERCENT}", r" \1 * (1 - \2 / 100) "),
    (rf"(?:divide|divida|dividir)\s*({_N})\s*(?:by|por)\s*({_N})", r" \1 / \2 "),
    (rf"(?:subtract|subtraia|subtrair)\s*({_N})\s*(?:from|de)\s*({_N})", r" \2 - \1 "),
    (rf"(?:difference between|diferenca entre)\s*({_N})\s*(?:and|e)\s*({_N})", r" \1 - \2 "),
    (rf"(?:ratio of|razao entre)\s*({_N})\s*(?:to|and|e)\s*({_N})", r" \1 / \2 "),
    (rf"({_N})\s*(?:squared|ao quadrado)", r" \1 ** 2 "),
    (rf"({_N})\s*(?:cubed|ao cubo)", r" \1 ** 3 "),
    (r"(?:raised )?to the power (?:of )?|elevado (?:a|ao)\b", " ** "),
    (r"\bmultiplied by\b|\bmultiplicado por\b|\btimes\b|\bvezes\b|[×∙·]", " * "),
    (r"(?<=\d)\s*x\s*(?=\(?\s*-?\d)", " * "),
    (r"\bdivided by\b|\bdividido por\b|÷", " / "),
    (r"\bplus\b|\bmais\b|\badded to\b|\bsomado a\b", " + "),
    (r"\bminus\b|\bmenos\b", " - "),
    (r"\^", " ** "),
)
_LISTS = (
    (r"(?:the )?(?:sum|total) of|\bsoma d[eoa]s?|\badd(?: up)?\b|\bsome\b|\bsomar\b|\bsum\b", " + ", False),
    (r"product of|produto d[eoa]s?|\bmultiply\b|\bmultiplique\b|\bmultiplicar\b", " * ", False),
    (r"(?:average|mean) of|media d[eoa]s?|media entre|average|\bmean\b", " + ", True),
)
_LIST = (
    r"\s*(?:the |numbers |values |os |numeros |valores )*:?\s*"
    rf"({_N}(?:\s*(?:,|;|and|e|by|por|to|a)+\s*{_N})+)"
)
_RUN = re.compile(rf"[(\s]*{_N}\s*(?:(?:\*\*|[-+*/%])\s*[(\s]*-?\d+(?:\.\d+)?[)\s]*)+")


def expression(text: str, *, portuguese: bool) -> str | None:
    """The one arithmetic expression that a text holds; None where there is none or it is no sum to do."""
    plain = fold(_plain_numbers(text, quantities(text, portuguese=portuguese)))
    for opening, sign, mean in _LISTS:
        match = re.search(f"(?:{opening}){_LIST}", plain)
        if match is not None:
            numbers = re.findall(_N, match.group(1))
            joined = sign.join(numbers)
            return f"({joined}) / {len(numbers)}" if mean else joined
    for pattern, replacement in _REWRITES:
        plain = re.sub(pattern, replacement, plain)
    runs = [match.group() for match in _RUN.finditer(plain) if _is_sum(match.group(), plain)]
    return _tidy(max(runs, key=len)) if runs else None


def _plain_numbers(text: str, found: list[Quantity]) -> str:
    """The text with every number of digits in plain notation, without the sign of money before it."""
    pieces, at = [], 0
    for quantity in found:
        if not quantity.written:
            continue
        start = text.index(quantity.written, quantity.start)
        pieces += [_MONEY.sub("", text[at:start]), str(quantity.value.copy_abs())]
        at = start + len(quantity.written)
    return "".join([*pieces, text[at:]])


def _is_sum(run: str, whole: str) -> bool:
    """A run that is no date, version or range: those have bare hyphens or slashes between digits."""
    if re.search(r"[*+%]|\s[-/]\s|\(", run):
        return True
    rest = whole.replace(run, " ")
    return bool(
        re.search(
            r"calcul|compute|evaluat|quanto (?:e|da)\b|how much is|what is|what's|resultado|result", rest
        )
    ) and not re.search(r"\d{4}-\d\d-\d\d|\d\d?/\d\d?/\d{2,4}", run)


def _tidy(run: str) -> str | None:
    run = re.sub(r"\s+", " ", run).strip()
    while run.count("(") > run.count(")") and run.startswith("("):
        run = run[1:].strip()
    while run.count(")") > run.count("(") and run.endswith(")"):
        run = run[:-1].strip()
    return run if run.count("(") == run.count(")") else None
