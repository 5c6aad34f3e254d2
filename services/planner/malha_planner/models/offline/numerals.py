"""Numbers written as words, in both languages."""

from collections.abc import Iterator, Sequence

from malha_planner.models.offline.words import Word

NUMERALS = {
    name: value
    for value, names in {
        1: "one single um uma",
        2: "two couple dois duas",
        3: "three tres",
        4: "four quatro",
        5: "five cinco",
        6: "six seis",
        7: "seven sete",
        8: "eight oito",
        9: "nine nove",
        10: "ten dez",
        11: "eleven onze",
        12: "twelve dozen doze duzia",
        13: "thirteen treze",
        14: "fourteen catorze quatorze",
        15: "fifteen quinze",
        16: "sixteen dezesseis",
        17: "seventeen dezessete",
        18: "eighteen dezoito",
        19: "nineteen dezenove",
        20: "twenty vinte",
        30: "thirty trinta",
        40: "forty quarenta",
        50: "fifty cinquenta",
        60: "sixty sessenta",
        70: "seventy setenta",
        80: "eighty oitenta",
        90: "ninety noventa",
        100: "hundred cem",
        1000: "thousand mil",
    }.items()
    for name in names.split()
}
"""Folded name and value. Beside what they count, "one" and "um" are articles as often as numbers."""


def spoken(words: Sequence[Word]) -> Iterator[tuple[int, int, int]]:
    """The numbers from two on among words ("twenty-five", "vinte e cinco"), each with where it stands."""
    place = 0
    while place < len(words):
        first = words[place]
        value = NUMERALS.get(first.folded, 0)
        place += 1
        if 20 <= value < 100:
            rest = [word for word in words[place : place + 2] if word.folded != "e"][:1]
            more = NUMERALS.get(rest[0].folded, 0) if rest else 0
            if 0 < more < 10 and rest[0].start - first.end <= len(" e "):
                yield value + more, first.start, rest[0].end
                place += 1 + (words[place] is not rest[0])
                continue
        if value > 1:
            yield value, first.start, first.end
