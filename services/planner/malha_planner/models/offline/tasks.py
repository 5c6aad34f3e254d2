"""A request cut into its tasks.

Whole sentences first: one that neither asks nor orders anything is background for the task behind
it. Then, inside a sentence, a conjunction parts two tasks only where either side is plainly one of its
own; "budgets and reservations" stays together.
"""

import re
from collections.abc import Sequence

from malha_planner.models.offline.choice import Choice, choose
from malha_planner.models.offline.rates import wanted
from malha_planner.models.offline.request import Request
from malha_planner.models.offline.schema import ToolView
from malha_planner.models.offline.words import fold

_END = re.compile(r"(?<=[?!;])\s+|(?<=[^\W\d][.])\s+(?=[A-ZÀ-Ý¿\"'])|\n+")
_JOINT = re.compile(
    r"(?:,?\s+(?:and then|and also|and|then|also|as well as|plus|e depois|e também|e então|e|depois|também|além de)\s+)|,\s+(?=(?:how|what|quanto|qual|como)\b)|;\s*",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"(?:what|how|why|when|where|who|which|explain|describe|tell|list|compare|show|give|find|calculate|convert|compute|"
    r"o que|qual|quais|como|por que|quando|onde|quem|quant[oa]s?|explique|descreva|diga|liste|compare|mostre|calcule|converta)\b"
)
_MOST = 4
Task = tuple[Request, Choice | None]


def tasks(text: str, tools: Sequence[ToolView]) -> list[Task]:
    """The tasks of a request in their order, each with the tool chosen for it."""
    whole = Request.of(text)
    found: list[Task] = []
    background = ""
    for sentence in (piece.strip() for piece in _END.split(whole.text)):
        if not sentence:
            continue
        request = Request(f"{background} {sentence}".strip(), whole.portuguese)
        alone = Request(sentence, whole.portuguese)
        if _is_task(alone, tools):
            found += _parted(alone if _serves(choose(alone, tools)) else request, tools)
            background = ""
        else:
            background = request.text
    if not found:
        return _parted(whole, tools)
    return found[:_MOST]


def _is_task(request: Request, tools: Sequence[ToolView]) -> bool:
    if request.text.endswith("?") or _ASKS.match(fold(request.text)):
        return True
    return _serves(choose(request, tools))


def _serves(choice: Choice | None) -> bool:
    """Whether a tool of its own, rather than the search for want of one, is chosen."""
    return choice is not None and not choice.tool.searches


def _parted(request: Request, tools: Sequence[ToolView]) -> list[Task]:
    whole = choose(request, tools)
    for joint in _JOINT.finditer(request.text):
        left = Request(request.text[: joint.start()].strip(), request.portuguese)
        right = Request(request.text[joint.end() :].strip(), request.portuguese)
        if not left.content or not right.content:
            continue
        first, second = choose(left, tools), choose(right, tools)
        if _serves(first) and first is not None and wanted(right, ()) is not None:
            if not _serves(second) or _same_tool(first, second):
                return [(left, first), (right, None)]
        if _own(left, first, tools) and _own(right, second, tools) and _differ(first, second):
            return [(left, first), *_parted(right, tools)]
    return [(request, whole)]


def _own(request: Request, choice: Choice | None, tools: Sequence[ToolView]) -> bool:
    return _serves(choice) or (choice is not None and _ASKS.match(fold(request.text)) is not None)


def _same_tool(one: Choice, other: Choice | None) -> bool:
    return other is not None and one.tool.name == other.tool.name


def _differ(one: Choice | None, other: Choice | None) -> bool:
    assert one is not None and other is not None
    return (one.tool.name, one.fillings[0].arguments) != (other.tool.name, other.fillings[0].arguments)
