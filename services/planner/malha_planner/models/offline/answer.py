"""The answer, composed of what the tools returned.

Every sentence is a tool's, a document's (with its marker) or one of a few fixed phrases; what could
not be found, reached or understood is said.
"""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from malha.api.run.v1.chat_pb2 import Citation
from malha_planner.models.offline.conversation import Call, Conversation
from malha_planner.models.offline.extract import Excerpt, extract
from malha_planner.models.offline.phrases import say
from malha_planner.models.offline.plan import Plan, second_search
from malha_planner.models.offline.request import Request
from malha_planner.models.offline.results import Passage, data, passages, unavailable
from malha_planner.models.offline.schema import ToolView
from malha_planner.models.offline.words import asks_nothing

_LONGEST_RESULT, _LONGEST_QUOTE = 2000, 300


def compose(conversation: Conversation, plan: Plan, tools: Sequence[ToolView]) -> tuple[str, list[Citation]]:
    """The answer's text and the passages it cites."""
    whole = Request.of(conversation.question)
    portuguese = whole.portuguese
    if asks_nothing(conversation.question):
        names = ", ".join(tool.name for tool in tools) or "-"
        return say("hello", portuguese=portuguese, names=names), []
    parts: list[str] = []
    citations: list[Citation] = []
    searchers = {tool.name for tool in tools if tool.searches}
    searched: list[Request] = []
    for call in conversation.calls:
        result = (call.result or "").strip()
        if call.tool in searchers or passages(result):
            request = _asked(call, plan, whole)
            if request not in searched:
                searched.append(request)
                excerpts = extract(request, _found(request, conversation, plan, whole))
                parts += [_quoted(excerpt, portuguese=portuguese) for excerpt in excerpts]
                citations += [_citation(excerpt) for excerpt in excerpts]
                if not excerpts:
                    parts.append(say("nothing", portuguese=portuguese, question=request.text))
        elif total := plan.totals.get(call.key):
            result = result.rpartition("=")[2].strip().rstrip(".")
            parts.append(
                say(
                    "total",
                    portuguese=portuguese,
                    quantity=total.quantity,
                    label=total.label or call.tool,
                    expression=total.expression,
                    result=result,
                )
            )
        else:
            parts.append(_told(call, result, portuguese=portuguese))
    if not conversation.calls:
        return say("cannot", portuguese=portuguese), []
    return "\n\n".join(parts), citations


def _found(request: Request, conversation: Conversation, plan: Plan, whole: Request) -> list[Passage]:
    """The passages of all searches made for one task, once each: the first of every search, then the second
    of every search, and so on."""
    lists = [
        passages(call.result or "") for call in conversation.calls if _asked(call, plan, whole) == request
    ]
    found: dict[tuple[str, str, str], Passage] = {}
    for row in zip_longest(*lists):
        for passage in (passage for passage in row if passage is not None):
            found.setdefault((passage.document, passage.section, passage.text), passage)
    return list(found.values())


def _asked(call: Call, plan: Plan, whole: Request) -> Request:
    """The task that a search was made for."""
    for request, choice in plan.tasks:
        if choice is not None and any(f.arguments == call.arguments for f in choice.fillings):
            return request
        if choice is not None and choice.tool.searches and call.arguments == second_search(request, choice):
            return request
    searching = [request for request, choice in plan.tasks if choice is not None and choice.tool.searches]
    return searching[0] if len(searching) == 1 else whole


def _quoted(excerpt: Excerpt, *, portuguese: bool) -> str:
    passage = excerpt.passage
    source = passage.document
    if passage.section:
        source = say("section", portuguese=portuguese, document=passage.document, section=passage.section)
    opening = say("source" if excerpt.is_direct else "nearest", portuguese=portuguese, source=source)
    return f"{opening} {_lines(excerpt.sentences)} {passage.marker}"


def _lines(sentences: Sequence[str]) -> str:
    """Sentences as running text; the items behind a colon as a list."""
    text = ""
    listing = False
    for sentence in sentences:
        text += ("\n- " if listing else " ") + sentence if text else sentence
        listing = listing or sentence.endswith(":")
    return text


def _citation(excerpt: Excerpt) -> Citation:
    passage = excerpt.passage
    quote = " ".join(excerpt.sentences)[:_LONGEST_QUOTE]
    return Citation(marker=passage.marker, document=passage.document, section=passage.section, quote=quote)


def _told(call: Call, result: str, *, portuguese: bool) -> str:
    """A tool's result in its own words, and what it says it could not reach."""
    held = data(result)
    if held is None:
        return f"{say('tool', portuguese=portuguese, tool=call.tool)} {result[:_LONGEST_RESULT]}"
    missing = unavailable(result)
    said = f"{say('tool', portuguese=portuguese, tool=call.tool)} {_plain(held)[:_LONGEST_RESULT]}"
    return said + (
        " " + say("unavailable", portuguese=portuguese, names=", ".join(missing)) if missing else ""
    )


def _plain(held: Any) -> str:
    """JSON as a person would write it down."""
    if isinstance(held, dict):
        return "; ".join(f"{str(key).replace('_', ' ')}: {_plain(value)}" for key, value in held.items())
    if isinstance(held, list):
        return ", ".join(
            f"({_plain(value)})" if isinstance(value, dict | list) else _plain(value) for value in held
        )
    return str(held)
