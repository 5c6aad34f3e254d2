"""The values of an enum that a request says: as they are spelt, or as the description explains them."""

from collections import Counter
from collections.abc import Iterator

from malha_planner.models.offline.candidate import Candidate
from malha_planner.models.offline.durations import in_unit_of
from malha_planner.models.offline.recognisers import spoken_words
from malha_planner.models.offline.request import Request
from malha_planner.models.offline.schema import Slot, ToolView
from malha_planner.models.offline.stems import is_slip
from malha_planner.models.offline.words import SYNONYM, Word, groups, name_words, words

_GLOSSED = 0.03
"""What a value said in the description's words counts less than one said as it is spelt."""


def enums(slot: Slot, request: Request, _: ToolView) -> Iterator[Candidate]:
    """The values that are said: by their own words, or by those that the description has for them."""
    heard = spoken_words(request)
    spelt = [(value, name_words(str(value)), 0.0) for value in slot.enum]
    spelt += [(value, words(said), _GLOSSED) for value, said in slot.glosses]
    named = Counter(
        group for value in slot.enum for word in name_words(str(value)) for group in groups(word.stem)
    )
    for value, wanted, cost in spelt:
        if isinstance(value, int | float) and not isinstance(value, bool):
            counted = (in_unit_of(slot, quantity) for quantity in request.quantities)
            yield from (Candidate(value, 0.6, q.start, q.end) for q in counted if q.plain == value)
        elif wanted:
            for score, start, end in _said(wanted, heard, named):
                yield Candidate(value, score - cost, start, end)


def _said(
    wanted: tuple[Word, ...], spoken: list[Word], named: Counter[int]
) -> Iterator[tuple[float, int, int]]:
    """Where a value's words are said, and how surely: all in a row, or else a telling one of several."""
    whole = False
    for index, word in enumerate(spoken):
        run = spoken[index : index + len(wanted)]
        likeness = [_likeness(one, other, named) for one, other in zip(run, wanted, strict=False)]
        if len(likeness) == len(wanted) and min(likeness) > 0.0:
            whole = True
            yield min(likeness), word.start, run[-1].end
    if not whole and len(wanted) > 1:
        for word in spoken:
            if word.is_content and any(_likeness(word, part, named) >= 0.9 for part in wanted):
                yield 0.6, word.start, word.end


def _likeness(word: Word, wanted: Word, named: Counter[int]) -> float:
    """How well a word says a value's word; through the lexicon only where that tells the values apart."""
    if word.folded == wanted.folded:
        return 0.98 if word.is_content or (word.text == wanted.text and len(word.text) > 1) else 0.0
    if not word.is_content:
        return 0.0
    if word.stem == wanted.stem:
        return 0.9
    if is_slip(word.folded, wanted.folded):
        return SYNONYM
    return SYNONYM if any(named[group] == 1 for group in groups(word.stem) & groups(wanted.stem)) else 0.0
