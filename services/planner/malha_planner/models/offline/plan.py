"""What to call next: derived afresh from the conversation each time, so that nothing has to be remembered.

Three rounds at most. First what the tasks themselves ask for, all at once. Then what follows from
the results: the cost of a quantity from the prices found, and one more search in other words, of
both languages, where the first gave no sure answer. A call that was made is never made again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from malha_planner.models.offline.choice import Choice
from malha_planner.models.offline.conversation import Call, Conversation, call_key
from malha_planner.models.offline.extract import extract
from malha_planner.models.offline.lexicon import GROUPS
from malha_planner.models.offline.rates import Total, rates, totals, wanted
from malha_planner.models.offline.request import Request
from malha_planner.models.offline.results import passages
from malha_planner.models.offline.schema import ToolView
from malha_planner.models.offline.stems import inflections
from malha_planner.models.offline.tasks import Task, tasks
from malha_planner.models.offline.words import asks_nothing, groups

MOST_CALLS = 16
_MOST_WORDS = 60


@dataclass(frozen=True)
class Wish:
    """A call that should be made."""

    tool: ToolView
    arguments: dict[str, Any]

    @property
    def key(self) -> bytes:
        return call_key(self.tool.name, self.arguments)


@dataclass(frozen=True)
class Plan:
    """The tasks of a question, the calls still to be made, and the totals that were reckoned by calls."""

    tasks: tuple[Task, ...]
    wishes: tuple[Wish, ...]
    totals: dict[bytes, Total]


def plan(conversation: Conversation, tools: Sequence[ToolView]) -> Plan:
    """The calls that the conversation still lacks; none: it is time to answer."""
    if asks_nothing(conversation.question) or not tools:
        return Plan((), (), {})
    found = tuple(tasks(conversation.question, tools))
    made = {call.key for call in conversation.calls}
    first = [Wish(c.tool, f.arguments) for _, c in found if c is not None for f in c.fillings]
    wishes = [wish for wish in first if wish.key not in made]
    reckoned: dict[bytes, Total] = {}
    if not wishes:
        for wish, total in _totals(found, conversation.calls, tools):
            reckoned[wish.key] = total
            wishes += [wish] if wish.key not in made else []
        wishes += [wish for wish in _second_searches(found, conversation.calls) if wish.key not in made]
    once = {wish.key: wish for wish in wishes}
    return Plan(found, tuple(once.values())[:MOST_CALLS], reckoned)


def _totals(
    found: Sequence[Task], calls: Sequence[Call], tools: Sequence[ToolView]
) -> list[tuple[Wish, Total]]:
    """The multiplications that a task wants done on prices of its own result, or of an earlier one."""
    reckoner = next((tool for tool in tools if tool.reckons is not None), None)
    if reckoner is None or reckoner.reckons is None:
        return []
    wishes = []
    results = {call.key: call.result or "" for call in calls}
    known: list[str] = []
    for request, choice in found:
        spans: tuple[tuple[int, int], ...] = ()
        if choice is not None and choice.tool is not reckoner and not choice.tool.searches:
            known = [results.get(call_key(choice.tool.name, f.arguments), "") for f in choice.fillings]
            spans = tuple(span for f in choice.fillings for span in f.spans)
        elif choice is not None:
            continue
        found_rates = [rate for text in known for rate in rates(text)]
        for total in totals(request, wanted(request, spans), found_rates):
            arguments = {reckoner.reckons.name: total.expression}
            if reckoner.accepts(arguments):
                wishes.append((Wish(reckoner, arguments), total))
    return wishes


def _second_searches(found: Sequence[Task], calls: Sequence[Call]) -> list[Wish]:
    """Searches that found no sure answer, put again in other words."""
    results = {call.key: call.result or "" for call in calls}
    wishes = []
    for request, choice in found:
        if choice is None or not choice.tool.searches:
            continue
        first = call_key(choice.tool.name, choice.fillings[0].arguments)
        excerpts = extract(request, passages(results.get(first, "")))
        if excerpts and excerpts[0].is_sure:
            continue
        again = second_search(request, choice)
        if again is not None and choice.tool.accepts(again):
            wishes.append(Wish(choice.tool, again))
    return wishes


def second_search(request: Request, choice: Choice) -> dict[str, Any] | None:
    """The arguments of the second search for a task; None where there are no words to search for."""
    query = _in_other_words(request)
    slot = next(slot for slot in choice.tool.slots if slot.kind == "query")
    return {**choice.fillings[0].arguments, slot.name: query} if query else None


def _in_other_words(request: Request) -> str:
    """The content words of a request in singular and plural, then what the lexicon knows them by: one other
    word for each, then a second one for each, since a search may read only so many."""
    said = [form for word in request.content for form in (word.text, *inflections(word.text))]
    known = [
        " ".join(GROUPS[group] for group in sorted(groups(word.stem))).split() for word in request.content
    ]
    others = [other for row in zip_longest(*known) for other in row if other is not None]
    forms = [form for other in others for form in inflections(other)]
    return " ".join(list(dict.fromkeys((*said, *others, *forms)))[:_MOST_WORDS])
