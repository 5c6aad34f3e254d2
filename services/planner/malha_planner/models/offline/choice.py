"""Which tool a task is for.

A tool earns a task by its words (how much of the task they explain, and how telling those words
are among the offered tools) and by its arguments (how surely the text fills what it requires).
Searching is what is left: the question is then put to the documents, as a person would look it up.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from malha_planner.models.offline.arguments import Filling, fill
from malha_planner.models.offline.lexicon import LIMIT_SLOT
from malha_planner.models.offline.request import Request
from malha_planner.models.offline.schema import ToolView
from malha_planner.models.offline.words import Terms, Word

# Weights of the evidence, set by hand and checked on sets of questions kept apart (tests/unit/planner).
_EXPLAINED, _FILLED, _TELLING = 1.0, 0.9, 0.35
_EXPLANATION_WANTED, _RULE_WANTED, _GUESSED = 0.75, 0.3, 0.4
_MUCH_LESS, _OTHER_MEANT, _IDENTIFIED, _HUNCH = 0.5, 0.4, 0.4, 0.4
_BY_GUESS = 0.75
_THRESHOLD, _THRESHOLD_ALONE = 1.15, 0.6
_LIMIT, _PASSAGES = Terms.of(LIMIT_SLOT), 8
_BARE_SUM = 2
"""Words beside its numbers that a task may have to be a sum and nothing else ("calculate", "dollars")."""


@dataclass(frozen=True)
class Choice:
    """A tool, the calls of it that the task asks for, and how strongly."""

    tool: ToolView
    fillings: tuple[Filling, ...]
    score: float


def choose(request: Request, tools: Sequence[ToolView]) -> Choice | None:
    """The tool for a task; None where no tool fits."""
    searcher, reckoning = searching(request, tools), _reckoning(request, tools)
    if reckoning is not None and len(request.content) <= _BARE_SUM:
        return reckoning
    ranked = rank(request, [tool for tool in tools if not tool.searches and not tool.reckons])
    if ranked and ranked[0].score >= (_THRESHOLD if searcher else _THRESHOLD_ALONE):
        return ranked[0]
    return reckoning or searcher


def _reckoning(request: Request, tools: Sequence[ToolView]) -> Choice | None:
    """The tool for arithmetic, where the task holds any."""
    reckoner = next((tool for tool in tools if tool.reckons), None)
    if reckoner is None or request.expression is None or request.mentions:
        return None
    calls = fill(reckoner, request)
    return Choice(reckoner, tuple(calls), _THRESHOLD) if calls else None


def searching(request: Request, tools: Sequence[ToolView]) -> Choice | None:
    """The search for a task, by the searching tool whose words are nearest to it; the first of equals."""
    found = [tool for tool in tools if tool.searches]
    if not found:
        return None
    best = max(found, key=lambda tool: sum(tool.terms.weight(word) for word in request.content))
    calls = [_widened(call, best) for call in fill(best, request)[:1]]
    return Choice(best, tuple(calls), 0.0) if calls else None


def _widened(call: Filling, tool: ToolView) -> Filling:
    """A search asks for more passages than it would be shown, since they are ranked again here; a number in
    the question counts something else."""
    limits = [s for s in tool.slots if s.kind == "integer" and any(word in _LIMIT for word in s.names)]
    wider = {**call.arguments, **{slot.name: _PASSAGES for slot in limits}}
    return replace(call, arguments=wider) if tool.accepts(wider) else call


def rank(request: Request, tools: Sequence[ToolView]) -> list[Choice]:
    """The tools that the task could be for, best first.

    A tool that the words speak of much less than of another is not chosen merely because the other
    lacks an argument.
    """
    told = {tool.name: _telling(request, tool, tools) for tool in tools}
    most = max(told.values(), default=0.0)
    choices = []
    for tool in tools:
        calls = fill(tool, request)
        if not calls or (told[tool.name] == 0.0 and not calls[0].recognised):
            continue
        score = _score(request, tool, calls, told[tool.name])
        if told[tool.name] < _MUCH_LESS * most:
            score -= _OTHER_MEANT
        score -= _HUNCH if tool.acts else 0.0
        choices.append(Choice(tool, tuple(calls), score))
    return sorted(choices, key=lambda choice: -choice.score)


def _score(request: Request, tool: ToolView, calls: Sequence[Filling], telling: float) -> float:
    guessed = calls[0].guessed
    share = sum(_explains(tool, calls, word) for word in request.content) / max(1, len(request.content))
    score = _EXPLAINED * (share * share if guessed else share)
    score += _FILLED * calls[0].evidence + _TELLING * min(telling, 2.0)
    score -= _GUESSED if guessed else 0.0
    if calls[0].identified:
        return score + _IDENTIFIED
    score -= _EXPLANATION_WANTED if request.asks_to_explain else 0.0
    return score - (_RULE_WANTED if request.asks_for_a_rule else 0.0)


def _explains(tool: ToolView, calls: Sequence[Filling], word: Word) -> float:
    """Whether the tool accounts for a word: by its own words, or by using it as a value; less by a guess."""
    if word in tool.terms:
        return 1.0
    used = any(start <= word.start < end for call in calls for start, end in call.spans)
    return (_BY_GUESS if calls[0].guessed else 1.0) if used else 0.0


def _telling(request: Request, tool: ToolView, tools: Sequence[ToolView]) -> float:
    """How much the words of the task speak of this tool rather than of the others."""
    total = 0.0
    for stem, word in {word.stem: word for word in request.content}.items():
        weight = tool.terms.weight(word)
        if weight > 0.0 and stem:
            others = sum(other.terms.weight(word) > 0.0 for other in tools)
            total += weight * math.log(1.0 + len(tools) / others)
    return total
