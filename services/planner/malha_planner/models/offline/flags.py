"""Flags: whether a request speaks of what a boolean stands for, and refuses it."""

import re
from collections.abc import Iterator

from malha_planner.models.offline.candidate import Candidate
from malha_planner.models.offline.lexicon import COPULAS, NEGATIONS
from malha_planner.models.offline.request import Request
from malha_planner.models.offline.schema import Slot, ToolView
from malha_planner.models.offline.words import Terms, Word, name_words, words


def booleans(slot: Slot, request: Request, tool: ToolView) -> Iterator[Candidate]:
    """A flag is raised by a word of its name, or by what its description says of what it flags."""
    named = {word.stem for word in name_words(tool.name)}
    own = Terms()
    own.add((word for word in slot.names if word.stem not in named), 1.0)
    own.add(_predicates(slot, tool), 0.8)
    for word in request.words:
        if word in own:
            refused = any(before.folded in NEGATIONS for before in request.before(word.start, 2))
            yield Candidate(not refused, 0.5 + 0.2 * own.weight(word), word.start, word.start)


def _predicates(slot: Slot, tool: ToolView) -> Iterator[Word]:
    """Of "Whether the trailer is covered (se a carreta é coberta)": covered and coberta."""
    common = tool.terms_beside(slot)
    for clause in re.split(r"[().,;:]", slot.schema.get("description", "")):
        said = words(clause)
        verb = max((place for place, word in enumerate(said) if word.folded in COPULAS), default=-1)
        of_it = [word for word in (*said[verb + 1 :], *said[: max(verb, 0)]) if word.is_content]
        yield from [word for word in of_it if word not in common and word.folded not in COPULAS][:1]
