"""A request cut into its tasks.

Whole sentences first: one that neither asks nor orders anything is background for the task it stands
beside. Then, inside a sentence, a conjunction parts two tasks only where either side is plainly one of
its own; "budgets and reservations" stays together.
"""

import re
from collections.abc import Sequence

from malha_planner.models.offline.choice import Choice, choose
from malha_planner.models.offline.lexicon import COMMANDS
from malha_planner.models.offline.rates import wanted
from malha_planner.models.offline.request import Request
from malha_planner.models.offline.schema import ToolView
from malha_planner.models.offline.stems import fold

Task = tuple[Request, Choice | None]
"""What is asked, and the tool chosen for it; none for what follows from another task's result."""

_END = re.compile(r"(?<=[?!;])\s+|(?<=[^\W\d][.])\s+(?=[A-ZÀ-Ý¿\"'])|\n+")
_JOINT = re.compile(
    r",?\s+(?:and then|and also|and|then|also|as well as|plus|e depois|e também|e então|e|depois|também"
    r"|além de)\s+|,\s+(?=(?:how|what|quanto|qual|como)\b)|;\s*",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"(?:what|how|why|when|where|who|which|explain|describe|tell|list|compare|show|give|find|calculate"
    r"|convert|compute|o que|qual|quais|como|por que|quando|onde|quem|quant[oa]s?|explique|descreva|diga"
    r"|liste|mostre|calcule|converta)\b"
)
_MOST_TASKS, _MOST_SENTENCES, _MOST_JOINTS = 4, 12, 6
"""Bounds on the work that one request can ask for; what lies beyond is read as one piece."""


def tasks(text: str, tools: Sequence[ToolView]) -> list[Task]:
    """The tasks of a request in their order."""
    whole = Request.of(text)
    sentences = [piece.strip() for piece in _END.split(whole.text) if piece.strip()]
    if len(sentences) < 2:
        return _parted(whole, tools)
    found: list[Task] = []
    background = ""
    for sentence in sentences[:_MOST_SENTENCES]:
        alone = Request(sentence, whole.portuguese)
        if not _asks(alone):
            background = f"{background} {sentence}".strip()
            continue
        parted = _parted(alone, tools)
        if background:
            together = Request(f"{background} {sentence}", whole.portuguese)
            if not any(_serves(choice) for _, choice in parted):
                parted = _parted(together, tools)
            else:
                parted[0] = _fuller(parted[0], together, tools)
        found += parted
        background = ""
    if not found:
        return _parted(whole, tools)
    if background:
        found = _with_background(found, Request(background, whole.portuguese), tools)
    return found[:_MOST_TASKS]


def _with_background(found: list[Task], background: Request, tools: Sequence[ToolView]) -> list[Task]:
    """What stands behind the last task: a task after all if a tool serves it, else said of the last one."""
    choice = choose(background, tools)
    if _serves(choice):
        return [*found, (background, choice)]
    request, chosen = found[-1]
    together = Request(f"{request.text} {background.text}", request.portuguese)
    if _serves(chosen):
        return [*found[:-1], _fuller(found[-1], together, tools)]
    return [*found[:-1], (together, choose(together, tools))]


def _fuller(task: Task, together: Request, tools: Sequence[ToolView]) -> Task:
    """The task with its background, where that adds arguments to the same call and changes none."""
    _, choice = task
    more = choose(together, tools)
    if choice is None or more is None or more.tool.name != choice.tool.name:
        return task
    one, other = choice.fillings[0].arguments, more.fillings[0].arguments
    return (together, more) if one.items() < other.items() else task


def _parted(request: Request, tools: Sequence[ToolView]) -> list[Task]:
    whole = choose(request, tools)
    for joint in list(_JOINT.finditer(request.text))[:_MOST_JOINTS]:
        left = Request(request.text[: joint.start()].strip(), request.portuguese)
        right = Request(request.text[joint.end() :].strip(), request.portuguese)
        if not _says_something(left) or not _says_something(right) or _spans(whole, joint.start()):
            continue
        first, second = choose(left, tools), choose(right, tools)
        if first is None:
            continue
        if _serves(first) and wanted(right) and (not _serves(second) or _same_tool(first, second)):
            return [(left, first), (right, None)]
        both_ask = _opens_a_task(left) and _opens_a_task(right)
        if _serves(whole) and not both_ask and (_about(whole, left) or _about(whole, right)):
            continue
        if second is not None and _own(left, first) and _own(right, second) and _differ(first, second):
            return [(left, first), *_parted(right, tools)]
    return [(request, whole)]


def _asks(request: Request) -> bool:
    opening = next((word.folded for word in request.words), "")
    return request.text.endswith("?") or _opens_a_task(request) or opening in COMMANDS


def _says_something(request: Request) -> bool:
    return bool(request.content) or request.expression is not None


def _opens_a_task(request: Request) -> bool:
    return _ASKS.match(fold(request.text)) is not None


def _serves(choice: Choice | None) -> bool:
    """Whether a tool of its own, rather than the search for want of one, is chosen."""
    return choice is not None and not choice.tool.searches


def _own(request: Request, choice: Choice) -> bool:
    return _opens_a_task(request) or (_serves(choice) and not choice.fillings[0].guessed)


def _spans(choice: Choice | None, at: int) -> bool:
    """Whether one call of the tool takes values from both sides of a place in the text."""
    if choice is None:
        return False
    ends = [span for filling in choice.fillings for span in filling.spans if span[0] < span[1]]
    return any(end <= at for _, end in ends) and any(start >= at for start, _ in ends)


def _about(choice: Choice | None, request: Request) -> bool:
    """Whether a piece of text says no more than what the chosen tool is for."""
    return (
        choice is not None
        and request.expression is None
        and all(word in choice.tool.terms for word in request.content)
    )


def _same_tool(one: Choice, other: Choice | None) -> bool:
    return other is not None and one.tool.name == other.tool.name


def _differ(one: Choice, other: Choice) -> bool:
    return (one.tool.name, one.fillings[0].arguments) != (other.tool.name, other.fillings[0].arguments)
