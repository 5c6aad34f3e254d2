"""ReAct's decisions, as a table: what is known of a run, and what follows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from malha.api.run.v1.chat_pb2 import ChatMessage, Citation, Role, ToolCall
from malha.api.run.v1.record_pb2 import Content, RunLimits, StepFinished, StepOutcome
from malha.errors import ErrorReason
from malha_planner.react import Answer, CallModel, CallTools, Decision, Fail, decide
from malha_planner.transcript import Transcript

Said = str | tuple[str, ...]
"""A model's turn: an answer, or the arguments of calls of the tool "t"."""
DEEP = "[" * 10_000
"""Nested more deeply than can be read."""


def transcript(*turns: Said, results: int | None = None, failures: Sequence[str] = ()) -> Transcript:
    """A run in which the model said these things.

    Args:
        results: how many results the last turn's calls have; None: all.
        failures: reasons why attempts at the next turn failed.
    """
    made = Transcript("question")
    step = 1
    for place, said in enumerate(turns):
        calls = (
            []
            if isinstance(said, str)
            else [
                ToolCall(call_id=f"c{n}", tool="t", arguments_json=arguments)
                for n, arguments in enumerate(said)
            ]
        )
        text = said if isinstance(said, str) else ""
        message = ChatMessage(role=Role.ROLE_ASSISTANT, text=text, tool_calls=calls)
        made.asked(step)
        made.heard(_ended(step), Content(message=message))
        known = len(calls) if results is None or place < len(turns) - 1 else results
        for n in range(known):
            made.heard(_ended(step + 1 + n), Content(text="found"))
        step += 1 + len(calls)
    for reason in failures:
        made.asked(step)
        failed = StepFinished(step=step, outcome=StepOutcome.STEP_OUTCOME_FAILED, error_reason=reason)
        made.heard(failed, Content(error_text="because"))
    return made


def _ended(step: int) -> StepFinished:
    return StepFinished(step=step, outcome=StepOutcome.STEP_OUTCOME_OK)


def shown(decision: Decision) -> object:
    """A decision in short."""
    match decision:
        case CallModel():
            return ("model", decision.step, decision.attempt, decision.may_call_tools)
        case CallTools():
            return ("tools", [step for step, _ in decision.calls])
        case Answer():
            return ("answer", decision.text)
        case Fail():
            return ("fail", ErrorReason.Name(decision.reason).removeprefix("ERROR_REASON_"))


@pytest.mark.parametrize(
    ("known", "limit", "follows"),
    [
        (transcript(), 5, ("model", 1, 1, True)),
        (transcript(), 1, ("model", 1, 1, False)),
        (transcript("It is 40."), 5, ("answer", "It is 40.")),
        (transcript("   "), 5, ("fail", "MODEL_REFUSED")),
        (transcript(("1",), results=0), 5, ("tools", [2])),
        (transcript(("1", "2", "3"), results=0), 5, ("tools", [2, 3, 4])),
        (transcript(("1", "2", "3"), results=2), 5, ("tools", [4])),
        (transcript(("1", "2", "3")), 5, ("model", 5, 1, True)),
        (transcript(("1",), ("2",)), 5, ("model", 5, 1, True)),
        (transcript(("1",), ("2",)), 3, ("model", 5, 1, False)),
        (transcript(("1",), ("2",), results=0), 2, ("fail", "ITERATION_LIMIT")),
        (transcript(("1",), "done"), 2, ("answer", "done")),
        (transcript(("1",), ("1",), ("1",), results=0), 5, ("fail", "REPEATED_ACTION")),
        (transcript(("1",), ("2",), ("1",), ("2",), ("1",), results=0), 9, ("fail", "REPEATED_ACTION")),
        (transcript(("1",), ("2",), ("3",), ("1",), ("4",), ("1",), results=0), 9, ("tools", [12])),
        (transcript(("1", "1", "1"), results=0), 5, ("fail", "REPEATED_ACTION")),
        (
            transcript(('{"a":1,"b":2}',), ('{"b": 2, "a": 1}',), ('{"a":1,"b":2}',), results=0),
            5,
            ("fail", "REPEATED_ACTION"),
        ),
        (transcript((DEEP,), (DEEP,), results=0), 5, ("tools", [4])),
        (transcript((DEEP,), (DEEP,), (DEEP,), results=0), 5, ("fail", "REPEATED_ACTION")),
        (transcript(failures=["MODEL_UNAVAILABLE"]), 5, ("model", 1, 2, True)),
        (transcript(failures=["MODEL_UNAVAILABLE"] * 2), 5, ("model", 1, 3, True)),
        (transcript(failures=["MODEL_UNAVAILABLE"] * 3), 5, ("fail", "MODEL_UNAVAILABLE")),
        (transcript(failures=["MODEL_REFUSED"]), 5, ("fail", "MODEL_REFUSED")),
        (transcript(("1",), failures=["MODEL_UNAVAILABLE"]), 2, ("model", 3, 2, False)),
    ],
)
def test_what_follows_from_what_is_known(known: Transcript, limit: int, follows: object) -> None:
    assert shown(decide(known, RunLimits(max_iterations=limit))) == follows


def test_an_answer_cites_the_passages_whose_markers_it_repeats_in_their_order() -> None:
    made = transcript(("1",), results=0)
    passages = [Citation(marker=f"[{n}]", document=f"{n}.md") for n in (1, 2, 3)]
    made.heard(_ended(2), Content(text="found", citations=passages))
    made.asked(3)
    message = ChatMessage(role=Role.ROLE_ASSISTANT, text="See [3] and [1], not [9].")
    made.heard(_ended(3), Content(message=message))
    decision = decide(made, RunLimits(max_iterations=5))
    assert isinstance(decision, Answer)
    assert [citation.document for citation in decision.citations] == ["3.md", "1.md"]
